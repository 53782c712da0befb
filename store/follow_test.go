package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"payments.internal/klarna-gateway/store"
)

var payments = store.Query{Stream: store.Payments}

// following pulls from Follow one by one.
type following struct {
	t    *testing.T
	next func() (*store.Event, error, bool)
}

func follow(t *testing.T, s *store.Store, q store.Query) following {
	t.Helper()
	next, stop := iter.Pull2(s.Follow(t.Context(), q))
	t.Cleanup(stop)
	return following{t, next}
}

// event demands an event, bookmark a bookmark.
func (f following) event(id string) {
	f.t.Helper()
	ev, err, ok := f.next()
	if err != nil || !ok || ev.ID != id {
		f.t.Fatalf("got event %q at %d, error %v; want %s", ev.ID, ev.Position, err, id)
	}
	if want := "body of " + id; string(ev.Body) != want {
		f.t.Errorf("event %s has body %q", id, ev.Body)
	}
}

func (f following) bookmark(at store.Position) {
	f.t.Helper()
	ev, err, ok := f.next()
	if err != nil || !ok || ev.ID != "" || ev.Position != at {
		f.t.Fatalf("got %q at %d, error %v; want a bookmark at %d", ev.ID, ev.Position, err, at)
	}
}

func TestFollow_YieldsWhatIsThereAndWhatComes(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for i := range 7 { // more than two pages
		appendEvent(t, s, event(fmt.Sprint("evt-", i+1), "pay-1"))
	}
	f := follow(t, s, store.Query{Stream: store.Payments, After: 2})
	for i := 3; i <= 7; i++ {
		f.event(fmt.Sprint("evt-", i))
	}
	f.bookmark(7)
	appendEvent(t, s, event("evt-8", "pay-1"))
	f.event("evt-8")
	appendEvent(t, s, event("evt-9", "pay-2"))
	appendEvent(t, s, event("evt-10", "pay-2"))
	f.event("evt-9")
	f.event("evt-10")
}

func TestFollow_WakesForItsKeysOnly(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	one, two := store.Key{Kind: "order_id", Value: "1"}, store.Key{Kind: "order_id", Value: "2"}
	byKey := follow(t, s, store.Query{Stream: store.Payments, MerchantAccount: account, Keys: []store.Key{one, two}})
	byKeyAnywhere := follow(t, s, store.Query{Stream: store.Payments, Keys: []store.Key{two}})
	byAccount := follow(t, s, store.Query{Stream: store.Payments, MerchantAccount: account})
	byState := follow(t, s, store.Query{Stream: store.Payments, States: []string{"CAPTURED"}})
	all := []following{byKey, byKeyAnywhere, byAccount, byState}
	for _, f := range all {
		f.bookmark(0)
	}
	other := event("evt-1", "pay-1", two)
	other.MerchantAccount = "A-ANDERE"
	captured := event("evt-4", "pay-2", two)
	captured.State = "CAPTURED"
	partner := event("evt-5", "acc-1", one)
	partner.Stream = store.Accounts
	for _, ev := range []store.Event{other, event("evt-2", "pay-2", one), event("evt-3", "pay-3"), captured, partner} {
		appendEvent(t, s, ev)
	}
	byKey.event("evt-2")
	byKey.event("evt-4")
	byKeyAnywhere.event("evt-1")
	byKeyAnywhere.event("evt-4")
	byAccount.event("evt-2")
	byAccount.event("evt-3")
	byAccount.event("evt-4")
	byState.event("evt-4")
}

// counting is an engine that counts reads of events.
type counting struct {
	store.Engine
	reads atomic.Int64
}

func (e *counting) Events(ctx context.Context, q store.Query) ([]store.Event, error) {
	e.reads.Add(1)
	return e.Engine.Events(ctx, q)
}

func TestFollow_SleepsThroughWhatIsNotForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &counting{}
		s := open(t, func(cfg *store.Config) {
			e.Engine = cfg.Engine
			cfg.Engine = e
		})
		ctx, end := context.WithCancel(t.Context())
		var following sync.WaitGroup
		for n := range 20 {
			following.Go(func() {
				for range s.Follow(ctx, store.Query{Stream: store.Payments, Keys: []store.Key{{Kind: "order_id", Value: fmt.Sprint(n)}}}) {
				}
			})
		}
		synctest.Wait()
		before := e.reads.Load()
		for i := range 3 {
			appendEvent(t, s, event(fmt.Sprint("evt-", i), "pay-1", store.Key{Kind: "order_id", Value: "7"}))
			synctest.Wait() // the engine rang for the commit too
		}
		if reads := e.reads.Load() - before; reads != 0 {
			t.Errorf("3 commits caused %d reads, the tail should have served the one follower of 20", reads)
		}
		end()
		following.Wait()
	})
}

