package klarnatest

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// States of a payment request, in Klarna's words.
const (
	requestSubmitted  = "SUBMITTED"
	requestInProgress = "IN_PROGRESS"
	requestCompleted  = "COMPLETED"
	requestDeclined   = "DECLINED"
	requestExpired    = "EXPIRED"
	requestCanceled   = "CANCELED"
)

// Klarna: a payment request is open for 3 hours (48 in older documents); its session token lives for one.
const (
	requestLifetime      = 3 * time.Hour
	sessionTokenLifetime = time.Hour
)

// paymentRequest asks a customer of a partner to pay.
type paymentRequest struct {
	id, state, reason string
	account           *account
	input             doc
	expires           time.Time
	token             string // session token, once completed
	tokenAt           time.Time
	customerToken     string              // of the customer who completed it
	transaction       *networkTransaction // authorized by its token
}

// networkPayments is everything about payments on the Network. Guarded by Server.mu.
type networkPayments struct {
	requests     map[string]*paymentRequest
	transactions map[string]*networkTransaction
	sessions     map[string]*paymentRequest // by session token
	customers    map[string]*account        // by customer token
	declines     int                        // authorizations that will be declined
	unfunded     int                        // transactions whose money will have to come
}

func newNetworkPayments() networkPayments {
	return networkPayments{
		requests: map[string]*paymentRequest{}, transactions: map[string]*networkTransaction{},
		sessions: map[string]*paymentRequest{}, customers: map[string]*account{},
	}
}

// networkPaymentRoutes are the operations on payments of a partner account.
func networkPaymentRoutes() []*route {
	const (
		payment     = "/v2/accounts/{account_id}/payment"
		request     = payment + "/requests/{request_id}"
		transaction = payment + "/transactions/{transaction_id}"
	)
	return []*route{
		{"createPaymentRequest", network, "POST " + payment + "/requests", true, (*Server).createPaymentRequest},
		{"readPaymentRequest", network, "GET " + request, false, (*Server).readPaymentRequest},
		{"updatePaymentRequest", network, "PATCH " + request, true, (*Server).updatePaymentRequest},
		{"cancelPaymentRequest", network, "DELETE " + request, false, (*Server).cancelPaymentRequest},
		{"authorizePayment", network, "POST " + payment + "/authorize", true, (*Server).authorizePayment},
		{"readTransaction", network, "GET " + transaction, false, (*Server).readTransaction},
		{"updateTransaction", network, "PATCH " + transaction, true, (*Server).updateTransaction},
		{"captureTransaction", network, "POST " + transaction + "/capture", true, (*Server).captureTransaction},
		{"refundTransaction", network, "POST " + transaction + "/refund", true, (*Server).refundTransaction},
		{"voidTransaction", network, "POST " + transaction + "/void", false, (*Server).voidTransaction},
		{"extendTransaction", network, "POST " + transaction + "/authorize", true, (*Server).extendTransaction},
		{"readTransactionCapture", network, "GET " + payment + "/captures/{movement_id}", false, (*Server).readTransactionCapture},
		{"refundTransactionCapture", network, "POST " + payment + "/captures/{movement_id}/refund", true, (*Server).refundTransactionCapture},
		{"readTransactionRefund", network, "GET " + payment + "/refunds/{movement_id}", false, (*Server).readTransactionRefund},
		{"readChargeback", network, "GET " + payment + "/chargebacks/{movement_id}", false, (*Server).readChargeback},
		{"cancelPaymentToken", network, "DELETE " + payment + "/tokens/{payment_token}", false, (*Server).cancelPaymentToken},
	}
}

// paying is withAccount for new payments. Klarna: an account may transact as soon as it is partially operational; a
// product that is not enabled takes no new payments.
func (s *Server) paying(c *call, f func(*account) answer) answer {
	return s.withAccount(c, func(a *account) answer {
		if a.state == stateDisabled || a.product.state != productEnabled {
			return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Partner account takes no payments")
		}
		return f(a)
	})
}

