package klarnatest

import "net/http"

func storeDocument(group, store *item) doc {
	return store.input.with(doc{"store_id": store.id, "store_group_id": group.id})
}

func (s *Server) createStoreGroup(c *call) answer {
	return s.managing(c, func(a *account) answer {
		brands, _, _ := a.references()
		check := func(k *checker, root located) { k.storeGroups([]located{root}, map[string]bool{}, brands) }
		return c.creating(a.groups, "store_group_reference", check, func() answer {
			s.extend(a, addition{groups: []doc{c.doc}, stores: map[string][]doc{}})
			return reply(http.StatusCreated, a.groupDocument(a.groups[len(a.groups)-1]))
		})
	})
}

func (s *Server) listStoreGroups(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		return c.cursorPage("store_groups", "store_group_id", documents(a.groups, a.groupDocument))
	})
}

func (s *Server) readStoreGroup(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		return withItem(c, a.groups, "group_id", func(g *item) answer { return reply(http.StatusOK, a.groupDocument(g)) })
	})
}

// updateStoreGroup changes a store group. Payment accounts keep it as their default under its new reference.
func (s *Server) updateStoreGroup(c *call) answer {
	return s.managing(c, func(a *account) answer {
		return withItem(c, a.groups, "group_id", func(g *item) answer {
			check := func(k *checker, root located) {
				k.textsIfAny(root, "store_group_reference")
				k.fixed(root, "brand_reference", g.input.str("brand_reference"))
			}
			return c.changing(check, func() answer {
				before, after := g.reference, c.doc.str("store_group_reference")
				if other := find(a.groups, after); other != nil && other != g {
					return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Store group reference is in use")
				}
				g.input = g.input.with(c.doc.pick("store_group_reference", "support_contact", "social_media_links"))
				if after != "" {
					g.reference = after
					a.renameGroup(before, after)
				}
				return reply(http.StatusOK, a.groupDocument(g))
			})
		})
	})
}

func (a *account) renameGroup(before, after string) {
	const field = "default_store_group_reference"
	for _, pa := range a.product.accounts {
		if pa.input.str(field) == before {
			pa.input = pa.input.with(doc{field: after})
		}
	}
}

// createStore adds a store to a group. That an unknown group is answered with 404 follows from Klarna's id being wrong,
// not the form of the request.
func (s *Server) createStore(c *call) answer {
	return s.managing(c, func(a *account) answer {
		group := byID(a.groups, c.doc.str("store_group_id"))
		var there []*item
		if group != nil {
			there = group.items
		}
		check := func(k *checker, root located) {
			k.texts(root, "store_group_id")
			k.store(root)
		}
		return c.creating(there, "store_reference", check, func() answer {
			if group == nil {
				return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such store group")
			}
			made := newItem("store", c.doc.str("store_reference"), c.doc.without("store_group_id"))
			group.items = append(group.items, made)
			return reply(http.StatusCreated, storeDocument(group, made))
		})
	})
}

func (s *Server) listStores(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		var list []doc
		for _, g := range a.groups {
			list = append(list, documents(g.items, func(store *item) doc { return storeDocument(g, store) })...)
		}
		return c.cursorPage("stores", "store_id", list)
	})
}

func (s *Server) readStore(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		return a.withStore(c, func(g, store *item) answer { return reply(http.StatusOK, storeDocument(g, store)) })
	})
}

// updateStore changes a store. Klarna: the type is repeated, and what the type needs stays needed.
func (s *Server) updateStore(c *call) answer {
	return s.managing(c, func(a *account) answer {
		return a.withStore(c, func(g, store *item) answer {
			check := func(k *checker, root located) {
				if root.str("type") != store.input.str("type") {
					k.refuse("type", "must be the type of the store")
				}
				k.store(located{doc: store.input.with(c.doc)})
			}
			return c.changing(check, func() answer {
				reference := c.doc.str("store_reference")
				if other := find(g.items, reference); other != nil && other != store {
					return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Store reference is in use")
				}
				store.input = store.input.with(c.doc)
				store.reference = store.input.str("store_reference")
				return reply(http.StatusOK, storeDocument(g, store))
			})
		})
	})
}

func (a *account) withStore(c *call, f func(group, store *item) answer) answer {
	for _, g := range a.groups {
		if store := byID(g.items, c.path("store_id")); store != nil {
			return f(g, store)
		}
	}
	return withItem(c, nil, "store_id", nil)
}
