package klarnatest

import (
	"net/http"
	"slices"
	"strconv"
)

// partRoutes are the operations on the parts of an account, beside those on brands that account.go has.
func partRoutes() []*route {
	const (
		account = "/v2/accounts/{account_id}"
		entity  = account + "/partner-business-entities"
		group   = account + "/store-groups"
		store   = account + "/stores"
		product = account + "/products/payment/{product_id}"
		payment = product + "/payment-accounts"
	)
	return []*route{
		{"createEntity", network, "POST " + entity, true, (*Server).createEntity},
		{"listEntities", network, "GET " + entity, false, (*Server).listEntities},
		{"readEntity", network, "GET " + entity + "/{entity_id}", false, (*Server).readEntity},
		{"updateEntity", network, "PATCH " + entity + "/{entity_id}", true, (*Server).updateEntity},
		{"createBrand", network, "POST " + account + "/brands", true, (*Server).createBrand},
		{"createStoreGroup", network, "POST " + group, true, (*Server).createStoreGroup},
		{"listStoreGroups", network, "GET " + group, false, (*Server).listStoreGroups},
		{"readStoreGroup", network, "GET " + group + "/{group_id}", false, (*Server).readStoreGroup},
		{"updateStoreGroup", network, "PATCH " + group + "/{group_id}", true, (*Server).updateStoreGroup},
		{"createStore", network, "POST " + store, true, (*Server).createStore},
		{"listStores", network, "GET " + store, false, (*Server).listStores},
		{"readStore", network, "GET " + store + "/{store_id}", false, (*Server).readStore},
		{"updateStore", network, "PATCH " + store + "/{store_id}", true, (*Server).updateStore},
		{"disableProduct", network, "POST " + product + "/disable", true, (*Server).disableProduct},
		{"enableProduct", network, "POST " + product + "/enable", false, (*Server).enableProduct},
		{"createPaymentAccount", network, "POST " + payment, true, (*Server).createPaymentAccount},
		{"readPaymentAccount", network, "GET " + payment + "/{payment_account_id}", false, (*Server).readPaymentAccount},
		{"updatePaymentAccount", network, "PATCH " + payment + "/{payment_account_id}", true, (*Server).updatePaymentAccount},
		{"listPaymentProfiles", network, "GET /v2/distribution/products/payment/profiles", false, (*Server).listPaymentProfiles},
		{"listDecisions", network, "GET " + account + "/compliance/decisions", false, (*Server).listDecisions},
		{"readDecision", network, "GET " + account + "/compliance/decisions/{decision_id}", false, (*Server).readDecision},
	}
}

// byID is the item with an id, or nil.
func byID(items []*item, id string) *item {
	i := slices.IndexFunc(items, func(it *item) bool { return it.id == id })
	if i < 0 {
		return nil
	}
	return items[i]
}

// withItem calls f with the item that the path names.
func withItem(c *call, items []*item, wildcard string, f func(*item) answer) answer {
	it := byID(items, c.path(wildcard))
	if it == nil {
		return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "Partner account has no such part")
	}
	return f(it)
}

// creating checks a request and adds what it describes. Klarna: a reference is used once.
func (c *call) creating(items []*item, reference string, check func(*checker, located), create func() answer) answer {
	k, root := &checker{}, located{doc: c.doc}
	k.texture("", "", c.doc)
	check(k, root)
	switch {
	case k.errs != nil:
		return c.invalid(k.errs)
	case find(items, root.str(reference)) != nil:
		return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Reference is in use")
	}
	return create()
}

// changing checks a change. Klarna: a change says something, and what it says is of the form it has in a new item.
func (c *call) changing(check func(*checker, located), change func() answer) answer {
	k, root := &checker{}, located{doc: c.doc}
	k.texture("", "", c.doc)
	if len(c.doc) == 0 {
		k.refuse("", "must change something")
	}
	check(k, root)
	if k.errs != nil {
		return c.invalid(k.errs)
	}
	return change()
}

