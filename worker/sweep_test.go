package worker_test

import (
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// The capture was made at Klarna, the gateway died before it could say so, and the caller never comes back.
func TestPool_LearnsOfACaptureThatACrashCutOff(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.LoseAnswer("capture")
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "400"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 400, Reference: "c-1"})
	w.Unknown(err)
	w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error { // as the crash leaves it: held, and no work left behind
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
	pool(w)
	w.Eventually("the capture is on record", func() bool { return w.Payment(journal.KeyOrder, order).CapturedAmount == 400 })
}
