package worker_test

import (
	"errors"
	"testing"
	"time"

	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/worker"
)

func TestPool_RemovesWhatWasKeptForLongEnough(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	head, _, err := w.Store.Head(t.Context())
	w.Must(err)
	pool(w, func(c *worker.Config) {
		c.Retention, c.RetainEvery = store.Retention{Events: time.Hour}, 5*time.Millisecond
	})
	w.Klarna.Advance(2 * time.Hour)
	w.Eventually("the log is trimmed", func() bool {
		_, trimmed, err := w.Store.Head(t.Context())
		w.Must(err)
		return trimmed >= head
	})
	if w.Payment("order_id", order).OrderID != order {
		t.Error("the payment is gone with its events")
	}
	for _, err := range w.Store.Follow(t.Context(), store.Query{Stream: store.Payments}) {
		if !errors.Is(err, store.ErrTrimmed) {
			t.Errorf("following from the beginning: %v", err)
		}
		break
	}
}
