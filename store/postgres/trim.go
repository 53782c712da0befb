package postgres

import (
	"context"
	"errors"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// trimChunk is how many positions are looked at in one statement, so that a long trim lets appends through.
const trimChunk = 2000

// trimEvents deletes the events of some positions, and their keys, that are not the newest of their subject.
const trimEvents = `
WITH gone AS (
	DELETE FROM events AS e USING subjects AS s WHERE e.stream = $1 AND e.position > $2 AND e.position <= $3
	AND s.id = e.subject AND s.latest <> e.position RETURNING e.stream, e.merchant_account, e.position, e.keys),
keyed AS (SELECT g.stream, k ->> 0 AS kind, k ->> 1 AS value, g.merchant_account, g.position FROM gone AS g, json_array_elements(g.keys::json) AS k)
DELETE FROM event_keys AS k USING keyed AS g WHERE k.stream = g.stream AND k.kind = g.kind AND k.value = g.value
	AND k.merchant_account = g.merchant_account AND k.position = g.position`

// Trim implements store.Engine. If it is interrupted, the next one deletes what was left over. A subject that moves
// meanwhile keeps one event more, until the next trim.
func (e *Engine) Trim(ctx context.Context, upTo store.Position) error {
	number := func(row scanner) (p store.Position, err error) { return p, row.Scan(&p) }
	var moved []store.Position
	move := read(`UPDATE log SET trimmed = greatest(trimmed, least($1, head)) RETURNING trimmed`, []any{upTo}, number, &moved)
	err := e.transaction(ctx, true, func(w *transaction) error { return w.send(move) })
	if err = errors.Join(err, move.err); err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	upTo = moved[0]
	for _, stream := range []store.Stream{store.Payments, store.Accounts} {
		for after := store.Position(0); after < upTo; {
			last := min(after+trimChunk, upTo)
			if err := e.trimChunk(ctx, stream, after, last); err != nil {
				return fmt.Errorf("trim: %w", err)
			}
			after = last
		}
	}
	return nil
}

func (e *Engine) trimChunk(ctx context.Context, stream store.Stream, after, last store.Position) error {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	_, err := e.writers.Exec(ctx, trimEvents, stream, after, last)
	return err
}
