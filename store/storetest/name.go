package storetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"payments.internal/klarna-gateway/store"
)

var namePromises = []promise{
	{"FormerNamesFindOldEvents", formerNamesFindOldEvents},
	{"NamePassesToAnotherSubject", namePassesToAnotherSubject},
	{"EventsOfMergedSubjectsAreFound", eventsOfMergedSubjectsAreFound},
	{"ForgottenNamesFindNothing", forgottenNamesFindNothing},
	{"SharedKeysFindEvents", sharedKeysFindEvents},
	{"KeysFindWhatCarriesThem", keysFindWhatCarriesThem},
}

// partner is a key that many payments share.
func partner(id string) store.Key { return store.Key{Kind: "partner_account_id", Value: id} }

// found are the ids of the events that one of the keys addresses.
func found(t *testing.T, e store.Engine, keys ...store.Key) []string {
	t.Helper()
	return collect(events(t, e, store.Query{Keys: keys}), eventID)
}

func formerNamesFindOldEvents(t *testing.T, e store.Engine) {
	appendAll(t, e,
		event("e1", "p1", "CREATED", session("s1")), event("e2", "p1", "ORDERED", session("s1"), order("o1")),
		event("e3", "p2", "CREATED", session("s2")), event("e4", "p1", "ORDERED", order("o1")), event("e5", "p1", "CAPTURED", order("o2")))
	equal(t, "by the session", found(t, e, session("s1")), ids("e1", "e2"))
	equal(t, "by the order", found(t, e, order("o1")), ids("e2", "e4"))
	equal(t, "by both", found(t, e, session("s1"), order("o1"), order("o2")), ids("e1", "e2", "e4", "e5"))
	equal(t, "subjects by the session", collect(subjects(t, e, store.Query{Keys: []store.Key{session("s1")}}), subjectID), ids())
	equal(t, "in a unit", byKeys(t, e, store.Payments, account, session("s1"), order("o1")), ids())
	appendAll(t, e, event("e6", "p1", "REFUNDED", session("s1"), order("o2")))
	equal(t, "by the session that came back", found(t, e, session("s1")), ids("e1", "e2", "e6"))
	equal(t, "subjects by the session that came back", byKeys(t, e, store.Payments, account, session("s1")), ids("p1"))
	trim(t, e, 2)
	equal(t, "by the session, trimmed", found(t, e, session("s1")), ids("e6"))
	equal(t, "by the order, trimmed", found(t, e, order("o1")), ids("e4"))
}

func namePassesToAnotherSubject(t *testing.T, e store.Engine) {
	appendAll(t, e,
		event("e1", "p1", "CREATED", session("s1")), event("e2", "p1", "ORDERED"),
		event("e3", "p2", "CREATED", session("s1")), event("e4", "p2", "ORDERED", session("s1")), event("e5", "p1", "CAPTURED"))
	equal(t, "events", found(t, e, session("s1")), ids("e1", "e3", "e4"))
	equal(t, "subjects", byKeys(t, e, store.Payments, account, session("s1")), ids("p2"))
}

func eventsOfMergedSubjectsAreFound(t *testing.T, e store.Engine) {
	commit(t, e, func(tx store.Tx) error { // all of it in one unit
		for _, ev := range []store.Event{
			event("e1", "p1", "CREATED", session("s1")), event("e2", "p2", "ORDERED", order("o1")), event("e3", "p2", "CAPTURED", order("o1")),
		} {
			if err := appending(t, ev)(tx); err != nil {
				return err
			}
		}
		if err := tx.Merge(t.Context(), "p2", "p1"); err != nil {
			return err
		}
		return appending(t, event("e4", "p1", "CAPTURED", session("s1"), order("o1")))(tx)
	})
	equal(t, "by the order", found(t, e, order("o1")), ids("e2", "e3", "e4"))
	equal(t, "by the session", found(t, e, session("s1")), ids("e1", "e4"))
	appendAll(t, e, event("e5", "p1", "REFUNDED", session("s1")))
	equal(t, "by the order that the taker left", found(t, e, order("o1")), ids("e2", "e3", "e4"))
	equal(t, "which is still the taker's", byKeys(t, e, store.Payments, account, order("o1")), ids("p1"))
	trim(t, e, 4)
	equal(t, "trimmed", found(t, e, order("o1")), ids("e3"))
}

