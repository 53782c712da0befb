package worker_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
	"payments.internal/klarna-gateway/worker"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(planted.Tests{M: postgrestest.Tests{M: m, Look: planted.Look}})
}

// pool starts a worker pool that ends with the test, or when stop is called; stop waits for it.
func pool(w *World, change ...func(*worker.Config)) (stop func()) {
	cfg := worker.Config{Journal: w.Journal, Operations: w.Operations, Poll: 5 * time.Millisecond, Logger: w.Log}
	for _, c := range change {
		c(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- worker.New(cfg).Run(ctx) }()
	stop = func() {
		cancel()
		if err, first := <-ended; first {
			close(ended)
			w.Must(err)
		}
	}
	w.T.Cleanup(stop)
	return stop
}

// pass lets time go by in steps, and after each waits until what is due has been worked.
func pass(w *World, d, step time.Duration) {
	w.T.Helper()
	w.Settle()
	for ; d > 0; d -= step {
		w.Klarna.Advance(min(d, step))
		w.Settle()
	}
}

// add adds a job that is due.
func add(w *World, job store.Job) {
	w.T.Helper()
	job.RunAt = w.Store.Now()
	w.Must(w.Store.Do(w.T.Context(), func(tx store.Tx) error { return tx.AddJob(w.T.Context(), job) }))
}

// pushed adds what the webhook adds for a push.
func pushed(w *World, orderID string) {
	w.T.Helper()
	add(w, store.Job{Kind: journal.JobReadPushed, MerchantAccount: Shop, Key: orderID})
}
