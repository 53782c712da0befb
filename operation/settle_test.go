package operation_test

import (
	"net/http"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// Every request comes to an end: what stands open has work that will settle it, or a person was told.

// A crash cut the first attempt off, and the repeat found Klarna away: there is work to find out about the first.
func TestRelease_OfARepeatThatWasNotSentLeavesWorkForTheAttemptBefore(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	in := klarna.CaptureRequest{CapturedAmount: 400}
	w.LoseAnswer("capture")
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "400"), order, "EUR", in)
	w.Unknown(err)
	w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error { // as if the process had died there
		for _, job := range w.Jobs(journal.JobResolve) {
			if err := tx.FinishJob(t.Context(), job.ID); err != nil {
				return err
			}
		}
		row, err := tx.Request(t.Context(), store.RequestID{MerchantAccount: Shop, Operation: "captureOrder", ID: "c-1"})
		if err != nil {
			return err
		}
		row.LeasedUntil = w.Store.Now().Add(-time.Second)
		return tx.PutRequest(t.Context(), row)
	}))
	w.Fail(klarnatest.Fault{Operation: "capture", Status: 401})
	if _, err := w.Operations.Capture(t.Context(), Request("c-1", "400"), order, "EUR", in); err == nil {
		t.Fatal("captured without credentials")
	}
	if jobs := w.Jobs(journal.JobResolve); len(jobs) != 1 || jobs[0].Key != "captureOrder c-1" {
		t.Fatalf("left to do: %+v", jobs)
	}
	resolve(w, time.Hour)
	if got := state(w, "captureOrder", "c-1"); got != store.RequestDone {
		t.Errorf("the request is %s", got)
	}
}

// What had no effect, or what nothing at Klarna can show, does not stay open: an open request is never trimmed.
func TestRelease_EndsWhatCannotBeInDoubt(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	_, err := w.Operations.CreateOrder(t.Context(), Request("o-1", "x"), operation.NewOrder{SessionID: w.Session(journal.OrderByCaller)})
	w.Refused(err, "NOT_AUTHORIZED", "")
	w.LoseAnswer("createSession")
	_, err = w.Operations.CreateSession(t.Context(), Request("s-2", "cart"), operation.NewSession{Session: Cart()})
	w.Unknown(err)
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Status: 429})
	if _, err = w.Operations.Capture(t.Context(), Request("c-1", "400"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 400}); err == nil {
		t.Fatal("captured beyond the rate")
	}
	for operation, id := range map[string]string{"createOrder": "o-1", "createSession": "s-2", "captureOrder": "c-1"} {
		if got := state(w, operation, id); got != store.RequestUndone {
			t.Errorf("%s is %s", operation, got)
		}
	}
	if held := reservedOf(w, store.Fund{MerchantAccount: Shop, Kind: "capture"}, order); len(held) != 0 {
		t.Errorf("%v are reserved for what was not done", held)
	}
	if made, err := w.Operations.CreateSession(t.Context(), Request("s-2", "cart"), operation.NewSession{Session: Cart()}); err != nil || !made.Orphan {
		t.Errorf("repeated: %+v, %v", made, err)
	}
}

// A conflict says that Klarna may be at work on the attempt before, and something on the way to Klarna knows nothing of it:
// what that attempt reserved is kept.
func TestRelease_SomeRefusalsAreNoWordOnAnEarlierAttempt(t *testing.T) {
	t.Parallel()
	for _, fault := range []klarnatest.Fault{{Status: 409}, {Status: 403, Code: "FORBIDDEN"}, {Status: 403, Body: blocked}, {Status: 404, Body: blocked}} {
		w := New(t, Options{})
		order := w.Placed()
		w.LoseAnswer("capture")
		w.Unknown(capturing(w, "c-1", order, 400))
		fault.Operation = "capture"
		w.Fail(fault)
		if err := capturing(w, "c-1", order, 400); err == nil {
			t.Fatalf("%+v is an answer", fault)
		}
		if held := reservedOf(w, store.Fund{MerchantAccount: Shop, Kind: "capture"}, order); len(held) != 1 {
			t.Errorf("after %+v %v are reserved while the outcome is unknown", fault, held)
		}
		if got := state(w, "captureOrder", "c-1"); got != store.RequestOpen {
			t.Errorf("after %+v the request is %s", fault, got)
		}
	}
}

