package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"payments.internal/klarna-gateway/store"
)

// batch commits units that fail between two that do not.
func batch(t *testing.T, e store.Engine, between ...func(store.Tx) error) (results []error) {
	t.Helper()
	units := []func(store.Tx) error{appending(t, event("evt-first", "pay-1", "AUTHORIZED"))}
	units = append(units, between...)
	units = append(units, appending(t, event("evt-last", "pay-1", "CAPTURED")))
	results = e.Commit(t.Context(), units)
	if len(results) != len(units) {
		t.Fatalf("%d units gave %d results", len(units), len(results))
	}
	if first, last := results[0], results[len(results)-1]; first != nil || last != nil {
		t.Fatalf("good units failed: %v, %v", first, last)
	}
	equal(t, "events", collect(events(t, e, store.Query{}), eventID), []string{"evt-first", "evt-last"})
	return results[1 : len(results)-1]
}

// everything writes to whatever a unit can write to.
func everything(t *testing.T, tx store.Tx) error {
	ctx := t.Context()
	_, err := tx.Append(ctx, event("evt-bad", "pay-bad", "AUTHORIZED", session("bad")))
	return errors.Join(err,
		tx.AddJob(ctx, store.Job{Kind: "refresh", Key: "bad"}),
		tx.PutRequest(ctx, store.Request{RequestID: store.RequestID{ID: "bad"}}),
		tx.PutSecret(ctx, store.Secret{Hash: []byte("bad")}),
		quarantine(ctx, tx, store.Quarantined{Reason: "bad"}))
}

// noTrace demands that nothing of everything is there.
func noTrace(t *testing.T, e store.Engine) {
	t.Helper()
	ctx := t.Context()
	_, err := e.Subject(ctx, "pay-bad")
	isNotFound(t, "subject", err)
	_, err = e.Request(ctx, store.RequestID{ID: "bad"})
	isNotFound(t, "request", err)
	_, err = e.Secret(ctx, []byte("bad"))
	isNotFound(t, "secret", err)
	jobs, err := e.Jobs(ctx, "", "", 10)
	if err != nil || len(jobs) != 0 {
		t.Errorf("jobs %v, error %v", jobs, err)
	}
	kept, err := e.Quarantined(ctx, 0, 10)
	if err != nil || len(kept) != 0 {
		t.Errorf("quarantined %v, error %v", kept, err)
	}
	commit(t, e, func(tx store.Tx) error {
		_, err := tx.EventByID(ctx, "evt-bad")
		isNotFound(t, "event id", err)
		return nil
	})
}

func poisonedUnitFailsAlone(t *testing.T, e store.Engine) {
	poison := errors.New("poison")
	failed := batch(t, e, func(tx store.Tx) error {
		if err := everything(t, tx); err != nil {
			t.Errorf("write: %v", err)
		}
		return poison
	})
	if !errors.Is(failed[0], poison) {
		t.Errorf("got %v, want the unit's own error", failed[0])
	}
	noTrace(t, e)
}

func panickingUnitFailsAlone(t *testing.T, e store.Engine) {
	failed := batch(t, e, func(tx store.Tx) error {
		if err := everything(t, tx); err != nil {
			t.Errorf("write: %v", err)
		}
		panic("out of luck")
	})
	if failed[0] == nil || !strings.Contains(failed[0].Error(), "out of luck") || !strings.Contains(failed[0].Error(), "storetest") {
		t.Errorf("got %v, want the panic with its stack", failed[0])
	}
	noTrace(t, e)
}

func swallowedFailureUndoesTheUnit(t *testing.T, e store.Engine) {
	strange := event("evt-bad", "pay-1", "AUTHORIZED") // pay-1 belongs to another account
	strange.MerchantAccount = "A-FREMD"
	failed := batch(t, e, func(tx store.Tx) error {
		_, _ = tx.Append(t.Context(), strange)
		return nil
	})
	if failed[0] == nil {
		t.Error("a unit survived a half-done append")
	}
	noTrace(t, e)
}

func unitSeesTheUnitsBeforeIt(t *testing.T, e store.Engine) {
	duplicate := func(tx store.Tx) error {
		known, err := tx.EventByID(t.Context(), "evt-first")
		if err != nil {
			return err
		}
		equal(t, "event of the unit before", known.Position, store.Position(1))
		latest, err := tx.Subject(t.Context(), "pay-1")
		equal(t, "subject of the unit before", latest.State, "AUTHORIZED")
		return err
	}
	if failed := batch(t, e, duplicate); failed[0] != nil {
		t.Errorf("duplicate in one batch: %v", failed[0])
	}
}

