package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"payments.internal/klarna-gateway/store"
)

// gate is an engine that counts commits and holds each one until it is let through.
type gate struct {
	store.Engine
	arrived chan int      // units of each commit
	pass    chan struct{} // one per commit; closed to let all through
}

func (g *gate) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	g.arrived <- len(units)
	<-g.pass
	return g.Engine.Commit(ctx, units)
}

func gated(t *testing.T, limit int) (*store.Store, *gate) {
	g := &gate{arrived: make(chan int, 100), pass: make(chan struct{}, 100)}
	s := open(t, func(cfg *store.Config) {
		g.Engine = cfg.Engine
		cfg.Engine, cfg.BatchLimit = g, limit
	})
	return s, g
}

// do starts a Do call and returns its result.
func do(ctx context.Context, s *store.Store, unit func(store.Tx) error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- s.Do(ctx, unit) }()
	return result
}

// queued waits until n units wait for a commit.
func queued(s *store.Store, n int) {
	for s.Queued() != n {
		runtime.Gosched()
	}
}

func TestDo_CommitsTogetherWhatWaitsTogether(t *testing.T) {
	t.Parallel()
	s, g := gated(t, 4)
	results := []<-chan error{do(t.Context(), s, appending(event("evt-0", "pay-0")))}
	if n := <-g.arrived; n != 1 {
		t.Fatalf("the first commit has %d units", n)
	}
	for i := range 6 {
		results = append(results, do(t.Context(), s, appending(event(fmt.Sprint("evt-", i+1), "pay-0"))))
	}
	queued(s, 6)
	close(g.pass)
	for _, r := range results {
		if err := <-r; err != nil {
			t.Error(err)
		}
	}
	if sizes := []int{<-g.arrived, <-g.arrived}; !slices.Equal(sizes, []int{4, 2}) {
		t.Errorf("commits of %v units, want 4 at most and no more commits than needed", sizes)
	}
	if head, _, err := s.Head(t.Context()); head != 7 || err != nil {
		t.Errorf("head %d, error %v", head, err)
	}
}

func TestDo_ManyCallersShareCommits(t *testing.T) {
	t.Parallel()
	s, g := gated(t, 0)
	const rounds, callers = 5, 16
	for round := range rounds {
		first := do(t.Context(), s, appending(event(fmt.Sprint("evt-", round), "pay-1")))
		<-g.arrived
		var calling sync.WaitGroup
		for c := range callers {
			calling.Go(func() {
				if err := s.Do(t.Context(), appending(event(fmt.Sprint("evt-", round, "-", c), "pay-1"))); err != nil {
					t.Error(err)
				}
			})
		}
		queued(s, callers)
		g.pass <- struct{}{}
		g.pass <- struct{}{}
		if n := <-g.arrived; n != callers {
			t.Errorf("%d callers waited, %d units were committed together", callers, n)
		}
		calling.Wait()
		if err := <-first; err != nil {
			t.Error(err)
		}
	}
	if head, _, err := s.Head(t.Context()); head != rounds*(callers+1) || err != nil {
		t.Errorf("head %d, error %v", head, err)
	}
}

func TestDo_GivesEachCallerItsOwnResult(t *testing.T) {
	t.Parallel()
	s, g := gated(t, 0)
	first := do(t.Context(), s, func(store.Tx) error { return nil })
	<-g.arrived
	poison := errors.New("poison")
	poisoned := do(t.Context(), s, func(store.Tx) error { return poison })
	queued(s, 1)
	panicking := do(t.Context(), s, func(store.Tx) error { panic("out of luck") })
	queued(s, 2)
	good := do(t.Context(), s, appending(event("evt-1", "pay-1")))
	queued(s, 3)
	close(g.pass)
	if err := errors.Join(<-first, <-good); err != nil {
		t.Errorf("good units failed: %v", err)
	}
	if err := <-poisoned; !errors.Is(err, poison) {
		t.Errorf("poisoned unit: %v", err)
	}
	if err := <-panicking; err == nil {
		t.Error("panicking unit succeeded")
	}
}

func TestDo_RunsNothingOnceItsContextEnded(t *testing.T) {
	t.Parallel()
	s, g := gated(t, 0)
	ctx, end := context.WithCancelCause(t.Context())
	first := do(t.Context(), s, func(store.Tx) error { return nil })
	<-g.arrived
	gaveUp := errors.New("gave up")
	waiting := do(ctx, s, func(store.Tx) error { t.Error("a unit ran after its caller gave up"); return nil })
	queued(s, 1)
	end(gaveUp)
	if err := <-waiting; !errors.Is(err, gaveUp) {
		t.Errorf("waiting caller: %v", err)
	}
	close(g.pass)
	if err := <-first; err != nil {
		t.Error(err)
	}
	for range 20 { // nobody commits now, so a late caller could get the turn
		if err := s.Do(ctx, func(store.Tx) error { t.Error("a unit ran after its caller gave up"); return nil }); !errors.Is(err, gaveUp) {
			t.Errorf("late caller: %v", err)
		}
	}
}

func TestDo_FinishesWhatWasTaken(t *testing.T) {
	t.Parallel()
	s, g := gated(t, 0)
	ctx, end := context.WithCancel(t.Context())
	taken := do(ctx, s, func(tx store.Tx) error {
		_, err := tx.Append(ctx, event("evt-1", "pay-1"))
		return err
	})
	<-g.arrived
	end()
	close(g.pass)
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if head, _, err := s.Head(t.Context()); head != 1 || err != nil {
		t.Errorf("head %d, error %v", head, err)
	}
}

func TestDo_SurvivesAUnitThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Do(context.Background(), func(tx store.Tx) error {
			_ = appending(event("evt-1", "pay-1"))(tx)
			runtime.Goexit()
			return nil
		})
	}()
	<-ended
	appendEvent(t, s, event("evt-2", "pay-2"))
	events, err := s.Events(t.Context(), store.Query{Stream: store.Payments, Limit: 10})
	if err != nil || len(events) != 1 || events[0].ID != "evt-2" {
		t.Errorf("events %v, error %v", events, err)
	}
}
