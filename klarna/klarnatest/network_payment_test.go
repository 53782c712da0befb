package klarnatest

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const sessionHeader = "Klarna-Network-Session-Token"

// tent is a payment request of 129.00 EUR.
func tent(t *testing.T) doc {
	return fixture(t, `{"currency": "EUR", "amount": 12900, "payment_request_reference": "pr-77120",
		"supplementary_purchase_data": {"purchase_reference": "N-2026-1180", "line_items": [
			{"name": "Tent", "quantity": 1, "unit_price": 13900, "total_amount": 13900}, {"name": "Voucher", "quantity": 1, "total_amount": -1000}]},
		"customer_interaction_config": {"method": "HANDOVER", "return_url": "https://gw.acme.example/r?pr={klarna.payment_request.id}"}}`)
}

func tentFor(amount int) doc {
	return doc{"currency": "EUR", "request_payment_transaction": doc{"amount": amount, "payment_transaction_reference": "t-1"}}
}

// buyer is a partner whose set-up never ends by itself, which may be paid all the same.
func buyer(t *testing.T) (w *world, payment string) {
	t.Helper()
	w = newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	return w, "/v2/accounts/" + w.onboarded() + "/payment"
}

// requested opens a request.
func (w *world) requested(payment string) (id string) {
	w.t.Helper()
	return w.want(201, "POST", payment+"/requests", tent(w.t)).json.str("payment_request_id")
}

// approved has a request completed and its transaction authorized.
func (w *world) approved(payment string) (transaction string) {
	w.t.Helper()
	token, err := w.klarna.CompleteRequest(w.requested(payment))
	w.must(err)
	made := w.want(200, "POST", payment+"/authorize", tentFor(12900), sessionHeader, token).json
	return made.object("payment_transaction_response").object("payment_transaction").str("payment_transaction_id")
}

// state reads the state of a resource.
func (w *world) state(path string) string {
	w.t.Helper()
	return w.want(200, "GET", path, nil).json.str("state")
}

