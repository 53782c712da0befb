package klarnatest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// States of a customer token, in Klarna's words.
const (
	tokenActive    = "ACTIVE"
	tokenCancelled = "CANCELLED"
	tokenSuspended = "SUSPENDED"
)

// tokenCancelDelay is how long a cancellation takes. Klarna: it is done later than it is answered; no figure.
const tokenCancelDelay = time.Second

// customerToken is a customer's consent to be charged later.
type customerToken struct {
	id, status string
	country    string
	address    any // billing address of its orders
	declines   int // charges that will be declined
}

func tokenRoutes() []*route {
	const token = "/customer-token/v1/tokens/{customer_token}"
	return []*route{
		{"createCustomerToken", payments, "POST /payments/v1/authorizations/{token}/customer-token", true, (*Server).createCustomerToken},
		{"readCustomerToken", customerTokens, "GET " + token, false, (*Server).readCustomerToken},
		{"chargeCustomerToken", customerTokens, "POST " + token + "/order", true, (*Server).chargeCustomerToken},
		{"cancelCustomerToken", customerTokens, "PATCH " + token + "/status", true, (*Server).cancelCustomerToken},
	}
}

// createCustomerToken makes a token of an authorization. Klarna: only with the intents tokenize and buy_and_tokenize.
// What a repeat brings is not documented; here, as with placing an order, the same token again.
func (s *Server) createCustomerToken(c *call) answer {
	a := s.authorizations[c.path("token")]
	if a == nil || !a.usable(s.now()) {
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "Invalid authorization token")
	}
	intent := a.doc.str("intent")
	if intent != "tokenize" && intent != "buy_and_tokenize" {
		return c.refuse(http.StatusForbidden, "INVALID_OPERATION", "Not allowed to create customer token for intent "+intent)
	}
	if bad := checkTokenRequest(c.doc); bad != nil {
		return c.badValue(bad)
	}
	for _, field := range []string{"purchase_country", "purchase_currency"} {
		if !same(a.doc[field], c.doc[field]) {
			return c.refuse(http.StatusConflict, "BAD_VALUE", "Not matching fields: ["+field+"]")
		}
	}
	if c.replayed = a.customerToken != nil; !c.replayed {
		made := &customerToken{id: uuid.NewString(), status: tokenActive, country: a.doc.str("purchase_country"), address: a.doc["billing_address"]}
		s.tokens[made.id], a.customerToken = made, made
	}
	return reply(http.StatusOK, doc{
		"token_id": a.customerToken.id, "payment_method_reference": a.customerToken.id, "billing_address": a.customerToken.address,
		"redirect_url": "https://payments.klarna.com/v1/sessions/" + a.session.id + "/redirect",
	})
}

// checkTokenRequest lists the fields of a token request that break a rule. Klarna: intended_use is SUBSCRIPTION.
func checkTokenRequest(d doc) (bad []string) {
	for field, ok := range map[string]bool{
		"description":       d.str("description") != "" && textFits(d, "description", 255),
		"intended_use":      d.str("intended_use") == "SUBSCRIPTION",
		"locale":            localePattern.MatchString(d.str("locale")),
		"purchase_country":  countryPattern.MatchString(d.str("purchase_country")),
		"purchase_currency": currencyPattern.MatchString(d.str("purchase_currency")),
	} {
		if !ok {
			bad = append(bad, field)
		}
	}
	return append(bad, checkAddress(d, "billing_address")...)
}

func (s *Server) readCustomerToken(c *call) answer {
	token := s.tokens[c.path("customer_token")]
	if token == nil {
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "Invalid customer-token ID")
	}
	return reply(http.StatusOK, doc{
		"status": token.status, "payment_method_type": "CARD",
		"card": doc{"brand": "VISA", "expiry_date": "12/2030", "masked_number": "************1111"},
	})
}

// chargeCustomerToken makes an order. Klarna: a declined charge names a step_up_id if the request supports it.
func (s *Server) chargeCustomerToken(c *call) answer {
	token := s.tokens[c.path("customer_token")]
	switch {
	case token == nil:
		return c.refuse(http.StatusNotFound, "TOKEN_NOT_FOUND", "Token not found")
	case token.status == tokenSuspended:
		return c.refuse(http.StatusForbidden, "TOKEN_SUSPENDED", "Token is suspended")
	case token.status == tokenCancelled:
		return c.refuse(http.StatusForbidden, "TOKEN_CANCELED", "Token is canceled")
	}
	cart := doc{"purchase_country": token.country, "billing_address": token.address}.with(c.doc)
	bad := checkCart(cart)
	if amount, _ := cart.number("order_amount"); amount == 0 {
		bad = append(bad, "order_amount")
	}
	if urls := cart.object("merchant_urls"); urls != nil && !urls.has("confirmation") {
		bad = append(bad, "merchant_urls.confirmation")
	}
	if bad != nil {
		return c.badValue(bad)
	}
	if token.declines > 0 {
		token.declines--
		refusal := doc{
			"error_code": "PAYMENT_METHOD_FAILED", "error_messages": []string{"Payment method failed"}, "correlation_id": c.correlationID,
		}
		if c.doc.str("step_up") == "SUPPORTED" {
			refusal["step_up_id"] = uuid.NewString()
		}
		return reply(http.StatusForbidden, refusal)
	}
	o := s.newOrder(cart)
	s.decideRisk(o)
	if autoCapture, _ := cart["auto_capture"].(bool); autoCapture {
		s.addCapture(o, o.amount, doc{})
	}
	return reply(http.StatusOK, doc{
		"order_id": o.id, "fraud_status": o.fraud, "authorized_payment_method": doc{"type": "card"},
		"redirect_url": "https://payments.klarna.com/v1/orders/" + o.id + "/redirect",
	})
}

// cancelCustomerToken ends a token, a little later. Klarna: it cannot be undone. That an ended one cannot be ended again
// is inferred.
func (s *Server) cancelCustomerToken(c *call) answer {
	token := s.tokens[c.path("customer_token")]
	switch {
	case token == nil:
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "Invalid token ID")
	case c.doc.str("status") != tokenCancelled || token.status == tokenCancelled:
		return c.badValue([]string{"status"})
	}
	s.schedule(entry{at: s.now().Add(tokenCancelDelay), do: func() { token.status = tokenCancelled }})
	return answer{status: http.StatusAccepted}
}

// SuspendToken lets Klarna suspend a customer token.
func (s *Server) SuspendToken(token string) error {
	return s.onToken("suspend", token, func(t *customerToken) { t.status = tokenSuspended })
}

// DeclineNextCharge lets the next charge of a customer token be declined.
func (s *Server) DeclineNextCharge(token string) error {
	return s.onToken("decline a charge of", token, func(t *customerToken) { t.declines++ })
}

// onToken calls f on a customer token with mu held.
func (s *Server) onToken(attempt, token string, f func(*customerToken)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[token]
	if t == nil {
		return fmt.Errorf("%s customer token: %w", attempt, errUnknown)
	}
	f(t)
	return nil
}
