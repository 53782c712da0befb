package worker_test

import (
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/worker"
)

// newest is the newest event of the payments.
func newest(w *World) store.Event {
	events := w.Events(store.Payments)
	return events[len(events)-1]
}

func TestReconcile_FindsWhatWasDonePastTheGateway(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	order := w.Placed()
	past := w.Client(Shop)
	_, err := past.CaptureOrder(t.Context(), "past-1", order, klarna.CaptureRequest{CapturedAmount: Amount})
	w.Must(err)
	pass(w, 2*day, 4*time.Hour)
	if ev := newest(w); ev.Kind != string(journal.KindCaptured) || ev.Cause != string(journal.Reconciled) {
		t.Errorf("the newest event is %s by %s", ev.Kind, ev.Cause)
	}
	_, err = past.RefundOrder(t.Context(), "past-2", order, klarna.RefundRequest{RefundedAmount: Amount})
	w.Must(err)
	pass(w, 3*day, 4*time.Hour)
	if ev := newest(w); ev.Kind != string(journal.KindRefunded) || ev.Cause != string(journal.Reconciled) || ev.State != string(journal.Refunded) {
		t.Errorf("the newest event is %s by %s: %s", ev.Kind, ev.Cause, ev.State)
	}
	reads := w.Klarna.CallCount("readOrder")
	pass(w, 30*day, day)
	if again := w.Klarna.CallCount("readOrder") - reads; again != 0 || len(w.Jobs("")) != 0 {
		t.Errorf("a payment at its end was read %d times more; jobs %+v", again, w.Jobs(""))
	}
}

// What stays as it is costs few readings, ever fewer, and none at last.
func TestReconcile_IsFrugal(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	order := w.Placed()
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: Amount})
	w.Must(err)
	events := len(w.Events(store.Payments))
	pass(w, 120*day, day)
	if reads := w.Klarna.CallCount("readOrder"); reads < 5 || reads > 14 {
		t.Errorf("a silent order was read %d times in 120 days", reads)
	}
	if n := len(w.Events(store.Payments)); n > events+1 || len(w.Jobs("")) != 0 {
		t.Errorf("%d events more, jobs %+v", n-events, w.Jobs(""))
	}
}

func TestReconcile_CanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, func(cfg *worker.Config) { cfg.Reconcile.After = -1 })
	order := w.Placed()
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: Amount})
	w.Must(err)
	pass(w, 60*day, day)
	if reads := w.Klarna.CallCount("readOrder"); reads > 3 {
		t.Errorf("read %d times", reads)
	}
}

func TestReconcile_AnAccountIsReadEveryWeek(t *testing.T) {
	t.Parallel()
	w := New(t, Options{OperationalAfter: time.Minute})
	pool(w)
	_, err := w.Operations.Onboard(t.Context(), AcquirerRequest("on-1", "x"), Onboarding("mrc-000482"))
	w.Must(err)
	pass(w, time.Hour, 5*time.Minute)
	before := w.Klarna.CallCount("readAccount")
	pass(w, 60*day, 12*time.Hour)
	if reads := w.Klarna.CallCount("readAccount") - before; reads < 8 || reads > 14 {
		t.Errorf("read %d times in 60 days", reads)
	}
}