// A payment request is good for one transaction: of two authorisations whose answers were lost, each gets its own truth.
func TestResolve_AnAuthorisationIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	request := w.Asked(partner)
	w.Complete(request)
	w.LoseAnswer("authorizePayment")
	_, err := authorize(w, "a-1", partner, request)
	w.Unknown(err)
	w.Fail(klarnatest.Fault{Operation: "authorizePayment", Cut: true})
	_, err = authorize(w, "a-2", partner, request)
	w.Unknown(err)
	transaction := w.Klarna.Transactions(partner)[0]
	_, err = w.Operations.Transaction(t.Context(), Acquirer, partner, transaction) // as a notification would
	w.Must(err)
	resolve(w, time.Hour)
	for id, want := range map[string]store.RequestState{"a-1": store.RequestDone, "a-2": store.RequestUndone} {
		row, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Acquirer, Operation: "authorizePayment", ID: id})
		if err != nil || row.State != want {
			t.Errorf("%s is %s, want %s (%v)", id, row.State, want, err)
		}
	}
}

// That a person was told of the doubt is no word of Klarna's on what is in doubt.
func TestResolve_DoesNotTakeItsOwnDoubtForKlarnasWord(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	w.LoseAnswer("createPaymentRequest")
	ask := func() error {
		_, err := w.Operations.CreatePaymentRequest(t.Context(), AcquirerRequest("ask", "ask"), partner, "", Ask())
		return err
	}
	w.Unknown(ask())
	_, err := w.Journal.RecordPayment(t.Context(), journal.PaymentFact{
		EventID: "doubt", MerchantAccount: Acquirer, Cause: journal.Clock, At: w.Store.Now(),
		Attention: &journal.Attention{Reason: journal.OutcomeUnknown, Ref: "createPaymentRequest ask", Message: "not known"},
		Network:   &journal.NetworkFacts{PartnerAccountID: partner, Network: journal.Network{TransactionReference: "ask"}},
	})
	w.Must(err)
	resolve(w, time.Hour)
	row, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Acquirer, Operation: "createPaymentRequest", ID: "ask"})
	if err != nil || row.State != store.RequestUndone {
		t.Errorf("the request is %s (%v)", row.State, err)
	}
	w.Attends(w.NetworkPayment(journal.KeyReference, "ask"))
	w.Klarna.Advance(25 * time.Hour) // Klarna may have forgotten the key
	w.Must(ask())
	w.CalledTimes("createPaymentRequest", 2)
}

// A caller's repeat learns what became of a request while that is being looked into in vain: no doubt is left to be told.
func TestResolve_WhatBecameKnownMeanwhileIsNotInDoubt(t *testing.T) {
	t.Parallel()
	var repeat func()
	w := New(t, Options{Before: func(r *http.Request) {
		if again := repeat; again != nil && r.Method == http.MethodGet {
			repeat = nil
			again()
		}
	}})
	order := w.Placed()
	w.LoseAnswer("capture")
	w.Unknown(capturing(w, "c-1", order, 400))
	w.Klarna.Advance(2 * time.Hour)
	w.Fail(klarnatest.Fault{Operation: "readOrder", Status: 503})
	repeat = func() { w.Must(capturing(w, "c-1", order, 400)) }
	if _, err := w.Operations.Resolve(t.Context(), Shop, "captureOrder c-1"); err == nil {
		t.Fatal("it was found out although Klarna could not be asked")
	}
	if got := state(w, "captureOrder", "c-1"); got != store.RequestDone {
		t.Errorf("the request is %s", got)
	}
	w.Attends(w.Payment(journal.KeyOrder, order))
}
