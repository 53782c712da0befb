package klarnatest

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// States of a transaction, in Klarna's words.
const (
	transactionAuthorized = "AUTHORIZED"
	transactionCompleted  = "COMPLETED"
	transactionExpired    = "EXPIRED"
	transactionClosed     = "CLOSED"
)

// Klarna: an expired transaction may be authorized again for 7 days. That an authorization lasts 28 days is documented of
// the classic orders.
const (
	transactionLifetime = 28 * 24 * time.Hour
	transactionGrace    = 7 * 24 * time.Hour
	maxCaptures         = 200 // Klarna: of one transaction
)

// networkTransaction is a payment that was authorized.
type networkTransaction struct {
	id, state      string
	account        *account
	request        *paymentRequest // nil if nobody was asked
	input          doc             // what was authorized: currency, purchase data, reference
	amount         int64
	unfunded       string // state of a funding that is not guaranteed, else empty
	created        time.Time
	expires        time.Time
	captures       []*networkMovement
	refunds        []*networkMovement
	chargebacks    []*networkMovement
	authorizations int // how often it was authorized, so that an outdated end is none
}

// authorizePayment makes a transaction, or asks the customer first. Klarna: authorizing twice by one session token was
// answered with 409. That amount and currency have to be those of the request is chosen here, and so are the refusals of
// a token that is unknown (404) or too old (403).
func (s *Server) authorizePayment(c *call) answer {
	return s.paying(c, func(a *account) answer {
		wanted := located{"request_payment_transaction", c.doc.object("request_payment_transaction")}
		k := &checker{}
		k.texture("", "", c.doc)
		k.payable(located{doc: c.doc}, wanted, "amount")
		if capture := wanted.str("capture"); capture != "" && capture != "NOW" && capture != "LATER" {
			k.refuse(wanted.at("capture"), "must be NOW or LATER")
		}
		stepUp := located{"step_up_config.customer_interaction_config", c.doc.object("step_up_config").object("customer_interaction_config")}
		k.interaction(stepUp, false)
		if k.errs != nil {
			return c.invalid(k.errs)
		}
		if refusal := c.payee(a, c.doc); refusal != nil {
			return *refusal
		}
		request, refusal := s.bySessionToken(c, a, wanted)
		if refusal != nil {
			return *refusal
		}
		customer := c.r.Header.Get("Klarna-Customer-Token")
		switch {
		case customer != "" && s.payments.customers[customer] != a:
			return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such customer token")
		case s.payments.declines > 0:
			s.payments.declines--
			return result("DECLINED", "RISK", nil)
		case request == nil && customer == "" && stepUp.doc == nil:
			return result("DECLINED", "CUSTOMER_INTERACTION_REQUIRED", nil)
		case request == nil && customer == "":
			asked := c.doc.with(wanted.pick("amount"), c.doc.object("step_up_config")).without("request_payment_transaction", "step_up_config")
			return result("STEP_UP_REQUIRED", "", doc{"payment_request": s.openRequest(a, asked).document()})
		}
		t := s.newTransaction(a, request, c.doc, wanted)
		return result("APPROVED", "", doc{"payment_transaction": t.document()})
	})
}

// result is what an authorization answers. Klarna: the payment request of a step-up stands beside the response.
func result(outcome, reason string, more doc) answer {
	response := doc{"result": outcome}.with(more.pick("payment_transaction"))
	if reason != "" {
		response["result_reason"] = reason
	}
	return reply(http.StatusOK, doc{"payment_transaction_response": response}.with(more.pick("payment_request")))
}

