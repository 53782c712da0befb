package server

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// What was there when a shift was called is seen by a turn that begins later, and turns of a shift come one after the other.
func TestCrew_TakesATurnAfterEachCallAndOneAtATime(t *testing.T) {
	t.Parallel()
	const shifts, callers, calls = 20, 8, 500
	c := newCrew()
	defer c.leave()
	type counting struct {
		shift
		asked, seen atomic.Int64
		busy        atomic.Bool
	}
	all := make([]counting, shifts)
	for i := range all {
		s := &all[i]
		s.turn = func() bool {
			if s.busy.Swap(true) {
				t.Error("two turns at a time")
			}
			seen := s.asked.Load()
			runtime.Gosched() // and more is asked for
			s.seen.Store(seen)
			s.busy.Store(false)
			return true
		}
	}
	var calling sync.WaitGroup
	for caller := range callers {
		calling.Go(func() {
			for n := range calls {
				s := &all[(caller+n)%shifts]
				s.asked.Add(1)
				c.call(&s.shift)
			}
		})
	}
	calling.Wait()
	for i := range all {
		eventually(t, "a turn after the last call", func() bool { return all[i].seen.Load() == all[i].asked.Load() })
	}
}

func TestCrew_WhoIsHeldUpHoldsUpNobody(t *testing.T) {
	t.Parallel()
	c := newCrew()
	defer c.leave()
	held, heldUp := make(chan struct{}), 4*runtime.GOMAXPROCS(0)
	var begun, ended atomic.Int64
	for range heldUp {
		c.call(&shift{turn: func() bool {
			begun.Add(1)
			<-held
			ended.Add(1)
			return true
		}})
	}
	eventually(t, "all have begun", func() bool { return begun.Load() == int64(heldUp) })
	done := make(chan struct{})
	c.call(&shift{turn: func() bool { close(done); return true }})
	<-done
	close(held)
	eventually(t, "all are done, and no more wait for work than there are processors", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return ended.Load() == int64(heldUp) && c.first == nil && c.idle > 0 && c.idle <= runtime.GOMAXPROCS(0)
	})
}

func TestCrew_NothingFollowsTheLastTurn(t *testing.T) {
	t.Parallel()
	c := newCrew()
	c.leave() // who is called comes, and goes
	var turns atomic.Int64
	last := &shift{}
	last.turn = func() bool {
		turns.Add(1)
		c.call(last) // news that come meanwhile are nobody's any more
		return false
	}
	c.call(last)
	over := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return last.over
	}
	eventually(t, "the last turn", over)
	c.call(last)
	done := make(chan struct{})
	c.call(&shift{turn: func() bool { close(done); return false }})
	<-done
	if n := turns.Load(); n != 1 {
		t.Errorf("%d turns, want 1", n)
	}
}

// What goes wrong where a watch is opened, or one of the crew serves it, ends that watch and nothing else.
func TestWatch_APanicEndsTheWatchAlone(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	other := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)})
	other.caughtUp()
	w := &watch{server: s.server, stream: &admitted{ctx: t.Context()}, ended: make(chan error, 1), release: func() {}}
	w.turn = w.takeTurn
	s.server.keeper.keep(w)
	if err := w.wait(); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("a watch whose stream is nothing ended with %v", err)
	}
	if n := s.server.keeper.open(); n != 1 {
		t.Errorf("%d watches are open, want 1", n)
	}
	if err := aside(func() error { panic("while it is opened") }); err == nil || status.Code(toStatus(err)) != codes.Internal {
		t.Errorf("what was done aside ended with %v", err)
	}
	if err := aside(func() error { return store.ErrNotFound }); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was done aside ended with %v", err)
	}
	s.record(opened("SO-1"))
	other.event()
}
