package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"payments.internal/klarna-gateway/store"
)

// rendering is one for tests: what is sent is the body, in a form.
func rendering(form string) map[store.Stream]store.Rendering {
	return map[store.Stream]store.Rendering{store.Payments: {Form: form, Render: func(ev *store.Event) ([]byte, error) {
		return []byte(form + " " + string(ev.Body)), nil
	}}}
}

// packed opens a log with blocks of 3 events and next to nothing in memory.
func packed(form string) func(*store.Config) {
	return func(cfg *store.Config) { cfg.Renderings, cfg.TailCount = rendering(form), 1 }
}

var sent = store.Query{Stream: store.Payments, MerchantAccount: account, Sent: true}

// read follows up to the first bookmark and tells of each event where it came from: its block, or its row.
func read(t *testing.T, s *store.Store, q store.Query) (seen, blocks []string) {
	t.Helper()
	for ev, err := range s.Follow(t.Context(), q) {
		switch {
		case err != nil:
			t.Fatal(err)
		case ev.ID == "":
			return seen, blocks
		}
		seen = append(seen, fmt.Sprintf("%d %s %s %s %s %s", ev.Position, ev.ID, ev.MerchantAccount, ev.State, ev.TraceParent, ev.RecordedAt))
		if ev.Sent() != nil {
			blocks = append(blocks, ev.ID+": "+string(ev.Sent()))
		} else if !strings.HasPrefix(string(ev.Body), "body of "+ev.ID) {
			t.Errorf("%s has body %q", ev.ID, ev.Body)
		}
	}
	return seen, blocks
}

// mixed appends events of two accounts and several states, most of them with personal data.
func mixed(t *testing.T, s *store.Store, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		ev := personal(fmt.Sprint("evt-", n), fmt.Sprint("pay-", n%7))
		ev.TraceParent = fmt.Sprint("00-", n)
		if n%5 == 1 {
			ev.MerchantAccount = "A-ANDERE"
			ev.Subject += "-andere"
		}
		if n%3 == 0 {
			ev.State = "CAPTURED"
		}
		appendEvent(t, s, ev)
	}
}

func TestBlocks_GiveWhatTheLogHolds(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		f.change = packed("f1")
		s, done := f.open(t)
		defer func() { done() }()
		mixed(t, s, 0, 40)
		if err := s.Pack(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.search(t) // nothing in clear
		for after := range store.Position(40) {
			for _, states := range [][]string{nil, {"CAPTURED"}} {
				q := sent
				q.After, q.States = after, states
				got, blocks := read(t, s, q)
				q.Sent = false
				want, none := read(t, s, q)
				if !slices.Equal(got, want) {
					t.Fatalf("after %d, %v: %q, want %q", after, states, got, want)
				}
				if len(none) > 0 || after == 0 && len(blocks) < 5 {
					t.Fatalf("%d events came from blocks unasked, %d asked", len(none), len(blocks))
				}
				for _, b := range blocks {
					if id, text, _ := strings.Cut(b, ": "); text != "f1 body of "+id {
						t.Errorf("a block has %q", b)
					}
				}
			}
		}
		key := store.Key{Kind: "order_id", Value: "1"}
		appendEvent(t, s, event("evt-keyed", "pay-1", key))
		q := sent
		q.Keys = []store.Key{key}
		if got, blocks := read(t, s, q); len(got) != 1 || len(blocks) != 0 {
			t.Errorf("by key came %q, %q of them from blocks", got, blocks)
		}
	})
}

func TestBlocks_OutliveAnErasureUnchanged(t *testing.T) {
	t.Parallel()
	s := open(t, packed("f1"))
	mixed(t, s, 0, 20)
	erase(t, s, "pay-3")
	if err := s.Pack(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, before := read(t, s, sent)
	erase(t, s, "pay-2")
	_, after := read(t, s, sent)
	if len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("before the erasure %q, after it %q", before, after)
	}
	for _, b := range before {
		if strings.Contains(b, iban) {
			t.Errorf("a block holds the IBAN: %q", b)
		}
	}
}

