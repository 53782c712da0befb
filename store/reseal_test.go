package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/storetest"
)

// keepAll puts something into every place where something is sealed.
func keepAll(t *testing.T, s *store.Store, n int) {
	t.Helper()
	for i := range n {
		id := fmt.Sprintf("%03d", i)
		appendEvent(t, s, personal("e"+id, "p"+id, store.Key{Kind: "order_id", Value: "o" + id}))
		appendEvent(t, s, event("f"+id, "p"+id))
		err := s.Do(t.Context(), func(tx store.Tx) error {
			ctx := t.Context()
			put := errors.Join(
				tx.AddJob(ctx, store.Job{Kind: "k", MerchantAccount: account, Key: id, Payload: []byte("payload " + id), RunAt: noon}),
				tx.PutRequest(ctx, store.Request{RequestID: store.RequestID{MerchantAccount: account, Operation: "op", ID: id}, State: store.RequestDone, Answer: []byte("answer " + id)}),
				tx.PutSigningKey(ctx, store.SigningKey{SigningKeyID: store.SigningKeyID{Scheme: "s", MerchantAccount: account, ID: id}, Key: []byte("secret " + id)}),
				tx.PutProbe(ctx, store.Probe{MerchantAccount: account, Webhook: "w", EventType: id, Raw: []byte("sample " + id)}),
			)
			_, err := tx.Quarantine(ctx, store.Quarantined{MerchantAccount: account, EventID: id, Raw: []byte("quarantined " + id)})
			return errors.Join(put, err)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readAll reads all that keepAll has put there.
func readAll(t *testing.T, s *store.Store, n int) string {
	t.Helper()
	ctx := t.Context()
	var text strings.Builder
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	events, err := s.Events(ctx, store.Query{Stream: store.Payments, Limit: 1000})
	fail(err)
	for _, ev := range events {
		fmt.Fprintf(&text, "%s %s %s\n", ev.ID, ev.Body, ev.Raw)
	}
	subjects, err := s.Subjects(ctx, store.Query{Stream: store.Payments, Limit: 1000})
	fail(err)
	for _, subject := range subjects {
		fmt.Fprintf(&text, "%s %s\n", subject.ID, subject.Body)
	}
	jobs, err := s.Jobs(ctx, "", "", 1000)
	fail(err)
	for _, j := range jobs {
		fmt.Fprintf(&text, "%s %s\n", j.Key, j.Payload)
	}
	kept, err := s.Quarantined(ctx, 0, 1000)
	fail(err)
	for _, q := range kept {
		fmt.Fprintf(&text, "%s %s\n", q.EventID, q.Raw)
	}
	secrets, err := s.SigningKeys(ctx)
	fail(err)
	for _, k := range secrets {
		fmt.Fprintf(&text, "%s %s\n", k.ID, k.Key)
	}
	for i := range n {
		id := fmt.Sprintf("%03d", i)
		r, err := s.Request(ctx, store.RequestID{MerchantAccount: account, Operation: "op", ID: id})
		fail(err)
		p, err := s.Probe(ctx, account, "w", id)
		fail(err)
		fmt.Fprintf(&text, "%s %s\n", r.Answer, p.Raw)
	}
	return text.String()
}

func (f fixture) keyFile() string { return filepath.Join(f.dir, "keyring.json") }

// rotate makes a new key the one that seals.
func (f fixture) rotate(t *testing.T) {
	t.Helper()
	if err := errors.Join(store.AddSealingKey(f.keyFile()), store.PromoteSealingKey(f.keyFile())); err != nil {
		t.Fatal(err)
	}
}

// count walks to the end.
func count(t *testing.T, walk func(context.Context, string, time.Duration) (store.Resealing, error)) (all store.Resealing) {
	t.Helper()
	for from, more := "", true; more; from, more = all.Next, all.Next != "" {
		part, err := walk(t.Context(), from, 0)
		if err != nil {
			t.Fatal(err)
		}
		all.Add(part)
	}
	return all
}

func TestReseal_LeavesNothingUnderTheOldKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		const n = 120 // more than a chunk
		s, done := f.open(t)
		keepAll(t, s, n)
		before := readAll(t, s, n)
		done()
		f.rotate(t)
		s, done = f.open(t)
		keys, seals := s.SealingKeys()
		if len(keys) != 2 || seals != keys[1] {
			t.Fatalf("%v, %v seals", keys, seals)
		}
		old := count(t, s.CountSealed)
		if old.Keyring[keys[0]] < 8*n || old.Keyring[seals] != 0 || old.Subjects < 2*n {
			t.Fatalf("before: %+v", old)
		}
		if _, err := store.RemoveSealingKeys(f.keyFile(), old); err == nil || !strings.Contains(err.Error(), fmt.Sprint(old.Keyring[keys[0]])) {
			t.Errorf("removed while it seals: %v", err)
		}

		part, err := s.Reseal(t.Context(), "", 0) // cut off after the first chunk, as by kill -9
		if err != nil || part.Next == "" || part.Resealed != 100 {
			t.Fatalf("%+v, %v", part, err)
		}
		done()
		s, done = f.open(t)
		if text := readAll(t, s, n); text != before {
			t.Error("half way through it reads otherwise")
		}
		all := count(t, s.Reseal)
		if all.Keyring[seals] != old.Keyring[keys[0]] || all.Keyring[keys[0]] != 0 || all.Subjects != old.Subjects || all.Rows != old.Rows {
			t.Errorf("resealed: %+v, before %+v", all, old)
		}
		if again := count(t, s.Reseal); again.Resealed != 0 {
			t.Errorf("done twice: %+v", again)
		}
		done()
		left := count(t, func(ctx context.Context, from string, within time.Duration) (store.Resealing, error) {
			e := f.engine(t)
			defer e.Close()
			return store.CountSealed(ctx, e, from, within)
		})
		if removed, err := store.RemoveSealingKeys(f.keyFile(), left); err != nil || len(removed) != 1 || removed[0] != keys[0] {
			t.Fatalf("removed %v, %v", removed, err)
		}
		s, done = f.open(t)
		defer func() { done() }()
		if text := readAll(t, s, n); text != before {
			t.Error("without the old key it reads otherwise")
		}
		erase(t, s, "p000")
		if text := readAll(t, s, n); strings.Contains(text, "e000 body of e000 "+iban) || strings.Count(text, iban) != strings.Count(before, iban)-2 {
			t.Error("a data key that was resealed is not destroyed by an erasure")
		}
	})
}

// A walk beside writers takes no older value for a newer one, and no write fails over it.
func TestReseal_RunsBesideWriters(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		s, done := f.open(t)
		keepAll(t, s, 10)
		done()
		f.rotate(t)
		s, done = f.open(t)
		defer func() { done() }()
		id := func(i int) store.RequestID {
			return store.RequestID{MerchantAccount: account, Operation: "op", ID: fmt.Sprintf("%03d", i)}
		}
		var writing sync.WaitGroup
		stop := make(chan struct{})
		for i := range 10 {
			writing.Go(func() {
				for round := 0; ; round++ {
					err := s.Do(context.Background(), func(tx store.Tx) error {
						r, err := tx.Request(context.Background(), id(i))
						if err != nil {
							return err
						}
						r.Answer = []byte(fmt.Sprintf("round %d", round))
						if round > 0 {
							_, err = tx.Append(context.Background(), personal(fmt.Sprintf("g%d-%d", i, round), fmt.Sprintf("p%03d", i)))
						}
						return errors.Join(err, tx.PutRequest(context.Background(), r))
					})
					r, read := s.Request(context.Background(), id(i))
					if err = errors.Join(err, read); err != nil || string(r.Answer) != fmt.Sprintf("round %d", round) {
						t.Errorf("round %d: %q, %v", round, r.Answer, err)
						return
					}
					select {
					case <-stop:
						if round > 0 {
							return
						}
					default:
					}
				}
			})
		}
		for range 5 {
			count(t, s.Reseal)
		}
		close(stop)
		writing.Wait()
		_, seals := s.SealingKeys()
		if left := count(t, s.CountSealed); left.Under(seals) != 0 {
			t.Errorf("%+v", left)
		}
		if subjects, err := s.Subjects(t.Context(), store.Query{Stream: store.Payments, Limit: 100}); err != nil || len(subjects) != 10 || !bytes.Contains(subjects[0].Body, []byte("body of g")) {
			t.Errorf("%d subjects, %v", len(subjects), err)
		}
	})
}

