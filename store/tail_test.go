package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"payments.internal/klarna-gateway/store"
)

func TestTail_GivesWhatTheEngineGives(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	full := event("evt-1", "pay-1", store.Key{Kind: "order_id", Value: "1"}, store.Key{Kind: "session_id", Value: "2"})
	full.Kind, full.Cause, full.PreviousState, full.Superseded, full.TraceParent = "CAPTURED", "CALL", "ORDERED", true, "00-01"
	full.OccurredAt = noon.In(time.FixedZone("CET", 3600))
	bare := store.Event{ID: "evt-2", Stream: store.Payments, Subject: "pay-2", Body: []byte{}, Raw: []byte{}, Keys: []store.Key{}}
	for _, ev := range []store.Event{full, bare} {
		appendEvent(t, s, ev)
	}
	want, err := s.Events(t.Context(), store.Query{Stream: store.Payments, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	behind := store.Query{Stream: store.Payments}
	f := follow(t, s, behind)
	for i := range want {
		got, err, _ := f.next()
		if err != nil {
			t.Fatal(err)
		}
		want[i].Raw = nil // followers do without
		if diff := cmp.Diff(&want[i], got, cmpopts.IgnoreUnexported(store.Event{})); diff != "" {
			t.Errorf("the tail differs from the engine (-engine +tail):\n%s", diff)
		}
	}
}

func TestTail_LetsReadersShareWhatTheyMakeOfAnEvent(t *testing.T) {
	t.Parallel()
	s := open(t, func(cfg *store.Config) { cfg.TailCount = 2 })
	for i := range 4 {
		appendEvent(t, s, event(fmt.Sprint("evt-", i+1), "pay-1"))
	}
	made := map[string]int{}
	for range 3 {
		f := follow(t, s, payments)
		for range 4 {
			ev, err, _ := f.next()
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got := ev.Memo(1, func() any { made[ev.ID]++; return "of " + ev.ID })
				other := ev.Memo(2, func() any { return "other" })
				if got != "of "+ev.ID || other != "other" {
					t.Errorf("%s: got %v and %v", ev.ID, got, other)
				}
			}
		}
	}
	// The tail holds the last two; what came from the engine is nobody's to share.
	if diff := cmp.Diff(map[string]int{"evt-1": 6, "evt-2": 6, "evt-3": 1, "evt-4": 1}, made); diff != "" {
		t.Errorf("made so often (-want +got):\n%s", diff)
	}
}

func TestTail_IsBoundedByCountAndBytes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		count, bytes, body int
		least, most        int
	}{
		"count":             {8, 1 << 20, 10, 6, 8},
		"bytes":             {1000, 10000, 1000, 2, 4}, // an event counts its body twice, and some
		"one too large":     {1000, 10000, 20000, 0, 0},
		"everything in one": {1 << 20, 1 << 20, 10, 40, 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, func(cfg *store.Config) { cfg.TailCount, cfg.TailBytes = c.count, c.bytes })
			for i := range 40 {
				ev := event(fmt.Sprint("evt-", i+1), "pay-1")
				ev.Body = []byte(strings.Repeat("b", c.body))
				appendEvent(t, s, ev)
				if n, size := s.Tail(store.Payments); n > c.most || size > c.bytes {
					t.Fatalf("after %d events the tail holds %d of %d bytes", i+1, n, size)
				}
			}
			if n, _ := s.Tail(store.Payments); n < c.least {
				t.Errorf("the tail holds %d events", n)
			}
			seen := 0
			for ev, err := range s.Follow(t.Context(), payments) {
				if err != nil {
					t.Fatal(err)
				}
				if ev.ID == "" {
					break
				}
				seen++
			}
			if seen != 40 {
				t.Errorf("followed %d of 40", seen)
			}
		})
	}
}

// TestTail_OtherReplicasEventsAreReadOnce has 20 followers of what another replica commits.
func TestTail_OtherReplicasEventsAreReadOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other, done := fixture{dir: dir}.open(t)
	defer done()
	synctest.Test(t, func(t *testing.T) {
		e := &counting{}
		s, done := fixture{dir: dir, change: func(cfg *store.Config) {
			_ = cfg.Engine.Close()
			e.Engine = strangers{shared{other.Engine()}}
			cfg.Engine = e
		}}.open(t)
		defer done()
		ctx, end := context.WithCancel(t.Context())
		var following sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]int{}
		for n := range 20 {
			following.Go(func() {
				for ev := range s.Follow(ctx, store.Query{Stream: store.Payments, Keys: []store.Key{{Kind: "order_id", Value: fmt.Sprint(n % 2)}}}) {
					mu.Lock()
					seen[ev.ID]++
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		before := e.reads.Load()
		for i := range 3 {
			appendEvent(t, other, event(fmt.Sprint("evt-", i), "pay-1", store.Key{Kind: "order_id", Value: "1"}))
			synctest.Wait()
		}
		mu.Lock()
		for i := range 3 {
			if id := fmt.Sprint("evt-", i); seen[id] != 10 {
				t.Errorf("%s was seen %d times", id, seen[id])
			}
		}
		mu.Unlock()
		if reads := e.reads.Load() - before; reads > 3*3 { // three streams
			t.Errorf("3 foreign commits caused %d reads", reads)
		}
		end()
		following.Wait()
	})
}

// TestTail_TooManyForeignEventsAreReadByTheFollowers has another replica commit more than the tail holds while nobody
// rings.
func TestTail_TooManyForeignEventsAreReadByTheFollowers(t *testing.T) {
	t.Parallel()
	e := &foreign{rings: make(chan struct{})}
	s := open(t, func(cfg *store.Config) {
		e.Engine = cfg.Engine
		cfg.Engine, cfg.TailCount = e, 4
	})
	f := follow(t, s, payments)
	f.bookmark(0)
	for i := range 20 {
		ev := event(fmt.Sprint("evt-", i+1), "pay-1")
		ev.Body, ev.Raw = nil, nil // sealed by no one here
		if err := e.Commit(t.Context(), []func(store.Tx) error{appending(ev)})[0]; err != nil {
			t.Fatal(err)
		}
	}
	e.rings <- struct{}{}
	for i := range 20 {
		if ev, err, _ := f.next(); err != nil || ev.ID != fmt.Sprint("evt-", i+1) {
			t.Fatalf("got %q, %v", ev.ID, err)
		}
	}
	appendEvent(t, s, event("evt-21", "pay-1"))
	f.event("evt-21")
}