func forgottenNamesFindNothing(t *testing.T, e store.Engine) {
	appendAll(t, e, event("e1", "p1", "CREATED", session("s1")), event("e2", "p1", "CLOSED", order("o1")))
	trim(t, e, 2)
	if n := forget(t, e, 2, 10, "CLOSED"); n != 1 {
		t.Fatalf("%d were forgotten", n)
	}
	appendAll(t, e, event("e3", "p1", "CREATED", session("s3")), event("e4", "p1", "ORDERED", session("s3"), order("o4"))) // told anew
	equal(t, "by what it was called before", found(t, e, session("s1"), order("o1")), ids())
	equal(t, "by what it is called now", found(t, e, session("s3")), ids("e3", "e4"))
}

func sharedKeysFindEvents(t *testing.T, e store.Engine) {
	appendAll(t, e,
		event("e1", "p1", "CREATED", session("s1"), partner("A")), event("e2", "p2", "CREATED", session("s2"), partner("A")),
		event("e3", "p1", "ORDERED", session("s1"), partner("B")), event("e4", "p2", "ORDERED", session("s2"), partner("A"), partner("A")))
	equal(t, "of one", found(t, e, partner("A")), ids("e1", "e2", "e4"))
	equal(t, "of another or by name", found(t, e, partner("B"), session("s2")), ids("e2", "e3", "e4"))
	equal(t, "subjects", byKeys(t, e, store.Payments, account, partner("A")), ids("p2"))
	trim(t, e, 3)
	equal(t, "of one, trimmed", found(t, e, partner("A")), ids("e4"))
	equal(t, "all, trimmed", found(t, e, partner("A"), partner("B"), session("s1")), ids("e3", "e4"))
}

// keysFindWhatCarriesThem compares reads by keys with what all events are, whatever became of their subjects.
func keysFindWhatCarriesThem(t *testing.T, e store.Engine) {
	dice := rand.New(rand.NewPCG(7, 11))
	some := func(kind func(string) store.Key, most int) (keys []store.Key) {
		for range dice.IntN(most + 1) {
			keys = append(keys, kind(string(rune('a'+dice.IntN(5)))))
		}
		return keys
	}
	states, accounts := []string{"CREATED", "ORDERED", "CLOSED"}, []string{account, "A-ANDERE"}
	subject := func() (id, of string) {
		n := dice.IntN(12)
		return numbered("p", n), accounts[n%2]
	}
	newest := store.Position(0)
	for i := range 60 {
		for k := range 1 + dice.IntN(3) {
			id, of := subject()
			ev := event(numbered(numbered("e", i), k), id, states[dice.IntN(3)], slices.Concat(some(session, 1), some(order, 2), some(partner, 1))...)
			ev.MerchantAccount = of
			if commitOne(t, e, appending(t, ev)) == nil { // or its subject is merged away
				newest++
			}
		}
		switch from, of := subject(); i % 6 {
		case 3:
			if into, others := subject(); of == others {
				_ = commitOne(t, e, func(tx store.Tx) error { return tx.Merge(t.Context(), from, into) })
			}
		case 4:
			trim(t, e, newest*3/4)
		case 5:
			forget(t, e, newest/2, 2, "CLOSED")
		}
		for range 6 {
			q := store.Query{Keys: slices.Concat(some(session, 1), some(order, 2), some(partner, 1)), Descending: dice.IntN(2) == 0}
			if dice.IntN(2) == 0 {
				q.MerchantAccount = account
			}
			if dice.IntN(2) == 0 {
				q.States = states[:2]
			}
			if dice.IntN(2) == 0 {
				q.After, q.UpTo = store.Position(dice.Int64N(int64(newest)+1)), 1+store.Position(dice.Int64N(int64(newest)+1))
			}
			limit := 1 + dice.IntN(8)
			all := q
			all.Keys = nil
			want := slices.DeleteFunc(events(t, e, all), func(ev store.Event) bool {
				return len(q.Keys) > 0 && !slices.ContainsFunc(q.Keys, func(k store.Key) bool { return slices.Contains(ev.Keys, k) })
			})
			q.Limit = limit
			equal(t, "what carries a key", events(t, e, q), want[:min(limit, len(want))])
		}
	}
}
