package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"payments.internal/klarna-gateway/store"
)

func TestFollow_HearsOtherReplicas(t *testing.T) {
	t.Parallel()
	e := &foreign{rings: make(chan struct{})}
	s := open(t, func(cfg *store.Config) {
		e.Engine = cfg.Engine
		cfg.Engine = e
	})
	f := follow(t, s, store.Query{Stream: store.Payments, Keys: []store.Key{{Kind: "order_id", Value: "1"}}})
	f.bookmark(0)
	write := func(id string) {
		ev := event(id, "pay-1", store.Key{Kind: "order_id", Value: "1"})
		ev.Body, ev.Raw = nil, nil // sealed by no one here
		if err := errors.Join(e.Commit(t.Context(), []func(store.Tx) error{appending(ev)})...); err != nil {
			t.Fatal(err)
		}
	}
	heard := func(id string) {
		t.Helper()
		if ev, err, _ := f.next(); ev.ID != id || err != nil {
			t.Fatalf("got %q, error %v; want %s", ev.ID, err, id)
		}
	}
	write("evt-1")
	e.rings <- struct{}{}
	heard("evt-1")
	write("evt-2")
	appendEvent(t, s, event("evt-3", "pay-2")) // an own commit finds out about what lies before it
	heard("evt-2")
	<-s.JobBell()
	e.rings <- struct{}{}
	<-s.JobBell() // may be another replica's job
}

// foreign is an engine whose log others write to: it rings when told.
type foreign struct {
	store.Engine
	rings chan struct{}
}

func (e *foreign) Listen(ctx context.Context, ring func(own bool)) error {
	for {
		select {
		case <-e.rings:
			ring(false)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A commit whose answer is lost may be on record all the same, and nobody else tells of it.
func TestFollow_LooksForACommitWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	s := open(t, func(cfg *store.Config) { cfg.Engine = mute{&foreign{Engine: cfg.Engine}} })
	f := follow(t, s, payments)
	f.bookmark(0)
	if err := s.Do(t.Context(), appending(event("evt-1", "pay-1"))); err == nil {
		t.Fatal("the answer was not lost")
	}
	f.event("evt-1")
	<-s.JobBell()
}

// mute is an engine that nobody else writes to and whose commits are not answered.
type mute struct{ store.Engine }

func (e mute) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	e.Engine.Commit(ctx, units)
	return slices.Repeat([]error{errors.New("answer lost")}, len(units))
}

// A connection that breaks is made again: soon at first, then after longer and longer waits up to a longest, none of them the
// same for all; and soon once more after one that held.
func TestStore_ListensAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &breaking{holds: 9}
		s := open(t, func(cfg *store.Config) {
			e.Engine = cfg.Engine
			cfg.Engine = e
		})
		<-s.JobBell() // rung by the one that holds, which breaks at once
		<-s.JobBell() // by the last one
		if len(e.listened) != e.holds+2 {
			t.Fatalf("listened %d times", len(e.listened))
		}
		exact := 0
		for n := range e.holds + 1 {
			waited, most := e.listened[n+1].Sub(e.listened[n]), min(100*time.Millisecond<<n, 5*time.Second)
			if n == e.holds {
				most = 100 * time.Millisecond
			}
			if waited < most/2 || waited > most {
				t.Errorf("after failure %d it waited %s, want %s to %s", n+1, waited, most/2, most)
			}
			if waited == most/2 || waited == most {
				exact++
			}
		}
		if exact == e.holds+1 {
			t.Error("all replicas would come back at once")
		}
	})
}

// breaking is an engine that does not get its connection a number of times; the next one breaks at once, the one after it holds.
type breaking struct {
	store.Engine
	holds    int
	listened []time.Time
}

func (e *breaking) Listen(ctx context.Context, ring func(own bool)) error {
	e.listened = append(e.listened, time.Now())
	if n := len(e.listened) - 1; n <= e.holds {
		if n == e.holds {
			ring(false)
		}
		return errors.New("connection lost")
	}
	return e.Engine.Listen(ctx, ring)
}

func TestStore_RingsForJobs(t *testing.T) {
	t.Parallel()
	e := &foreign{rings: make(chan struct{})}
	s := open(t, func(cfg *store.Config) {
		e.Engine = cfg.Engine
		cfg.Engine = e
	})
	ctx := t.Context()
	rings := func(what string, want bool, unit func(store.Tx) error) {
		t.Helper()
		_ = s.Do(ctx, unit)
		select {
		case <-s.JobBell():
			if !want {
				t.Errorf("%s: rang", what)
			}
		default:
			if want {
				t.Errorf("%s: did not ring", what)
			}
		}
	}
	add := func(tx store.Tx) error { return tx.AddJob(ctx, store.Job{Kind: "refresh", Key: "k1"}) }
	rings("event", false, appending(event("evt-1", "pay-1")))
	rings("refused", false, func(tx store.Tx) error { return errors.Join(add(tx), errors.New("poison")) })
	rings("add for later", false, func(tx store.Tx) error {
		return tx.AddJob(ctx, store.Job{Kind: "refresh", Key: "k2", RunAt: noon.Add(time.Millisecond)})
	})
	rings("add", true, add)
	jobs, err := s.Lease(ctx, noon, noon.Add(time.Minute), 1)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("leased %v, error %v", jobs, err)
	}
	rings("retry", true, func(tx store.Tx) error { return tx.RetryJob(ctx, jobs[0].ID, noon, "") })
	rings("finish", true, func(tx store.Tx) error { return tx.FinishJob(ctx, jobs[0].ID) })
}

// strangers is an engine of several stores, each of which is told of the others' commits.
type strangers struct{ store.Engine }

func (e strangers) Listen(ctx context.Context, ring func(own bool)) error {
	return e.Engine.Listen(ctx, func(bool) { ring(false) })
}
