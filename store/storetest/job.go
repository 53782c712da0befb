package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"payments.internal/klarna-gateway/store"
)

var jobPromises = []promise{
	{"JobsOfABatchKeepTheirOrder", jobsOfABatchKeepTheirOrder},
	{"JobComesBackWhole", jobComesBackWhole},
	{"OneJobWaitsPerKey", oneJobWaitsPerKey},
	{"DueJobsComeOldestFirst", dueJobsComeOldestFirst},
	{"JobAddedDuringWorkWaitsItsTurn", jobAddedDuringWorkWaitsItsTurn},
	{"LeaseRunsOut", leaseRunsOut},
	{"RetryGivesBack", retryGivesBack},
	{"RetryYieldsToWaitingJob", retryYieldsToWaitingJob},
	{"FailingSinceCountsFailuresInARow", failingSinceCountsFailuresInARow},
	{"FinishedJobIsGone", finishedJobIsGone},
	{"ConcurrentLeasesShareNothing", concurrentLeasesShareNothing},
}

func refresh(key string, runAt time.Time) store.Job {
	return store.Job{Kind: "refresh", MerchantAccount: account, Key: key, RunAt: runAt, CreatedAt: epoch}
}

func addJobs(t *testing.T, e store.Engine, jobs ...store.Job) {
	t.Helper()
	for _, j := range jobs {
		commit(t, e, func(tx store.Tx) error { return tx.AddJob(t.Context(), j) })
	}
}

func lease(t *testing.T, e store.Engine, now, until time.Time, n int) []store.Job {
	t.Helper()
	jobs, err := e.Lease(t.Context(), now, until, n)
	if err != nil {
		t.Fatalf("lease: %v", err)
	}
	return jobs
}

func finish(t *testing.T, e store.Engine, id int64) {
	t.Helper()
	commit(t, e, func(tx store.Tx) error { return tx.FinishJob(t.Context(), id) })
}

func retry(t *testing.T, e store.Engine, id int64, runAt time.Time) {
	t.Helper()
	commit(t, e, func(tx store.Tx) error { return tx.RetryJob(t.Context(), id, runAt, "klarna was busy") })
}

func allJobs(t *testing.T, e store.Engine) []store.Job {
	t.Helper()
	jobs, err := e.Jobs(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatalf("jobs: %v", err)
	}
	return jobs
}

func sameJobs(t *testing.T, what string, got []store.Job, want ...store.Job) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Job{}, "ID")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func jobComesBackWhole(t *testing.T, e store.Engine) {
	job := refresh("k1", at(1))
	job.Payload, job.Deadline, job.TraceParent = []byte{0, 255}, at(60), "00-trace"
	addJobs(t, e, job, store.Job{Kind: "sweep"})
	leased := job
	leased.Attempt, leased.LeasedUntil = 1, at(30)
	sweep := store.Job{Kind: "sweep", Attempt: 1, LeasedUntil: at(30)}
	sameJobs(t, "jobs", allJobs(t, e), store.Job{Kind: "sweep"}, job)
	sameJobs(t, "leased", lease(t, e, at(1), at(30), 10), sweep, leased)
	sameJobs(t, "jobs while leased", allJobs(t, e), sweep, leased)
	for _, c := range []struct {
		kind, account string
		limit, want   int
	}{{"sweep", "", 10, 1}, {"", account, 10, 1}, {"refresh", account, 10, 1}, {"sweep", account, 10, 0}, {"", "", 1, 1}} {
		found, err := e.Jobs(t.Context(), c.kind, c.account, c.limit)
		if err != nil || len(found) != c.want {
			t.Errorf("jobs %+v: got %d, error %v", c, len(found), err)
		}
	}
}

