package storetest

import (
	"testing"
	"time"

	"payments.internal/klarna-gateway/store"
)

var erasePromises = []promise{
	{"DataKeyGoesWithItsSubject", dataKeyGoesWithItsSubject},
	{"SecondDataKeyIsRefused", secondDataKeyIsRefused},
	{"ErasureTakesTheKeyAndLeavesTheLog", erasureTakesTheKeyAndLeavesTheLog},
	{"ErasureFollowsMerges", erasureFollowsMerges},
	{"ErasedSubjectGetsNoKey", erasedSubjectGetsNoKey},
	{"ErasuresAreListed", erasuresAreListed},
}

// sealed is an event that brings its subject's data key, if one is given.
func sealed(id, subject, key string, keys ...store.Key) store.Event {
	ev := event(id, subject, "PAID", keys...)
	ev.Lasting, ev.Raw = []byte("lasting of "+id), []byte("raw of "+id)
	if key != "" {
		ev.DataKey = []byte(key)
	}
	return ev
}

func erase(t *testing.T, e store.Engine, subject string, when time.Time) (all []string) {
	t.Helper()
	commit(t, e, func(tx store.Tx) (err error) {
		all, err = tx.Erase(t.Context(), subject, when)
		return err
	})
	return all
}

func dataKeyOf(t *testing.T, e store.Engine, subject string) (key store.DataKey, err error) {
	t.Helper()
	commit(t, e, func(tx store.Tx) error {
		key, err = tx.DataKey(t.Context(), subject)
		return nil
	})
	return key, err
}

func dataKeyGoesWithItsSubject(t *testing.T, e store.Engine) {
	appendAll(t, e, sealed("e1", "p1", "key of p1", session("s1")), sealed("e2", "p1", "", session("s1")), event("e3", "p2", "PAID", session("s2")))
	found := events(t, e, store.Query{})
	for i, key := range []string{"key of p1", "key of p1", ""} {
		if string(found[i].DataKey) != key || found[i].Erased {
			t.Errorf("%s: key %q, erased %v", found[i].ID, found[i].DataKey, found[i].Erased)
		}
	}
	if string(found[0].Lasting) != "lasting of e1" || found[2].Lasting != nil {
		t.Errorf("lasting: %q, %q", found[0].Lasting, found[2].Lasting)
	}
	for _, q := range []store.Query{{}, {Keys: []store.Key{session("s1"), session("s2")}}} {
		list := subjects(t, e, q)
		if len(list) != 2 || string(list[0].DataKey.Key) != "key of p1" || string(list[0].Lasting) != "lasting of e2" || list[1].DataKey.Key != nil {
			t.Errorf("subjects: %+v", list)
		}
	}
	if key, err := dataKeyOf(t, e, "p1"); err != nil || string(key.Key) != "key of p1" || !key.ErasedAt.IsZero() {
		t.Errorf("key %v, %v", key, err)
	}
	_, err := dataKeyOf(t, e, "p2")
	isNotFound(t, "no key", err)
}

func secondDataKeyIsRefused(t *testing.T, e store.Engine) {
	appendAll(t, e, sealed("e1", "p1", "key of p1"))
	if err := commitOne(t, e, appending(t, sealed("e2", "p1", "another key"))); err == nil {
		t.Error("a second key took the place of the first")
	}
	if found := events(t, e, store.Query{}); len(found) != 1 || string(found[0].DataKey) != "key of p1" {
		t.Errorf("%+v", found)
	}
}

func erasureTakesTheKeyAndLeavesTheLog(t *testing.T, e store.Engine) {
	appendAll(t, e, sealed("e1", "p1", "key of p1"), sealed("e2", "p2", "key of p2"))
	before := events(t, e, store.Query{})
	equal(t, "erased", erase(t, e, "p1", at(5)), ids("p1"))
	before[0].DataKey, before[0].Erased = nil, true
	equal(t, "the log", events(t, e, store.Query{}), before)
	s, err := e.Subject(t.Context(), "p1")
	if err != nil || s.DataKey.Key != nil || !s.DataKey.ErasedAt.Equal(at(5)) {
		t.Errorf("%+v, %v", s, err)
	}
	erase(t, e, "p1", at(9))
	if key, err := dataKeyOf(t, e, "p1"); err != nil || key.Key != nil || !key.ErasedAt.Equal(at(5)) {
		t.Errorf("erased again: %+v, %v", key, err)
	}
	err = commitOne(t, e, func(tx store.Tx) error {
		_, err := tx.Erase(t.Context(), "nobody", at(5))
		return err
	})
	isNotFound(t, "erase nobody", err)
}

func erasureFollowsMerges(t *testing.T, e store.Engine) {
	appendAll(t, e, sealed("e1", "p1", "key of p1"), sealed("e2", "p2", "key of p2"), sealed("e3", "p3", "key of p3"))
	commit(t, e, func(tx store.Tx) error { return tx.Merge(t.Context(), "p2", "p1") })
	equal(t, "erased", erase(t, e, "p2", at(5)), ids("p1", "p2"))
	for _, ev := range events(t, e, store.Query{}) {
		if ev.Erased != (ev.Subject != "p3") || (ev.DataKey == nil) != ev.Erased {
			t.Errorf("%s: key %q, erased %v", ev.ID, ev.DataKey, ev.Erased)
		}
	}
}

func erasedSubjectGetsNoKey(t *testing.T, e store.Engine) {
	appendAll(t, e, event("e1", "p1", "PAID"))
	erase(t, e, "p1", at(5))
	if err := commitOne(t, e, appending(t, sealed("e2", "p1", "key of p1"))); err == nil {
		t.Error("a subject that was erased got a key")
	}
	commit(t, e, func(tx store.Tx) error { // within one unit, too
		if _, err := tx.Append(t.Context(), sealed("e3", "p2", "key of p2")); err != nil {
			return err
		}
		_, err := tx.Erase(t.Context(), "p2", at(6))
		return err
	})
	if key, err := dataKeyOf(t, e, "p2"); err != nil || key.Key != nil {
		t.Errorf("%+v, %v", key, err)
	}
}

func erasuresAreListed(t *testing.T, e store.Engine) {
	appendAll(t, e, sealed("e1", "p1", "key of p1", session("s1"), order("o1")), sealed("e2", "p2", "key of p2"), sealed("e3", "p3", "key of p3"))
	erase(t, e, "p3", at(7))
	erase(t, e, "p1", at(5))
	all, err := e.Erasures(t.Context(), "", 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	equal(t, "the first", all[0], store.Erasure{Subject: "p1", Stream: store.Payments, MerchantAccount: account, Keys: []store.Key{session("s1"), order("o1")}, ErasedAt: at(5)})
	for after, want := range map[string]int{"p1": 1, "p3": 0} {
		if rest, err := e.Erasures(t.Context(), after, 10); err != nil || len(rest) != want {
			t.Errorf("after %s: %+v, %v", after, rest, err)
		}
	}
	if first, err := e.Erasures(t.Context(), "", 1); err != nil || len(first) != 1 || first[0].Subject != "p1" {
		t.Errorf("%+v, %v", first, err)
	}
}
