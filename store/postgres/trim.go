package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"payments.internal/klarna-gateway/store"
)

// trimChunk is how many events are looked at in one transaction, so that a long trim lets appends through.
const trimChunk = 2000

// trimBlocks is how many blocks are deleted in one.
const trimBlocks = 100

// dropEvents ends a statement whose gone are the events that it deletes, with the keys of these, and counts.
const dropEvents = `
named AS (SELECT g.stream, k ->> 0 AS kind, k ->> 1 AS value, g.merchant_account, g.position FROM gone AS g, json_array_elements(g.keys::json) AS k),
unkeyed AS (DELETE FROM event_keys AS k USING named AS g WHERE k.stream = g.stream AND k.kind = g.kind AND k.value = g.value
	AND k.merchant_account = g.merchant_account AND k.position = g.position)
SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM gone)`

// sweepEvents deletes the events of some positions that are not the newest of their subject.
const sweepEvents = `
WITH seen AS MATERIALIZED (
	SELECT e.stream, e.position, EXISTS (SELECT 1 FROM subjects AS s WHERE s.id = e.subject AND s.latest = e.position) AS newest
	FROM events AS e WHERE e.stream = ANY ($1) AND e.position > $2 AND e.position <= $3),
gone AS (DELETE FROM events AS e USING seen AS s WHERE NOT s.newest AND e.stream = s.stream AND e.position = s.position
	RETURNING e.stream, e.merchant_account, e.position, e.keys),` + dropEvents

// clearLeftovers deletes events that were kept as their subjects' newest until these had another one.
const clearLeftovers = `
WITH next AS MATERIALIZED (SELECT position FROM leftovers WHERE position <= $1 ORDER BY position LIMIT $2),
seen AS (DELETE FROM leftovers AS l USING next WHERE l.position = next.position RETURNING l.stream, l.position),
gone AS (DELETE FROM events AS e USING seen AS s WHERE e.stream = s.stream AND e.position = s.position
	RETURNING e.stream, e.merchant_account, e.position, e.keys),` + dropEvents

// Trim implements store.Engine. It looks at each event once, when the trimmed position passes it, and at those that it had to
// keep when their subjects have left them behind: see the migration. If it is interrupted, the next one goes on where it was.
func (e *Engine) Trim(ctx context.Context, upTo store.Position) (done store.Trimmed, err error) {
	number := func(row scanner) (p store.Position, err error) { return p, row.Scan(&p) }
	var moved []store.Position
	move := read(`UPDATE log SET trimmed = greatest(trimmed, least($1, head)) RETURNING trimmed`, []any{upTo}, number, &moved)
	err = e.transaction(ctx, true, func(w *transaction) error { return w.send(move) })
	if err = errors.Join(err, move.err); err != nil {
		return done, fmt.Errorf("trim: %w", err)
	}
	for n := trimBlocks; n == trimBlocks; {
		if n, err = e.exec(ctx, dropOldBlocks, moved[0], trimBlocks); err != nil {
			return done, fmt.Errorf("trim: %w", err)
		}
	}
	for _, part := range []func(context.Context, store.Position, *store.Trimmed) (more bool, err error){e.sweep, e.clearOut} {
		for more := true; more; {
			if more, err = part(ctx, moved[0], &done); err != nil {
				return done, fmt.Errorf("trim: %w", err)
			}
		}
	}
	return done, nil
}

// trimming is a transaction of one replica at a time. Unlike others it does not hold the log's row. If it needs it, it takes it
// first: commits hold it while they wait for rows.
func (e *Engine) trimming(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	return pgx.BeginFunc(ctx, e.writers, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, e.channel+".trim"); err != nil {
			return err
		}
		return do(ctx, tx)
	})
}

// sweep goes one chunk on from where Trim has been. Once that is done and committed the log's row is taken and the chunk
// looked at again, for subjects that have moved meanwhile: those that move later leave a leftover.
func (e *Engine) sweep(ctx context.Context, upTo store.Position, done *store.Trimmed) (more bool, err error) {
	var after, last, now store.Position
	var looked, gone, late int64
	err = e.trimming(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT swept FROM log`).Scan(&after); err != nil {
			return err
		}
		if last = min(after+trimChunk, upTo); last <= after {
			return nil
		}
		return tx.QueryRow(ctx, sweepEvents, store.Streams(), after, last).Scan(&looked, &gone)
	})
	if err != nil || last <= after {
		return false, err
	}
	err = e.trimming(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT swept FROM log FOR UPDATE`).Scan(&now); err != nil || now != after {
			return err // another replica's trim has gone on from there
		}
		if err := tx.QueryRow(ctx, sweepEvents, store.Streams(), after, last).Scan(nil, &late); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE log SET swept = $1`, last)
		return err
	})
	done.Looked, done.Gone = done.Looked+looked, done.Gone+gone+late
	return err == nil && (now != after || last < upTo), err
}

// clearOut deletes the next leftovers.
func (e *Engine) clearOut(ctx context.Context, upTo store.Position, done *store.Trimmed) (more bool, err error) {
	var looked, gone int64
	err = e.trimming(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, clearLeftovers, upTo, trimChunk).Scan(&looked, &gone)
	})
	done.Looked, done.Gone = done.Looked+looked, done.Gone+gone
	return err == nil && looked > 0, err
}