func oneJobWaitsPerKey(t *testing.T, e store.Engine) {
	first, sooner, later := refresh("k1", at(20)), refresh("k1", at(10)), refresh("k1", at(30))
	first.Deadline, sooner.Deadline, later.Deadline = at(50), at(90), at(40)
	later.Payload, later.TraceParent, later.CreatedAt = []byte("newest"), "00-newest", at(5)
	addJobs(t, e, first, sooner, later)
	merged := refresh("k1", at(10))
	merged.Deadline, merged.Payload, merged.TraceParent = at(90), later.Payload, later.TraceParent
	sameJobs(t, "pulled forward", allJobs(t, e), merged)

	other, sweep := refresh("k1", at(11)), refresh("k1", at(12))
	other.MerchantAccount, sweep.Kind = "A-ANDERE", "sweep"
	addJobs(t, e, refresh("k2", at(13)), other, sweep, refresh("k1", at(10)))
	merged.Deadline, merged.Payload, merged.TraceParent = time.Time{}, nil, "" // no deadline is the latest of all
	sameJobs(t, "others wait too", allJobs(t, e), merged, other, sweep, refresh("k2", at(13)))
}

func dueJobsComeOldestFirst(t *testing.T, e store.Engine) {
	addJobs(t, e, refresh("third", at(3)), refresh("first", at(1)), refresh("tomorrow", at(86400)), refresh("second", at(2)))
	equal(t, "not yet", collect(lease(t, e, at(0), at(60), 10), jobKey), ids())
	equal(t, "two", collect(lease(t, e, at(10), at(60), 2), jobKey), ids("first", "second"))
	equal(t, "the rest", collect(lease(t, e, at(10), at(60), 10), jobKey), ids("third"))
	equal(t, "no more", collect(lease(t, e, at(10), at(60), 10), jobKey), ids())
}

func jobAddedDuringWorkWaitsItsTurn(t *testing.T, e store.Engine) {
	addJobs(t, e, refresh("k1", at(1)))
	working := lease(t, e, at(1), at(60), 10)
	addJobs(t, e, refresh("k1", at(2)), refresh("k1", at(3)))
	equal(t, "jobs", len(allJobs(t, e)), 2)
	equal(t, "while the first is worked", collect(lease(t, e, at(10), at(60), 10), jobKey), ids())
	finish(t, e, working[0].ID)
	next := lease(t, e, at(10), at(60), 10)
	equal(t, "its turn", collect(next, jobKey), ids("k1"))
	if next[0].ID == working[0].ID || next[0].Attempt != 1 {
		t.Errorf("the next job is %+v", next[0])
	}
}

func leaseRunsOut(t *testing.T, e store.Engine) {
	addJobs(t, e, refresh("k1", at(1)))
	lost := lease(t, e, at(1), at(30), 10)
	addJobs(t, e, refresh("k1", at(2)), refresh("k2", at(0)))
	equal(t, "before it runs out", collect(lease(t, e, at(29), at(60), 1), jobKey), ids("k2"))
	again := lease(t, e, at(31), at(60), 10)
	equal(t, "after", collect(again, jobKey), ids("k1"))
	if again[0].ID != lost[0].ID || again[0].Attempt != 2 || !again[0].LeasedUntil.Equal(at(60)) {
		t.Errorf("leased again as %+v", again[0])
	}
}

func retryGivesBack(t *testing.T, e store.Engine) {
	addJobs(t, e, refresh("k1", at(1)))
	job := lease(t, e, at(1), at(30), 1)[0]
	retry(t, e, job.ID, at(10))
	equal(t, "too early", collect(lease(t, e, at(9), at(60), 10), jobKey), ids())
	job.RunAt, job.LastError, job.LeasedUntil, job.FailingSince = at(10), "klarna was busy", time.Time{}, at(1)
	sameJobs(t, "waiting", allJobs(t, e), job)
	retry(t, e, job.ID, at(2)) // it waits already
	retry(t, e, job.ID+100, at(2))
	sameJobs(t, "still waiting", allJobs(t, e), job)
	job.Attempt, job.LeasedUntil = 2, at(60)
	sameJobs(t, "again", lease(t, e, at(10), at(60), 10), job)
}

func retryYieldsToWaitingJob(t *testing.T, e store.Engine) {
	addJobs(t, e, refresh("k1", at(1)))
	job := lease(t, e, at(1), at(30), 1)[0]
	newer := refresh("k1", at(20))
	newer.Payload = []byte("newer")
	addJobs(t, e, newer)
	retry(t, e, job.ID, at(10))
	newer.RunAt = at(10)
	sameJobs(t, "only the newer one, no later", allJobs(t, e), newer)

	job = lease(t, e, at(10), at(30), 1)[0]
	addJobs(t, e, refresh("k1", at(11)))
	retry(t, e, job.ID, at(50))
	sameJobs(t, "no sooner than needed", allJobs(t, e), refresh("k1", at(11)))
}

