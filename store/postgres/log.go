package postgres

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// Log implements store.Engine.
func (e *Engine) Log(ctx context.Context) (id string, epoch int64, err error) {
	_, err = row(ctx, e, `SELECT id, epoch FROM log`, nil, func(row scanner) (struct{}, error) { return struct{}{}, row.Scan(&id, &epoch) })
	if err != nil {
		return "", 0, fmt.Errorf("read log: %w", err)
	}
	return id, epoch, nil
}

// Head implements store.Engine.
func (e *Engine) Head(ctx context.Context) (head, trimmed store.Position, err error) {
	_, err = row(ctx, e, `SELECT head, trimmed FROM log`, nil, func(row scanner) (struct{}, error) { return struct{}{}, row.Scan(&head, &trimmed) })
	if err != nil {
		return 0, 0, fmt.Errorf("read head: %w", err)
	}
	return head, trimmed, nil
}

// NewEpoch implements store.Engine.
func (e *Engine) NewEpoch(ctx context.Context, least int64) (epoch int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	if err := e.writers.QueryRow(ctx, `UPDATE log SET epoch = greatest(epoch + 1, $1) RETURNING epoch`, least).Scan(&epoch); err != nil {
		return 0, fmt.Errorf("raise epoch: %w", err)
	}
	return epoch, nil
}

// Keyring implements store.Engine.
func (e *Engine) Keyring(ctx context.Context, digest []byte) (first []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	if err := e.writers.QueryRow(ctx, `UPDATE log SET keyring = coalesce(keyring, $1) RETURNING keyring`, digest).Scan(&first); err != nil {
		return nil, fmt.Errorf("identify keyring: %w", err)
	}
	return first, nil
}
