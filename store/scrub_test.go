package store_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/storetest"
)

const (
	person  = "0b1b7a52-6d0e-4c5e-9b1f-2f6f00000001" // the order of who is erased
	another = "0b1b7a52-6d0e-4c5e-9b1f-2f6f00000002"
)

// put puts requests on record, with the answer as their id says.
func put(t *testing.T, s *store.Store, list ...store.Request) {
	t.Helper()
	err := s.Do(t.Context(), func(tx store.Tx) error {
		for _, r := range list {
			if err := tx.PutRequest(context.Background(), r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func answered(operation, id, concerns, answer string) store.Request {
	return store.Request{
		RequestID: store.RequestID{MerchantAccount: account, Operation: operation, ID: id},
		State:     store.RequestDone, Concerns: concerns, Answer: []byte(answer),
	}
}

// An answer goes with the key of whom it concerns, in whatever way it is read and written afterwards.
func TestRequest_IsErasedWithWhomItConcerns(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		s, done := f.open(t)
		defer func() { done() }()
		appendEvent(t, s, event("e1", "p1"))
		open := answered("op", "open", "p1", "sent by "+iban)
		open.State, open.LeasedUntil = store.RequestOpen, noon
		put(t, s, answered("op", "done", "p1", "answer to "+iban), open, answered("op", "free", "", "answer"))
		for range 2 {
			r, err := s.Request(t.Context(), open.RequestID)
			if err != nil || string(r.Answer) != "sent by "+iban || r.Erased || r.Concerns != "p1" {
				t.Fatalf("%+v, %v", r, err)
			}
			put(t, s, r) // as who leases it does
		}
		if text := storetest.Readable(t, s.Engine(), f.keys(t)); strings.Count(text, iban) != 2 {
			t.Fatalf("before: %s", text)
		}
		erase(t, s, "p1")
		check := func() {
			t.Helper()
			for _, id := range []string{"done", "open"} {
				r, err := s.Request(t.Context(), store.RequestID{MerchantAccount: account, Operation: "op", ID: id})
				if err != nil || r.Answer != nil || !r.Erased {
					t.Errorf("%+v, %v", r, err)
				}
			}
			if r, err := s.Request(t.Context(), store.RequestID{MerchantAccount: account, Operation: "op", ID: "free"}); err != nil || string(r.Answer) != "answer" || r.Erased {
				t.Errorf("another's: %+v, %v", r, err)
			}
			if text := storetest.Readable(t, s.Engine(), f.keys(t)); strings.Contains(text, iban) {
				t.Errorf("left: %s", text)
			}
		}
		check()
		left, err := s.Abandoned(t.Context(), noon.Add(time.Second), 10)
		if err != nil || len(left) != 1 || !left[0].Erased {
			t.Errorf("%+v, %v", left, err)
		}
		for _, r := range left { // it stays erased, whatever is written of it
			r.LeasedUntil = noon.Add(time.Minute)
			put(t, s, r)
		}
		put(t, s, answered("op", "done", "p1", "answer to "+iban)) // one that was under way
		check()
		done()
		s, done = f.open(t)
		check()
		put(t, s, answered("op", "done", "", "answer"))
		if r, err := s.Request(t.Context(), store.RequestID{MerchantAccount: account, Operation: "op", ID: "done"}); err != nil || r.Erased || string(r.Answer) != "answer" {
			t.Errorf("answered anew: %+v, %v", r, err)
		}
	})
}

// scrub looks for all remains, page by page, each by a look of its own.
func scrub(t *testing.T, s *store.Store, r store.Remains) (rows int64, err error) {
	t.Helper()
	for from, more := "", true; more; {
		part, err := s.Scrub(t.Context(), r, from, 0)
		if rows += part.Rows; err != nil {
			return rows, err
		}
		from, more = part.Next, part.Next != ""
	}
	return rows, nil
}

// What is under the keyring and is about whom was erased is found by the ids in it, and goes; what is about others stays.
func TestScrub_TakesWhatKeysDoNotReach(t *testing.T) {
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
		ring := f.keys(t)
		seal := func(plain string, about ...string) []byte {
			sealed, err := ring.Seal([]byte(plain), about...)
			if err != nil {
				t.Fatal(err)
			}
			return sealed
		}
		for n := range 101 { // as versions before data keys kept it; more than a chunk of other people's
			subject, order := fmt.Sprintf("p%03d", n), fmt.Sprintf("0b1b7a52-6d0e-4c5e-9b1f-2f6f00001%03d", n)
			if n == 1 || n == 2 {
				order = person
			}
			ev := event("e-"+subject, subject, store.Key{Kind: "order_id", Value: order})
			ev.RecordedAt, ev.OccurredAt = noon, noon
			ev.Body = seal(subject+" body "+iban, "body", string(store.Payments), account, subject)
			ev.Raw = seal(subject+" raw "+iban, "raw", ev.ID)
			err := s.Engine().Commit(t.Context(), []func(store.Tx) error{func(tx store.Tx) error {
				if _, err := tx.Append(t.Context(), ev); err != nil || n != 2 {
					return err
				}
				return tx.Merge(t.Context(), "p002", "p001")
			}})[0]
			if err != nil {
				t.Fatal(err)
			}
		}
		byReference, byOther := answered("authorize", "r4", "", "sent by "+iban), answered("authorize", "r5", "", "sent by another "+iban)
		byReference.Subject, byOther.Subject = "reference krn:partner SO-1", "reference krn:partner SO-10"
		put(t, s,
			answered("create", "r1", "", `{"order_id":"`+person+`","who":"`+iban+`"}`),
			answered("create", "r2", "", `{"order_id":"`+another+`","who":"another `+iban+`"}`),
			answered("create", "r3", "", `{"order_id":"`+person+`-1","who":"another `+iban+`"}`),
			answered("capture", "r6", "", `{"order_id":"`+person+`"}`),
			answered("create", "r7", "p003", `{"beside":"`+person+`","who":"another `+iban+`"}`),
			byReference, byOther,
		)
		for i := range 120 {
			put(t, s, answered("capture", fmt.Sprintf("x%03d", i), "", "{}"))
		}
		kept := func(account, raw string) {
			err := s.Do(t.Context(), func(tx store.Tx) error {
				_, err := tx.Quarantine(context.Background(), store.Quarantined{MerchantAccount: account, EventID: "q", Reason: "not to be read: " + raw[:9], Raw: []byte(raw)})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		kept(account, `{"order_id":"`+person+`","iban":"`+iban+`"}`)
		kept(account, `{"order_id":"`+another+`","iban":"another `+iban+`"}`)
		kept("A-OTHER", `{"order_id":"`+person+`","iban":"another `+iban+`"}`)

		erase(t, s, "p001")
		remains := store.Remains{
			Stream: store.Payments, MerchantAccount: account, Subjects: []string{"p001", "p002"}, References: []string{"SO-1"},
			Keys:     []store.Key{{Kind: "order_id", Value: person}},
			Personal: func(_ store.Stream, operation string, _ store.RequestState) bool { return operation != "capture" },
		}
		before := storetest.Readable(t, s.Engine(), ring)
		for _, what := range []string{"p001 body " + iban, "p001 raw " + iban, "p002 body " + iban, "p002 raw " + iban, `"who":"` + iban, "sent by " + iban, `"iban":"` + iban} {
			if !strings.Contains(before, what) {
				t.Errorf("%s is not there to be found", what)
			}
		}
		n, err := scrub(t, s, remains)
		if err != nil || n < 5 {
			t.Fatalf("%d rows, %v", n, err)
		}
		after := storetest.Readable(t, s.Engine(), ring)
		for _, what := range []string{"p001 body " + iban, "p001 raw", "p002 body " + iban, "p002 raw", `"who":"` + iban, "sent by " + iban, `"iban":"` + iban} {
			if strings.Contains(after, what) {
				t.Errorf("%s is left", what)
			}
		}
		if len(after) >= len(before) || strings.Count(after, "another "+iban) != strings.Count(before, "another "+iban) ||
			strings.Count(after, "p003 body "+iban) != strings.Count(before, "p003 body "+iban) || !strings.Contains(after, "p001 body …") {
			t.Errorf("what is another's, or lasts, is gone: %s", after)
		}
		for id, want := range map[string]bool{"r1": true, "r2": false, "r3": false} {
			if r, err := s.Request(t.Context(), store.RequestID{MerchantAccount: account, Operation: "create", ID: id}); err != nil || r.Erased != want {
				t.Errorf("%s: %+v, %v", id, r, err)
			}
		}
		if r, err := s.Request(t.Context(), store.RequestID{MerchantAccount: account, Operation: "capture", ID: "r6"}); err != nil || r.Erased {
			t.Errorf("what nobody is known by: %+v, %v", r, err)
		}
		all, err := s.Quarantined(t.Context(), 0, 10)
		if err != nil || len(all) != 3 || !all[0].Erased || all[0].Raw != nil || all[0].Reason != "not to be read" || all[1].Erased || all[2].Erased || all[1].Reason == all[1].Why() {
			t.Errorf("%+v, %v", all, err)
		}
		if n, err := scrub(t, s, remains); err != nil || n != 0 {
			t.Errorf("done twice: %d, %v", n, err)
		}
		if _, err := s.Events(t.Context(), store.Query{Stream: store.Payments, Limit: 200}); err != nil {
			t.Error(err)
		}
	})
}
