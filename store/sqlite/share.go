package sqlite

import (
	"context"
	"fmt"
	"time"
)

// Share implements store.Engine.
func (e *Engine) Share(ctx context.Context, replica string, demands map[string]float64, life time.Duration) (map[string]float64, error) {
	shares := make(map[string]float64, len(demands))
	now := time.Now()
	err := e.writer.transaction(ctx, func(ctx context.Context) error {
		for budget, demand := range demands {
			var wanted, granted, share float64
			err := row(ctx, e.writer, `SELECT coalesce(sum(demand), 0.0), coalesce(sum(share), 0.0) FROM shares
				WHERE budget = ? AND replica <> ? AND expires_at > ?`, []any{budget, replica, micros(now)}, &wanted, &granted)
			if err != nil {
				return err
			}
			err = row(ctx, e.writer, `INSERT INTO shares (budget, replica, demand, share, expires_at) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (budget, replica) DO UPDATE SET demand = excluded.demand, share = excluded.share, expires_at = excluded.expires_at
				RETURNING share`, []any{budget, replica, demand, max(min(demand/(demand+wanted), 1-granted), 0), micros(now.Add(life))}, &share)
			if err != nil {
				return err
			}
			shares[budget] = share
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("share budgets: %w", err)
	}
	return shares, nil
}
