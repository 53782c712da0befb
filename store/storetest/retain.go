package storetest

import (
	"errors"
	"sync"
	"testing"

	"payments.internal/klarna-gateway/store"
)

var retainPromises = []promise{
	{"RawBodiesAreDropped", rawBodiesAreDropped},
	{"FinalSubjectsAreForgotten", finalSubjectsAreForgotten},
	{"ForgettingLeavesTheRest", forgettingLeavesTheRest},
	{"TrimmingCostsWhatItTrims", trimmingCostsWhatItTrims},
	{"TrimmingMissesNoSubjectThatMoves", trimmingMissesNoSubjectThatMoves},
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
	if _, err := e.Trim(t.Context(), 5); err != nil {
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
	if _, err := e.Trim(t.Context(), 5); err != nil {
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

func trim(t *testing.T, e store.Engine, upTo store.Position) store.Trimmed {
	t.Helper()
	done, err := e.Trim(t.Context(), upTo)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// trimmingCostsWhatItTrims keeps many subjects' newest events, in all streams, and demands that they are not looked at again.
func trimmingCostsWhatItTrims(t *testing.T, e store.Engine) {
	const many = 2100
	kept := make([]store.Event, many)
	for i := range kept {
		kept[i] = event(numbered("kept", i), numbered("p", i), "ORDERED", order(numbered("o", i)))
		kept[i].Stream = store.Streams()[i%len(store.Streams())]
	}
	commit(t, e, func(tx store.Tx) error {
		for _, ev := range kept {
			if _, err := tx.Append(t.Context(), ev); err != nil {
				return err
			}
		}
		return nil
	})
	appendAll(t, e, event("a1", "a", "CREATED"), event("a2", "a", "ORDERED"))
	equal(t, "all is new", trim(t, e, many+1), store.Trimmed{Looked: many + 1, Gone: 1})
	equal(t, "nothing is new", trim(t, e, many+1), store.Trimmed{})
	for _, i := range []int{0, 1, 2, 2000} { // one of each stream, and one far behind
		next := kept[i]
		next.ID, next.State = next.ID+"-next", "CAPTURED"
		appendAll(t, e, next)
	}
	equal(t, "four were left behind, one is new", trim(t, e, many+2), store.Trimmed{Looked: 5, Gone: 4})
	equal(t, "nothing is new", trim(t, e, many+2), store.Trimmed{})
	for _, i := range []int{0, 1, 2, 2000} {
		q := store.Query{Stream: kept[i].Stream, Keys: kept[i].Keys}
		equal(t, "events by key", collect(events(t, e, q), eventID), ids(kept[i].ID+"-next"))
		q.Keys = nil
		if found := events(t, e, q); found[0].ID == kept[i].ID {
			t.Errorf("%s was left behind and is still there", kept[i].ID)
		}
	}
	equal(t, "those that moved are new", trim(t, e, many+6), store.Trimmed{Looked: 4})
}

// trimmingMissesNoSubjectThatMoves lets subjects move while the log is trimmed behind them: in the end one event is left of each.
func trimmingMissesNoSubjectThatMoves(t *testing.T, e store.Engine) {
	const movers, moves = 4, 40
	var moving sync.WaitGroup
	for m := range movers {
		moving.Go(func() {
			for i := range moves {
				subject := numbered(numbered("p", m), i%5)
				results := e.Commit(t.Context(), []func(store.Tx) error{appending(t, event(numbered(numbered("e", m), i), subject, "ORDERED", session(subject)))})
				if err := errors.Join(results...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var gone int64
	for newest := store.Position(0); newest < movers*moves && !t.Failed(); {
		newest, _ = head(t, e)
		gone += trim(t, e, newest).Gone
	}
	moving.Wait()
	gone += trim(t, e, movers*moves).Gone
	if want := int64(movers * (moves - 5)); gone != want {
		t.Errorf("%d events are gone, want %d", gone, want)
	}
	if left := events(t, e, store.Query{}); len(left) != movers*5 {
		t.Errorf("%d events are left of %d subjects", len(left), movers*5)
	}
}