// unitsThatAskTogetherGetTheirOwnAnswers lets the units of a batch ask for what is there, what is not, and what others ask, too.
func unitsThatAskTogetherGetTheirOwnAnswers(t *testing.T, e store.Engine) {
	appendAll(t, e,
		event("e1", "p1", "CREATED", session("s1")), event("e2", "p2", "CREATED", order("o2")),
		event("e3", "p3", "CREATED", session("s1"), order("o3")), event("e4", "p4", "CREATED", order("o4")))
	foreign := event("e5", "f1", "CREATED", order("o2"))
	foreign.MerchantAccount = "A-FREMD"
	appendAll(t, e, foreign)
	commit(t, e, func(tx store.Tx) error { return tx.Merge(t.Context(), "p4", "p2") })
	asks := []struct {
		account string
		keys    []store.Key
		id      string
		want    []string
	}{
		{account, []store.Key{order("o2")}, "e2", ids("p2")},
		{account, []store.Key{session("s1")}, "e9", ids("p1", "p3")}, // oldest first
		{account, []store.Key{order("o9")}, "e1", ids()},
		{account, nil, "e3", ids()},
		{"A-FREMD", []store.Key{order("o2")}, "e5", ids("f1")},
		{account, []store.Key{order("o4"), order("o2"), order("o3")}, "e4", ids("p2", "p3")}, // p4 went into p2
		{account, []store.Key{{Kind: "order_id", Value: "o2\x00"}}, "e2", ids()},
		{account, []store.Key{order("o2")}, "e2", ids("p2")},
	}
	var units []func(store.Tx) error
	for n, ask := range asks {
		units = append(units, func(tx store.Tx) error {
			known, err := tx.EventByID(t.Context(), ask.id)
			switch {
			case ask.id == "e9":
				isNotFound(t, "event", err)
			case err != nil:
				return err
			case known.ID != ask.id || known.Position != store.Position(ask.id[1]-'0'):
				t.Errorf("unit %d asked for event %s and got %s at %d", n, ask.id, known.ID, known.Position)
			}
			found, err := tx.SubjectsByKeys(t.Context(), store.Payments, ask.account, ask.keys)
			equal(t, numbered("subjects of unit", n), collect(found, subjectID), ask.want)
			return err
		})
	}
	if err := errors.Join(e.Commit(t.Context(), units)...); err != nil {
		t.Error(err)
	}
}

// expectingChangesNoAnswer lets units say what they will ask, and then ask that or something else, behind units that change what
// the answer is. What counts is what a unit saw when it ran last.
func expectingChangesNoAnswer(t *testing.T, e store.Engine) {
	ctx := t.Context()
	appendAll(t, e, event("e1", "p1", "CREATED", order("o1")), event("e2", "p2", "CREATED", order("o2")))
	var saw []string
	var units []func(store.Tx) error
	looking := func(expected, asked string, before ...func(store.Tx) error) {
		n := len(saw)
		saw = append(saw, "")
		units = append(units, func(tx store.Tx) error {
			saw[n] = ""
			tx.Expect("e1", store.Payments, account, []store.Key{order(expected)})
			if _, err := tx.EventByID(ctx, "e1"); err != nil {
				return err
			}
			for _, do := range before {
				if err := do(tx); err != nil {
					return err
				}
			}
			for range 1 + n%2 { // the second time it is not expected
				found, err := tx.SubjectsByKeys(ctx, store.Payments, account, []store.Key{order(asked)})
				if err != nil {
					return err
				}
				for _, s := range found {
					saw[n] += s.ID
				}
				saw[n] += "."
			}
			return nil
		})
	}
	looking("o1", "o1")
	looking("o9", "o2") // another one
	looking("o8", "o8")
	looking("o3", "o3", appending(t, event("e3", "p3", "CREATED", order("o3")))) // its own write
	looking("o3", "o3")                                                          // that of the unit before
	units = append(units, func(tx store.Tx) error { return tx.Merge(ctx, "p2", "p1") })
	looking("o2", "o2")
	if err := errors.Join(e.Commit(ctx, units)...); err != nil {
		t.Error(err)
	}
	equal(t, "subjects", saw, []string{"p1.", "p2.p2.", ".", "p3.p3.", "p3.", "p1.p1."})
}

func unitOutlivesItsContext(t *testing.T, e store.Engine) {
	ended, end := context.WithCancel(t.Context())
	end()
	failed := batch(t, e, func(tx store.Tx) error {
		if _, err := tx.Subject(ended, "pay-1"); err != nil {
			return err
		}
		return tx.AddJob(ended, store.Job{Kind: "refresh", Key: "kept"})
	})
	if failed[0] != nil {
		t.Errorf("unit whose caller gave up: %v", failed[0])
	}
}

func endedContextCommitsNothing(t *testing.T, e store.Engine) {
	ctx, end := context.WithCancel(t.Context())
	results := e.Commit(ctx, []func(store.Tx) error{
		func(tx store.Tx) error { return everything(t, tx) },
		func(store.Tx) error { end(); return nil },
		func(tx store.Tx) error { return everything(t, tx) },
	})
	for _, err := range append(results, e.Commit(ctx, []func(store.Tx) error{func(tx store.Tx) error { return nil }})...) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled for every unit", err)
		}
	}
	noTrace(t, e)
}
