package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"payments.internal/klarna-gateway/store"
)

var logPromises = []promise{
	{"LogHasAnIdentity", logHasAnIdentity},
	{"RestoredLogHasANewEpoch", restoredLogHasANewEpoch},
	{"FirstKeyringIsOnRecord", firstKeyringIsOnRecord},
	{"EventComesBackWhole", eventComesBackWhole},
	{"PositionsOrderTheLog", positionsOrderTheLog},
	{"EventIDIsUnique", eventIDIsUnique},
	{"NewSubjectIsNew", newSubjectIsNew},
	{"PoisonedUnitFailsAlone", poisonedUnitFailsAlone},
	{"PanickingUnitFailsAlone", panickingUnitFailsAlone},
	{"SwallowedFailureUndoesTheUnit", swallowedFailureUndoesTheUnit},
	{"UnitSeesTheUnitsBeforeIt", unitSeesTheUnitsBeforeIt},
	{"UnitsThatAskTogetherGetTheirOwnAnswers", unitsThatAskTogetherGetTheirOwnAnswers},
	{"ExpectingChangesNoAnswer", expectingChangesNoAnswer},
	{"UnitOutlivesItsContext", unitOutlivesItsContext},
	{"EndedContextCommitsNothing", endedContextCommitsNothing},
	{"VisiblePositionsAreDense", visiblePositionsAreDense},
	{"ListenRingsAfterCommits", listenRingsAfterCommits},
}

func logHasAnIdentity(t *testing.T, e store.Engine) {
	id, epoch, err := e.Log(t.Context())
	if err != nil || len(id) < 16 || epoch != 1 {
		t.Errorf("log is %q, epoch %d, error %v", id, epoch, err)
	}
	if head, trimmed := head(t, e); head != 0 || trimmed != 0 {
		t.Errorf("empty log has head %d, trimmed %d", head, trimmed)
	}
}

func restoredLogHasANewEpoch(t *testing.T, e store.Engine) {
	id, _, err := e.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ least, want int64 }{{0, 2}, {2, 3}, {1764547200, 1764547200}, {1764547200, 1764547201}} {
		raised, err := e.NewEpoch(t.Context(), tc.least)
		want := tc.want
		if err != nil || raised != want {
			t.Errorf("raised to %d, error %v, want %d", raised, err, want)
		}
		if same, epoch, err := e.Log(t.Context()); err != nil || same != id || epoch != want {
			t.Errorf("log is %q, epoch %d, error %v", same, epoch, err)
		}
	}
}

func firstKeyringIsOnRecord(t *testing.T, e store.Engine) {
	for _, digest := range []string{"first", "second", "first"} {
		if first, err := e.Keyring(t.Context(), []byte(digest)); err != nil || string(first) != "first" {
			t.Errorf("%s: got %q, error %v", digest, first, err)
		}
	}
}

