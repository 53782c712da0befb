package storetest

import (
	"bytes"
	"fmt"
	"testing"

	"payments.internal/klarna-gateway/store"
)

var shelfPromises = []promise{
	{"WhatIsSealedIsWalked", whatIsSealedIsWalked},
	{"ResealingReplacesWhatWasReadAlone", resealingReplacesWhatWasReadAlone},
	{"ResealingBringsNoErasedKeyBack", resealingBringsNoErasedKeyBack},
	{"RequestComesWithTheKeyOfWhomItConcerns", requestComesWithTheKeyOfWhomItConcerns},
	{"DataKeyIsPutOnce", dataKeyIsPutOnce},
	{"QuarantinedIsReplaced", quarantinedIsReplaced},
}

// stock puts n rows on every shelf.
func stock(t *testing.T, e store.Engine, n int) {
	t.Helper()
	for i := range n {
		for _, stream := range store.Streams() {
			ev := sealed(fmt.Sprintf("e%d-%s", i, stream), fmt.Sprintf("p%d-%s", i, stream), "key")
			ev.Stream = stream
			if i == 0 {
				ev.Raw, ev.Lasting = nil, nil
			}
			appendAll(t, e, ev)
		}
		put(t, e, block(account, "f", store.Position(i), store.Position(i)+1))
		if err := e.PutBlocks(t.Context(), []store.Block{{Stream: store.Payments, MerchantAccount: account, Form: "f", After: store.Position(i), UpTo: store.Position(i + 1), Body: []byte("block")}}); err != nil {
			t.Fatal(err)
		}
		commit(t, e, func(tx store.Tx) error {
			name := fmt.Sprintf("n%d", i)
			for _, put := range []error{
				tx.AddJob(t.Context(), store.Job{Kind: "k", MerchantAccount: account, Key: name, Payload: []byte("payload"), RunAt: at(1), CreatedAt: at(1)}),
				tx.PutRequest(t.Context(), store.Request{RequestID: store.RequestID{MerchantAccount: account, Operation: "op", ID: name}, Subject: "read_order o1",
					State: store.RequestDone, Answer: []byte("answer"), UpdatedAt: at(1), Concerns: "p0-payment"}),
				tx.PutSigningKey(t.Context(), store.SigningKey{SigningKeyID: store.SigningKeyID{Scheme: "s", MerchantAccount: account, ID: name}, Key: []byte("secret")}),
				tx.PutProbe(t.Context(), store.Probe{MerchantAccount: account, Webhook: "w", EventType: name, Raw: []byte("raw")}),
			} {
				if put != nil {
					return put
				}
			}
			_, err := tx.Quarantine(t.Context(), store.Quarantined{MerchantAccount: account, EventID: name, Raw: []byte("raw"), ReceivedAt: at(1)})
			return err
		})
	}
}

// walk reads a shelf page by page.
func walk(t *testing.T, e store.Engine, on store.Shelf, page int) (all []store.SealedRow) {
	t.Helper()
	var after []string
	for {
		found, err := e.Sealed(t.Context(), on, after, page)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
		if len(found) < page {
			return all
		}
		after = found[len(found)-1].Row
	}
}

func whatIsSealedIsWalked(t *testing.T, e store.Engine) {
	stock(t, e, 3)
	for _, on := range store.Shelves() {
		want := map[string]int{"subjects": 9, "data_keys": 9}[on.Table]
		want = orDefault(want, 3)
		all := walk(t, e, on, 2)
		if len(all) != want {
			t.Errorf("%s: %d rows, want %d", on.Table, len(all), want)
			continue
		}
		equal(t, on.Table+" in one page", walk(t, e, on, 100), all)
		for i, row := range all {
			if len(row.Row) != len(on.Row) || len(row.About) != len(on.About) || len(row.Values) != len(on.Sealed) || i > 0 && row.Row[0] == all[i-1].Row[0] && len(on.Row) == 1 {
				t.Errorf("%s: %+v", on.Table, row)
			}
		}
		if on.Table == "events" && (all[0].Values[2] != nil || string(all[1].Values[2]) != "raw of "+all[1].About[2] || all[1].About[0] != account) {
			t.Errorf("%+v", all)
		}
		if on.Table == "requests" {
			commit(t, e, func(tx store.Tx) error {
				return tx.PutRequest(t.Context(), store.Request{RequestID: store.RequestID{MerchantAccount: account, Operation: "op", ID: "n9"}, State: store.RequestDone, Answer: []byte("free")})
			})
			if on.Empty = "concerns"; len(walk(t, e, on, 1)) != 1 || string(walk(t, e, on, 1)[0].Values[0]) != "free" {
				t.Errorf("concerning nobody: %+v", walk(t, e, on, 1))
			}
			equal(t, "a request", all[1], store.SealedRow{Row: ids(account, "op", "n1"), About: ids("p0-payment", "read_order o1", "done"), Values: [][]byte{[]byte("answer")}})
		}
	}
}

