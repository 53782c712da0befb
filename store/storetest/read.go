package storetest

import (
	"slices"
	"testing"

	"payments.internal/klarna-gateway/store"
)

var readPromises = []promise{
	{"EventsFilter", eventsFilter},
	{"EventsMatchByTheirOwnKeys", eventsMatchByTheirOwnKeys},
	{"SubjectsFilter", subjectsFilter},
	{"SnapshotPagesToItsEnd", snapshotPagesToItsEnd},
	{"LimitIsNeeded", limitIsNeeded},
	{"TrimKeepsTheNewestOfEachSubject", trimKeepsTheNewestOfEachSubject},
}

// mixed appends events 1 to 8 of three payments in two accounts, and one of an account.
func mixed(t *testing.T, e store.Engine) {
	t.Helper()
	other := event("e5", "p3", "AUTHORIZED", session("s1"), order("o3"))
	other.MerchantAccount = "A-ANDERE"
	partner := event("e6", "a1", "OPERATIONAL", session("s1"))
	partner.Stream = store.Accounts
	appendAll(t, e,
		event("e1", "p1", "CREATED", session("s1")),
		event("e2", "p2", "CREATED", session("s2")),
		event("e3", "p1", "AUTHORIZED", session("s1"), order("o1")),
		event("e4", "p1", "CAPTURED", session("s1"), order("o1")),
		other, partner,
		event("e7", "p2", "AUTHORIZED", session("s2"), order("o2")),
		event("e8", "p2", "CAPTURED", session("s2"), order("o2"), order("o2")),
	)
}

func eventsFilter(t *testing.T, e store.Engine) {
	mixed(t, e)
	for name, c := range map[string]struct {
		query store.Query
		want  []string
	}{
		"all":                  {store.Query{}, ids("e1", "e2", "e3", "e4", "e5", "e7", "e8")},
		"other stream":         {store.Query{Stream: store.Accounts}, ids("e6")},
		"unknown stream":       {store.Query{Stream: "nothing"}, ids()},
		"account":              {store.Query{MerchantAccount: "A-ANDERE"}, ids("e5")},
		"range":                {store.Query{After: 2, UpTo: 5}, ids("e3", "e4", "e5")},
		"empty range":          {store.Query{After: 8}, ids()},
		"limit":                {store.Query{After: 1, Limit: 2}, ids("e2", "e3")},
		"descending":           {store.Query{Descending: true, Limit: 3}, ids("e8", "e7", "e5")},
		"descending range":     {store.Query{Descending: true, After: 2, UpTo: 5}, ids("e5", "e4", "e3")},
		"state":                {store.Query{States: []string{"CAPTURED"}}, ids("e4", "e8")},
		"states":               {store.Query{States: []string{"CAPTURED", "CREATED"}, MerchantAccount: account}, ids("e1", "e2", "e4", "e8")},
		"key in all accounts":  {store.Query{Keys: []store.Key{session("s1")}}, ids("e1", "e3", "e4", "e5")},
		"key in one account":   {store.Query{Keys: []store.Key{session("s1")}, MerchantAccount: account}, ids("e1", "e3", "e4")},
		"one of several keys":  {store.Query{Keys: []store.Key{order("o1"), session("s1"), order("o3")}}, ids("e1", "e3", "e4", "e5")},
		"kind counts":          {store.Query{Keys: []store.Key{{Kind: "order_id", Value: "s1"}}}, ids()},
		"key, range and state": {store.Query{Keys: []store.Key{session("s2"), order("o2")}, After: 2, States: []string{"CAPTURED"}}, ids("e8")},
		"key descending":       {store.Query{Keys: []store.Key{session("s2")}, Descending: true, Limit: 2}, ids("e8", "e7")},
	} {
		equal(t, name, collect(events(t, e, c.query), eventID), c.want)
	}
}

func eventsMatchByTheirOwnKeys(t *testing.T, e store.Engine) {
	mixed(t, e)
	commit(t, e, func(tx store.Tx) error { return tx.Merge(t.Context(), "p2", "p1") })
	// The order's number came with the second event, and a merge moves no event.
	equal(t, "by order", collect(events(t, e, store.Query{Keys: []store.Key{order("o1")}}), eventID), ids("e3", "e4"))
	equal(t, "by session", collect(events(t, e, store.Query{Keys: []store.Key{session("s2")}}), eventID), ids("e2", "e7", "e8"))
}