func eventComesBackWhole(t *testing.T, e store.Engine) {
	full := store.Event{
		ID: "evt-1", Stream: store.Accounts, MerchantAccount: account, Subject: "acc-1", Kind: "state_change", Cause: "notification",
		State: "OPERATIONAL", PreviousState: "RESTRICTED", Superseded: true, OccurredAt: at(-5), RecordedAt: at(0).Add(123456000),
		Keys: []store.Key{{Kind: "account_id", Value: `krn:"acc<1>"`}, {Kind: "reference", Value: "Blåbær & Søn"}},
		Body: []byte{0, 1, 255}, Raw: []byte(`{"a":1}`), Fingerprint: []byte{9, 8}, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	bare := store.Event{ID: "evt-2", Stream: store.Accounts, Subject: "acc-2"}
	appendAll(t, e, full, bare)
	full.Position, bare.Position = 1, 2
	equal(t, "events", events(t, e, store.Query{Stream: store.Accounts}), []store.Event{full, bare})
	equal(t, "subjects", subjects(t, e, store.Query{Stream: store.Accounts}), []store.Subject{
		{ID: "acc-1", Stream: store.Accounts, MerchantAccount: account, State: "OPERATIONAL", Body: full.Body, Latest: 1, CreatedAt: full.RecordedAt, UpdatedAt: full.RecordedAt},
		{ID: "acc-2", Stream: store.Accounts, Latest: 2},
	})
}

func positionsOrderTheLog(t *testing.T, e store.Engine) {
	var got []store.Position
	for i := range 5 {
		commit(t, e, func(tx store.Tx) error {
			p, err := tx.Append(t.Context(), event(numbered("evt", i), "pay-1", "AUTHORIZED"))
			got = append(got, p)
			return err
		})
	}
	equal(t, "positions", got, []store.Position{1, 2, 3, 4, 5})
	equal(t, "events", collect(events(t, e, store.Query{}), at64), []int64{1, 2, 3, 4, 5})
	if newest, _ := head(t, e); newest != 5 {
		t.Errorf("head is %d", newest)
	}
}

func eventIDIsUnique(t *testing.T, e store.Engine) {
	first := event("evt-1", "pay-1", "AUTHORIZED")
	first.Fingerprint = []byte("print")
	commit(t, e, func(tx store.Tx) error {
		_, err := tx.EventByID(t.Context(), "evt-1")
		isNotFound(t, "new id", err)
		_, err = tx.Append(t.Context(), first)
		return err
	})
	again := event("evt-1", "acc-1", "OPERATIONAL")
	again.Stream = store.Accounts // unique over all streams
	if err := commitOne(t, e, appending(t, again)); err == nil {
		t.Error("second append of an id was taken")
	}
	commit(t, e, func(tx store.Tx) error {
		known, err := tx.EventByID(t.Context(), "evt-1")
		equal(t, "event by id", known, store.Event{ID: "evt-1", Position: 1, Subject: "pay-1", Fingerprint: []byte("print")})
		return err
	})
	if newest, _ := head(t, e); newest != 1 || len(events(t, e, store.Query{Stream: store.Accounts})) != 0 {
		t.Errorf("refused append left a trace, head %d", newest)
	}
}

// newSubjectIsNew takes the word of who says that a subject is new, but not against what is on record.
func newSubjectIsNew(t *testing.T, e store.Engine) {
	fresh := func(id, subject string) store.Event {
		ev := event(id, subject, "CREATED", order(subject))
		ev.New = true
		return ev
	}
	appendAll(t, e, fresh("e1", "p1"))
	failed := e.Commit(t.Context(), []func(store.Tx) error{appending(t, fresh("e2", "p2")), appending(t, fresh("e3", "p1")), appending(t, fresh("e4", "p2"))})
	if failed[0] != nil || failed[1] == nil || failed[2] == nil {
		t.Errorf("a new subject, one on record, one of the unit before: %v", failed)
	}
	equal(t, "events", collect(events(t, e, store.Query{}), eventID), ids("e1", "e2"))
	equal(t, "by key", byKeys(t, e, store.Payments, account, order("p1"), order("p2")), ids("p1", "p2"))
}

// visiblePositionsAreDense races writers against readers: whoever sees a position has to see all before it.
func visiblePositionsAreDense(t *testing.T, e store.Engine) {
	race(t, []store.Engine{e, e, e, e}, e)
}

// race lets each writer append from a goroutine of its own while watch is read, then demands a dense log.
func race(t *testing.T, writers []store.Engine, watch store.Engine) {
	const commits = 25
	var writing sync.WaitGroup
	for w, e := range writers {
		writing.Go(func() {
			for i := range commits {
				id := numbered(numbered("evt", w), i)
				results := e.Commit(t.Context(), []func(store.Tx) error{
					lookAndAppend(t, event(id+"a", numbered("pay", w), "AUTHORIZED")),
					lookAndAppend(t, event(id+"b", numbered("pay", w), "AUTHORIZED")),
				})
				if err := errors.Join(results...); err != nil {
					t.Errorf("commit: %v", err)
				}
			}
		})
	}
	last := store.Position(len(writers) * commits * 2)
	for seen := store.Position(0); seen < last && !t.Failed(); {
		newest, _ := head(t, watch)
		for _, ev := range events(t, watch, store.Query{After: seen}) {
			if seen++; ev.Position != seen {
				t.Fatalf("saw position %d before %d", ev.Position, seen)
			}
		}
		if seen < newest {
			t.Fatalf("head was %d, but events end at %d", newest, seen)
		}
	}
	writing.Wait()
	if newest, _ := head(t, watch); newest != last {
		t.Errorf("head is %d, want %d", newest, last)
	}
}

// lookAndAppend reads before it writes, as every caller does who asks whether an event is known.
func lookAndAppend(t *testing.T, ev store.Event) func(store.Tx) error {
	return func(tx store.Tx) error {
		if _, err := tx.EventByID(t.Context(), ev.ID); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("id %s: %w", ev.ID, err)
		}
		return appending(t, ev)(tx)
	}
}

func listenRingsAfterCommits(t *testing.T, e store.Engine) {
	rang := make(chan bool, 100)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Listen(ctx, func(own bool) { rang <- own }) }()
	if <-rang { // it has begun to listen
		t.Error("what was before is not the Engine's own")
	}
	appendAll(t, e, event("evt-1", "pay-1", "AUTHORIZED"))
	own := <-rang
	commit(t, e, func(tx store.Tx) error { return tx.AddJob(t.Context(), store.Job{Kind: "refresh", Key: "k"}) })
	if !<-rang || !own {
		t.Error("the Engine's own commits are taken for another's")
	}
	end()
	<-ended
}
