package postgres

import (
	"context"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

// Stats implements store.Engine.
func (e *Engine) Stats(ctx context.Context, now time.Time) (s store.Stats, err error) {
	s, err = row(ctx, e, `SELECT head, trimmed, (SELECT count(*) FROM reservations), (SELECT count(*) FROM quarantine),
		(SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r')
		FROM log`, nil, func(row scanner) (s store.Stats, err error) {
		return s, row.Scan(&s.Head, &s.Trimmed, &s.Reservations, &s.Quarantined, &s.Bytes)
	})
	if err != nil {
		return s, fmt.Errorf("read stats: %w", err)
	}
	s.Jobs, err = rows(ctx, e, `SELECT kind,
		CASE WHEN leased_until > $1 THEN 'leased' WHEN leased_until <> 0 OR run_at <= $1 THEN 'due' WHEN last_error <> '' THEN 'failing' ELSE 'waiting' END AS state,
		count(*), min(CASE leased_until WHEN 0 THEN run_at ELSE leased_until END)
		FROM jobs GROUP BY kind, state`, []any{micros(now)}, func(row scanner) (c store.JobCount, err error) {
		return c, row.Scan(&c.Kind, &c.State, &c.Count, instant{&c.Since})
	})
	if err != nil {
		return s, fmt.Errorf("count jobs: %w", err)
	}
	return s, nil
}

// CountKeys implements store.Engine.
func (e *Engine) CountKeys(ctx context.Context, stream store.Stream, kind string) (map[string]int64, error) {
	counts := map[string]int64{}
	_, err := rows(ctx, e, `SELECT value, count(*) FROM subject_keys WHERE stream = $1 AND kind = $2 GROUP BY value`,
		[]any{string(stream), kind}, func(row scanner) (none struct{}, err error) {
			var value string
			var n int64
			err = row.Scan(&value, &n)
			counts[value] = n
			return none, err
		})
	if err != nil {
		return nil, fmt.Errorf("count keys: %w", err)
	}
	return counts, nil
}