// What versions without subjects' keys kept under the keyring comes under these, and of those who were erased it goes.
func TestReseal_HandsWhatIsPersonalToItsSubject(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		lasting := func(_ store.Stream, body []byte) ([]byte, error) {
			if rest := bytes.ReplaceAll(body, []byte(iban), []byte("…")); !bytes.Equal(rest, body) {
				return rest, nil
			}
			return nil, nil
		}
		f.change = func(cfg *store.Config) { cfg.Lasting = lasting }
		s, done := f.open(t)
		defer func() { done() }()
		engine, ring := s.Engine(), f.keys(t)
		seal := func(plain string, about ...string) []byte {
			sealed, err := ring.Seal([]byte(plain), about...)
			if err != nil {
				t.Fatal(err)
			}
			return sealed
		}
		for _, subject := range []string{"p1", "p2", "p3"} {
			ev := event("e-"+subject, subject)
			ev.RecordedAt, ev.OccurredAt = noon, noon
			ev.Body = seal("body of "+subject+" "+iban, "body", string(store.Payments), account, subject)
			ev.Raw = seal("raw of "+subject+" "+iban, "raw", ev.ID)
			if subject == "p3" {
				ev.Body = seal("body of p3", "body", string(store.Payments), account, subject)
			}
			err := engine.Commit(t.Context(), []func(store.Tx) error{func(tx store.Tx) error { _, err := tx.Append(t.Context(), ev); return err }})[0]
			if err != nil {
				t.Fatal(err)
			}
		}
		err := engine.Commit(t.Context(), []func(store.Tx) error{func(tx store.Tx) error { _, err := tx.Erase(t.Context(), "p2", noon); return err }})[0]
		if err != nil {
			t.Fatal(err)
		}
		done() // what an earlier version has written is there before this one begins
		s, done = f.open(t)
		engine = s.Engine()
		if before := storetest.Readable(t, engine, ring); strings.Count(before, iban) < 5 { // one engine keeps a body that is the newest event's twice
			t.Fatal(before)
		}
		count(t, s.Reseal)
		if after := storetest.Readable(t, engine, ring); strings.Contains(after, "p2 "+iban) || !strings.Contains(after, "body of p1 …") || !strings.Contains(after, "body of p2 …") || !strings.Contains(after, "body of p3") {
			t.Errorf("the keyring opens %s", after)
		}
		events, err := s.Events(t.Context(), store.Query{Stream: store.Payments, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"body of p1 " + iban + " raw of p1 " + iban, "body of p2 … ", "body of p3 raw of p3 " + iban} {
			if got := string(events[i].Body) + " " + string(events[i].Raw); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		erase(t, s, "p1")
		if text := whole(t, s, 4) + storetest.Readable(t, engine, ring); strings.Contains(text, "p1 "+iban) {
			t.Error(text)
		}
		if again := count(t, s.Reseal); again.Resealed != 0 {
			t.Errorf("done twice: %+v", again)
		}
	})
}

func TestReseal_RefusesAPlaceThatIsNone(t *testing.T) {
	t.Parallel()
	s := open(t, func(cfg *store.Config) { cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil)) })
	for _, from := range []string{"x", "e30x", "eyJzIjo5OX0", "eyJzIjowLCJhIjpbIjEiLCIyIl19"} {
		if _, err := s.Reseal(t.Context(), from, 0); !errors.Is(err, store.ErrPlace) {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func TestReseal_FailsOnWhatNoKeyOpens(t *testing.T) {
	t.Parallel()
	f := fixture{dir: t.TempDir()}
	s, done := f.open(t)
	defer func() { done() }()
	keepAll(t, s, 1)
	ev := event("x", "px")
	sealed, err := keyring(t, filepath.Join(t.TempDir(), "other.json")).Seal([]byte("x"), "body", string(store.Payments), account, "px")
	if err != nil {
		t.Fatal(err)
	}
	ev.Body, ev.Raw = sealed, nil
	if err := s.Engine().Commit(t.Context(), []func(store.Tx) error{func(tx store.Tx) error { _, err := tx.Append(t.Context(), ev); return err }})[0]; err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reseal(t.Context(), "", time.Hour); err == nil {
		t.Error("a value that cannot be opened was passed over")
	}
}