func TestFollow_LeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	keyed := store.Query{Stream: store.Payments, Keys: []store.Key{{Kind: "order_id", Value: "1"}, {Kind: "order_id", Value: "2"}}}
	for _, q := range []store.Query{payments, keyed} {
		for range s.Follow(t.Context(), q) {
			if s.Followers() == 0 {
				t.Error("not followed")
			}
			break
		}
	}
	if n := s.Followers(); n != 0 {
		t.Errorf("%d addresses are still followed", n)
	}
}

func TestFollow_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	draining := errors.New("draining")
	ctx, end := context.WithCancelCause(t.Context())
	defer end(nil)
	var last error
	for _, err := range s.Follow(ctx, payments) {
		last = err
		end(draining) // at the first bookmark
	}
	if !errors.Is(last, draining) {
		t.Errorf("ended with %v", last)
	}
	for _, err := range s.Follow(ctx, payments) {
		if !errors.Is(err, draining) {
			t.Errorf("began with %v", err)
		}
	}
}

func TestFollow_RefusesAPositionOlderThanTheLog(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for i := range 4 {
		appendEvent(t, s, event(fmt.Sprint("evt-", i+1), "pay-1"))
	}
	late := follow(t, s, payments)
	late.event("evt-1") // it holds the page up to evt-3
	if err := s.Trim(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	late.event("evt-2")
	late.event("evt-3")
	late.event("evt-4") // it stood at 3, so nothing was lost
	for _, after := range []store.Position{0, 2} {
		_, err, _ := follow(t, s, store.Query{Stream: store.Payments, After: after}).next()
		if !errors.Is(err, store.ErrTrimmed) {
			t.Errorf("after %d: got %v, want ErrTrimmed", after, err)
		}
	}
	follow(t, s, store.Query{Stream: store.Payments, After: 3}).event("evt-4")
}

// trimming trims between the reads of a follower.
type trimming struct {
	store.Engine
	before func(q store.Query)
}

func (e *trimming) Events(ctx context.Context, q store.Query) ([]store.Event, error) {
	e.before(q)
	return e.Engine.Events(ctx, q)
}

func TestFollow_NoticesATrimDuringItsRead(t *testing.T) {
	t.Parallel()
	e := &trimming{before: func(store.Query) {}}
	s := open(t, func(cfg *store.Config) {
		e.Engine = cfg.Engine
		cfg.Engine, cfg.TailCount = e, 1
	})
	for i := range 6 {
		appendEvent(t, s, event(fmt.Sprint("evt-", i+1), "pay-1"))
	}
	e.before = func(q store.Query) {
		if q.After == 3 {
			_ = s.Trim(t.Context(), 5)
		}
	}
	f := follow(t, s, payments)
	for i := range 3 {
		f.event(fmt.Sprint("evt-", i+1))
	}
	if ev, err, _ := f.next(); !errors.Is(err, store.ErrTrimmed) {
		t.Errorf("got %q, error %v, want ErrTrimmed instead of a gap", ev.ID, err)
	}
}

func TestFollow_BookmarksWithEveryHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, func(cfg *store.Config) { cfg.Heartbeat = time.Minute })
		began := time.Now()
		f := follow(t, s, store.Query{Stream: store.Payments, MerchantAccount: "A-ANDERE"})
		f.bookmark(0)
		appendEvent(t, s, event("evt-1", "pay-1")) // matches not, moves the head
		for beat := range 3 {
			f.bookmark(1)
			if passed := time.Since(began); passed != time.Duration(beat+1)*time.Minute {
				t.Errorf("bookmark %d after %v", beat, passed)
			}
		}
	})
}

