package operation_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

func TestOnce_NamesTheFieldsThatDifferAndKeepsNoneOfThem(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	asking := func(content string, fields ...operation.Field) operation.Request {
		req := Request("c-1", content)
		req.Fields = fields
		return req
	}
	field := func(path, value string) operation.Field { return operation.Field{Path: path, Value: []byte(value)} }
	first := asking("1", field("amount", "4711-amount"), field("note", "4711-note"), field("same", "4711-same"))
	_, err := capture(w, first, order)
	w.Must(err)
	w.Reopen()
	_, err = capture(w, asking("2", field("amount", "4711-other"), field("same", "4711-same"), field("text", "x")), order)
	w.Refused(err, "REQUEST_ID_REUSED", "request_id")
	var refusal *operation.Refusal
	if !errors.As(err, &refusal) || refusal.Metadata()["differing_fields"] != "amount,note,text" || refusal.Metadata()["operation"] != "captureOrder" {
		t.Errorf("refused with %v, %v", err, refusal.Metadata())
	}
	row, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Shop, Operation: "captureOrder", ID: "c-1"})
	w.Must(err)
	if len(row.Fields) == 0 || bytes.Contains(row.Fields, []byte("4711")) || bytes.Contains(w.OnDisk(), []byte("4711-note")) {
		t.Errorf("kept of the fields: %s", row.Fields)
	}
}

// A final refusal is the answer to its request: a repeat gets it again, also when the order would allow it by now.
func TestOnce_AFinalRefusalIsGivenToEveryRepeat(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	past := w.Client(Shop)
	_, err := past.CaptureOrder(t.Context(), "in-the-portal", order, klarna.CaptureRequest{CapturedAmount: 10000})
	w.Must(err)
	err = capturing(w, "c-1", order, 5000)
	tooMuch(w, err, "CAPTURE_NOT_ALLOWED", 2995, 0)
	w.Must(past.UpdateAuthorization(t.Context(), "raise", order, klarna.AuthorizationUpdate{OrderAmount: Amount + 5000}))
	calls := len(w.Klarna.Calls())
	for range 2 {
		w.Reopen()
		again := capturing(w, "c-1", order, 5000)
		tooMuch(w, again, "CAPTURE_NOT_ALLOWED", 2995, 0)
		var first, second *klarna.Error
		if !errors.As(err, &first) || !errors.As(again, &second) || first.CorrelationID != second.CorrelationID || second.Code != "CAPTURE_NOT_ALLOWED" {
			t.Errorf("first %v, again %v", err, again)
		}
	}
	if got := len(w.Klarna.Calls()); got != calls {
		t.Errorf("Klarna was called %d times for repeats", got-calls)
	}
	w.Refused(capturing(w, "c-1", order, 400), "REQUEST_ID_REUSED", "request_id")
	w.Must(capturing(w, "c-2", order, 5000))
}

// blocked is what something on the way to Klarna says.
const blocked = "<html><body>Request blocked</body></html>"

func TestOnce_WhatIsNotFinalIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, fault := range []klarnatest.Fault{
		{Status: 401}, {Status: 429}, {Status: 409}, {Status: 403, Code: "MERCHANT_INACTIVE"},
		{Status: 403, Body: blocked}, {Status: 404, Body: blocked}, {Status: 404}, {Status: 408, Body: blocked}, {Status: 422},
		{Status: 499, NoBody: true}, {LoseAnswer: true, Status: 408, Body: blocked}, {LoseAnswer: true, Status: 499, NoBody: true}, {Status: 500}, {Status: 503}, {Cut: true}, {LoseAnswer: true},
	} {
		w := New(t, Options{})
		order := w.Placed()
		fault.Operation = "capture"
		w.Fail(fault)
		if err := capturing(w, "c-1", order, 5000); err == nil {
			t.Fatalf("%+v had no effect", fault)
		}
		if err := capturing(w, "c-1", order, 5000); err != nil {
			t.Errorf("after %+v a repeat gets %v", fault, err)
		}
		w.SameKey("capture")
		if got := w.Order(order); got.Captured != 5000 {
			t.Errorf("after %+v Klarna has captured %d", fault, got.Captured)
		}
	}
}

// Klarna does not tell a missing right from the state of things on the Network.
func TestOnce_ARefusalOnTheNetworkIsNotFinal(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	transaction := w.Transacted(partner)
	w.Fail(klarnatest.Fault{Operation: "captureTransaction", Status: 403})
	if err := w.Take("c-1", partner, transaction, 5000); err == nil {
		t.Fatal("a refused capture was taken for made")
	}
	w.Must(w.Take("c-1", partner, transaction, 5000))
	w.SameKey("captureTransaction")
}

// Klarna advises to send a corrected request under the same key, but may hold the key to its first answer.
func TestOnce_AKeyThatIsBoundToARefusalIsChangedOnce(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	onboard := func(reference string) error {
		_, err := w.Operations.Onboard(t.Context(), AcquirerRequest("o-1", reference), Onboarding(reference))
		return err
	}
	w.Fail(klarnatest.Fault{Operation: "onboard", Status: 400, Bind: true})
	if err := onboard("wrong"); err == nil {
		t.Fatal("a refused request was taken for done")
	}
	w.Reopen()
	w.Must(onboard("corrected"))
	w.Must(onboard("corrected"))
	keys := map[string]int{}
	for _, c := range w.Calls("onboard") {
		keys[c.IdempotencyKey]++
	}
	first := operation.IdempotencyKey(Acquirer, "onboardPartner", "o-1")
	if len(keys) != 2 || keys[first] != 2 {
		t.Errorf("keys %v, want the first one twice and then another one", keys)
	}
}

func TestSweep_TrimsAnswersThatWereKeptLongEnoughAndNothingElse(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Must(capturing(w, "c-1", order, 1000))
	w.LoseAnswer("capture")
	w.Unknown(capturing(w, "c-2", order, 1000))
	known := func(id string) bool {
		_, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Shop, Operation: "captureOrder", ID: id})
		return err == nil
	}
	for _, c := range []struct {
		after    time.Duration
		answered bool
	}{{0, true}, {29 * 24 * time.Hour, true}, {2 * 24 * time.Hour, false}} {
		w.Klarna.Advance(c.after)
		w.Must(w.Operations.Sweep(t.Context()))
		if known("c-1") != c.answered || !known("c-2") {
			t.Errorf("after another %s: the answered request is known: %t, the open one: %t", c.after, known("c-1"), known("c-2"))
		}
	}
	w.Refused(capturing(w, "c-1", order, 1000), "REFERENCE_IN_USE", "reference") // a new request now, but no second effect
	w.CalledTimes("capture", 2)
}