// createPaymentRequest opens a request. Klarna: with a known customer's token it may be completed at once.
func (s *Server) createPaymentRequest(c *call) answer {
	return s.paying(c, func(a *account) answer {
		k, root := &checker{}, located{doc: c.doc}
		k.texture("", "", c.doc)
		k.payable(root, root, "amount")
		k.interaction(located{"customer_interaction_config", c.doc.object("customer_interaction_config")}, false)
		if k.errs != nil {
			return c.invalid(k.errs)
		}
		if refusal := c.payee(a, c.doc); refusal != nil {
			return *refusal
		}
		customerToken := c.r.Header.Get("Klarna-Customer-Token")
		if customerToken != "" && s.payments.customers[customerToken] != a {
			return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such customer token")
		}
		r := s.openRequest(a, c.doc)
		if customerToken != "" {
			r.customerToken = customerToken
			s.completeRequest(r)
		}
		return reply(http.StatusCreated, r.document())
	})
}

// payable checks what a request and an authorization have in common. Klarna: the amount is 1 to 2147483647, and is the
// sum of the lines where there are any.
func (k *checker) payable(root, amounts located, field string) {
	if !currencyPattern.MatchString(root.str("currency")) || root.str("currency") != strings.ToUpper(root.str("currency")) {
		k.refuse("currency", "must be an ISO 4217 code")
	}
	amount, ok := amounts.number(field)
	if !ok || amount < 1 || amount > 1<<31-1 {
		k.refuse(amounts.at(field), "must be 1 to 2147483647")
	}
	k.lineItems(root, amount)
}

// lineItems checks the lines of a purchase against its amount.
func (k *checker) lineItems(root located, amount int64) {
	data := located{root.at("supplementary_purchase_data"), root.object("supplementary_purchase_data")}
	if !data.has("line_items") {
		return
	}
	total := int64(0)
	for _, line := range k.list(data, "line_items", false) {
		k.texts(line, "name")
		if quantity, ok := line.number("quantity"); !ok || quantity < 1 {
			k.refuse(line.at("quantity"), "must be at least 1")
		}
		part, ok := line.number("total_amount")
		if !ok {
			k.refuse(line.at("total_amount"), "must be an amount")
		}
		total += part
	}
	if k.errs == nil && total != amount {
		k.refuse(data.at("line_items"), "must make up the amount")
	}
}

// interaction checks how the customer gets to Klarna.
func (k *checker) interaction(config located, needed bool) {
	if config.doc == nil && !needed {
		return
	}
	if method := config.str("method"); method != "HANDOVER" && method != "QR_CODE" {
		k.refuse(config.at("method"), "must be HANDOVER or QR_CODE")
	}
	if config.has("return_url") && !isURL(config.str("return_url")) {
		k.refuse(config.at("return_url"), "must be a URL")
	}
}

// payee refuses a payment account that the partner does not have. Klarna: it is addressed by its id, or by the acquiring
// account and our reference; without either here the partner's first one is meant.
func (c *call) payee(a *account, input doc) *answer {
	config := input.object("acquiring_config")
	id, key := config.str("payment_account_id"), acquiringKey(config)
	for _, pa := range a.product.accounts {
		if id == pa.id || id == "" && (key == "\n" || key == acquiringKey(pa.input)) {
			return nil
		}
	}
	refusal := c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "Partner account has no such payment account")
	return &refusal
}

// openRequest makes a request and tells of it.
func (s *Server) openRequest(a *account, input doc) *paymentRequest {
	r := &paymentRequest{
		id: "krn:payment:eu1:request:" + uuid.NewString(), state: requestSubmitted, account: a, input: input,
		expires: s.now().Add(requestLifetime),
	}
	s.payments.requests[r.id] = r
	s.tellRequest(r, "payment.request.state-change.submitted", doc{})
	s.schedule(entry{at: r.expires, do: func() {
		if r.open() {
			s.moveRequest(r, requestExpired, "")
		}
	}})
	return r
}

// open tells whether the customer may still complete it.
func (r *paymentRequest) open() bool {
	return r.state == requestSubmitted || r.state == requestInProgress
}

