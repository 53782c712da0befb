package sqlite

import (
	"context"
	"errors"
)

// Durability reads how the writing connection commits.
func Durability(ctx context.Context, e *Engine) (journal string, synchronous int, err error) {
	err = errors.Join(
		e.writer.conn.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&journal),
		e.writer.conn.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&synchronous))
	return journal, synchronous, err
}
