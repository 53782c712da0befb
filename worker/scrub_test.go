package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// quarantine quarantines posts that name an order, behind more than a page of others.
func quarantine(w *World, order string) {
	w.T.Helper()
	w.Must(w.Store.Do(w.T.Context(), func(tx store.Tx) error {
		for i := range 250 {
			body := fmt.Sprintf(`{"other":%d}`, i)
			if i == 5 || i >= 240 {
				body = fmt.Sprintf(`{"order_id":"%s","n":%d}`, order, i)
			}
			if err := w.Journal.Quarantine(context.Background(), tx, Shop, fmt.Sprint("q", i), "cannot be read", []byte(body)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// kept tells how many quarantined posts have their bytes.
func kept(w *World) (n int) {
	w.T.Helper()
	all, err := w.Store.Quarantined(w.T.Context(), 0, 1000)
	w.Must(err)
	for _, q := range all {
		if !q.Erased {
			n++
		}
	}
	return n
}

// erase destroys the key alone, as a gateway that is killed right behind it.
func erase(w *World, order string) (done journal.Erasure) {
	w.T.Helper()
	payment := w.Payment(journal.KeyOrder, order)
	w.Must(w.Store.Do(w.T.Context(), func(tx store.Tx) (err error) {
		done, err = w.Journal.EraseIn(context.Background(), tx, payment.ID, w.Store.Now())
		return err
	}))
	return done
}

// What a destroyed key does not reach is looked for by a job that was put down with the erasure.
func TestPool_LooksForWhatAnErasureLeft(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	quarantine(w, order)
	erase(w, order)
	if n := kept(w); n != 250 {
		t.Fatalf("%d of 250 are kept before anybody has looked", n)
	}
	pool(w)
	w.Klarna.Advance(3 * time.Minute)
	w.Eventually("the posts that name it are without their bytes", func() bool { return kept(w) == 239 })
}

// A look that was cut off is gone on with from where it was.
func TestPool_GoesOnWithALookForRemains(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	quarantine(w, order)
	done := erase(w, order)
	part, err := w.Journal.Scrub(t.Context(), done, 0)
	if w.Must(err); part.Next == "" {
		t.Fatal("it had no time, and is done")
	}
	looks := 1
	for ; kept(w) != 239; looks++ { // as the worker does, with less time
		jobs, err := w.Store.Jobs(t.Context(), journal.JobScrub, Shop, 10)
		if w.Must(err); len(jobs) != 1 || jobs[0].RunAt.After(w.Store.Now()) || looks > 20 {
			t.Fatalf("%d are kept after %d looks; jobs: %+v", kept(w), looks, jobs)
		}
		w.Must(w.Journal.ScrubOn(t.Context(), jobs[0], 0))
	}
	if looks < 5 { // events, subjects, requests, and three pages of posts
		t.Errorf("%d looks", looks)
	}
	if err := w.Journal.ScrubOn(t.Context(), store.Job{Kind: journal.JobScrub, Payload: []byte(`{"From":"x"}`)}, 0); !errors.Is(err, store.ErrPlace) {
		t.Errorf("a place that is none: %v", err)
	}
}
