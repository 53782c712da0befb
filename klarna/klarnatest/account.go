package klarnatest

import (
	"net/http"
	"slices"

	"github.com/google/uuid"
)

// States of accounts and products, in Klarna's words.
const (
	statePartiallyOperational = "PARTIALLY_OPERATIONAL"
	stateOperational          = "OPERATIONAL"
	stateDisabled             = "DISABLED"
	productEnabled            = "ENABLED"
	productDisabled           = "DISABLED"
)

// account is a partner account. Klarna: one company each, with one payment product.
type account struct {
	id, reference, name, state string
	contact                    doc
	product                    paymentProduct
	brands, entities, groups   []*item
	decisions                  []doc
	enablements                []doc
}

// paymentProduct is the product of an account.
type paymentProduct struct {
	id, profile, state, reason string
	byKlarna                   bool // Klarna moved it there
	accounts                   []*item
}

// item is a part of an account: what was submitted and the id it got. The items of a store group are its stores.
type item struct {
	id, reference string
	input         doc
	items         []*item
}

func newItem(kind, reference string, input doc) *item {
	return &item{id: "krn:partner:global:account:" + kind + ":" + uuid.NewString(), reference: reference, input: input}
}

// find is the item with a reference, or nil.
func find(items []*item, reference string) *item {
	i := slices.IndexFunc(items, func(it *item) bool { return it.reference == reference })
	if i < 0 {
		return nil
	}
	return items[i]
}

// references are those an account has defined; of no account there are none.
func (a *account) references() (brands, groups, entities map[string]bool) {
	collect := func(items []*item) map[string]bool {
		set := map[string]bool{}
		for _, it := range items {
			set[it.reference] = true
		}
		return set
	}
	if a == nil {
		return collect(nil), collect(nil), collect(nil)
	}
	return collect(a.brands), collect(a.groups), collect(a.entities)
}

// document is the account on the wire. Klarna: lists are only there when expanded.
func (a *account) document(expand ...string) doc {
	d := doc{
		"partner_account_id": a.id, "partner_account_reference": a.reference, "partner_account_name": a.name,
		"partner_account_contact": a.contact, "state": a.state,
	}
	for _, list := range expand {
		switch list {
		case "products":
			d[list] = []doc{a.productDocument()}
		case "brands":
			d[list] = documents(a.brands, brandDocument)
		case "store_groups":
			d[list] = documents(a.groups, a.groupDocument)
		case "partner_business_entities":
			d[list] = documents(a.entities, entityDocument)
		}
	}
	return d
}

func documents(items []*item, render func(*item) doc) []doc {
	list := make([]doc, len(items))
	for i, it := range items {
		list[i] = render(it)
	}
	return list
}

func brandDocument(brand *item) doc { return brand.input.with(doc{"brand_id": brand.id}) }

func (a *account) groupDocument(group *item) doc {
	return group.input.with(doc{
		"store_group_id": group.id,
		"brand_id":       find(a.brands, group.input.str("brand_reference")).id,
		"stores":         documents(group.items, func(store *item) doc { return storeDocument(group, store) }),
	})
}

func (a *account) productDocument() doc {
	d := doc{
		"product_id": a.product.id, "type": "PAYMENT", "state": a.product.state, "payment_profile_id": a.product.profile,
		"payment_accounts": documents(a.product.accounts, a.paymentAccountDocument),
	}
	if a.product.reason != "" {
		d["state_reason"] = a.product.reason
	}
	return d
}

// paymentAccountDocument has ids where the request had references.
func (a *account) paymentAccountDocument(pa *item) doc {
	references := []string{"partner_business_entity_reference", "default_store_group_reference"}
	return pa.input.without(references...).with(doc{
		"payment_account_id":         pa.id,
		"partner_business_entity_id": find(a.entities, pa.input.str(references[0])).id,
		"default_store_group_id":     find(a.groups, pa.input.str(references[1])).id,
	})
}

// withAccount calls f with the account in the path.
func (s *Server) withAccount(c *call, f func(*account) answer) answer {
	a := s.accounts[c.path("account_id")]
	if a == nil {
		return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such partner account")
	}
	return f(a)
}

// managing is withAccount for changes. Klarna: an account is managed only while OPERATIONAL.
func (s *Server) managing(c *call, f func(*account) answer) answer {
	return s.withAccount(c, func(a *account) answer {
		if a.state != stateOperational {
			return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Partner account is not operational")
		}
		return f(a)
	})
}

func (s *Server) readAccount(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		expand := c.r.URL.Query()["expand"]
		for _, list := range expand {
			if !slices.Contains([]string{"products", "brands", "store_groups", "partner_business_entities"}, list) {
				return c.invalid([]doc{{"parameter": "expand", "reason": "must name a list of the account"}})
			}
		}
		return reply(http.StatusOK, a.document(expand...))
	})
}

func (s *Server) updateAccount(c *call) answer {
	return s.managing(c, func(a *account) answer {
		k, root := &checker{}, located{doc: c.doc}
		k.texture("", "", c.doc)
		for _, field := range []string{"partner_account_reference", "partner_account_name"} {
			if root.has(field) {
				k.texts(root, field)
			}
		}
		contact := c.doc.object("partner_account_contact")
		if root.has("partner_account_contact") {
			k.texts(located{"partner_account_contact", contact}, "email")
		}
		if len(c.doc) == 0 {
			k.refuse("", "must change something")
		}
		if k.errs != nil {
			return c.invalid(k.errs)
		}
		reference := c.doc.str("partner_account_reference")
		if other := s.byReference[reference]; other != nil && other != a {
			return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Partner account reference is in use")
		}
		if reference != "" {
			delete(s.byReference, a.reference)
			a.reference, s.byReference[reference] = reference, a
		}
		if name := c.doc.str("partner_account_name"); name != "" {
			a.name = name
		}
		if contact != nil {
			a.contact = contact
		}
		return reply(http.StatusOK, a.document())
	})
}

func (s *Server) listBrands(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		return reply(http.StatusOK, doc{"brands": documents(a.brands, brandDocument)})
	})
}

func (s *Server) readBrand(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		return a.withBrand(c, func(brand *item) answer { return reply(http.StatusOK, brandDocument(brand)) })
	})
}

func (s *Server) updateBrand(c *call) answer {
	return s.managing(c, func(a *account) answer {
		return a.withBrand(c, func(brand *item) answer {
			k, root := &checker{}, located{doc: c.doc}
			k.texture("", "", c.doc)
			if root.has("display_name") {
				k.texts(root, "display_name")
			}
			if len(c.doc) == 0 {
				k.refuse("", "must change something")
			}
			if root.has("brand_reference") && root.str("brand_reference") != brand.reference {
				// A brand's reference is what its store groups name; that it can be changed is not documented.
				k.refuse("brand_reference", "must not change")
			}
			if k.errs != nil {
				return c.invalid(k.errs)
			}
			brand.input = brand.input.with(c.doc)
			s.lookAtBrands(a, []doc{brand.input})
			return reply(http.StatusOK, brandDocument(brand))
		})
	})
}

func (a *account) withBrand(c *call, f func(*item) answer) answer {
	i := slices.IndexFunc(a.brands, func(brand *item) bool { return brand.id == c.path("brand_id") })
	if i < 0 {
		return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such brand")
	}
	return f(a.brands[i])
}

// listProducts answers a bare array. Klarna: r2512 does, other releases wrap it.
func (s *Server) listProducts(c *call) answer {
	return s.withAccount(c, func(a *account) answer { return reply(http.StatusOK, []doc{a.productDocument()}) })
}
