package worker_test

import (
	"slices"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	. "payments.internal/klarna-gateway/operation/operationtest"
)

func TestReadRequest_MakesGoodANotificationThatNeverCame(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	partner := w.Onboarded()
	request := w.Asked(partner)
	w.Complete(request) // nobody is told
	pass(w, 2*time.Minute, time.Minute)
	if payment := w.NetworkPayment(journal.KeyRequest, request); payment.State != journal.Authorized || payment.Token == "" || count(w, journal.KindAuthorized) != 1 {
		t.Errorf("on record %+v", payment)
	}
}

func TestReadRequest_AnEndIsToldOnceAndReadingEndsWithIt(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	partner := w.Onboarded()
	request := w.Asked(partner)
	pass(w, 4*time.Hour, time.Minute)
	if payment := w.NetworkPayment(journal.KeyRequest, request); payment.State != journal.Expired || count(w, journal.KindExpired) != 1 {
		t.Errorf("on record %+v", payment)
	}
	if jobs := w.Jobs(journal.JobReadRequest); len(jobs) > 0 {
		t.Errorf("jobs %+v", jobs)
	}
	var gaps []time.Duration
	calls := w.Calls("readPaymentRequest")
	for i, c := range calls {
		before := Start
		if i > 0 {
			before = calls[i-1].At
		}
		gaps = append(gaps, c.At.Sub(before)/time.Minute)
	}
	// less and less often, and then when Klarna said that it ends
	if want := []time.Duration{2, 2, 4, 8, 16, 30, 30, 30, 30, 33}; !slices.Equal(gaps, want) {
		t.Errorf("read after %v minutes, want %v", gaps, want)
	}
}

func TestReadRequest_RaisesAttentionIfTheTokenRunsOutUnused(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	partner := w.Onboarded()
	request := w.Asked(partner)
	w.Complete(request)
	pass(w, 50*time.Minute, time.Minute)
	w.Attends(w.NetworkPayment(journal.KeyRequest, request))
	pass(w, time.Hour, time.Minute)
	w.Attends(w.NetworkPayment(journal.KeyRequest, request), journal.OrderNotPlaced)
	if jobs := w.Jobs(journal.JobReadRequest); len(jobs) > 0 {
		t.Errorf("jobs %+v", jobs)
	}
}

func TestReadRequest_AUsedTokenRaisesNone(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	partner := w.Onboarded()
	id := w.Transacted(partner)
	pass(w, 5*time.Hour, 10*time.Minute)
	w.Attends(w.NetworkPayment(journal.KeyTransaction, id))
}

func TestReadTransaction_FollowsItToItsEnd(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	partner := w.Onboarded()
	id := w.Transacted(partner)
	state := func() journal.Payment { return w.NetworkPayment(journal.KeyTransaction, id) }
	pass(w, 29*24*time.Hour, 12*time.Hour)
	if p := state(); p.State != journal.Ordered || p.OrderStatus != "EXPIRED" || p.RemainingAmount != 0 {
		t.Errorf("after 28 days %s, %s", p.State, p.OrderStatus)
	}
	pass(w, 8*24*time.Hour, 12*time.Hour)
	if p := state(); p.State != journal.Expired || p.OrderStatus != "CLOSED" {
		t.Errorf("a week later %s, %s", p.State, p.OrderStatus)
	}
	if jobs := w.Jobs(journal.JobReadTransaction); len(jobs) > 0 {
		t.Errorf("jobs %+v", jobs)
	}
}

// The caller does not repeat: the money has moved, and nobody would ever know of it.
func TestReadTransaction_LearnsACaptureWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	partner := w.Onboarded()
	id := w.Transacted(partner)
	w.LoseAnswer("captureTransaction")
	w.Unknown(w.Take("c-1", partner, id, 5000))
	pass(w, 10*time.Second, 5*time.Second)
	if p := w.NetworkPayment(journal.KeyTransaction, id); p.State != journal.PartCaptured || p.CapturedAmount != 5000 {
		t.Errorf("on record %+v", p)
	}
}
