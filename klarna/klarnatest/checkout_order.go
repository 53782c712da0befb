package klarnatest

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Klarna: a checkout order lives 48 hours after its last change.
const checkoutLifetime = 48 * time.Hour

// checkoutOrder is a purchase in Klarna Checkout.
type checkoutOrder struct {
	id                string
	doc               doc // as created and updated
	created, modified time.Time
	completed         time.Time // zero until then
}

// fields of a checkout order that are Klarna's to set.
var checkoutReadOnly = []string{
	"order_id", "name", "status", "html_snippet", "started_at", "completed_at", "last_modified_at", "recurring_token",
}

func checkoutRoutes() []*route {
	const orders = "/checkout/v3/orders"
	return []*route{
		{"createCheckoutOrder", payments, "POST " + orders, true, (*Server).createCheckoutOrder},
		{"readCheckoutOrder", payments, "GET " + orders + "/{order_id}", false, (*Server).readCheckoutOrder},
		{"updateCheckoutOrder", payments, "POST " + orders + "/{order_id}", true, (*Server).updateCheckoutOrder},
		{"abortCheckoutOrder", payments, "POST " + orders + "/{order_id}/abort", false, (*Server).abortCheckoutOrder},
	}
}

func (s *Server) createCheckoutOrder(c *call) answer {
	request := c.doc.without(checkoutReadOnly...)
	if bad := checkCheckout(request); bad != nil {
		return c.badValue(bad)
	}
	o := &checkoutOrder{id: uuid.NewString(), doc: request, created: s.now(), modified: s.now()}
	s.checkouts[o.id] = o
	a := reply(http.StatusCreated, o.document())
	a.header = map[string]string{"Location": c.address(c.r.URL.Path + "/" + o.id)}
	return a
}

// checkCheckout lists the fields of a checkout order that break a rule. Unlike other carts it needs a locale, taxes and
// four addresses.
func checkCheckout(d doc) []string {
	bad := checkCart(d)
	for _, field := range []string{"locale", "order_tax_amount"} {
		if !d.has(field) {
			bad = append(bad, field)
		}
	}
	lines, _ := d.objects("order_lines")
	for _, line := range lines {
		if !line.has("tax_rate") || !line.has("total_tax_amount") {
			bad = append(bad, "order_lines")
		}
	}
	urls := d.object("merchant_urls")
	for _, field := range []string{"terms", "checkout", "confirmation", "push"} {
		if !secureURL(urls.str(field)) {
			bad = append(bad, "merchant_urls."+field)
		}
	}
	slices.Sort(bad)
	return slices.Compact(bad)
}

func (s *Server) readCheckoutOrder(c *call) answer {
	return s.withCheckout(c, func(o *checkoutOrder) answer { return reply(http.StatusOK, o.document()) })
}

// updateCheckoutOrder lays the given fields over the order.
func (s *Server) updateCheckoutOrder(c *call) answer {
	return s.withCheckout(c, func(o *checkoutOrder) answer {
		if !o.completed.IsZero() {
			return c.refuse(http.StatusForbidden, "READ_ONLY_ORDER", "Resource is read-only")
		}
		updated := o.doc.with(c.doc.without(checkoutReadOnly...))
		if bad := checkCheckout(updated); bad != nil {
			return c.badValue(bad)
		}
		o.doc, o.modified = updated, s.now()
		return reply(http.StatusOK, o.document())
	})
}

// abortCheckoutOrder gives an order up. What is left of it is not documented; here nothing.
func (s *Server) abortCheckoutOrder(c *call) answer {
	return s.withCheckout(c, func(o *checkoutOrder) answer {
		if !o.completed.IsZero() {
			return c.refuse(http.StatusForbidden, "READ_ONLY_ORDER", "Resource is read-only")
		}
		delete(s.checkouts, o.id)
		return reply(http.StatusOK, o.document())
	})
}

func (s *Server) withCheckout(c *call, f func(*checkoutOrder) answer) answer {
	o := s.checkouts[c.path("order_id")]
	if o == nil || !s.now().Before(o.modified.Add(checkoutLifetime)) {
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "We did not find any order with given ID")
	}
	return f(o)
}

// document is the checkout order on the wire. Klarna: the status is lower case in samples, upper case in the schema.
func (o *checkoutOrder) document() doc {
	d := o.doc.with(doc{
		"order_id": o.id, "status": "checkout_incomplete",
		"html_snippet": `<div id="klarna-checkout-container" data-order="` + o.id + `"></div>`,
		"started_at":   o.created.Format(classicTime), "last_modified_at": o.modified.Format(classicTime),
	})
	if !o.completed.IsZero() {
		d["status"], d["completed_at"] = "checkout_complete", o.completed.Format(classicTime)
	}
	return d
}

// completeOrder makes the order of a checkout order that came over the API, under the same id. Callers hold mu.
func (s *Server) completeOrder(id string) (o *order, push string, err error) {
	c := s.checkouts[id]
	switch {
	case c == nil || !s.now().Before(c.modified.Add(checkoutLifetime)):
		return nil, "", errUnknown
	case !c.completed.IsZero():
		return nil, "", errors.New("order is complete")
	}
	c.completed = s.now()
	address := customerAddress(c.doc.str("purchase_country"))
	return s.addOrder(id, doc{"billing_address": address, "shipping_address": address}.with(c.doc)), c.doc.object("merchant_urls").str("push"), nil
}
