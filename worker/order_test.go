package worker_test

import (
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

const nobodysOrder = "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417"

func TestReadPushed_RecordsTheOrder(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	pool(w)
	pushed(w, order)
	w.Settle()
	payment := w.Payment(journal.KeyOrder, order)
	if !payment.Checkout || payment.State != journal.Ordered || payment.OrderAmount != Amount || payment.Acknowledged {
		t.Errorf("on record %+v", payment)
	}
	if ev := w.Events(store.Payments)[0]; ev.Cause != string(journal.Push) {
		t.Errorf("cause %s", ev.Cause)
	}
}

func TestReadPushed_OfAnOrderThatKlarnaDoesNotKnowEnds(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	pushed(w, nobodysOrder)
	w.Settle()
	w.CalledTimes("readOrder", 1)
	if jobs, events := w.Jobs(""), w.Kinds(store.Payments); len(jobs) != 0 || len(events) != 0 {
		t.Errorf("jobs %+v, events %v", jobs, events)
	}
}

func TestAcknowledge_IsRetriedUntilKlarnaSaysYes(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{AcknowledgeOrders: true}})
	order := w.Checkout()
	w.Fail(klarnatest.Fault{Operation: "acknowledge", Status: 503, Times: 3})
	w.LoseAnswer("acknowledge")
	pool(w)
	pushed(w, order)
	w.Settle()
	pass(w, time.Minute, time.Second)
	w.CalledTimes("acknowledge", 5)
	w.SameKey("acknowledge")
	if !w.Payment(journal.KeyOrder, order).Acknowledged || count(w, journal.KindAcknowledged) != 1 {
		t.Errorf("events %v", w.Kinds(store.Payments))
	}
	pass(w, 48*time.Hour, 4*time.Hour)
	w.Attends(w.Payment(journal.KeyOrder, order))
}

func TestAcknowledge_ACallersWishOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	w.Fail(klarnatest.Fault{Operation: "acknowledge", Status: 503, Times: 3})
	confirmed, err := w.Operations.RequestAcknowledgement(t.Context(), Request("a-1", "x"), order)
	if confirmed || err != nil {
		t.Fatalf("confirmed %t, %v", confirmed, err)
	}
	pool(w)
	pass(w, time.Minute, time.Second)
	if !w.Order(order).Acknowledged || !w.Payment(journal.KeyOrder, order).Acknowledged {
		t.Error("not acknowledged")
	}
}

func TestRemind_RaisesAttentionAfterFortyHoursOnce(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	pool(w)
	pushed(w, order)
	pass(w, 40*time.Hour-time.Minute, time.Hour)
	pushed(w, order) // Klarna keeps on pushing
	w.Settle()
	w.Attends(w.Payment(journal.KeyOrder, order))
	pass(w, 2*time.Minute, time.Minute)
	w.Attends(w.Payment(journal.KeyOrder, order), journal.AcknowledgeOverdue)
	pushed(w, order)
	pass(w, 10*time.Hour, time.Hour)
	if n := count(w, journal.KindAttention); n != 1 {
		t.Errorf("told %d times: %v", n, w.Kinds(store.Payments))
	}
	w.CalledTimes("acknowledge", 0)
	_, err := w.Operations.RequestAcknowledgement(t.Context(), Request("a-1", "x"), order)
	w.Must(err)
	w.Settle()
	w.Attends(w.Payment(journal.KeyOrder, order)) // settled
}

func TestRemind_IsQuietOnceTheOrderIsAcknowledgedOrOver(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *World, order string){
		"acknowledged": func(w *World, order string) {
			_, err := w.Operations.RequestAcknowledgement(w.T.Context(), Request("a-1", "x"), order)
			w.Must(err)
		},
		"cancelled": func(w *World, order string) {
			w.Must(w.Operations.CancelOrder(w.T.Context(), Request("x-1", "x"), order))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			order := w.Checkout()
			pool(w)
			pushed(w, order)
			w.Settle()
			end(w, order)
			pass(w, 50*time.Hour, 10*time.Hour)
			w.Attends(w.Payment(journal.KeyOrder, order))
			if n := count(w, journal.KindAttention); n != 0 {
				t.Errorf("events %v", w.Kinds(store.Payments))
			}
		})
	}
}

func TestReadOrder_LearnsACaptureWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.LoseAnswer("capture")
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: Amount, Reference: "c-1"})
	w.Unknown(err)
	pool(w)
	pass(w, 10*time.Second, 5*time.Second)
	payment := w.Payment(journal.KeyOrder, order)
	if payment.State != journal.Captured || payment.CapturedAmount != Amount {
		t.Errorf("on record %+v", payment)
	}
	made, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: Amount, Reference: "c-1"})
	if err != nil || made.ID != payment.Captures[0].ID || count(w, journal.KindCaptured) != 1 {
		t.Errorf("the repeat got %+v, %v; events %v", made, err, w.Kinds(store.Payments))
	}
}

func TestReadOrder_NoticesThatTheAuthorisationRanOut(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	pool(w)
	pass(w, 27*24*time.Hour, 24*time.Hour)
	if got := w.Payment(journal.KeyOrder, order).State; got != journal.Ordered {
		t.Errorf("state %s", got)
	}
	pass(w, 2*24*time.Hour, time.Hour)
	if got := w.Payment(journal.KeyOrder, order).State; got != journal.Expired || count(w, journal.KindExpired) != 1 {
		t.Errorf("state %s, events %v", got, w.Kinds(store.Payments))
	}
	if jobs := w.Jobs(""); len(jobs) != 0 {
		t.Errorf("jobs %+v", jobs)
	}
}
