package sqlite

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// Log implements store.Engine.
func (e *Engine) Log(ctx context.Context) (id string, epoch int64, err error) {
	if err := row(ctx, e.reader, `SELECT id, epoch FROM log`, nil, &id, &epoch); err != nil {
		return "", 0, fmt.Errorf("read log: %w", err)
	}
	return id, epoch, nil
}

// Head implements store.Engine.
func (e *Engine) Head(ctx context.Context) (head, trimmed store.Position, err error) {
	if err := row(ctx, e.reader, `SELECT head, trimmed FROM log`, nil, &head, &trimmed); err != nil {
		return 0, 0, fmt.Errorf("read head: %w", err)
	}
	return head, trimmed, nil
}

// NewEpoch implements store.Engine.
func (e *Engine) NewEpoch(ctx context.Context, least int64) (epoch int64, err error) {
	err = e.writer.transaction(ctx, func(ctx context.Context) error {
		return row(ctx, e.writer, `UPDATE log SET epoch = max(epoch + 1, ?) RETURNING epoch`, []any{least}, &epoch)
	})
	if err != nil {
		return 0, fmt.Errorf("raise epoch: %w", err)
	}
	return epoch, nil
}

// Keyring implements store.Engine.
func (e *Engine) Keyring(ctx context.Context, digest []byte) (first []byte, err error) {
	err = e.writer.transaction(ctx, func(ctx context.Context) error {
		return row(ctx, e.writer, `UPDATE log SET keyring = coalesce(keyring, ?) RETURNING keyring`, []any{digest}, &first)
	})
	if err != nil {
		return nil, fmt.Errorf("identify keyring: %w", err)
	}
	return first, nil
}
