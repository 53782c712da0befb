package worker_test

import (
	"slices"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

func TestReadAccount_PollsUntilTheAccountIsOperational(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	made, err := w.Operations.Onboard(t.Context(), AcquirerRequest("on-1", "x"), Onboarding("mrc-000482"))
	w.Must(err)
	pass(w, 50*time.Minute, time.Minute)
	var at []time.Duration
	for _, c := range w.Calls("readAccount") {
		at = append(at, c.At.Sub(Start)/time.Minute)
	}
	if want := []time.Duration{5, 20, 35, 50}; !slices.Equal(at, want) {
		t.Errorf("read after %d minutes, want %d", at, want)
	}
	if n := len(w.Events(store.Accounts)); n != 1 {
		t.Errorf("%d events of an account that does not change: %v", n, w.Kinds(store.Accounts))
	}
	w.Must(w.Klarna.Operational(made.AccountID)) // the notification is lost
	w.Fail(klarnatest.Fault{Operation: "readAccount", Status: 503})
	pass(w, 16*time.Minute, time.Minute)
	events := w.Events(store.Accounts)
	last := events[len(events)-1]
	if len(events) != 2 || last.State != journal.AccountOperational || last.Cause != string(journal.Reconciled) {
		t.Errorf("events %v, the last %s by %s", w.Kinds(store.Accounts), last.State, last.Cause)
	}
	if jobs := w.Jobs(""); len(jobs) != 1 || jobs[0].RunAt.Sub(w.Store.Now()) < 20*time.Hour {
		t.Errorf("jobs %+v", jobs)
	}
}
