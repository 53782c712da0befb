package store_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// personal is an event whose state and bytes hold the IBAN.
func personal(id, subject string, keys ...store.Key) store.Event {
	ev := event(id, subject, keys...)
	ev.Body, ev.Lasting, ev.Raw = []byte("body of "+id+" "+iban), []byte("body of "+id), []byte("raw of "+id+" "+iban)
	return ev
}

func erase(t *testing.T, s *store.Store, subject string) (all []string) {
	t.Helper()
	ctx := t.Context()
	err := s.Do(ctx, func(tx store.Tx) (err error) {
		if all, err = tx.Erase(ctx, subject, s.Now()); err != nil {
			return err
		}
		ev := event("erased-"+subject, all[0])
		ev.Body, ev.Raw = []byte("body of erased-"+subject), nil
		_, err = tx.Append(ctx, ev)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// whole reads everything, as a reader of the log and as a follower from the beginning do.
func whole(t *testing.T, s *store.Store, events int) string {
	t.Helper()
	ctx := t.Context()
	var text strings.Builder
	add := func(ev store.Event) { text.WriteString(ev.ID + " " + string(ev.Body) + " " + string(ev.Raw) + "\n") }
	list, err := s.Events(ctx, store.Query{Stream: store.Payments, Limit: 100})
	if err != nil || len(list) != events {
		t.Fatalf("%d events, %v", len(list), err)
	}
	for _, ev := range list {
		add(ev)
	}
	f := follow(t, s, payments)
	for range events {
		ev, err, ok := f.next()
		if err != nil || !ok {
			t.Fatal(err)
		}
		add(*ev)
	}
	subjects, err := s.Subjects(ctx, store.Query{Stream: store.Payments, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range subjects {
		text.WriteString(subject.ID + " " + string(subject.Body) + "\n")
	}
	return text.String()
}

func TestErase_TakesWhatIsPersonalAndLeavesTheLog(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		s, done := f.open(t)
		defer func() { done() }()
		watcher := follow(t, s, payments)
		watcher.bookmark(0)
		appendEvent(t, s, personal("e1", "p1"))
		appendEvent(t, s, event("e2", "p2"))
		appendEvent(t, s, personal("e3", "p2"))
		for _, want := range []string{"e1", "e2", "e3"} {
			if ev, err, _ := watcher.next(); err != nil || ev.ID != want || strings.Contains(string(ev.Body), iban) == (want == "e2") {
				t.Fatalf("watcher got %s %q, %v", ev.ID, ev.Body, err)
			}
		}
		if text := whole(t, s, 3); strings.Count(text, iban) < 8 {
			t.Fatalf("before: %s", text)
		}
		erase(t, s, "p1")
		if ev, err, _ := watcher.next(); err != nil || ev.ID != "erased-p1" || ev.Position != 4 {
			t.Fatalf("watcher got %+v, %v", ev, err)
		}
		appendEvent(t, s, personal("e5", "p1")) // what comes later is kept without what is personal of it
		for round := range 2 {
			text := whole(t, s, 5)
			for line := range strings.Lines(text) {
				mine := strings.HasPrefix(line, "e1") || strings.HasPrefix(line, "e5") || strings.HasPrefix(line, "p1") || strings.HasPrefix(line, "erased")
				if has := strings.Contains(line, iban); mine && has || strings.HasPrefix(line, "e3") && !has {
					t.Errorf("round %d: %s", round, line)
				}
				if strings.HasPrefix(line, "e1") && !strings.Contains(line, "body of e1") {
					t.Errorf("what lasts is lost: %s", line)
				}
			}
			later := follow(t, s, store.Query{Stream: store.Payments, After: 1})
			if ev, err, _ := later.next(); err != nil || ev.ID != "e2" {
				t.Errorf("resumed: %+v, %v", ev, err)
			}
			done()
			s, done = f.open(t)
		}
		again := personal("e1", "p1")
		err := s.Do(t.Context(), func(tx store.Tx) error {
			known, err := tx.EventByID(context.Background(), "e1")
			if err == nil && !bytes.Equal(known.Fingerprint, s.Fingerprint(again.Raw)) {
				t.Error("the repeat of an event that was erased is not known")
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestErase_ReachesWhoWasMergedAndWhoIsMergedLater(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		s, done := f.open(t)
		defer done()
		for _, id := range []string{"1", "2", "3"} {
			appendEvent(t, s, personal("e"+id, "p"+id))
		}
		merge := func(from, into string) {
			if err := s.Do(t.Context(), func(tx store.Tx) error { return tx.Merge(context.Background(), from, into) }); err != nil {
				t.Fatal(err)
			}
		}
		merge("p2", "p1")
		erase(t, s, "p1")
		merge("p3", "p1")
		if text := whole(t, s, 4); strings.Contains(text, iban) {
			t.Error(text)
		}
	})
}

func TestErase_OtherReplicasForgetToo(t *testing.T) {
	t.Parallel()
	f := fixture{dir: t.TempDir(), url: postgrestest.URL(t)} // a file has one process
	one, done := f.open(t)
	defer done()
	other, end := f.open(t)
	defer end()
	watcher := follow(t, other, payments)
	watcher.bookmark(0)
	appendEvent(t, one, personal("e1", "p1"))
	if ev, err, _ := watcher.next(); err != nil || !strings.Contains(string(ev.Body), iban) {
		t.Fatalf("%+v, %v", ev, err)
	}
	erase(t, one, "p1")
	if ev, err, _ := watcher.next(); err != nil || ev.ID != "erased-p1" {
		t.Fatalf("%+v, %v", ev, err)
	}
	if text := whole(t, other, 2); strings.Contains(text, iban) {
		t.Error(text)
	}
}

// TestErase_TheKeyIsGoneFromTheFile looks for the sealed key in the file and the log beside it: as long as it stands there,
// whoever has the keyring can read on.
func TestErase_TheKeyIsGoneFromTheFile(t *testing.T) {
	t.Parallel()
	f := fixture{dir: t.TempDir()}
	s, done := f.open(t)
	defer func() { done() }()
	var keys [][]byte
	for i := range 200 {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26))
		appendEvent(t, s, personal("e"+id, "p"+id))
		err := s.Engine().Commit(t.Context(), []func(store.Tx) error{func(tx store.Tx) error {
			key, err := tx.DataKey(context.Background(), "p"+id)
			keys = append(keys, key.Key)
			return err
		}})[0]
		if err != nil {
			t.Fatal(err)
		}
	}
	stands := func(key []byte) bool {
		files, _ := filepath.Glob(filepath.Join(f.dir, "gateway.db*"))
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(content, key) {
				return true
			}
		}
		return false
	}
	if len(keys[0]) < 32 || !stands(keys[0]) || !stands(keys[199]) {
		t.Fatal("the keys are not found while they are there")
	}
	before, err := s.Engine().Events(t.Context(), store.Query{Stream: store.Payments, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"aa", "ma", "ra", "rh"} {
		erase(t, s, "p"+id)
	}
	for _, i := range []int{0, 12, 17, 199} {
		if stands(keys[i]) {
			t.Errorf("the key of subject %d stands in the files still", i)
		}
	}
	if !stands(keys[1]) {
		t.Error("another's key is gone, too")
	}
	after, err := s.Engine().Events(t.Context(), store.Query{Stream: store.Payments, Limit: 1})
	if err != nil || !bytes.Equal(after[0].Body, before[0].Body) {
		t.Fatalf("the log has changed: %v", err)
	}
	ring := f.keys(t)
	if _, err := ring.Open(after[0].Body, "body", string(store.Payments), account, "paa"); err == nil {
		t.Error("the keyring alone opens it")
	}
	for i, key := range keys { // with each key that is left, as if it were this one's
		if opened, err := ring.OpensWith(key, "p"+string(rune('a'+i%26))+string(rune('a'+i/26)), after[0]); i != 0 && (err == nil || opened != nil) {
			t.Errorf("key %d opens it", i)
		}
	}
	if opened, err := ring.OpensWith(keys[0], "paa", after[0]); err != nil || !strings.Contains(string(opened), iban) {
		t.Errorf("its own key does not open it: %v", err)
	}
}
