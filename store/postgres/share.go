package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// shareOut grants each budget's part by what is wanted of it, and no more than the others have left of it.
const shareOut = `
WITH wanted AS (SELECT budget, demand FROM unnest($2::text[], $3::float8[]) AS w (budget, demand)),
others AS (
	SELECT w.budget, coalesce(sum(s.demand), 0) AS demand, coalesce(sum(s.share), 0) AS share
	FROM wanted AS w LEFT JOIN shares AS s ON s.budget = w.budget AND s.replica <> $1 AND s.expires_at > clock_timestamp()
	GROUP BY w.budget)
INSERT INTO shares AS mine (budget, replica, demand, share, expires_at)
SELECT w.budget, $1, w.demand, greatest(least(w.demand / (w.demand + o.demand), 1 - o.share), 0),
	clock_timestamp() + $4 * interval '1 microsecond'
FROM wanted AS w JOIN others AS o USING (budget)
ON CONFLICT (budget, replica) DO UPDATE SET demand = excluded.demand, share = excluded.share, expires_at = excluded.expires_at
RETURNING mine.budget, mine.share`

// Share implements store.Engine.
func (e *Engine) Share(ctx context.Context, replica string, demands map[string]float64, life time.Duration) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	var budgets []string
	var wanted []float64
	for budget, demand := range demands {
		budgets, wanted = append(budgets, budget), append(wanted, demand)
	}
	shares := make(map[string]float64, len(demands))
	var batch pgx.Batch
	batch.Queue(`BEGIN`)
	batch.Queue(`LOCK TABLE shares IN EXCLUSIVE MODE`) // one replica at a time: what is granted never sums up to more
	batch.Queue(`DELETE FROM shares WHERE expires_at <= clock_timestamp()`)
	batch.Queue(shareOut, replica, budgets, wanted, life.Microseconds()).Query(func(rows pgx.Rows) error {
		_, err := collect(rows, func(row scanner) (struct{}, error) {
			var budget string
			var share float64
			err := row.Scan(&budget, &share)
			shares[budget] = share
			return struct{}{}, err
		})
		return err
	})
	batch.Queue(`COMMIT`)
	conn, err := e.writers.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("share budgets: %w", err)
	}
	defer conn.Release() // closes a connection that is still inside a transaction
	if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("share budgets: %w", err)
	}
	return shares, nil
}
