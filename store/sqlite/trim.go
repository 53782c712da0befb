package sqlite

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// trimChunk is how many events are looked at in one transaction, so that a long trim lets appends through.
const trimChunk = 500

// trimBlocks is how many blocks are deleted in one.
const trimBlocks = 16

// Trim implements store.Engine. It looks at each event once, when the trimmed position passes it, and at those that it had to
// keep when their subjects have left them behind: see Append. If it is interrupted, the next one goes on where it was.
func (e *Engine) Trim(ctx context.Context, upTo store.Position) (done store.Trimmed, err error) {
	err = e.writer.transaction(ctx, func(ctx context.Context) error {
		return row(ctx, e.writer, `UPDATE log SET trimmed = max(trimmed, min(?, head)) RETURNING trimmed`, []any{upTo}, &upTo)
	})
	for n := trimBlocks; err == nil && n == trimBlocks; {
		n, err = e.dropBlocks(ctx, `after < ?`, upTo, trimBlocks)
	}
	for _, part := range []func(context.Context, store.Position) (looked, gone int64, err error){e.sweep, e.clear} {
		for more := err == nil; more; {
			var looked, gone int64
			err = e.writer.transaction(ctx, func(ctx context.Context) error {
				looked, gone, err = part(ctx, upTo)
				return err
			})
			done.Looked, done.Gone = done.Looked+looked, done.Gone+gone
			more = err == nil && looked > 0
		}
	}
	if err != nil {
		return done, fmt.Errorf("trim: %w", err)
	}
	return done, nil
}

// sweep deletes what is not the newest of its subject among the next events that Trim has not yet looked at.
func (e *Engine) sweep(ctx context.Context, upTo store.Position) (looked, gone int64, err error) {
	var after, last store.Position
	err = row(ctx, e.writer, `SELECT swept, (SELECT count(*) FROM (SELECT 1 FROM events WHERE position > swept AND position <= ?1 LIMIT 0 + ?2)),
		coalesce((SELECT position FROM events WHERE position > swept AND position <= ?1 ORDER BY position LIMIT 1 OFFSET ?2 - 1), ?1) FROM log`,
		[]any{upTo, trimChunk}, &after, &looked, &last)
	if err != nil || last <= after {
		return 0, 0, err
	}
	const left = `SELECT e.position FROM events AS e WHERE e.position > ?1 AND e.position <= ?2
		AND NOT EXISTS (SELECT 1 FROM subjects AS s WHERE s.id = e.subject AND s.latest = e.position)`
	if gone, err = e.drop(ctx, left, after, last); err != nil {
		return looked, gone, err
	}
	_, err = (&tx{w: e.writer}).exec(ctx, `UPDATE log SET swept = ?`, last)
	return looked, gone, err
}

// clear deletes events that were kept as their subjects' newest until these had another one.
func (e *Engine) clear(ctx context.Context, upTo store.Position) (looked, gone int64, err error) {
	const next = `SELECT position FROM leftovers WHERE position <= ?1 ORDER BY position LIMIT 0 + ?2`
	if gone, err = e.drop(ctx, next, upTo, trimChunk); err != nil {
		return gone, gone, err
	}
	looked, err = (&tx{w: e.writer}).exec(ctx, `DELETE FROM leftovers WHERE position IN (`+next+`)`, upTo, trimChunk)
	return looked, gone, err
}

// drop deletes the events at the positions that a query gives, with their keys.
func (e *Engine) drop(ctx context.Context, positions string, args ...any) (gone int64, err error) {
	t := &tx{w: e.writer}
	_, err = t.exec(ctx, `DELETE FROM event_keys WHERE (stream, kind, value, merchant_account, position) IN (
		SELECT e.stream, k.value ->> 0, k.value ->> 1, e.merchant_account, e.position
		FROM (`+positions+`) AS p CROSS JOIN events AS e ON e.position = p.position CROSS JOIN json_each(e.keys) AS k)`, args...)
	if err != nil {
		return 0, err
	}
	return t.exec(ctx, `DELETE FROM events WHERE position IN (`+positions+`)`, args...)
}