func resealingReplacesWhatWasReadAlone(t *testing.T, e store.Engine) {
	stock(t, e, 2)
	for _, on := range store.Shelves() {
		before := walk(t, e, on, 100)
		if len(before) < 2 {
			t.Fatalf("%s: %+v", on.Table, before)
		}
		fresh := func(row store.SealedRow, word string) [][]byte {
			values := make([][]byte, len(row.Values))
			for i, old := range row.Values {
				if old != nil {
					values[i] = []byte(word + string(old))
				}
			}
			return values
		}
		first, second := fresh(before[1], "first "), fresh(before[1], "second ")
		commit(t, e, func(tx store.Tx) error { return tx.Reseal(t.Context(), on, before[1], first) })
		commit(t, e, func(tx store.Tx) error { return tx.Reseal(t.Context(), on, before[1], second) }) // it has changed since
		after := walk(t, e, on, 100)
		want := append([]store.SealedRow{}, before...)
		want[1].Values = first
		equal(t, on.Table, after, want)
		commit(t, e, func(tx store.Tx) error { return tx.Reseal(t.Context(), on, after[0], make([][]byte, len(on.Sealed))) })
		if emptied := walk(t, e, on, 100); len(emptied) != len(before) || len(bytes.Join(emptied[0].Values, nil)) > 0 {
			t.Errorf("%s: %+v is to hold nothing", on.Table, emptied)
		}
	}
}

func resealingBringsNoErasedKeyBack(t *testing.T, e store.Engine) {
	appendAll(t, e, sealed("e1", "p1", "key of p1"))
	var on store.Shelf
	for _, shelf := range store.Shelves() {
		if shelf.Table == "data_keys" {
			on = shelf
		}
	}
	read := walk(t, e, on, 10)
	results := e.Commit(t.Context(), []func(store.Tx) error{
		func(tx store.Tx) error { _, err := tx.Erase(t.Context(), "p1", at(5)); return err },
		func(tx store.Tx) error { return tx.Reseal(t.Context(), on, read[0], [][]byte{[]byte("sealed anew")}) },
	})
	for _, err := range results {
		if err != nil {
			t.Fatal(err)
		}
	}
	if key, err := dataKeyOf(t, e, "p1"); err != nil || key.Key != nil {
		t.Errorf("%+v, %v", key, err)
	}
}

func requestComesWithTheKeyOfWhomItConcerns(t *testing.T, e store.Engine) {
	appendAll(t, e, sealed("e1", "p1", "key of p1"))
	id := store.RequestID{MerchantAccount: account, Operation: "op", ID: "r1"}
	commit(t, e, func(tx store.Tx) error {
		return tx.PutRequest(t.Context(), store.Request{RequestID: id, Concerns: "p1", State: store.RequestOpen, Answer: []byte("sent"), LeasedUntil: at(1)})
	})
	for _, key := range []string{"key of p1", ""} {
		r, err := e.Request(t.Context(), id)
		if err != nil || r.Concerns != "p1" || string(r.DataKey.Key) != key {
			t.Errorf("%+v, %v", r, err)
		}
		left, err := e.Abandoned(t.Context(), at(9), 10)
		if err != nil || len(left) != 1 || left[0].Concerns != "p1" || string(left[0].DataKey.Key) != key {
			t.Errorf("%+v, %v", left, err)
		}
		erase(t, e, "p1", at(5))
	}
	commit(t, e, func(tx store.Tx) error {
		r, err := tx.Request(t.Context(), id)
		if err == nil && r.Concerns != "p1" {
			t.Errorf("%+v", r)
		}
		r.Concerns, r.DataKey = "", store.DataKey{}
		return tx.PutRequest(t.Context(), r)
	})
	if r, err := e.Request(t.Context(), id); err != nil || r.Concerns != "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func dataKeyIsPutOnce(t *testing.T, e store.Engine) {
	appendAll(t, e, event("e1", "p1", "PAID"))
	put := func(key string) error {
		return commitOne(t, e, func(tx store.Tx) error { return tx.PutDataKey(t.Context(), "p1", []byte(key)) })
	}
	if err := put("key of p1"); err != nil {
		t.Fatal(err)
	}
	if put("another") == nil {
		t.Error("a second key took the place of the first")
	}
	if key, err := dataKeyOf(t, e, "p1"); err != nil || string(key.Key) != "key of p1" {
		t.Errorf("%+v, %v", key, err)
	}
}

func quarantinedIsReplaced(t *testing.T, e store.Engine) {
	var first int64
	commit(t, e, func(tx store.Tx) (err error) {
		first, err = tx.Quarantine(t.Context(), store.Quarantined{MerchantAccount: account, EventID: "e1", Reason: "r: d", Raw: []byte("raw"), ReceivedAt: at(1)})
		if err == nil {
			_, err = tx.Quarantine(t.Context(), store.Quarantined{MerchantAccount: account, EventID: "e2", Reason: "r", Raw: []byte("raw"), ReceivedAt: at(2)})
		}
		return err
	})
	for _, id := range []int64{first, 4711} {
		commit(t, e, func(tx store.Tx) error {
			return tx.PutQuarantined(t.Context(), store.Quarantined{ID: id, Reason: "r", Raw: []byte{3}})
		})
	}
	found, err := e.Quarantined(t.Context(), 0, 10)
	if err != nil || len(found) != 2 || found[0].EventID != "e1" || found[0].Reason != "r" || !bytes.Equal(found[0].Raw, []byte{3}) || string(found[1].Raw) != "raw" {
		t.Errorf("%+v, %v", found, err)
	}
}