// What is in memory still is not read again to be packed, and what is personal of it stays out all the same.
func TestBlocks_AreMadeOfWhatIsInMemory(t *testing.T) {
	t.Parallel()
	f := fixture{dir: t.TempDir()}
	var reads *counting
	f.change = func(cfg *store.Config) {
		cfg.Renderings = rendering("f1")
		reads = &counting{Engine: cfg.Engine}
		cfg.Engine = reads
	}
	s, done := f.open(t)
	opened := reads.reads.Load()
	mixed(t, s, 0, 18)
	bare := event("evt-18", "pay-1")
	bare.Body, bare.Raw = nil, nil // nothing to be kept in memory: it is read
	appendEvent(t, s, event("evt-17b", "pay-1"))
	if err := s.Pack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := reads.reads.Load(); n != opened {
		t.Errorf("packing has read %d times what is in memory", n-opened)
	}
	appendEvent(t, s, bare)
	mixed(t, s, 20, 22)
	if err := s.Pack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := reads.reads.Load(); n == opened {
		t.Error("what is not in memory was not read")
	}
	done()
	f.change = packed("f1")
	s, done = f.open(t)
	defer done()
	_, blocks := read(t, s, sent)
	if len(blocks) < 15 {
		t.Errorf("%d events are in blocks", len(blocks))
	}
	for _, b := range blocks {
		if id, text, _ := strings.Cut(b, ": "); text != "f1 body of "+id && id != "evt-18" {
			t.Errorf("a block has %q", b)
		}
	}
}

func TestBlocks_AreMadeBehindTheCommits(t *testing.T) {
	t.Parallel()
	s := open(t, packed("f1"))
	until(t, s, "f1", 0)
	mixed(t, s, 0, 10)
	until(t, s, "f1", 9)
	mixed(t, s, 10, 12) // fills a block with the one that was left over
	until(t, s, "f1", 12)
}

// Of accounts that have a few events of each page there are no blocks, which would be read one for each event; the log is packed
// all the same, and does not begin anew with the next start.
func TestBlocks_AreMadeOfWhatIsWorthOne(t *testing.T) {
	t.Parallel()
	s := open(t, func(cfg *store.Config) {
		packed("f1")(cfg)
		cfg.PageSize = 24
	})
	for n := range 48 + 24/4 { // two pages, and as much as the packer may wait for before it looks again
		ev := event(fmt.Sprint("evt-", n), fmt.Sprint("pay-", n))
		if n < 24 { // two of each
			ev.MerchantAccount = fmt.Sprint("A-", n%12)
		} else if n%12 == 0 {
			ev.MerchantAccount = "A-SELTEN"
		}
		appendEvent(t, s, ev)
	}
	until(t, s, "f1", 48)
	for of, want := range map[string]store.Position{account: 24, "A-SELTEN": 0, "A-3": 0} {
		b, err := s.Engine().Block(t.Context(), store.Payments, of, "f1", 0)
		if want == 0 && !errors.Is(err, store.ErrNotFound) || want != 0 && (err != nil || b.After != want) {
			t.Errorf("%s has a block behind %d, error %v", of, b.After, err)
		}
	}
}

// TestBlocks_ThatAreMalformedAreLeftToTheRows keeps a block whose text is not what its seal is about.
func TestBlocks_ThatAreMalformedAreLeftToTheRows(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		s, done := f.open(t)
		defer func() { done() }()
		mixed(t, s, 0, 12)
		q := sent
		q.Sent = false
		want, _ := read(t, s, q)
		block := store.Block{Stream: store.Payments, MerchantAccount: account, Form: "f1", UpTo: 6, Body: []byte("no seal")}
		next := store.Block{Stream: store.Payments, MerchantAccount: account, Form: "f1", After: 6, UpTo: 12}
		err := s.SealBlock(&next, []byte("\x07")) // ends after a position
		if err := errors.Join(err, s.Engine().PutBlocks(t.Context(), []store.Block{block, next})); err != nil {
			t.Fatal(err)
		}
		done()
		f.change = packed("f1")
		s, done = f.open(t)
		if got, _ := read(t, s, sent); !slices.Equal(got, want) {
			t.Errorf("past blocks that cannot be read came %q, want %q", got, want)
		}
	})
}

// until waits until the log is packed up to a position.
func until(t *testing.T, s *store.Store, form string, want store.Position) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		upTo, err := s.Engine().Packed(t.Context(), store.Payments, form)
		if err != nil {
			t.Fatal(err)
		}
		if upTo == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("packed up to %d, want %d", upTo, want)
		}
	}
}