// bySessionToken finds the request whose session token a call carries, nil if it carries none.
func (s *Server) bySessionToken(c *call, a *account, wanted located) (*paymentRequest, *answer) {
	token := c.r.Header.Get("Klarna-Network-Session-Token")
	if token == "" {
		return nil, nil
	}
	refuse := func(status int, code, message string) (*paymentRequest, *answer) {
		refusal := c.refuse(status, code, message)
		return nil, &refusal
	}
	r := s.payments.sessions[token]
	switch {
	case r == nil || r.account != a:
		return refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such session token")
	case r.transaction != nil:
		return refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Session token was used")
	case s.now().Sub(r.tokenAt) > sessionTokenLifetime:
		return refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Session token has expired")
	case !same(r.input["currency"], c.doc["currency"]) || !same(r.input["amount"], wanted.doc["amount"]):
		refusal := c.invalid([]doc{{"parameter": "request_payment_transaction.amount", "reason": "differs from what the customer agreed to"}})
		return nil, &refusal
	}
	return r, nil
}

func (s *Server) newTransaction(a *account, request *paymentRequest, input doc, wanted located) *networkTransaction {
	t := &networkTransaction{
		id: "krn:payment:eu1:transaction:" + uuid.NewString(), account: a, request: request, created: s.now(),
		input: input.pick("currency", "supplementary_purchase_data").with(wanted.pick("payment_transaction_reference")),
	}
	t.amount, _ = wanted.number("amount")
	if request != nil {
		request.transaction = t
		if !t.input.has("supplementary_purchase_data") {
			t.input = t.input.with(request.input.pick("supplementary_purchase_data"))
		}
	}
	if s.payments.unfunded > 0 {
		s.payments.unfunded--
		t.unfunded = "PENDING"
	}
	s.payments.transactions[t.id] = t
	s.authorizeFor(t, transactionLifetime)
	if wanted.str("capture") == "NOW" {
		s.captureOf(t, t.amount, "", false)
	}
	return t
}

// authorizeFor lets an authorization begin, with its end.
func (s *Server) authorizeFor(t *networkTransaction, life time.Duration) {
	t.expires = s.now().Add(life)
	t.authorizations++
	this := t.authorizations
	s.moveTransaction(t, transactionAuthorized)
	s.schedule(entry{at: t.expires, do: func() {
		if t.state == transactionAuthorized && t.authorizations == this {
			s.moveTransaction(t, transactionExpired)
		}
	}})
	s.schedule(entry{at: t.expires.Add(transactionGrace), do: func() {
		if t.state == transactionExpired && t.authorizations == this {
			s.finish(t)
		}
	}})
}

// finish ends an authorization. Klarna: what was captured in part is COMPLETED when its rest is released, what was not is
// CLOSED.
func (s *Server) finish(t *networkTransaction) {
	if sum(t.captures) > 0 {
		s.moveTransaction(t, transactionCompleted)
		return
	}
	s.moveTransaction(t, transactionClosed)
}

// document is the transaction on the wire. Klarna documents ids, amount, currency, payment_funding and payment_captures;
// the rest is likely.
func (t *networkTransaction) document() doc {
	funding := doc{"type": "GUARANTEED"}
	if t.unfunded != "" {
		funding = doc{"type": "NON_GUARANTEED", "state": t.unfunded}
	}
	d := t.input.pick("payment_transaction_reference", "currency", "supplementary_purchase_data").with(doc{
		"payment_transaction_id": t.id, "state": t.state, "amount": t.amount, "payment_funding": funding,
		"payment_account_id": t.account.product.accounts[0].id,
		"payment_captures":   rendered(t.captures), "payment_refunds": rendered(t.refunds),
		"created_at": t.created.Format(time.RFC3339Nano), "expires_at": t.expires.Format(time.RFC3339Nano),
	})
	return d.with(t.input.object("supplementary_purchase_data").pick("purchase_reference"))
}

// withTransaction calls f with the transaction in the path.
func (s *Server) withTransaction(c *call, f func(*networkTransaction) answer) answer {
	return s.withAccount(c, func(a *account) answer {
		t := s.payments.transactions[c.path("transaction_id")]
		if t == nil || t.account != a {
			return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such payment transaction")
		}
		return f(t)
	})
}

