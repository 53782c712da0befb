package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"payments.internal/klarna-gateway/store"
)

const jobColumns = `id, kind, merchant_account, key, payload, run_at, deadline, attempt, leased_until, last_error, failing_since, created_at, trace_parent`

func scanJob(row scanner) (store.Job, error) {
	var j store.Job
	err := row.Scan(&j.ID, &j.Kind, &j.MerchantAccount, &j.Key, &j.Payload, instant{&j.RunAt}, instant{&j.Deadline},
		&j.Attempt, instant{&j.LeasedUntil}, &j.LastError, instant{&j.FailingSince}, instant{&j.CreatedAt}, &j.TraceParent)
	return j, err
}

// AddJob implements store.Tx. Of two deadlines the later one holds, none being the latest.
func (t *tx) AddJob(ctx context.Context, job store.Job) error {
	_, err := t.exec(ctx, `INSERT INTO jobs (kind, merchant_account, key, payload, run_at, deadline, attempt,
		leased_until, last_error, created_at, trace_parent) VALUES (?, ?, ?, ?, ?, ?, 0, 0, '', ?, ?)
		ON CONFLICT (kind, merchant_account, key) WHERE leased_until = 0 DO UPDATE SET
		payload = excluded.payload, run_at = min(run_at, excluded.run_at), trace_parent = excluded.trace_parent,
		deadline = CASE WHEN deadline = 0 OR excluded.deadline = 0 THEN 0 ELSE max(deadline, excluded.deadline) END`,
		job.Kind, job.MerchantAccount, job.Key, blob(job.Payload), micros(job.RunAt), micros(job.Deadline),
		micros(job.CreatedAt), job.TraceParent)
	if err != nil {
		return fmt.Errorf("add job %s: %w", job.Kind, err)
	}
	t.rings = true
	return nil
}

// FinishJob implements store.Tx.
func (t *tx) FinishJob(ctx context.Context, id int64) error {
	gone, err := t.exec(ctx, `DELETE FROM jobs WHERE id = ?`, id)
	if err != nil {
		return fmt.Errorf("finish job %d: %w", id, err)
	}
	t.rings = t.rings || gone > 0
	return nil
}

// RetryJob implements store.Tx.
func (t *tx) RetryJob(ctx context.Context, id int64, runAt time.Time, lastError string) error {
	var kind, account, key string
	err := t.row(ctx, `SELECT kind, merchant_account, key FROM jobs WHERE id = ? AND leased_until <> 0`, []any{id}, &kind, &account, &key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("retry job %d: %w", id, err)
	}
	waits, err := t.exec(ctx, `UPDATE jobs SET run_at = min(run_at, ?)
		WHERE kind = ? AND merchant_account = ? AND key = ? AND leased_until = 0`, micros(runAt), kind, account, key)
	if err != nil {
		return fmt.Errorf("retry job %d: %w", id, err)
	}
	if waits > 0 {
		return t.FinishJob(ctx, id)
	}
	_, err = t.exec(ctx, `UPDATE jobs SET run_at = ?1, leased_until = 0, last_error = ?2,
		failing_since = CASE WHEN ?2 = '' THEN 0 WHEN failing_since = 0 THEN run_at ELSE failing_since END WHERE id = ?3`, micros(runAt), lastError, id)
	if err != nil {
		return fmt.Errorf("retry job %d: %w", id, err)
	}
	t.rings = true
	return nil
}

// due selects the jobs that can be handed out now: waiting ones whose time has come and whose like is not leased, and
// those whose lease ran out. A lease that ran out goes before a waiting job of its kind and key.
const due = `SELECT id FROM (
		SELECT id, run_at FROM jobs AS j WHERE leased_until = 0 AND run_at <= ?1 AND NOT EXISTS (
			SELECT 1 FROM jobs AS o WHERE o.kind = j.kind AND o.merchant_account = j.merchant_account AND o.key = j.key
			AND o.leased_until <> 0)
		UNION ALL
		SELECT id, run_at FROM jobs WHERE leased_until <> 0 AND leased_until <= ?1
	) ORDER BY run_at, id LIMIT 0 + ?2`

// Lease implements store.Engine. It looks first and takes the write lock only if something is due.
func (e *Engine) Lease(ctx context.Context, now, until time.Time, n int) ([]store.Job, error) {
	if n < 1 {
		return nil, nil
	}
	if !until.After(now) {
		return nil, errors.New("lease jobs: the lease would end before it begins")
	}
	id := func(row scanner) (id int64, err error) { return id, row.Scan(&id) }
	if seen, err := rows(ctx, e.reader, due, []any{micros(now), 1}, id); err != nil {
		return nil, fmt.Errorf("lease jobs: %w", err)
	} else if len(seen) == 0 {
		return nil, nil
	}
	var leased []store.Job
	err := e.writer.transaction(ctx, func(ctx context.Context) (err error) {
		const take = `UPDATE jobs SET attempt = attempt + 1, leased_until = ?3 WHERE id IN (` + due + `) RETURNING ` + jobColumns
		leased, err = rows(ctx, e.writer, take, []any{micros(now), n, micros(until)}, scanJob)
		return err
	})
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
	const query = `SELECT ` + jobColumns + ` FROM jobs
		WHERE (?1 = '' OR kind = ?1) AND (?2 = '' OR merchant_account = ?2) ORDER BY run_at, id LIMIT 0 + ?3`
	found, err := rows(ctx, e.reader, query, []any{kind, merchantAccount, max(limit, 0)}, scanJob)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return found, nil
}