// textsIfAny requires strings that are there not to be empty.
func (k *checker) textsIfAny(l located, fields ...string) {
	for _, field := range fields {
		if _, there := l.doc[field]; there {
			k.texts(l, field)
		}
	}
}

// fixed refuses to change a reference by which other parts name this one; that it can be changed is not documented.
func (k *checker) fixed(l located, field, value string) {
	if l.has(field) && l.str(field) != value {
		k.refuse(field, "must not change")
	}
}

// cursorPage answers with the part of a list that the query asks for. Klarna: the last part has no last_item. That size
// is 20 and at most 100 is chosen here.
func (c *call) cursorPage(name, id string, list []doc) answer {
	size, from := 20, 0
	if text := c.r.FormValue("size"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return c.invalid([]doc{{"parameter": "size", "reason": "must be 1 to 100"}})
		}
		size = n
	}
	if after := c.r.FormValue("starting_after"); after != "" {
		from = 1 + slices.IndexFunc(list, func(d doc) bool { return d.str(id) == after })
		if from == 0 {
			return c.invalid([]doc{{"parameter": "starting_after", "reason": "must be a cursor of this list"}})
		}
	}
	part := list[from:min(from+size, len(list))]
	pagination := doc{"count": len(part), "total": len(list), "first_item": nil, "last_item": nil}
	if len(part) > 0 {
		pagination["first_item"] = part[0].str(id)
	}
	if from+size < len(list) {
		pagination["last_item"] = part[len(part)-1].str(id)
	}
	return reply(http.StatusOK, doc{name: append([]doc{}, part...), "pagination": pagination})
}

func entityDocument(e *item) doc { return e.input.with(doc{"partner_business_entity_id": e.id}) }

func (s *Server) createEntity(c *call) answer {
	return s.managing(c, func(a *account) answer {
		check := func(k *checker, root located) { k.entities([]located{root}, map[string]bool{}) }
		return c.creating(a.entities, "partner_business_entity_reference", check, func() answer {
			made := newItem("partner-business-entity", c.doc.str("partner_business_entity_reference"), c.doc)
			a.entities = append(a.entities, made)
			return reply(http.StatusCreated, entityDocument(made))
		})
	})
}

func (s *Server) listEntities(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		return reply(http.StatusOK, doc{"partner_business_entities": documents(a.entities, entityDocument)})
	})
}

func (s *Server) readEntity(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		return withItem(c, a.entities, "entity_id", func(e *item) answer { return reply(http.StatusOK, entityDocument(e)) })
	})
}

// updateEntity changes an entity. Klarna: partial, with the objects inside sent whole; here that goes for the parts of
// supplementary_business_data.
func (s *Server) updateEntity(c *call) answer {
	return s.managing(c, func(a *account) answer {
		return withItem(c, a.entities, "entity_id", func(e *item) answer {
			check := func(k *checker, root located) {
				k.textsIfAny(root, "legal_registered_entity_name", "legal_registration_country")
				k.fixed(root, "partner_business_entity_reference", e.reference)
			}
			return c.changing(check, func() answer {
				const data = "supplementary_business_data"
				before := e.input.object(data)
				e.input = e.input.with(c.doc)
				if c.doc.has(data) {
					e.input = e.input.with(doc{data: map[string]any(before.with(c.doc.object(data)))})
				}
				return reply(http.StatusOK, entityDocument(e))
			})
		})
	})
}

func (s *Server) createBrand(c *call) answer {
	return s.managing(c, func(a *account) answer {
		check := func(k *checker, root located) { k.brands([]located{root}, map[string]bool{}) }
		return c.creating(a.brands, "brand_reference", check, func() answer {
			made := newItem("brand", c.doc.str("brand_reference"), c.doc)
			a.brands = append(a.brands, made)
			s.lookAtBrands(a, []doc{c.doc})
			return reply(http.StatusCreated, brandDocument(made))
		})
	})
}