func (s *Server) readTransaction(c *call) answer {
	return s.withTransaction(c, func(t *networkTransaction) answer { return reply(http.StatusOK, t.document()) })
}

// updateTransaction changes a transaction. Klarna: as long as it is not expired, completed or closed.
func (s *Server) updateTransaction(c *call) answer {
	return s.withTransaction(c, func(t *networkTransaction) answer {
		amount, refusal := c.newAmount(t)
		switch {
		case refusal != nil:
			return *refusal
		case len(c.doc) == 0:
			return c.invalid([]doc{{"parameter": "", "reason": "must change something"}})
		case t.state != transactionAuthorized:
			return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Payment transaction is "+t.state)
		}
		t.amount, t.input = amount, t.input.with(c.doc.pick("payment_transaction_reference", "supplementary_purchase_data"))
		return reply(http.StatusOK, t.document())
	})
}

// newAmount is the amount that a change leaves a transaction with. That it must not fall below what is captured is
// inferred.
func (c *call) newAmount(t *networkTransaction) (int64, *answer) {
	k := &checker{}
	k.texture("", "", c.doc)
	amount := t.amount
	if c.doc.has("amount") {
		told, ok := c.doc.number("amount")
		if !ok || told < max(1, sum(t.captures)) {
			k.refuse("amount", "must be at least what is captured")
		}
		amount = told
	}
	if k.errs != nil {
		refusal := c.invalid(k.errs)
		return 0, &refusal
	}
	return amount, nil
}

// voidTransaction gives back what is not captured.
func (s *Server) voidTransaction(c *call) answer {
	return s.withTransaction(c, func(t *networkTransaction) answer {
		if t.state != transactionAuthorized && t.state != transactionExpired {
			return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Payment transaction is "+t.state)
		}
		s.finish(t)
		return reply(http.StatusOK, t.document())
	})
}

// extendTransaction authorizes again. Klarna: also an expired one, for 7 days; extension_days may be left out.
func (s *Server) extendTransaction(c *call) answer {
	return s.withTransaction(c, func(t *networkTransaction) answer {
		amount, refusal := c.newAmount(t)
		days, told := c.doc.number("extension_days")
		switch {
		case refusal != nil:
			return *refusal
		case c.doc.has("extension_days") && (!told || days < 1 || days > 180):
			return c.invalid([]doc{{"parameter": "extension_days", "reason": "must be 1 to 180"}})
		case t.state != transactionAuthorized && t.state != transactionExpired:
			return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Payment transaction is "+t.state)
		}
		life := transactionLifetime
		if told {
			life = time.Duration(days) * 24 * time.Hour
		}
		t.amount = amount
		s.authorizeFor(t, life)
		return reply(http.StatusOK, t.document())
	})
}

// cancelPaymentToken ends a session token. Klarna documents no more than that it can be done.
func (s *Server) cancelPaymentToken(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		token := c.path("payment_token")
		r := s.payments.sessions[token]
		if r == nil || r.account != a {
			return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such payment token")
		}
		delete(s.payments.sessions, token)
		return answer{status: http.StatusNoContent}
	})
}

func (s *Server) moveTransaction(t *networkTransaction, state string) {
	previous := t.state
	t.state = state
	more := doc{}
	if previous != "" {
		more["previous_state"] = previous
	}
	s.tellTransaction(t, "payment.transaction.state-change."+strings.ToLower(state), more)
}

func (s *Server) tellTransaction(t *networkTransaction, eventType string, more doc) {
	payload := doc{
		"payment_transaction_id": t.id, "state": t.state, "payment_account_id": t.account.product.accounts[0].id,
		"payment_account_reference": t.account.product.accounts[0].reference,
	}.with(t.input.pick("payment_transaction_reference"), more)
	s.notifyNetwork(t.account, eventType, t.account.product.id, payload)
}