// TestFollow_HoldsTheLogsPromises races writers against followers that drop and resume where they like. Whatever they
// do, each one sees the matching events of the log: in order, once, all of them; and no bookmark is ahead of an event
// that was not delivered.
func TestFollow_HoldsTheLogsPromises(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ tail, replicas int }{
		"one": {4096, 1}, "tail holds few": {5, 1}, "replicas": {4096, 3}, "replicas, tail holds few": {5, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, f fixture) {
				f.change = func(cfg *store.Config) { cfg.Heartbeat, cfg.TailCount = time.Millisecond, c.tail }
				holdTheLogsPromises(t, f.replicas(t, c.replicas))
			})
		})
	}
}

// replicas opens several stores over one log. Those over PostgreSQL have an engine each, as replicas have.
func (f fixture) replicas(t *testing.T, n int) (replicas []*store.Store) {
	change := f.change
	if f.url == "" {
		f.change = func(cfg *store.Config) { change(cfg); cfg.Engine = strangers{cfg.Engine} }
	}
	first, done := f.open(t)
	t.Cleanup(done)
	if f.url == "" {
		f.change = func(cfg *store.Config) { change(cfg); _ = cfg.Engine.Close(); cfg.Engine = shared{first.Engine()} }
	}
	for replicas = append(replicas, first); len(replicas) < n; {
		s, done := f.open(t)
		t.Cleanup(done)
		replicas = append(replicas, s)
	}
	return replicas
}

// shared is an engine that several stores have.
type shared struct{ store.Engine }

func (shared) Close() error { return nil }

func holdTheLogsPromises(t *testing.T, replicas []*store.Store) {
	s := replicas[0]
	const writers, each, keys = 4, 40, 3
	key := func(n int) store.Key { return store.Key{Kind: "order_id", Value: fmt.Sprint(n)} }
	var working sync.WaitGroup
	for w := range writers {
		working.Go(func() {
			for i := range each {
				ev := event(fmt.Sprintf("evt-%d-%d", w, i), fmt.Sprint("pay-", w), key(i%keys))
				if w == 0 {
					ev.MerchantAccount = "A-ANDERE"
				}
				if err := replicas[w%len(replicas)].Do(t.Context(), appending(ev)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	queries := []store.Query{
		payments, payments,
		{Stream: store.Payments, MerchantAccount: account},
		{Stream: store.Payments, Keys: []store.Key{key(1)}},
		{Stream: store.Payments, MerchantAccount: "A-ANDERE", Keys: []store.Key{key(0), key(2)}},
	}
	seen := make([][]store.Event, len(queries))
	for i, q := range queries {
		working.Go(func() { seen[i] = dropAndResume(t, replicas[i%len(replicas)], q, writers*each) })
	}
	working.Wait()
	for i, q := range queries {
		q.Limit = writers*each + 1
		want, err := s.Events(t.Context(), q)
		if err != nil || len(want) == 0 {
			t.Fatalf("%d events, error %v", len(want), err)
		}
		if len(seen[i]) != len(want) {
			t.Errorf("follower %d saw %d events, want %d", i, len(seen[i]), len(want))
			continue
		}
		for n, ev := range want {
			if seen[i][n].ID != ev.ID || seen[i][n].Position != ev.Position {
				t.Fatalf("follower %d saw %s as number %d, want %s", i, seen[i][n].ID, n, ev.ID)
			}
		}
	}
}

// dropAndResume follows until a bookmark stands at the last position. It gives up now and then, and sometimes goes back
// to an earlier position, as a caller does that lost what it had.
func dropAndResume(t *testing.T, s *store.Store, q store.Query, last store.Position) (seen []store.Event) {
	for q.After < last && !t.Failed() {
		left := 1 + rand.IntN(20)
		for ev, err := range s.Follow(t.Context(), q) {
			switch {
			case err != nil:
				t.Errorf("follow: %v", err)
				return seen
			case ev.Position < q.After || ev.Position == q.After && ev.ID != "":
				t.Errorf("%q at %d after %d", ev.ID, ev.Position, q.After)
			case ev.ID != "":
				seen = append(seen, *ev)
			}
			q.After = ev.Position
			if left--; left == 0 || q.After >= last {
				break
			}
		}
		if n := len(seen); n > 0 && rand.IntN(4) == 0 && q.After < last {
			back := rand.IntN(n)
			q.After, seen = seen[back].Position, seen[:back+1]
		}
	}
	return seen
}
