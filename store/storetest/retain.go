package storetest

import (
	"testing"

	"payments.internal/klarna-gateway/store"
)

var retainPromises = []promise{
	{"RawBodiesAreDropped", rawBodiesAreDropped},
	{"FinalSubjectsAreForgotten", finalSubjectsAreForgotten},
	{"ForgettingLeavesTheRest", forgettingLeavesTheRest},
}

func rawBodiesAreDropped(t *testing.T, e store.Engine) {
	raws := func() (all []string) {
		for _, stream := range []store.Stream{store.Payments, store.Accounts} {
			for _, ev := range events(t, e, store.Query{Stream: stream}) {
				all = append(all, ev.ID+" "+string(ev.Raw)+" "+string(ev.Body))
			}
		}
		return all
	}
	partner := event("e3", "a1", "OPERATIONAL")
	partner.Stream = store.Accounts
	list := []store.Event{event("e1", "p1", "CREATED"), event("e2", "p1", "ORDERED"), partner, event("e4", "p1", "CAPTURED")}
	for i := range list {
		list[i].Raw = []byte("raw")
	}
	appendAll(t, e, list...)
	for _, upTo := range []store.Position{3, 1, 3} {
		if err := e.DropRaw(t.Context(), upTo); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "raw bodies", raws(), []string{"e1  state e1", "e2  state e2", "e4 raw state e4", "e3  state e3"})
	if err := e.DropRaw(t.Context(), 100); err != nil { // beyond the head
		t.Fatal(err)
	}
	next := event("e5", "p1", "REFUNDED")
	next.Raw = []byte("raw")
	appendAll(t, e, next)
	equal(t, "raw bodies", raws(), []string{"e1  state e1", "e2  state e2", "e4  state e4", "e5 raw state e5", "e3  state e3"})
}

func forget(t *testing.T, e store.Engine, upTo store.Position, limit int, states ...string) int {
	t.Helper()
	n, err := e.Forget(t.Context(), store.Payments, states, upTo, limit)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func finalSubjectsAreForgotten(t *testing.T, e store.Engine) {
	appendAll(t, e,
		event("e1", "p1", "CREATED", session("s1")), event("e2", "p1", "CLOSED", session("s1"), order("o1")),
		event("e3", "p2", "CREATED", order("o2")), event("e4", "p3", "CLOSED", session("s3")), event("e5", "p4", "ORDERED", session("s4")))
	commit(t, e, func(tx store.Tx) error { return tx.Merge(t.Context(), "p2", "p1") })
	if n := forget(t, e, 5, 10, "CLOSED"); n != 0 {
		t.Errorf("%d subjects were forgotten whose events are in view", n)
	}
	if err := e.Trim(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if n := forget(t, e, 3, 10, "CLOSED"); n != 2 { // p1, and p2 with it
		t.Errorf("%d subjects were forgotten, want 2", n)
	}
	for _, id := range []string{"p1", "p2"} {
		_, err := e.Subject(t.Context(), id)
		isNotFound(t, id, err)
	}
	equal(t, "events", collect(events(t, e, store.Query{}), eventID), ids("e4", "e5"))
	for _, k := range []store.Key{session("s1"), order("o1"), order("o2")} {
		equal(t, "by key", byKeys(t, e, store.Payments, account, k), []string{})
		equal(t, "events by key", collect(events(t, e, store.Query{Keys: []store.Key{k}}), eventID), ids())
	}
	if err := commitOne(t, e, appending(t, event("e2", "p1", "CLOSED"))); err == nil {
		t.Error("the id of a forgotten event was taken again")
	}
	appendAll(t, e, event("e9", "p1", "CREATED", session("s1"))) // told anew: it begins anew
	equal(t, "subjects", collect(subjects(t, e, store.Query{}), subjectID), ids("p3", "p4", "p1"))
}

func forgettingLeavesTheRest(t *testing.T, e store.Engine) {
	appendAll(t, e,
		event("e1", "p1", "CLOSED", session("s1")), event("e2", "p2", "CLOSED", session("s1")),
		event("e3", "p3", "REFUNDED", session("s1")), event("e4", "p4", "ORDERED", session("s1")))
	partner := event("e5", "a1", "CLOSED")
	partner.Stream = store.Accounts
	appendAll(t, e, partner)
	if err := e.Trim(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 1, 1, 0} { // oldest first, one at a time
		if n := forget(t, e, 100, 1, "CLOSED", "REFUNDED"); n != want {
			t.Errorf("%d were forgotten, want %d", n, want)
		}
	}
	equal(t, "subjects", collect(subjects(t, e, store.Query{}), subjectID), ids("p4"))
	equal(t, "accounts", collect(subjects(t, e, store.Query{Stream: store.Accounts}), subjectID), ids("a1"))
	equal(t, "by key", collect(subjects(t, e, store.Query{Keys: []store.Key{session("s1")}}), subjectID), ids("p4"))
}
