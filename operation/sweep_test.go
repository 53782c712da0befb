package operation_test

import (
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// A gateway that dies between Klarna's effect and its own record of it: the watchers learn of the capture even if the
// caller never comes back, and the caller who does gets the one capture.
func TestSweep_LooksIntoWhatACrashLeftBehind(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.LoseAnswer("capture")
	in := klarna.CaptureRequest{CapturedAmount: 400, Reference: "c-1"}
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "400"), order, "EUR", in)
	w.Unknown(err)
	id := store.RequestID{MerchantAccount: Shop, Operation: "captureOrder", ID: "c-1"}
	row, err := w.Store.Request(t.Context(), id)
	w.Must(err)
	row.LeasedUntil = w.Store.Now().Add(time.Minute) // as if the process had died there
	w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error {
		for _, job := range w.Jobs(journal.JobResolve) { // nor was any work left behind
			if err := tx.FinishJob(t.Context(), job.ID); err != nil {
				return err
			}
		}
		return tx.PutRequest(t.Context(), row)
	}))
	w.Reopen()

	w.Must(w.Operations.Sweep(t.Context()))
	if jobs := w.Jobs(journal.JobResolve); len(jobs) != 0 {
		t.Fatalf("swept while it was held: %+v", jobs)
	}
	w.Klarna.Advance(2 * time.Minute)
	for range 2 {
		w.Must(w.Operations.Sweep(t.Context()))
		jobs := w.Jobs(journal.JobResolve)
		if len(jobs) != 1 || jobs[0].Key != "captureOrder c-1" || jobs[0].MerchantAccount != Shop || jobs[0].RunAt.After(w.Store.Now()) {
			t.Fatalf("left to do: %+v", jobs)
		}
	}
	if row, err = w.Store.Request(t.Context(), id); err != nil || row.State != store.RequestOpen || !row.LeasedUntil.IsZero() {
		t.Errorf("request %+v, %v", row, err)
	}
	_, err = w.Operations.Capture(t.Context(), Request("c-1", "400"), order, "EUR", in)
	w.Must(err)
	if captured := w.Order(order).Captured; captured != 400 {
		t.Errorf("captured %d", captured)
	}
}

func TestSweep_LeavesAnsweredRequestsAlone(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "400"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 400})
	w.Must(err)
	before := len(w.Jobs(""))
	w.Klarna.Advance(time.Hour)
	w.Must(w.Operations.Sweep(t.Context()))
	if after := len(w.Jobs("")); after != before {
		t.Errorf("%d jobs became %d", before, after)
	}
}
