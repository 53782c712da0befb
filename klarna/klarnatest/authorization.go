package klarnatest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Klarna: an authorization token lives 60 minutes.
const authorizationLifetime = time.Hour

// authorization is what a customer agreed to, good for one order.
type authorization struct {
	token   string
	session *session
	doc     doc // the session as it was authorized
	expires time.Time
	void    bool // superseded by another or cancelled

	outcome *answer // first outcome of placing the order
	request doc     // that led to it

	customerToken *customerToken // made of it, or nil
}

// usable tells whether an order can be placed with it, or was and the answer can be had again.
func (a *authorization) usable(now time.Time) bool { return !a.void && now.Before(a.expires) }

// Authorize plays a customer who goes through the purchase. The session has to be incomplete. The token is returned
// and called back to merchant_urls.authorization, if the session has one. An earlier token is superseded. Klarna: the
// callback carries the merchant references "if provided".
func (s *Server) Authorize(sessionID string) (token string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[sessionID]
	if ss == nil {
		return "", fmt.Errorf("authorize session %s: %w", sessionID, errUnknown)
	}
	a, err := s.authorize(ss)
	if err != nil {
		return "", err
	}
	return a.token, nil
}

// authorize makes the new authorization of a session. Callers hold mu.
func (s *Server) authorize(ss *session) (*authorization, error) {
	switch {
	case !s.now().Before(ss.expires):
		return nil, fmt.Errorf("authorize session %s: %w", ss.id, errors.New("session is expired"))
	case ss.orderID != "":
		return nil, fmt.Errorf("authorize session %s: %w", ss.id, errors.New("session is complete"))
	}
	if ss.current != nil {
		ss.current.void = true
	}
	a := &authorization{
		token: uuid.NewString(), session: ss, expires: s.now().Add(authorizationLifetime),
		doc: doc{"billing_address": customerAddress(ss.doc.str("purchase_country"))}.with(ss.doc),
	}
	ss.current, s.authorizations[a.token] = a, a
	body := doc{"authorization_token": a.token, "session_id": ss.id}.
		with(ss.doc.pick("merchant_reference1", "merchant_reference2"))
	s.send(&message{
		kind: KindAuthorization, url: ss.doc.object("merchant_urls").str("authorization"),
		eventID: a.token, eventType: KindAuthorization, subject: ss.id,
		body: encode(body), schedule: callbackSchedule, accepted: acceptsCallback,
	}, 0)
	return a, nil
}

// customerAddress is what a customer fills in when the session brought no billing address.
func customerAddress(country string) map[string]any {
	return map[string]any{
		"given_name": "Erika", "family_name": "Beispiel", "email": "erika.beispiel@example.com", "phone": "+4930901820",
		"street_address": "Lindenweg 4", "postal_code": "10969", "city": "Berlin", "country": country,
	}
}

// cancelAuthorization releases an authorization that was not used.
func (s *Server) cancelAuthorization(c *call) answer {
	a := s.authorizations[c.path("token")]
	if a == nil || !a.usable(s.now()) {
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "Invalid authorization token")
	}
	if a.session.orderID != "" || a.customerToken != nil {
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "Authorization cannot be deleted")
	}
	a.void = true
	return answer{status: http.StatusNoContent}
}

// placeOrder turns an authorization into an order, once. Klarna: a repeat with the same token gets the first outcome,
// also when that was an error; after an error a new token is needed. Another body after an order was placed is a 409.
func (s *Server) placeOrder(c *call) answer {
	a := s.authorizations[c.path("token")]
	if a == nil || !a.usable(s.now()) {
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "Invalid authorization token")
	}
	if a.outcome != nil {
		if a.session.orderID != "" && !same(a.request, c.doc) {
			return c.refuse(http.StatusConflict, "BAD_VALUE", "The order has been already completed with different request body")
		}
		c.replayed = true
		return *a.outcome
	}
	outcome := s.place(c, a)
	a.outcome, a.request = &outcome, c.doc
	return outcome
}

func (s *Server) place(c *call, a *authorization) answer {
	if bad := checkCart(c.doc); bad != nil {
		return c.badValue(bad)
	}
	if mismatch := differences(a.doc, c.doc); mismatch != "" {
		return c.refuse(http.StatusConflict, "BAD_VALUE", "Not matching fields: ["+mismatch+"]")
	}
	if a.customerToken != nil && a.doc.str("intent") == "tokenize" {
		return c.refuse(http.StatusForbidden, "INVALID_OPERATION", "Authorization token already consumed")
	}
	o := s.makeOrder(a, a.doc.with(c.doc))
	d := doc{"order_id": o.id, "fraud_status": o.fraud, "authorized_payment_method": authorizedMethod(a.doc)}
	if o.doc.object("merchant_urls").has("confirmation") {
		d["redirect_url"] = "https://payments.klarna.com/v1/sessions/" + a.session.id + "/redirect"
	}
	return reply(http.StatusOK, d)
}

// makeOrder makes the one order of an authorization. Callers hold mu.
func (s *Server) makeOrder(a *authorization, d doc) *order {
	o := s.newOrder(d)
	a.session.orderID = o.id
	if a.doc.str("intent") == "buy" {
		s.expectPayment(o)
	} else {
		s.decideRisk(o)
	}
	if autoCapture, _ := d["auto_capture"].(bool); autoCapture && o.fraud == fraudAccepted {
		s.addCapture(o, o.amount, doc{})
	}
	return o
}

// authorizedMethod is the method of the order. Klarna: Pay Now by Bank sets intent buy.
func authorizedMethod(session doc) doc {
	if session.str("intent") == "buy" {
		return doc{"type": "direct_bank_transfer"}
	}
	return doc{"type": "invoice", "number_of_days": 30}
}

// differences names where an order departs from what was authorized. Klarna: amounts, order lines in their order, and
// the addresses have to match; what the order leaves out of the addresses is taken from the authorization.
func differences(authorized, request doc) string {
	for _, field := range []string{"purchase_country", "purchase_currency", "order_amount", "order_tax_amount"} {
		if request.has(field) && !same(authorized[field], request[field]) {
			return field
		}
	}
	then, _ := authorized.objects("order_lines")
	now, _ := request.objects("order_lines")
	if len(then) != len(now) {
		return fmt.Sprintf("Incorrect number of items in the cart. Expected: %d, Actual: %d", len(then), len(now))
	}
	for i := range then {
		if field := differing(then[i], now[i]); field != "" {
			return fmt.Sprintf("order_lines[%d].%s", i, field)
		}
	}
	for _, field := range []string{"billing_address", "shipping_address"} {
		was := authorized.object(field)
		if !request.has(field) {
			continue
		}
		if was == nil && field == "shipping_address" {
			was = authorized.object("billing_address") // Klarna: it is cloned when no other is given
		}
		if differs := differing(was, request.object(field)); differs != "" {
			return field + "." + differs
		}
	}
	return ""
}

// differing is the first field, by name, in which two objects mean different things.
func differing(a, b doc) string {
	var fields []string
	for field := range a.with(b) {
		if !same(a[field], b[field]) {
			fields = append(fields, field)
		}
	}
	if len(fields) == 0 {
		return ""
	}
	return slices.Min(fields)
}