func subjectsFilter(t *testing.T, e store.Engine) {
	mixed(t, e)
	for name, c := range map[string]struct {
		query store.Query
		want  []string
	}{
		"all":                  {store.Query{}, ids("p1", "p3", "p2")},
		"other stream":         {store.Query{Stream: store.Accounts}, ids("a1")},
		"account":              {store.Query{MerchantAccount: account}, ids("p1", "p2")},
		"state":                {store.Query{States: []string{"AUTHORIZED"}}, ids("p3")},
		"states and account":   {store.Query{States: []string{"AUTHORIZED", "CAPTURED"}, MerchantAccount: account}, ids("p1", "p2")},
		"range":                {store.Query{After: 4, UpTo: 7}, ids("p3")},
		"descending":           {store.Query{Descending: true, Limit: 2}, ids("p2", "p3")},
		"key in all accounts":  {store.Query{Keys: []store.Key{session("s1")}}, ids("p1", "p3")},
		"key in one account":   {store.Query{Keys: []store.Key{session("s1")}, MerchantAccount: account}, ids("p1")},
		"several keys":         {store.Query{Keys: []store.Key{order("o2"), session("s2"), order("o1")}}, ids("p1", "p2")},
		"key with a zero byte": {store.Query{Keys: []store.Key{session("s1\x00"), order("o1")}}, ids("p1")},
		"no such key":          {store.Query{Keys: []store.Key{order("s1")}}, ids()},
	} {
		equal(t, name, collect(subjects(t, e, c.query), subjectID), c.want)
	}
}

func snapshotPagesToItsEnd(t *testing.T, e store.Engine) {
	for i := range 7 {
		appendAll(t, e, event(numbered("evt", i), numbered("pay", i), "AUTHORIZED"))
	}
	upTo, _ := head(t, e)
	page := subjects(t, e, store.Query{UpTo: upTo, Limit: 3})
	equal(t, "first page", collect(page, subjectID), ids("pay-000", "pay-001", "pay-002"))
	appendAll(t, e, event("evt-moved", "pay-004", "CAPTURED"), event("evt-again", "pay-001", "CAPTURED"), event("evt-new", "pay-new", "AUTHORIZED"))
	var rest []string
	for len(page) > 0 {
		page = subjects(t, e, store.Query{After: page[len(page)-1].Latest, UpTo: upTo, Limit: 3})
		rest = append(rest, collect(page, subjectID)...)
	}
	// pay-004 moved on: it left the snapshot and its event is behind it.
	equal(t, "rest", rest, ids("pay-003", "pay-005", "pay-006"))
	equal(t, "behind", collect(events(t, e, store.Query{After: upTo}), eventID), ids("evt-moved", "evt-again", "evt-new"))
}

func limitIsNeeded(t *testing.T, e store.Engine) {
	for _, limit := range []int{0, -1} {
		q := store.Query{Stream: store.Payments, Limit: limit}
		if _, err := e.Events(t.Context(), q); err == nil {
			t.Errorf("events with limit %d", limit)
		}
		if _, err := e.Subjects(t.Context(), q); err == nil {
			t.Errorf("subjects with limit %d", limit)
		}
	}
}

func trimKeepsTheNewestOfEachSubject(t *testing.T, e store.Engine) {
	mixed(t, e)
	trim := func(upTo store.Position) {
		t.Helper()
		if _, err := e.Trim(t.Context(), upTo); err != nil {
			t.Fatalf("trim up to %d: %v", upTo, err)
		}
	}
	trim(7)
	trim(3) // no way back
	if newest, trimmed := head(t, e); newest != 8 || trimmed != 7 {
		t.Errorf("head %d, trimmed %d", newest, trimmed)
	}
	equal(t, "payments", collect(events(t, e, store.Query{}), eventID), ids("e4", "e5", "e8"))
	equal(t, "accounts", collect(events(t, e, store.Query{Stream: store.Accounts}), eventID), ids("e6"))
	equal(t, "by key", collect(events(t, e, store.Query{Keys: []store.Key{session("s1"), session("s2")}}), eventID), ids("e4", "e5", "e8"))
	equal(t, "subjects", collect(subjects(t, e, store.Query{}), subjectID), ids("p1", "p3", "p2"))
	commit(t, e, func(tx store.Tx) error {
		for _, id := range []string{"e1", "e7"} {
			if _, err := tx.EventByID(t.Context(), id); err != nil {
				t.Errorf("id %s was forgotten: %v", id, err)
			}
		}
		return nil
	})
	if err := commitOne(t, e, appending(t, event("e1", "p1", "CREATED"))); err == nil {
		t.Error("the id of a trimmed event was taken again")
	}
	trim(100)
	if newest, trimmed := head(t, e); newest != 8 || trimmed != 8 {
		t.Errorf("trimmed beyond the head: head %d, trimmed %d", newest, trimmed)
	}
	appendAll(t, e, event("e9", "p1", "REFUNDED"))
	if list := collect(events(t, e, store.Query{}), at64); !slices.Contains(list, 9) {
		t.Errorf("positions after the trim are %v", list)
	}
}
