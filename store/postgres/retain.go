package postgres

import (
	"context"
	"errors"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// dropRaw takes the raw bodies of a chunk of positions, and says how far that went.
const dropRaw = `
WITH span AS (SELECT raw_dropped AS low, least($1, head, raw_dropped + $2) AS high FROM log),
dropped AS (UPDATE events SET raw = NULL FROM span WHERE position > span.low AND position <= span.high AND stream = $3 AND raw IS NOT NULL)
SELECT low, high FROM span`

// DropRaw implements store.Engine.
func (e *Engine) DropRaw(ctx context.Context, upTo store.Position) error {
	type span struct{ low, high store.Position }
	scan := func(row scanner) (s span, err error) { return s, row.Scan(&s.low, &s.high) }
	for {
		var spans []span
		err := e.transaction(ctx, true, func(w *transaction) error {
			var readings []*reading
			for _, stream := range []store.Stream{store.Payments, store.Accounts} {
				readings = append(readings, read(dropRaw, []any{upTo, trimChunk, stream}, scan, &spans))
			}
			none := func(row scanner) (p store.Position, err error) { return p, row.Scan(&p) }
			var ignored []store.Position
			readings = append(readings, read(`UPDATE log SET raw_dropped = greatest(raw_dropped, least($1, head, raw_dropped + $2)) RETURNING raw_dropped`,
				[]any{upTo, trimChunk}, none, &ignored))
			if err := w.send(readings...); err != nil {
				return err
			}
			for _, r := range readings {
				if r.err != nil {
					return r.err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("drop raw bodies: %w", err)
		}
		if spans[0].high <= spans[0].low {
			return nil
		}
	}
}

// forget deletes live subjects of a stream in some states whose newest event is trimmed away from view, oldest first,
// with that event, and those that were merged into them.
const forget = `
WITH live AS (
	SELECT s.id FROM subjects AS s WHERE s.stream = $1 AND s.merged_into = '' AND s.latest <= least($2, (SELECT trimmed FROM log))
	AND s.state = ANY ($3) ORDER BY s.latest LIMIT $4),
ids AS (SELECT id FROM live UNION ALL SELECT m.id FROM subjects AS m JOIN live ON m.merged_into = live.id WHERE m.merged_into <> ''),
gone AS (DELETE FROM subjects AS s USING ids WHERE s.id = ids.id RETURNING s.id, s.stream, s.merchant_account, s.latest, s.keys),
unkeyed AS (DELETE FROM data_keys AS d USING ids WHERE d.subject = ids.id),
named AS (DELETE FROM subject_keys AS k USING gone AS g, json_array_elements(g.keys::json) AS w
	WHERE k.stream = g.stream AND k.kind = w ->> 0 AND k.value = w ->> 1 AND k.merchant_account = g.merchant_account AND k.subject = g.id),
told AS (DELETE FROM events AS e USING gone AS g WHERE e.stream = g.stream AND e.position = g.latest RETURNING e.stream, e.merchant_account, e.position, e.keys),
keyed AS (DELETE FROM event_keys AS k USING told AS t, json_array_elements(t.keys::json) AS w
	WHERE k.stream = t.stream AND k.kind = w ->> 0 AND k.value = w ->> 1 AND k.merchant_account = t.merchant_account AND k.position = t.position)
SELECT count(*) FROM gone`

// Forget implements store.Engine.
func (e *Engine) Forget(ctx context.Context, stream store.Stream, states []string, upTo store.Position, limit int) (int, error) {
	var counts []int
	gone := read(forget, []any{stream, upTo, states, limit}, func(row scanner) (n int, err error) { return n, row.Scan(&n) }, &counts)
	err := e.transaction(ctx, true, func(w *transaction) error { return w.send(gone) })
	if err = errors.Join(err, gone.err); err != nil {
		return 0, fmt.Errorf("forget subjects: %w", err)
	}
	return counts[0], nil
}
