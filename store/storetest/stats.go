package storetest

import (
	"testing"

	"payments.internal/klarna-gateway/store"
)

var statsPromises = []promise{
	{"StatsCountJobsByState", statsCountJobsByState},
	{"StatsTellWhatIsHeld", statsTellWhatIsHeld},
	{"KeysAreCountedByValue", keysAreCountedByValue},
}

func stats(t *testing.T, e store.Engine, seconds int) store.Stats {
	t.Helper()
	s, err := e.Stats(t.Context(), at(seconds))
	if err != nil {
		t.Fatalf("stats: %v", err)
	}
	return s
}

func statsCountJobsByState(t *testing.T, e store.Engine) {
	equal(t, "without jobs", stats(t, e, 0).Jobs, []store.JobCount{})
	addJobs(t, e, refresh("leased", at(1)), refresh("lost", at(1)), refresh("failed", at(1)))
	for _, j := range lease(t, e, at(1), at(100), 10) {
		switch j.Key {
		case "failed":
			commit(t, e, func(tx store.Tx) error { return tx.RetryJob(t.Context(), j.ID, at(90), "klarna is down") })
		case "lost": // its worker is gone, and so will be the one after
			commit(t, e, func(tx store.Tx) error { return tx.RetryJob(t.Context(), j.ID, at(1), "") })
		}
	}
	lease(t, e, at(2), at(5), 1)
	addJobs(t, e, refresh("due since 7", at(7)), refresh("due since 9", at(9)), refresh("later", at(60)), store.Job{Kind: "sweep", RunAt: at(10)})
	got := map[store.JobCount]int{}
	for _, c := range stats(t, e, 10).Jobs {
		if c.State != store.JobDue {
			c.Since = epoch
		}
		got[c]++
	}
	equal(t, "jobs", got, map[store.JobCount]int{
		{Kind: "refresh", State: store.JobDue, Count: 3, Since: at(5)}:     1, // the lost one since its lease ran out
		{Kind: "sweep", State: store.JobDue, Count: 1, Since: at(10)}:      1,
		{Kind: "refresh", State: store.JobLeased, Count: 1, Since: epoch}:  1,
		{Kind: "refresh", State: store.JobFailing, Count: 1, Since: epoch}: 1,
		{Kind: "refresh", State: store.JobWaiting, Count: 1, Since: epoch}: 1,
	})
}

func statsTellWhatIsHeld(t *testing.T, e store.Engine) {
	before := stats(t, e, 0)
	if before.Head != 0 || before.Trimmed != 0 || before.Reservations != 0 || before.Quarantined != 0 || before.Bytes <= 0 {
		t.Errorf("of an empty log: %+v", before)
	}
	appendAll(t, e, event("e1", "p1", "A"), event("e2", "p1", "B"), event("e3", "p1", "C"))
	commit(t, e, func(tx store.Tx) error {
		return tx.Reserve(t.Context(), store.Reservation{Request: reserver("capture", "r-1"), Fund: orderFund, Amount: 5, CreatedAt: at(1)})
	})
	commit(t, e, func(tx store.Tx) error {
		_, err := tx.Quarantine(t.Context(), store.Quarantined{MerchantAccount: account, Reason: "unreadable", ReceivedAt: at(1)})
		return err
	})
	if _, err := e.Trim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	after := stats(t, e, 0)
	if after.Head != 3 || after.Trimmed != 2 || after.Reservations != 1 || after.Quarantined != 1 || after.Bytes < before.Bytes {
		t.Errorf("got %+v", after)
	}
}

func keysAreCountedByValue(t *testing.T, e store.Engine) {
	reason := func(value string) store.Key { return store.Key{Kind: "open_reason", Value: value} }
	appendAll(t, e, event("e1", "m1", "OPEN", reason("CONFLICT"), order("o1")), event("e2", "m2", "OPEN", reason("CONFLICT")),
		event("e3", "m3", "OPEN", reason("DISPUTED")), event("e4", "m4", "OPEN", reason("ORPHAN")), event("e5", "m4", "DONE"))
	other := event("e6", "a1", "OPEN", reason("CONFLICT"))
	other.Stream = store.Accounts
	appendAll(t, e, other)
	count := func(stream store.Stream, kind string) map[string]int64 {
		got, err := e.CountKeys(t.Context(), stream, kind)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	equal(t, "by reason", count(store.Payments, "open_reason"), map[string]int64{"CONFLICT": 2, "DISPUTED": 1})
	equal(t, "of a kind that none has", count(store.Payments, "nothing"), map[string]int64{})
	equal(t, "of the other stream", count(store.Accounts, "open_reason"), map[string]int64{"CONFLICT": 1})
}