func TestBlocks_OfAnotherFormAreMadeAnew(t *testing.T) {
	t.Parallel()
	f := fixture{dir: t.TempDir(), change: packed("f1")}
	s, done := f.open(t)
	mixed(t, s, 0, 20)
	until(t, s, "f1", 18)
	done()
	f.change = packed("f2")
	s, done = f.open(t)
	defer func() { done() }()
	until(t, s, "f2", 18)
	until(t, s, "f1", 0)
	if _, blocks := read(t, s, sent); len(blocks) == 0 || !strings.Contains(blocks[0], "f2 body") {
		t.Errorf("of a newer program's form came %q", blocks)
	}
}

func TestBlocks_AreTrimmedWithTheLog(t *testing.T) {
	t.Parallel()
	s := open(t, packed("f1"))
	mixed(t, s, 0, 30)
	until(t, s, "f1", 30)
	if err := s.Trim(t.Context(), 10); err != nil { // within a block
		t.Fatal(err)
	}
	if b, err := s.Engine().Block(t.Context(), store.Payments, account, "f1", 0); err != nil || b.After != 12 {
		t.Errorf("the first block begins behind %d, %v; want 12", b.After, err)
	}
	q := sent
	q.After = 9
	for _, err := range s.Follow(t.Context(), q) {
		if !errors.Is(err, store.ErrTrimmed) {
			t.Errorf("got %v, want ErrTrimmed", err)
		}
	}
	q.After = 10
	got, blocks := read(t, s, q)
	q.Sent = false
	if want, _ := read(t, s, q); !slices.Equal(got, want) || len(blocks) == 0 {
		t.Errorf("behind the trimmed position came %q, want %q", got, want)
	}
}

// TestBlocks_AreNotHeldByWhoIsSlow has followers stop at an event. Who goes on later misses nothing, and held no block but
// for the event that was on its way.
func TestBlocks_AreNotHeldByWhoIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, func(cfg *store.Config) {
			packed("f1")(cfg)
			cfg.PageSize = 20
		})
		mixed(t, s, 0, 200)
		if err := s.Pack(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, blocks := read(t, s, sent)
		if len(blocks) < 50 {
			t.Fatalf("%d events came from blocks", len(blocks))
		}
		first, _, _ := strings.Cut(blocks[2], ":")
		count, slow := 0, false
		for ev, err := range s.Follow(t.Context(), sent) {
			if err != nil || ev.ID == "" {
				break
			}
			if slow && (ev.Sent() != nil || s.BlocksHeld() > 0) {
				t.Errorf("%s came from a block that was held meanwhile", ev.ID)
			}
			count++
			if slow = ev.ID == first; slow {
				time.Sleep(time.Second)
			}
		}
		if count != len(want) || s.BlocksHeld() > 0 {
			t.Errorf("%d of %d events came, %d blocks are held in the end", count, len(want), s.BlocksHeld())
		}
	})
}

// TestBlocks_AreHeldByAFew has more followers than may hold one stop within a block: those who come later read rows.
func TestBlocks_AreHeldByAFew(t *testing.T) {
	t.Parallel()
	s := open(t, func(cfg *store.Config) {
		packed("f1")(cfg)
		cfg.PageSize = 20
	})
	mixed(t, s, 0, 200)
	if err := s.Pack(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	const followers = 80
	stopped, done := make(chan int), make(chan bool)
	for range followers {
		go func() {
			fromBlocks := 0
			for ev, err := range s.Follow(ctx, sent) {
				if err != nil {
					break
				}
				if ev.Sent() != nil || ev.ID == "" {
					if ev.Sent() != nil {
						fromBlocks++
					}
					stopped <- fromBlocks
					<-ctx.Done()
				}
			}
			done <- true
		}()
	}
	holding := 0
	for range followers {
		holding += <-stopped
	}
	if holding != 64 || s.BlocksHeld() != 64 {
		t.Errorf("%d followers hold a block, by the store's count %d, want 64", holding, s.BlocksHeld())
	}
	leave()
	for range followers {
		<-done
	}
	if s.BlocksHeld() != 0 {
		t.Errorf("%d blocks are held in the end", s.BlocksHeld())
	}
}
