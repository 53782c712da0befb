package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// trimChunk is how many events are looked at in one transaction, so that a long trim lets appends through.
const trimChunk = 500

// doomed selects the keys of the events of a chunk that are not the newest of their subject.
const doomed = `SELECT e.stream, k.value ->> 0, k.value ->> 1, e.merchant_account, e.position
	FROM events AS e CROSS JOIN subjects AS s CROSS JOIN json_each(e.keys) AS k
	WHERE e.position > ?1 AND e.position <= ?2 AND s.id = e.subject AND s.latest <> e.position`

// Trim implements store.Engine. If it is interrupted, the next one deletes what was left over.
func (e *Engine) Trim(ctx context.Context, upTo store.Position) error {
	err := e.writer.transaction(ctx, func(ctx context.Context) error {
		return row(ctx, e.writer, `UPDATE log SET trimmed = max(trimmed, min(?, head)) RETURNING trimmed`, []any{upTo}, &upTo)
	})
	if err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	for after := store.Position(0); ; {
		last, err := e.chunk(ctx, after, upTo)
		if err != nil {
			return fmt.Errorf("trim: %w", err)
		}
		if last == 0 {
			return nil
		}
		t := &tx{w: e.writer}
		err = e.writer.transaction(ctx, func(ctx context.Context) error {
			if _, err := t.exec(ctx, `DELETE FROM event_keys WHERE (stream, kind, value, merchant_account, position) IN (`+doomed+`)`, after, last); err != nil {
				return err
			}
			_, err := t.exec(ctx, `DELETE FROM events AS e WHERE e.position > ? AND e.position <= ? AND EXISTS (
				SELECT 1 FROM subjects AS s WHERE s.id = e.subject AND s.latest <> e.position)`, after, last)
			return err
		})
		if err != nil {
			return fmt.Errorf("trim: %w", err)
		}
		after = last
	}
}

// chunk returns the position of the last event of the next chunk, 0 if none is left.
func (e *Engine) chunk(ctx context.Context, after, upTo store.Position) (store.Position, error) {
	var last sql.Null[store.Position]
	err := row(ctx, e.reader, `SELECT max(position) FROM (SELECT position FROM events
		WHERE position > ? AND position <= ? ORDER BY position LIMIT 0 + ?)`, []any{after, upTo, trimChunk}, &last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	return last.V, nil
}