func failingSinceCountsFailuresInARow(t *testing.T, e store.Engine) {
	addJobs(t, e, refresh("k1", at(1)))
	for i, c := range []struct {
		failed bool
		want   time.Time
	}{{true, at(1)}, {true, at(1)}, {false, time.Time{}}, {true, at(31)}} {
		job := lease(t, e, at(100), at(200), 1)[0]
		lastError := ""
		if c.failed {
			lastError = "klarna was busy"
		}
		commit(t, e, func(tx store.Tx) error { return tx.RetryJob(t.Context(), job.ID, at(10*(i+1)+1), lastError) })
		equal(t, numbered("failing since after attempt ", i), allJobs(t, e)[0].FailingSince, c.want)
	}
	equal(t, "as it is handed out", lease(t, e, at(100), at(200), 1)[0].FailingSince, at(31))
}

func finishedJobIsGone(t *testing.T, e store.Engine) {
	addJobs(t, e, refresh("k1", at(1)))
	job := lease(t, e, at(1), at(30), 1)[0]
	finish(t, e, job.ID)
	finish(t, e, job.ID)
	equal(t, "jobs", len(allJobs(t, e)), 0)
	addJobs(t, e, refresh("k1", at(1)))
	if next := lease(t, e, at(1), at(30), 1)[0]; next.ID == job.ID {
		t.Error("a job id was used twice")
	}
}

func concurrentLeasesShareNothing(t *testing.T, e store.Engine) {
	leaseFromAll(t, []store.Engine{e, e, e, e}, e)
}

// leaseFromAll lets several workers take the same jobs.
func leaseFromAll(t *testing.T, workers []store.Engine, fill store.Engine) {
	const jobs = 60
	for i := range jobs {
		addJobs(t, fill, refresh(numbered("k", i), at(0)))
	}
	var mu sync.Mutex
	taken := make(map[int64]int)
	var working sync.WaitGroup
	for _, e := range workers {
		working.Go(func() {
			for {
				leased, err := e.Lease(t.Context(), at(1), at(60), 4)
				if err != nil {
					t.Errorf("lease: %v", err)
				}
				if len(leased) == 0 {
					return
				}
				mu.Lock()
				for _, j := range leased {
					taken[j.ID]++
				}
				mu.Unlock()
			}
		})
	}
	working.Wait()
	equal(t, "jobs taken", len(taken), jobs)
	for id, times := range taken {
		if times != 1 {
			t.Errorf("job %d was handed out %d times", id, times)
		}
	}
}

// jobsOfABatchKeepTheirOrder ends a job between others that are added, and adds one like it and one twice.
func jobsOfABatchKeepTheirOrder(t *testing.T, e store.Engine) {
	commit(t, e, func(tx store.Tx) error {
		return tx.AddJob(t.Context(), store.Job{Kind: "read", Key: "a", RunAt: at(0)})
	})
	first, err := e.Jobs(t.Context(), "", "", 10)
	if err != nil || len(first) != 1 {
		t.Fatalf("jobs %v, error %v", first, err)
	}
	add := func(key string, seconds int) func(store.Tx) error {
		return func(tx store.Tx) error {
			return tx.AddJob(t.Context(), store.Job{Kind: "read", Key: key, RunAt: at(seconds)})
		}
	}
	err = errors.Join(e.Commit(t.Context(), []func(store.Tx) error{
		add("b", 9), func(tx store.Tx) error { return tx.FinishJob(t.Context(), first[0].ID) }, add("a", 7), add("b", 8), add("c", 9),
	})...)
	if err != nil {
		t.Fatal(err)
	}
	left, err := e.Jobs(t.Context(), "", "", 10)
	equal(t, "jobs", collect(left, func(j store.Job) string { return j.Key + " " + j.RunAt.Format("05") }), []string{"a 07", "b 08", "c 09"})
	if err != nil || len(left) == 3 && left[0].ID == first[0].ID {
		t.Errorf("jobs %v, error %v", left, err)
	}
}
