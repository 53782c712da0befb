package storetest

import (
	"testing"

	"payments.internal/klarna-gateway/store"
)

var subjectPromises = []promise{
	{"SubjectIsItsNewestEvent", subjectIsItsNewestEvent},
	{"KeysAddressSubjects", keysAddressSubjects},
	{"MergedSubjectIsTakenOver", mergedSubjectIsTakenOver},
	{"MergesChain", mergesChain},
	{"MergeRefusesStrangers", mergeRefusesStrangers},
}

func subjectIsItsNewestEvent(t *testing.T, e store.Engine) {
	first := event("e1", "p1", "CREATED", session("s1"))
	second := event("e2", "p1", "AUTHORIZED", order("o1"))
	second.RecordedAt = at(7)
	appendAll(t, e, first, second)
	got, err := e.Subject(t.Context(), "p1")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "subject", got, store.Subject{
		ID: "p1", Stream: store.Payments, MerchantAccount: account, State: "AUTHORIZED", Body: second.Body,
		Latest: 2, CreatedAt: at(0), UpdatedAt: at(7),
	})
	_, err = e.Subject(t.Context(), "p2")
	isNotFound(t, "unknown subject", err)
	// Keys are those of the newest event.
	equal(t, "by new key", collect(subjects(t, e, store.Query{Keys: []store.Key{order("o1")}}), subjectID), ids("p1"))
	equal(t, "by old key", collect(subjects(t, e, store.Query{Keys: []store.Key{session("s1")}}), subjectID), ids())
}

// byKeys reads inside a unit.
func byKeys(t *testing.T, e store.Engine, stream store.Stream, merchantAccount string, keys ...store.Key) (found []string) {
	t.Helper()
	commit(t, e, func(tx store.Tx) error {
		list, err := tx.SubjectsByKeys(t.Context(), stream, merchantAccount, keys)
		found = collect(list, subjectID)
		return err
	})
	return found
}

func keysAddressSubjects(t *testing.T, e store.Engine) {
	mixed(t, e)
	shared := store.Key{Kind: "merchant_reference", Value: "R-17"}
	appendAll(t, e,
		event("e9", "p9", "CREATED", shared), event("e10", "p1", "REFUNDED", shared, session("s1"), order("o1")))
	equal(t, "shared key, oldest first", byKeys(t, e, store.Payments, account, shared), ids("p1", "p9"))
	equal(t, "two keys of one", byKeys(t, e, store.Payments, account, session("s1"), order("o1")), ids("p1"))
	equal(t, "other account", byKeys(t, e, store.Payments, "A-ANDERE", session("s1")), ids("p3"))
	equal(t, "other stream", byKeys(t, e, store.Accounts, account, session("s1")), ids("a1"))
	equal(t, "unknown key", byKeys(t, e, store.Payments, account, order("s1")), ids())
	equal(t, "no key", byKeys(t, e, store.Payments, account), ids())
}

func mergedSubjectIsTakenOver(t *testing.T, e store.Engine) {
	mixed(t, e)
	commit(t, e, func(tx store.Tx) error {
		if err := tx.Merge(t.Context(), "p2", "p1"); err != nil {
			return err
		}
		s, err := tx.Subject(t.Context(), "p2")
		equal(t, "subject in the unit", s.ID, "p1")
		return err
	})
	s, err := e.Subject(t.Context(), "p2")
	if err != nil || s.ID != "p1" || s.MergedInto != "" || string(s.Body) != "state e4" {
		t.Errorf("subject p2 is %+v, error %v", s, err)
	}
	equal(t, "live subjects", collect(subjects(t, e, store.Query{}), subjectID), ids("p1", "p3"))
	check := func(when string) {
		t.Helper()
		equal(t, "taken key "+when, byKeys(t, e, store.Payments, account, order("o2")), ids("p1"))
		equal(t, "both keys "+when, byKeys(t, e, store.Payments, account, order("o2"), session("s1")), ids("p1"))
		equal(t, "query "+when, collect(subjects(t, e, store.Query{Keys: []store.Key{session("s2")}}), subjectID), ids("p1"))
	}
	check("after the merge")
	appendAll(t, e, event("e9", "p1", "REFUNDED", session("s1")))
	check("after an event of the taker without it")
	if err := commitOne(t, e, appending(t, event("e10", "p2", "REFUNDED"))); err == nil {
		t.Error("a merged subject took an event")
	}
}

func mergesChain(t *testing.T, e store.Engine) {
	for _, id := range []string{"p1", "p2", "p3", "p4"} {
		appendAll(t, e, event("evt-"+id, id, "CREATED", session(id)))
	}
	for _, m := range [][2]string{{"p1", "p2"}, {"p3", "p4"}, {"p2", "p3"}, {"p1", "p4"}, {"p4", "p4"}} {
		commit(t, e, func(tx store.Tx) error { return tx.Merge(t.Context(), m[0], m[1]) })
	}
	for _, id := range []string{"p1", "p2", "p3", "p4"} {
		s, err := e.Subject(t.Context(), id)
		if err != nil || s.ID != "p4" {
			t.Errorf("subject %s is %s, error %v", id, s.ID, err)
		}
		equal(t, "key of "+id, byKeys(t, e, store.Payments, account, session(id)), ids("p4"))
	}
}

func mergeRefusesStrangers(t *testing.T, e store.Engine) {
	mixed(t, e)
	merge := func(from, into string) error {
		return commitOne(t, e, func(tx store.Tx) error { return tx.Merge(t.Context(), from, into) })
	}
	isNotFound(t, "from nobody", merge("p0", "p1"))
	isNotFound(t, "into nobody", merge("p1", "p0"))
	if merge("p3", "p1") == nil {
		t.Error("merged over accounts")
	}
	if merge("a1", "p1") == nil {
		t.Error("merged over streams")
	}
}