// document is the request on the wire. Klarna: the tokens are in state_context.
func (r *paymentRequest) document() doc {
	context := doc{}
	if r.open() {
		config := r.input.object("customer_interaction_config")
		context["customer_interaction"] = doc{
			"method": config.str("method"), "payment_request_id": r.id,
			"payment_request_url": "https://pay.test.klarna.com/eu/requests/" + r.id[strings.LastIndexByte(r.id, ':')+1:] + "/start",
		}
	}
	if r.token != "" {
		context["klarna_network_session_token"] = r.token
		context["klarna_customer"] = doc{"customer_token": r.customerToken}
	}
	d := r.input.pick("currency", "amount", "payment_request_reference")
	d = d.with(doc{"payment_request_id": r.id, "state": r.state, "expires_at": r.expires.Format(time.RFC3339Nano), "state_context": context})
	if r.reason != "" {
		d["state_reason"] = r.reason
	}
	return d
}

// withRequest calls f with the payment request in the path.
func (s *Server) withRequest(c *call, f func(*paymentRequest) answer) answer {
	return s.withAccount(c, func(a *account) answer {
		r := s.payments.requests[c.path("request_id")]
		if r == nil || r.account != a {
			return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such payment request")
		}
		return f(r)
	})
}

func (s *Server) readPaymentRequest(c *call) answer {
	return s.withRequest(c, func(r *paymentRequest) answer { return reply(http.StatusOK, r.document()) })
}

// updatePaymentRequest changes a request. Klarna: only while SUBMITTED, what is left out stays. That another state is
// refused with 403 is chosen here.
func (s *Server) updatePaymentRequest(c *call) answer {
	return s.withRequest(c, func(r *paymentRequest) answer {
		after := r.input.with(c.doc)
		if data := c.doc.object("supplementary_purchase_data"); data != nil {
			after["supplementary_purchase_data"] = map[string]any(r.input.object("supplementary_purchase_data").with(data))
		}
		k, root := &checker{}, located{doc: after}
		k.texture("", "", c.doc)
		if len(c.doc) == 0 {
			k.refuse("", "must change something")
		}
		k.payable(root, root, "amount")
		switch {
		case k.errs != nil:
			return c.invalid(k.errs)
		case r.state != requestSubmitted:
			return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Payment request is "+r.state)
		}
		r.input = after
		s.tellRequest(r, "payment.request.updated", doc{})
		return reply(http.StatusOK, r.document())
	})
}

// cancelPaymentRequest ends an open request. That one at its end is refused with 403 is chosen here, for want of a word
// on it: whoever loses the answer cannot tell by a repeat.
func (s *Server) cancelPaymentRequest(c *call) answer {
	return s.withRequest(c, func(r *paymentRequest) answer {
		if !r.open() {
			return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Payment request is "+r.state)
		}
		s.moveRequest(r, requestCanceled, "PARTNER_CANCELED")
		return reply(http.StatusOK, r.document())
	})
}

// completeRequest lets the customer pay: there is a session token now.
func (s *Server) completeRequest(r *paymentRequest) {
	if r.customerToken == "" {
		r.customerToken = "krn:network:eu1:test:identity:customer-token:" + uuid.NewString()
		s.payments.customers[r.customerToken] = r.account
	}
	r.token, r.tokenAt = "krn:network:eu1:test:session-token:"+uuid.NewString(), s.now()
	s.payments.sessions[r.token] = r
	s.moveRequest(r, requestCompleted, "")
}

// moveRequest changes the state of a request and tells of it. Klarna: a completed one has its tokens in the payload.
func (s *Server) moveRequest(r *paymentRequest, state, reason string) {
	previous := r.state
	r.state, r.reason = state, reason
	more := doc{"previous_state": previous}
	if reason != "" {
		more["state_reason"] = reason
	}
	if state == requestCompleted {
		more["klarna_network_session_token"] = r.token
		more["klarna_customer"] = doc{
			"customer_token": r.customerToken,
			"customer_profile": doc{
				"given_name": "Ida", "family_name": "Berg", "email": "ida@example.com", "phone": "+46701740615",
				"address": doc{"street_address": "Storgatan 1", "postal_code": "11122", "city": "Stockholm", "country": "SE"},
			},
		}
	}
	s.tellRequest(r, "payment.request.state-change."+strings.ToLower(strings.ReplaceAll(state, "_", "-")), more)
}

func (s *Server) tellRequest(r *paymentRequest, eventType string, more doc) {
	payload := doc{"payment_request_id": r.id, "state": r.state}.with(r.input.pick("payment_request_reference"), more)
	s.notifyNetwork(r.account, eventType, r.account.product.id, payload)
}
