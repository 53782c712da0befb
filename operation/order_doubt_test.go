package operation_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

func TestPlaceOrder_WhatKlarnaDidNotTakeLeavesNoTrace(t *testing.T) {
	t.Parallel()
	for _, fault := range []klarnatest.Fault{
		{Status: 429}, {Status: 401}, {Status: 403, Body: blocked}, {Status: 404, Body: blocked},
		{Status: 409}, {Status: 403, Code: "FORBIDDEN"}, {Status: 403, Code: "MERCHANT_INACTIVE"},
	} {
		w := New(t, Options{})
		session := w.Session(journal.OrderByCaller)
		w.Authorize(session)
		fault.Operation = "placeOrder"
		w.Fail(fault)
		_, err := create(w, "o-1", operation.NewOrder{SessionID: session, Reference1: "SO-1"})
		if err == nil {
			t.Fatalf("%+v is no error", fault)
		}
		payment := w.Payment(journal.KeySession, session)
		if payment.TokenCancelled {
			t.Errorf("%+v has spent the token", fault)
		}
		w.Attends(payment)
		made, err := create(w, "o-2", operation.NewOrder{SessionID: session, Reference1: "SO-2"})
		w.Must(err)
		if got := w.Order(made.OrderID).Reference; got != "SO-2" {
			t.Errorf("after %+v reference %s", fault, got)
		}
	}
}

// An answer was lost and Klarna is still at work on the order. What it says meanwhile to a repeat is no word on it: the
// caller must not be told that there is no order, and what was sent stays on record.
func TestPlaceOrder_ARefusalMeanwhileDoesNotEndTheDoubt(t *testing.T) {
	t.Parallel()
	for _, fault := range []klarnatest.Fault{
		{Status: 409}, {Status: 403, Code: "INVALID_OPERATION"}, {Status: 403, Code: "REJECTED"}, {Status: 403, Code: "MERCHANT_INACTIVE"},
		{Status: 404}, {Status: 401}, {Status: 429}, {Status: 403, Body: blocked}, {Status: 408, Code: "REQUEST_TIMEOUT"},
	} {
		t.Run(fmt.Sprint(fault.Status, fault.Code, fault.Body), func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			session := w.Session(journal.OrderByCaller)
			w.Tell(session, w.Authorize(session))
			placing := func(id, reference string) (operation.OrderAnswer, error) {
				return create(w, id, operation.NewOrder{SessionID: session, Reference1: reference})
			}
			w.Fail(klarnatest.Fault{Operation: "placeOrder", Cut: true})
			_, err := placing("o-1", "SO-1")
			w.Unknown(err)
			fault.Operation = "placeOrder"
			w.Fail(fault)
			_, err = placing("o-1", "SO-1")
			w.Unknown(err)
			payment := w.Payment(journal.KeySession, session)
			if payment.TokenCancelled || payment.State != journal.Authorized {
				t.Errorf("on record %+v", payment)
			}
			w.Attends(payment)
			row, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Shop, Operation: "placeOrder", ID: session})
			w.Must(err)
			if row.State != store.RequestOpen || row.FirstSent.IsZero() || !bytes.Contains(row.Answer, []byte("SO-1")) {
				t.Errorf("of what was sent is on record: %s, %s", row.State, row.Answer)
			}
			made, err := placing("o-2", "SO-2") // what was sent, sent again, brings the order
			w.Must(err)
			if got := w.Order(made.OrderID).Reference; got != "SO-1" || len(w.Klarna.Orders()) != 1 {
				t.Errorf("the order has reference %s, of %v", got, w.Klarna.Orders())
			}
		})
	}
}

// The doubt ends when Klarna shows the session without an order for long enough that it cannot be at work any more: then
// a refusal is what it says.
func TestPlaceOrder_ARefusalCountsOnceTheDoubtIsOver(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Tell(session, w.Authorize(session))
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Cut: true})
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Status: 403, Code: "REJECTED", Times: -1})
	placing := func() error {
		_, err := create(w, "o-1", operation.NewOrder{SessionID: session})
		return err
	}
	w.Unknown(placing())
	w.Unknown(placing())
	w.Klarna.Advance(11 * time.Minute)
	w.Must(w.Operations.SettlePlacing(t.Context(), Shop, session, false))
	var refused *klarna.Error
	if err := placing(); !errors.As(err, &refused) || errors.Is(err, klarna.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
	payment := w.Payment(journal.KeySession, session)
	w.Attends(payment, journal.OrderNotPlaced)
	if !payment.TokenCancelled {
		t.Errorf("on record %+v", payment)
	}
}

// While an answer is in doubt a session that Klarna shows as completed has become our order, unless Klarna says that it
// was another body's.
func TestPlaceOrder_ACompletedSessionIsOursUntilKlarnaSaysOtherwise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault klarnatest.Fault
		ours  bool
	}{
		{klarnatest.Fault{Status: 409, Code: "CONFLICT"}, true},
		{klarnatest.Fault{Status: 403, Code: "MERCHANT_INACTIVE"}, true},
		{klarnatest.Fault{Status: 409, Code: "BAD_VALUE"}, false},
		{klarnatest.Fault{Status: 404, Code: "NOT_FOUND"}, false},
	} {
		w := New(t, Options{})
		session := w.Session(journal.OrderByCaller)
		w.Authorize(session)
		w.LoseAnswer("placeOrder")
		_, err := create(w, "o-1", operation.NewOrder{SessionID: session})
		w.Unknown(err)
		c.fault.Operation = "placeOrder"
		w.Fail(c.fault)
		_, err = create(w, "o-1", operation.NewOrder{SessionID: session})
		if !c.ours {
			w.Refused(err, "SESSION_COMPLETED", "")
			w.Attends(w.Payment(journal.KeySession, session), journal.Conflict)
			continue
		}
		w.Unknown(err)
		w.Attends(w.Payment(journal.KeySession, session))
		_, err = create(w, "o-1", operation.NewOrder{SessionID: session})
		w.Must(err)
	}
}
