package sqlite

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

const checkpointColumns = `SELECT caller, name, watch, token, position, updated_at FROM checkpoints `

func scanCheckpoint(row scanner) (c store.Checkpoint, err error) {
	return c, row.Scan(&c.Caller, &c.Name, &c.Watch, &c.Token, &c.Position, instant{&c.UpdatedAt})
}

func checkpoint(ctx context.Context, q querier, caller, name string) (store.Checkpoint, error) {
	found, err := rows(ctx, q, checkpointColumns+`WHERE caller = ? AND name = ?`, []any{caller, name}, scanCheckpoint)
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	return found[0], nil
}

// Checkpoint implements store.Engine.
func (e *Engine) Checkpoint(ctx context.Context, caller, name string) (store.Checkpoint, error) {
	return checkpoint(ctx, e.reader, caller, name)
}

// Checkpoints implements store.Engine.
func (e *Engine) Checkpoints(ctx context.Context, caller, after string, limit int) ([]store.Checkpoint, error) {
	found, err := rows(ctx, e.reader, checkpointColumns+`WHERE caller = ? AND name > ? ORDER BY name LIMIT 0 + ?`, []any{caller, after, limit}, scanCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return found, nil
}

// CheckpointsBefore implements store.Engine.
func (e *Engine) CheckpointsBefore(ctx context.Context, position store.Position, limit int) ([]store.Checkpoint, error) {
	found, err := rows(ctx, e.reader, checkpointColumns+`WHERE position < ? ORDER BY position LIMIT 0 + ?`, []any{position, limit}, scanCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return found, nil
}

// Checkpoint implements store.Tx.
func (t *tx) Checkpoint(ctx context.Context, caller, name string) (store.Checkpoint, error) {
	c, err := checkpoint(context.WithoutCancel(ctx), t.w, caller, name)
	return c, t.note(err)
}

// PutCheckpoint implements store.Tx.
func (t *tx) PutCheckpoint(ctx context.Context, c store.Checkpoint) error {
	_, err := t.exec(ctx, `INSERT INTO checkpoints (caller, name, watch, token, position, updated_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (caller, name) DO UPDATE SET watch = excluded.watch, token = excluded.token, position = excluded.position,
		updated_at = excluded.updated_at`, c.Caller, c.Name, c.Watch, c.Token, c.Position, micros(c.UpdatedAt))
	if err != nil {
		return fmt.Errorf("put checkpoint: %w", err)
	}
	return nil
}

// DeleteCheckpoint implements store.Tx.
func (t *tx) DeleteCheckpoint(ctx context.Context, caller, name string) error {
	if _, err := t.exec(ctx, `DELETE FROM checkpoints WHERE caller = ? AND name = ?`, caller, name); err != nil {
		return fmt.Errorf("delete checkpoint: %w", err)
	}
	return nil
}
