package worker_test

import (
	"slices"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/worker"
)

const day = 24 * time.Hour

// unreconciled leaves out readings for silence.
func unreconciled(cfg *worker.Config) { cfg.Reconcile.After = -1 }

// happened is when each event of a kind was recorded, after the start of the World.
func happened(w *World, kind journal.PaymentKind) (after []time.Duration) {
	w.T.Helper()
	for _, ev := range w.Events(store.Payments) {
		if ev.Kind == string(kind) {
			after = append(after, ev.RecordedAt.Sub(Start).Round(time.Minute))
		}
	}
	return after
}

func times(w *World, kind journal.PaymentKind, want ...time.Duration) {
	w.T.Helper()
	if got := happened(w, kind); !slices.Equal(got, want) {
		w.T.Errorf("%s after %v, want %v; events %v", kind, got, want, w.Kinds(store.Payments))
	}
}

// Klarna: an authorisation is good for 28 days.
func TestExpiry_OfAnOrderIsToldAWeekAndADayBeforeAndWhenItIsOver(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	order := w.Placed()
	pass(w, 30*day, 3*time.Hour)
	times(w, journal.KindExpiresInSevenDays, 21*day)
	times(w, journal.KindExpiresInOneDay, 27*day)
	if got := happened(w, journal.KindExpired); len(got) != 1 || got[0] < 28*day || got[0] > 28*day+4*time.Hour {
		t.Errorf("told that it has run out after %v", got)
	}
	if got := w.Payment(journal.KeyOrder, order).State; got != journal.Expired {
		t.Errorf("state %s", got)
	}
	if reads := w.Klarna.CallCount("readOrder"); reads > 8 {
		t.Errorf("the order was read %d times", reads)
	}
}

func TestExpiry_OfWhatIsLeftOfAnOrderIsTold(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	order := w.Placed()
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
	w.Must(err)
	pass(w, 30*day, 3*time.Hour)
	times(w, journal.KindExpiresInOneDay, 27*day)
	if got := happened(w, journal.KindExpired); len(got) != 1 {
		t.Errorf("told %d times that it has run out: %v", len(got), w.Kinds(store.Payments))
	}
	if got := w.Payment(journal.KeyOrder, order).State; got != journal.PartCaptured {
		t.Errorf("state %s: what is captured stays so", got)
	}
}

// What is captured completely does not run out, and neither does what was extended by hand.
func TestExpiry_FollowsKlarnasOwnTimes(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	captured, extended := w.Placed(), w.Checkout()
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), captured, "EUR", klarna.CaptureRequest{CapturedAmount: Amount})
	w.Must(err)
	_, err = w.Operations.Order(t.Context(), Shop, extended, journal.Push)
	w.Must(err)
	pass(w, 20*day, 6*time.Hour)
	w.Must(w.Operations.ExtendAuthorization(t.Context(), Request("x-1", "x"), extended))
	pass(w, 26*day, 6*time.Hour)
	times(w, journal.KindExpiresInSevenDays, 41*day)
	times(w, journal.KindExpired)
}

func TestExpiry_IsPutOffByPolicyOnTheLastDay(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{ExtendAuthorizations: true}})
	pool(w, unreconciled)
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "extendAuthorization", LoseAnswer: true})
	pass(w, 50*day, 6*time.Hour)
	times(w, journal.KindExpiresInSevenDays, 21*day, 48*day)
	times(w, journal.KindExpiresInOneDay)
	if got := w.Payment(journal.KeyOrder, order); got.State != journal.Ordered || !got.ExpiresAt.After(Start.Add(54*day)) {
		t.Errorf("state %s, runs out at %s", got.State, got.ExpiresAt)
	}
	w.SameKey("extendAuthorization")
	w.Fail(klarnatest.Fault{Operation: "extendAuthorization", Status: 403, Times: 1000})
	pass(w, 10*day, 6*time.Hour)
	if got := happened(w, journal.KindExpiresInOneDay); len(got) != 1 { // Klarna does not allow it any more
		t.Errorf("told %d times that it runs out in a day", len(got))
	}
	if got := w.Payment(journal.KeyOrder, order).State; got != journal.Expired {
		t.Errorf("state %s", got)
	}
}

func TestExpiry_OfASessionIsToldADayBefore(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	w.Session(journal.OrderByCaller)
	pass(w, 50*time.Hour, 10*time.Minute)
	times(w, journal.KindExpiresInOneDay, day)
	if got := happened(w, journal.KindExpired); len(got) != 1 || got[0] < 48*time.Hour || got[0] > 49*time.Hour {
		t.Errorf("told that it has run out after %v", got)
	}
}

// Klarna: an authorisation becomes an order within 60 minutes or not at all.
func TestExpiry_OfAnAuthorisationIsTold(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	session := w.Session(journal.OrderByCaller)
	first := w.Authorize(session)
	w.Tell(session, first)
	pass(w, 40*time.Minute, 10*time.Minute)
	second := w.Authorize(session)
	w.Tell(session, second)
	pass(w, 50*time.Minute, 10*time.Minute)
	times(w, journal.KindAuthorizationExpired)
	pass(w, 20*time.Minute, 5*time.Minute)
	times(w, journal.KindAuthorizationExpired, 100*time.Minute)
	if got := w.Payment(journal.KeySession, session).State; got != journal.AuthorizationCancelled {
		t.Errorf("state %s", got)
	}
	w.Tell(session, w.Authorize(session)) // and it may be authorised anew
	if got := w.Payment(journal.KeySession, session).State; got != journal.Authorized {
		t.Errorf("state %s", got)
	}
}
