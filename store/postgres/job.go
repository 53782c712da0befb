package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"payments.internal/klarna-gateway/store"
)

const jobColumns = `j.id, j.kind, j.merchant_account, j.key, j.payload, j.run_at, j.deadline, j.attempt, j.leased_until, j.last_error,
	j.failing_since, j.created_at, j.trace_parent`

func scanJob(row scanner) (store.Job, error) {
	var j store.Job
	err := row.Scan(&j.ID, &j.Kind, &j.MerchantAccount, &j.Key, &j.Payload, instant{&j.RunAt}, instant{&j.Deadline},
		&j.Attempt, instant{&j.LeasedUntil}, &j.LastError, instant{&j.FailingSince}, instant{&j.CreatedAt}, &j.TraceParent)
	return j, err
}

// change queues a statement that may make a job due.
func (t *tx) change(what string, q queued) error {
	if t.failed != nil {
		return fmt.Errorf("%s: %w", what, t.failed)
	}
	t.enqueue(q) // without marks: units do not read jobs
	t.ring()
	return nil
}

// AddJob implements store.Tx.
func (t *tx) AddJob(_ context.Context, job store.Job) error {
	return t.change("add job "+job.Kind, queued{job: &job})
}

// addJobs adds jobs, of a kind, account and key each. Of two deadlines the later one holds, none being the latest.
const addJobs = `INSERT INTO jobs AS j (kind, merchant_account, key, payload, run_at, deadline, attempt, leased_until, last_error, created_at, trace_parent)
	SELECT kind, merchant_account, key, payload, run_at, deadline, 0, 0, '', created_at, trace_parent
	FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[]) WITH ORDINALITY
		AS new (kind, merchant_account, key, payload, run_at, deadline, created_at, trace_parent, n) ORDER BY n
	ON CONFLICT (kind, merchant_account, key) WHERE leased_until = 0 DO UPDATE SET
	payload = excluded.payload, run_at = least(j.run_at, excluded.run_at), trace_parent = excluded.trace_parent,
	deadline = CASE WHEN j.deadline = 0 OR excluded.deadline = 0 THEN 0 ELSE greatest(j.deadline, excluded.deadline) END`

// jobs are new jobs that one statement adds, in columns.
type jobs struct {
	known                         map[[3]string]bool
	kinds, accounts, keys, traces []string
	payloads                      [][]byte
	runAt, deadlines, created     []int64
}

func newJobs() gathered { return &jobs{known: map[[3]string]bool{}} }

func (j *jobs) fits(q queued) bool {
	return !j.known[[3]string{q.job.Kind, q.job.MerchantAccount, q.job.Key}]
}

func (j *jobs) add(q queued) {
	job := q.job
	j.known[[3]string{job.Kind, job.MerchantAccount, job.Key}] = true
	j.kinds, j.accounts, j.keys = append(j.kinds, job.Kind), append(j.accounts, job.MerchantAccount), append(j.keys, job.Key)
	j.payloads, j.traces = append(j.payloads, blob(job.Payload)), append(j.traces, job.TraceParent)
	j.runAt, j.deadlines = append(j.runAt, micros(job.RunAt)), append(j.deadlines, micros(job.Deadline))
	j.created = append(j.created, micros(job.CreatedAt))
}

func (j *jobs) statement() queued {
	return queued{text: addJobs, args: []any{j.kinds, j.accounts, j.keys, j.payloads, j.runAt, j.deadlines, j.created, j.traces}}
}

// FinishJob implements store.Tx.
func (t *tx) FinishJob(_ context.Context, id int64) error {
	return t.change(fmt.Sprintf("finish job %d", id), queued{text: `DELETE FROM jobs WHERE id = $1`, args: []any{id}, jobs: true})
}

// RetryJob implements store.Tx. Where another one waits already, that one is pulled forward and this one goes.
func (t *tx) RetryJob(_ context.Context, id int64, runAt time.Time, lastError string) error {
	return t.change(fmt.Sprintf("retry job %d", id), queued{jobs: true, text: `WITH mine AS (SELECT kind, merchant_account, key FROM jobs WHERE id = $1 AND leased_until <> 0),
		waits AS (
			UPDATE jobs AS j SET run_at = least(j.run_at, $2) FROM mine WHERE j.kind = mine.kind
			AND j.merchant_account = mine.merchant_account AND j.key = mine.key AND j.leased_until = 0 RETURNING j.id),
		gone AS (DELETE FROM jobs WHERE id = $1 AND leased_until <> 0 AND EXISTS (SELECT 1 FROM waits))
		UPDATE jobs SET run_at = $2, leased_until = 0, last_error = $3,
		failing_since = CASE WHEN $3 = '' THEN 0 WHEN failing_since = 0 THEN run_at ELSE failing_since END
		WHERE id = $1 AND leased_until <> 0 AND NOT EXISTS (SELECT 1 FROM waits)`, args: []any{id, micros(runAt), lastError}})
}

// leaseJobs hands out jobs. Due are waiting ones whose time has come and whose like is not leased, and those whose lease
// ran out; their time came before that. Rows that another replica is taking are passed over.
const leaseJobs = `
WITH due AS MATERIALIZED (
	SELECT j.id FROM jobs AS j WHERE j.run_at <= $1 AND CASE j.leased_until WHEN 0 THEN NOT EXISTS (
		SELECT 1 FROM jobs AS o WHERE o.kind = j.kind AND o.merchant_account = j.merchant_account AND o.key = j.key
		AND o.leased_until <> 0)
	ELSE j.leased_until <= $1 END
	ORDER BY j.run_at, j.id LIMIT $2 FOR UPDATE OF j SKIP LOCKED)
UPDATE jobs AS j SET attempt = j.attempt + 1, leased_until = $3 FROM due WHERE j.id = due.id RETURNING ` + jobColumns

// Lease implements store.Engine. It does not wait for the log: the unique indexes keep jobs apart, whoever writes.
func (e *Engine) Lease(ctx context.Context, now, until time.Time, n int) ([]store.Job, error) {
	if n < 1 {
		return nil, nil
	}
	if !until.After(now) {
		return nil, errors.New("lease jobs: the lease would end before it begins")
	}
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	taken, err := e.writers.Query(ctx, leaseJobs, micros(now), n, micros(until))
	if err != nil {
		return nil, fmt.Errorf("lease jobs: %w", err)
	}
	leased, err := collect(taken, scanJob)
	if err != nil {
		return nil, fmt.Errorf("lease jobs: %w", err)
	}
	slices.SortFunc(leased, func(a, b store.Job) int { // RETURNING has no order
		return cmp.Or(a.RunAt.Compare(b.RunAt), cmp.Compare(a.ID, b.ID))
	})
	return leased, nil
}

// Jobs implements store.Engine.
func (e *Engine) Jobs(ctx context.Context, kind, merchantAccount string, limit int) ([]store.Job, error) {
	found, err := rows(ctx, e, `SELECT `+jobColumns+` FROM jobs AS j
		WHERE ($1 = '' OR j.kind = $1) AND ($2 = '' OR j.merchant_account = $2) ORDER BY j.run_at, j.id LIMIT $3`,
		[]any{kind, merchantAccount, max(limit, 0)}, scanJob)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return found, nil
}