func (w *world) told(want ...string) {
	w.t.Helper()
	w.settle()
	var got []string
	for _, name := range types(w.inbox.received()) {
		got = append(got, strings.TrimPrefix(name, "payment."))
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("told\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPaymentRequest_GoesFromTheCustomerToATransaction(t *testing.T) {
	t.Parallel()
	w, payment := buyer(t)
	made := w.want(201, "POST", payment+"/requests", tent(t)).json
	path := payment + "/requests/" + made.str("payment_request_id")
	interaction := made.object("state_context").object("customer_interaction")
	if made.str("state") != "SUBMITTED" || !isURL(interaction.str("payment_request_url")) || made.str("expires_at") != "2026-02-03T12:15:40Z" {
		t.Errorf("made %v", made)
	}
	w.want(200, "PATCH", path, doc{"amount": 11900, "supplementary_purchase_data": doc{"line_items": []doc{{"name": "Tent", "quantity": 1, "total_amount": 11900}}}})
	w.must(w.klarna.OpenRequest(made.str("payment_request_id")))
	w.refused(403, "OPERATION_FORBIDDEN", "PATCH", path, doc{"payment_request_reference": "late"})
	w.must(w.klarna.LeaveRequest(made.str("payment_request_id")))
	token, err := w.klarna.CompleteRequest(made.str("payment_request_id"))
	w.must(err)
	read := w.want(200, "GET", path, nil).json
	if read.str("state") != "COMPLETED" || read.object("state_context").str("klarna_network_session_token") != token {
		t.Errorf("read %v", read)
	}
	w.refused(403, "OPERATION_FORBIDDEN", "DELETE", path, nil)
	w.refused(400, "VALIDATION_ERROR", "POST", payment+"/authorize", tentFor(12900), sessionHeader, token)
	w.want(200, "POST", payment+"/authorize", tentFor(11900), sessionHeader, token)
	w.refused(409, "RESOURCE_CONFLICT", "POST", payment+"/authorize", tentFor(11900), sessionHeader, token)
	w.told("request.state-change.submitted", "request.updated", "request.state-change.in-progress", "request.state-change.submitted",
		"request.state-change.in-progress", "request.state-change.completed", "transaction.state-change.authorized")
	posts := w.inbox.received()
	payload := posts[5].json.object("payload")
	if payload.str("klarna_network_session_token") != token || payload.object("klarna_customer").object("customer_profile").str("given_name") == "" ||
		posts[5].json.object("metadata").str("product_instance_id") == "" {
		t.Errorf("completed tells %v", posts[5].json)
	}
}

func TestPaymentRequest_EndsUnpaid(t *testing.T) {
	t.Parallel()
	w, payment := buyer(t)
	canceled, expired, declined := w.requested(payment), w.requested(payment), w.requested(payment)
	if got := w.want(200, "DELETE", payment+"/requests/"+canceled, nil).json; got.str("state") != "CANCELED" || got.str("state_reason") != "PARTNER_CANCELED" {
		t.Errorf("canceled %v", got)
	}
	w.refused(403, "OPERATION_FORBIDDEN", "DELETE", payment+"/requests/"+canceled, nil)
	w.must(w.klarna.OpenRequest(declined))
	w.must(w.klarna.DeclineRequest(declined))
	w.klarna.Advance(requestLifetime - time.Second)
	if got := w.state(payment + "/requests/" + expired); got != "SUBMITTED" {
		t.Errorf("before its end %s", got)
	}
	w.klarna.Advance(time.Second)
	for id, want := range map[string]string{canceled: "CANCELED", expired: "EXPIRED", declined: "DECLINED"} {
		if got := w.state(payment + "/requests/" + id); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if _, err := w.klarna.CompleteRequest(id); err == nil {
			t.Errorf("a %s request was completed", want)
		}
	}
	w.refused(404, "RESOURCE_NOT_FOUND", "GET", payment+"/requests/krn:none", nil)
}

func TestPaymentRequest_RefusesWhatKlarnaRefuses(t *testing.T) {
	t.Parallel()
	w, payment := buyer(t)
	for parameter, change := range map[string]doc{
		"currency":                               {"currency": "eur"},
		"amount":                                 {"amount": 0},
		"customer_interaction_config.method":     {"customer_interaction_config": doc{"method": "PIGEON"}},
		"supplementary_purchase_data.line_items": {"amount": 12901},
		"supplementary_purchase_data.line_items[0].quantity": {"supplementary_purchase_data": doc{"line_items": []doc{{"name": "x", "quantity": 0, "total_amount": 12900}}}},
	} {
		refusal := w.refused(400, "VALIDATION_ERROR", "POST", payment+"/requests", tent(t).with(change))
		if got := first(refusal.json, "validation_errors").str("parameter"); got != parameter {
			t.Errorf("names %s, want %s", got, parameter)
		}
	}
	w.refused(404, "RESOURCE_NOT_FOUND", "POST", payment+"/requests", tent(t).with(doc{"acquiring_config": doc{"payment_account_id": "krn:none"}}))
	account := strings.Split(payment, "/")[3]
	w.must(w.klarna.DisableProduct(account))
	w.refused(403, "OPERATION_FORBIDDEN", "POST", payment+"/requests", tent(t))
}

func TestAuthorize_StepsUpDeclinesAndRemembersTheCustomer(t *testing.T) {
	t.Parallel()
	w, payment := buyer(t)
	authorize := func(body doc, header ...string) doc {
		t.Helper()
		return w.want(200, "POST", payment+"/authorize", body, header...).json
	}
	if got := authorize(tentFor(500)).object("payment_transaction_response"); got.str("result") != "DECLINED" {
		t.Errorf("nobody to ask: %v", got)
	}
	stepUp := tentFor(500).with(doc{"step_up_config": doc{"payment_request_reference": "pr-1", "customer_interaction_config": doc{"method": "QR_CODE"}}})
	asked := authorize(stepUp)
	if asked.object("payment_transaction_response").str("result") != "STEP_UP_REQUIRED" || asked.object("payment_request").str("payment_request_reference") != "pr-1" {
		t.Fatalf("step-up: %v", asked)
	}
	id := asked.object("payment_request").str("payment_request_id")
	token, err := w.klarna.CompleteRequest(id)
	w.must(err)
	w.klarna.DeclineNextAuthorizations(1)
	if got := authorize(tentFor(500), sessionHeader, token).object("payment_transaction_response"); got.str("result") != "DECLINED" || got.str("result_reason") == "" {
		t.Errorf("declined: %v", got)
	}
	if got := authorize(tentFor(500), sessionHeader, token).object("payment_transaction_response"); got.str("result") != "APPROVED" {
		t.Errorf("approved: %v", got)
	}
	customer := w.want(200, "GET", payment+"/requests/"+id, nil).json.object("state_context").object("klarna_customer").str("customer_token")
	now := tentFor(700)
	now.object("request_payment_transaction")["capture"] = "NOW"
	got := authorize(now, "Klarna-Customer-Token", customer).object("payment_transaction_response").object("payment_transaction")
	if got.str("state") != "COMPLETED" || first(got, "payment_captures").str("payment_capture_id") == "" {
		t.Errorf("captured at once: %v", got)
	}
	if made := w.want(201, "POST", payment+"/requests", tent(t), "Klarna-Customer-Token", customer).json; made.str("state") != "COMPLETED" {
		t.Errorf("a known customer's request is %s", made.str("state"))
	}
	w.refused(404, "RESOURCE_NOT_FOUND", "POST", payment+"/authorize", tentFor(1), "Klarna-Customer-Token", "other")
	w.refused(404, "RESOURCE_NOT_FOUND", "POST", payment+"/authorize", tentFor(1), sessionHeader, "other")
}

func TestAuthorize_ASessionTokenEnds(t *testing.T) {
	t.Parallel()
	w, payment := buyer(t)
	token, err := w.klarna.CompleteRequest(w.requested(payment))
	w.must(err)
	w.klarna.Advance(sessionTokenLifetime + time.Second)
	w.refused(403, "OPERATION_FORBIDDEN", "POST", payment+"/authorize", tentFor(12900), sessionHeader, token)
	w.want(204, "DELETE", payment+"/tokens/"+token, nil)
	w.refused(404, "RESOURCE_NOT_FOUND", "DELETE", payment+"/tokens/"+token, nil)
}

func TestTransaction_MovesMoneyWithinWhatIsThere(t *testing.T) {
	t.Parallel()
	w, payment := buyer(t)
	path := payment + "/transactions/" + w.approved(payment)
	capture := w.want(201, "POST", path+"/capture", doc{"capture_amount": 4900, "payment_capture_reference": "c-1"}, key, key1).json
	w.want(201, "POST", path+"/capture", doc{"capture_amount": 4900, "payment_capture_reference": "c-1"}, key, key1)
	w.refused(409, "RESOURCE_CONFLICT", "POST", path+"/capture", doc{"capture_amount": 1, "payment_capture_reference": "c-1"})
	w.refused(400, "VALIDATION_ERROR", "POST", path+"/capture", doc{"capture_amount": 8001})
	w.refused(400, "VALIDATION_ERROR", "PATCH", path, doc{"amount": 4899})
	w.want(200, "PATCH", path, doc{"amount": 10000, "payment_transaction_reference": "t-2"})
	w.want(201, "POST", path+"/capture", doc{"capture_amount": 5000, "remaining_authorization": "RELEASE"})
	w.refused(403, "OPERATION_FORBIDDEN", "POST", path+"/capture", doc{"capture_amount": 1})
	w.refused(403, "OPERATION_FORBIDDEN", "PATCH", path, doc{"amount": 20000})
	w.refused(403, "OPERATION_FORBIDDEN", "POST", path+"/void", nil)

	refund := w.want(201, "POST", path+"/refund", doc{"refund_amount": 900, "refund_reference": "r-1"}).json
	ofCapture := payment + "/captures/" + capture.str("payment_capture_id")
	w.want(201, "POST", ofCapture+"/refund", doc{"refund_amount": 4000, "payment_refund_reference": "r-2"})
	w.refused(400, "VALIDATION_ERROR", "POST", ofCapture+"/refund", doc{"refund_amount": 901})
	w.refused(400, "VALIDATION_ERROR", "POST", path+"/refund", doc{"refund_amount": 5001})
	if got := w.want(200, "GET", ofCapture, nil).json; got["capture_amount"] == nil || got.str("payment_transaction_id") == "" {
		t.Errorf("capture %v", got)
	}
	if got := w.want(200, "GET", payment+"/refunds/"+refund.str("payment_refund_id"), nil).json; got.str("payment_refund_reference") != "r-1" {
		t.Errorf("refund %v", got)
	}
	id := path[strings.LastIndexByte(path, '/')+1:]
	chargeback, err := w.klarna.ChargeBack(id, 100)
	w.must(err)
	w.want(200, "GET", payment+"/chargebacks/"+chargeback, nil)
	w.refused(404, "RESOURCE_NOT_FOUND", "GET", payment+"/chargebacks/"+capture.str("payment_capture_id"), nil)
	if state, _ := w.klarna.Transaction(id); state != (Transaction{ID: id, State: "COMPLETED", Amount: 10000, Captured: 9900, Refunded: 4900, Captures: 2, Refunds: 2}) {
		t.Errorf("transaction %+v", state)
	}
	w.told("request.state-change.submitted", "request.state-change.in-progress", "request.state-change.completed", "transaction.state-change.authorized",
		"transaction.captured", "transaction.captured", "transaction.state-change.completed", "transaction.refunded", "transaction.refunded", "transaction.chargeback")
}

func TestTransaction_ExpiresMayBeExtendedAndCloses(t *testing.T) {
	t.Parallel()
	w, payment := buyer(t)
	extended, part, voided := payment+"/transactions/"+w.approved(payment), payment+"/transactions/"+w.approved(payment), payment+"/transactions/"+w.approved(payment)
	w.want(201, "POST", part+"/capture", doc{"capture_amount": 100})
	w.want(200, "POST", voided+"/void", nil)
	w.klarna.Advance(transactionLifetime)
	for path, want := range map[string]string{extended: "EXPIRED", part: "EXPIRED", voided: "CLOSED"} {
		if got := w.state(path); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	w.refused(403, "OPERATION_FORBIDDEN", "POST", extended+"/capture", doc{"capture_amount": 1})
	w.refused(403, "OPERATION_FORBIDDEN", "POST", voided+"/refund", doc{"refund_amount": 1})
	w.refused(400, "VALIDATION_ERROR", "POST", extended+"/authorize", doc{"extension_days": 0})
	w.want(200, "POST", extended+"/authorize", doc{"extension_days": 14})
	w.klarna.Advance(transactionGrace)
	for path, want := range map[string]string{extended: "AUTHORIZED", part: "COMPLETED"} {
		if got := w.state(path); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	w.klarna.Advance(14 * 24 * time.Hour)
	if got := w.state(extended); got != "CLOSED" {
		t.Errorf("%s, want CLOSED", got)
	}
}

func TestTransaction_TellsOfItsMoneyAndOfDisputes(t *testing.T) {
	t.Parallel()
	w, payment := buyer(t)
	w.klarna.PendNextFundings(2)
	funded, lapsed := w.approved(payment), w.approved(payment)
	w.must(w.klarna.Fund(funded))
	w.must(w.klarna.LapseFunding(lapsed))
	if err := w.klarna.Fund(lapsed); err == nil {
		t.Error("lapsed money came")
	}
	dispute, err := w.klarna.Dispute(funded, "", "merchant-evidence-pending")
	w.must(err)
	_, err = w.klarna.Dispute(funded, dispute, "closed")
	w.must(err)
	if got := w.want(200, "GET", payment+"/transactions/"+lapsed, nil).json; got.object("payment_funding").str("state") != "EXPIRED" || got.str("state") != "CLOSED" {
		t.Errorf("lapsed %v", got)
	}
	w.settle()
	got := types(w.inbox.received())[8:]
	want := []string{"payment.funding.state-change.funded", "payment.funding.state-change.expired", "payment.transaction.state-change.closed",
		"payment.dispute.state-change.merchant-evidence-pending", "payment.dispute.state-change.closed"}
	if !slices.Equal(got, want) {
		t.Errorf("told %v", got)
	}
}

func TestAdmin_PlaysTheCustomerOfAPaymentRequest(t *testing.T) {
	t.Parallel()
	w, payment := buyer(t)
	id := w.requested(payment)
	request := "/admin/payment-requests/" + id
	for _, step := range []string{"open", "leave", "open"} {
		w.want(200, "POST", request+"/"+step, nil)
	}
	w.want(409, "POST", request+"/open", nil)
	token := w.want(200, "POST", request+"/complete", nil).json.str("session_token")
	w.want(200, "POST", "/admin/transactions/pend-funding", doc{"count": 1})
	made := w.want(200, "POST", payment+"/authorize", tentFor(12900), sessionHeader, token).json
	transaction := made.object("payment_transaction_response").object("payment_transaction").str("payment_transaction_id")
	if got := w.want(200, "GET", request, nil).json; got.str("transaction_id") != transaction {
		t.Errorf("request %v", got)
	}
	w.want(200, "POST", "/admin/transactions/"+transaction+"/fund", nil)
	w.want(201, "POST", payment+"/transactions/"+transaction+"/capture", doc{"capture_amount": 12900})
	w.want(200, "POST", "/admin/transactions/"+transaction+"/charge-back", doc{"amount": 1})
	w.want(400, "POST", "/admin/transactions/"+transaction+"/charge-back", nil)
	w.want(200, "POST", "/admin/transactions/"+transaction+"/dispute", doc{"status": "closed"})
	w.want(409, "POST", "/admin/transactions/"+transaction+"/lapse-funding", nil)
	w.want(404, "POST", "/admin/payment-requests/krn:none/decline", nil)
	if got := w.want(200, "GET", "/admin/transactions/"+transaction, nil).json; got.str("state") != "COMPLETED" {
		t.Errorf("transaction %v", got)
	}
	w.want(200, "POST", "/admin/transactions/decline-next", doc{"count": 1})
}
