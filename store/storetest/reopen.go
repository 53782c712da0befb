package storetest

import (
	"testing"

	"payments.internal/klarna-gateway/store"
)

// Reopen holds an engine to what it promises over more than one opening of the same data. prepare makes an empty
// database and returns how to open it, as often as wanted; the engines are closed here.
func Reopen(t *testing.T, prepare func(t *testing.T) (open func() store.Engine)) {
	t.Run("ReopenedLogIsTheSame", func(t *testing.T) {
		t.Parallel()
		reopenedLogIsTheSame(t, prepare(t))
	})
	t.Run("TwoEnginesShareOneLog", func(t *testing.T) {
		t.Parallel()
		open := prepare(t)
		one, two := open(), open()
		defer closeEngine(t, one)
		defer closeEngine(t, two)
		race(t, []store.Engine{one, two}, one)
		leaseFromAll(t, []store.Engine{one, two}, one)
	})
	t.Run("TwoEnginesShareOneFund", func(t *testing.T) {
		t.Parallel()
		for _, draw := range []func(*testing.T, ...store.Engine){shareNothing, seeWhatWasSpent} {
			open := prepare(t)
			one, two := open(), open()
			defer closeEngine(t, one)
			defer closeEngine(t, two)
			draw(t, one, two)
		}
	})
}

func closeEngine(t *testing.T, e store.Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func reopenedLogIsTheSame(t *testing.T, open func() store.Engine) {
	e := open()
	mixed(t, e)
	commit(t, e, func(tx store.Tx) error { return tx.Merge(t.Context(), "p2", "p1") })
	commit(t, e, func(tx store.Tx) error { return everything(t, tx) })
	id, epoch, err := e.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type content struct {
		Head     store.Position
		Events   []store.Event
		Subjects []store.Subject
		Jobs     []store.Job
	}
	read := func(e store.Engine) content {
		newest, _ := head(t, e)
		return content{newest, events(t, e, store.Query{}), subjects(t, e, store.Query{}), allJobs(t, e)}
	}
	before := read(e)
	closeEngine(t, e)

	again := open()
	defer closeEngine(t, again)
	equal(t, "content", read(again), before)
	sameID, sameEpoch, err := again.Log(t.Context())
	if err != nil || sameID != id || sameEpoch != epoch {
		t.Errorf("log is %s/%d, was %s/%d, error %v", sameID, sameEpoch, id, epoch, err)
	}
	if _, err := again.Request(t.Context(), store.RequestID{ID: "bad"}); err != nil {
		t.Errorf("request: %v", err)
	}
	if _, err := again.Secret(t.Context(), []byte("bad")); err != nil {
		t.Errorf("secret: %v", err)
	}
	appendAll(t, again, event("e-next", "p1", "REFUNDED"))
	if newest, _ := head(t, again); newest != before.Head+1 {
		t.Errorf("positions go on at %d after %d", newest, before.Head)
	}
}
