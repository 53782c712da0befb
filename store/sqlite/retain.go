package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// DropRaw implements store.Engine.
func (e *Engine) DropRaw(ctx context.Context, upTo store.Position) error {
	for more := true; more; {
		err := e.writer.transaction(ctx, func(ctx context.Context) error {
			var from, to store.Position
			if err := row(ctx, e.writer, `SELECT raw_dropped, min(?, head, raw_dropped + ?) FROM log`, []any{upTo, trimChunk}, &from, &to); err != nil {
				return err
			}
			if more = to > from; !more {
				return nil
			}
			t := &tx{w: e.writer}
			if _, err := t.exec(ctx, `UPDATE events SET raw = NULL WHERE position > ? AND position <= ? AND raw IS NOT NULL`, from, to); err != nil {
				return err
			}
			_, err := t.exec(ctx, `UPDATE log SET raw_dropped = ?`, to)
			return err
		})
		if err != nil {
			return fmt.Errorf("drop raw bodies: %w", err)
		}
	}
	return nil
}

// forgotten selects the live subjects of a stream in some states whose newest event is trimmed away from view, oldest
// first, and those that were merged into them.
const forgotten = `WITH gone AS MATERIALIZED (
		SELECT s.id FROM subjects AS s INDEXED BY subjects_by_stream
		WHERE s.stream = ?1 AND s.merged_into = '' AND s.latest <= min(?2, (SELECT trimmed FROM log))
			AND s.state IN (SELECT value FROM json_each(?3))
		ORDER BY s.latest LIMIT 0 + ?4)
	SELECT id FROM gone UNION ALL SELECT m.id FROM subjects AS m CROSS JOIN gone ON m.merged_into = gone.id WHERE m.merged_into <> ''`

// Forget implements store.Engine.
func (e *Engine) Forget(ctx context.Context, stream store.Stream, states []string, upTo store.Position, limit int) (count int, err error) {
	err = e.writer.transaction(ctx, func(ctx context.Context) error {
		ids, err := rows(ctx, e.writer, forgotten, []any{stream, upTo, listed(states), limit}, func(row scanner) (id string, err error) {
			return id, row.Scan(&id)
		})
		if err != nil {
			return err
		}
		if count = len(ids); count == 0 {
			return nil
		}
		t := &tx{w: e.writer}
		for _, text := range []string{
			`DELETE FROM event_keys WHERE (stream, kind, value, merchant_account, position) IN (
				SELECT e.stream, k.value ->> 0, k.value ->> 1, e.merchant_account, e.position
				FROM json_each(?) AS g CROSS JOIN subjects AS s ON s.id = g.value CROSS JOIN events AS e ON e.position = s.latest CROSS JOIN json_each(e.keys) AS k)`,
			`DELETE FROM subject_keys WHERE (stream, kind, value, merchant_account, subject) IN (
				SELECT s.stream, k.value ->> 0, k.value ->> 1, s.merchant_account, s.id
				FROM json_each(?) AS g CROSS JOIN subjects AS s ON s.id = g.value CROSS JOIN json_each(s.keys) AS k)`,
			`DELETE FROM former_names WHERE subject IN (SELECT value FROM json_each(?))`,
			`DELETE FROM events WHERE position IN (SELECT s.latest FROM json_each(?) AS g CROSS JOIN subjects AS s ON s.id = g.value)`,
			`DELETE FROM subjects WHERE id IN (SELECT value FROM json_each(?))`,
			`DELETE FROM data_keys WHERE subject IN (SELECT value FROM json_each(?))`,
		} {
			if _, err := t.exec(ctx, text, listed(ids)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("forget subjects: %w", err)
	}
	return count, nil
}

// listed is a list of texts as one JSON argument.
func listed(texts []string) string {
	list, _ := json.Marshal(texts) // strings always encode
	return string(list)
}
