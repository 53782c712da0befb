package sqlite

import (
	"context"
	"errors"
)

// Durability reads how the writing connection commits.
func Durability(ctx context.Context, e *Engine) (journal string, synchronous int, err error) {
	err = errors.Join(
		row(ctx, e.writer, `PRAGMA journal_mode`, nil, &journal),
		row(ctx, e.writer, `PRAGMA synchronous`, nil, &synchronous))
	return journal, synchronous, err
}
