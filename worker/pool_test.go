package worker_test

import (
	"fmt"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/worker"
)

func TestPool_APanicIsAnErrorLikeAnyOther(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	pool(w, func(cfg *worker.Config) { cfg.Operations = nil }) // every call panics
	pushed(w, order)
	w.Eventually("the job to be postponed", func() bool {
		jobs := w.Jobs(journal.JobReadPushed)
		return len(jobs) == 1 && jobs[0].LeasedUntil.IsZero() && jobs[0].Attempt == 1 && jobs[0].LastError != "" && jobs[0].RunAt.After(w.Store.Now())
	})
}

func TestPool_WorksAJobAgainWhoseWorkerDied(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	pushed(w, order)
	now := w.Store.Now()
	dead, err := w.Store.Lease(t.Context(), now, now.Add(time.Minute), 10)
	w.Must(err)
	if len(dead) != 1 {
		t.Fatalf("leased %+v", dead)
	}
	pool(w)
	// A job that comes later and is worked shows that the pool runs and leaves the leased one alone.
	other := w.Checkout()
	pushed(w, other)
	w.Eventually("the other job", func() bool { return len(w.Jobs(journal.JobReadPushed)) == 1 })
	w.CalledTimes("readOrder", 1)
	w.Klarna.Advance(time.Minute + time.Second)
	w.Settle()
	w.CalledTimes("readOrder", 2)
	if !w.Payment(journal.KeyOrder, order).Checkout {
		t.Error("the job was not worked")
	}
}

func TestPool_FinishesTheWorkInHandWhenStopped(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	w.Fail(klarnatest.Fault{Operation: "readOrder", Delay: 150 * time.Millisecond})
	stop := pool(w)
	pushed(w, order)
	w.Eventually("the call", func() bool { return w.Klarna.CallCount("readOrder") == 1 })
	if len(w.Events(store.Payments)) != 0 {
		t.Fatal("the call is over already")
	}
	stop()
	if !w.Payment(journal.KeyOrder, order).Checkout {
		t.Error("the work in hand was dropped")
	}
	if jobs := w.Jobs(journal.JobReadPushed); len(jobs) != 0 {
		t.Errorf("jobs %+v", jobs)
	}
	pushed(w, w.Checkout())
	if jobs := w.Jobs(journal.JobReadPushed); len(jobs) != 1 || !jobs[0].LeasedUntil.IsZero() {
		t.Errorf("jobs after the end %+v", jobs)
	}
}

func TestPool_WorksNoMoreThanItsShareAtATime(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	w.Fail(klarnatest.Fault{Operation: "readOrder", Delay: 20 * time.Millisecond, Times: 100})
	for range 6 {
		pushed(w, w.Checkout())
	}
	pool(w, func(cfg *worker.Config) { cfg.Parallel = 2 })
	most := 0
	w.Eventually("all jobs", func() bool {
		leased, jobs := 0, w.Jobs(journal.JobReadPushed)
		for _, job := range jobs {
			if !job.LeasedUntil.IsZero() {
				leased++
			}
		}
		most = max(most, leased)
		return len(jobs) == 0
	})
	if most != 2 {
		t.Errorf("%d jobs at a time, want 2", most)
	}
	w.CalledTimes("readOrder", 6)
}

func TestPool_TwoPoolsNeverWorkOneJobTwice(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Replicas: true, Policy: journal.Policy{AcknowledgeOrders: true}})
	const orders = 40
	ids := make([]string, orders)
	for i := range ids {
		ids[i] = w.Checkout()
	}
	pool(w)
	pool(w, func(cfg *worker.Config) { cfg.Operations = w.Replica() })
	for _, id := range ids {
		pushed(w, id)
	}
	w.Eventually("all to be acknowledged", func() bool {
		return len(w.Jobs(journal.JobReadPushed))+len(w.Jobs(journal.JobAcknowledge)) == 0
	})
	w.CalledTimes("readOrder", orders)
	w.CalledTimes("acknowledge", orders)
}

func TestPool_LeavesWorkOfANewerVersionToIt(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	add(w, store.Job{Kind: "teleport", MerchantAccount: Shop, Key: "x"})
	w.Settle()
	if jobs := w.Jobs("teleport"); len(jobs) != 1 || jobs[0].RunAt.Before(w.Store.Now().Add(time.Minute)) {
		t.Errorf("jobs %+v", jobs)
	}
}

// Callers of the API and the automatic policy meet in one order.
func TestPool_AndCallersPlaceOneOrder(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
	session := w.Session("")
	token := w.Authorize(session)
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Delay: 50 * time.Millisecond})
	pool(w)
	w.Tell(session, token) // adds the job
	answers := make(chan string, 20)
	for i := range 20 {
		go func() {
			made, err := w.Operations.CreateOrder(t.Context(), Request(fmt.Sprint("o-", i), session), operation.NewOrder{SessionID: session})
			if err != nil {
				t.Error(err)
			}
			answers <- made.OrderID
		}()
	}
	first := <-answers
	for range 19 {
		if id := <-answers; id != first || id == "" {
			t.Errorf("orders %q and %q", first, id)
		}
	}
	w.Settle()
	w.CalledTimes("placeOrder", 1)
	if jobs := w.Jobs(journal.JobPlaceOrder); len(jobs) != 0 {
		t.Errorf("jobs %+v", jobs)
	}
}
