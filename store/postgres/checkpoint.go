package postgres

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

const checkpointColumns = `SELECT caller, name, watch, token, position, updated_at FROM checkpoints `

const checkpointQuery = checkpointColumns + `WHERE caller = $1 AND name = $2`

func scanCheckpoint(row scanner) (c store.Checkpoint, err error) {
	return c, row.Scan(&c.Caller, &c.Name, &c.Watch, &c.Token, &c.Position, instant{&c.UpdatedAt})
}

// Checkpoint implements store.Engine.
func (e *Engine) Checkpoint(ctx context.Context, caller, name string) (store.Checkpoint, error) {
	c, err := row(ctx, e, checkpointQuery, []any{caller, name}, scanCheckpoint)
	if err != nil {
		return store.Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	return c, nil
}

// Checkpoints implements store.Engine.
func (e *Engine) Checkpoints(ctx context.Context, caller, after string, limit int) ([]store.Checkpoint, error) {
	found, err := rows(ctx, e, checkpointColumns+`WHERE caller = $1 AND name > $2 ORDER BY name LIMIT $3`, []any{caller, after, limit}, scanCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return found, nil
}

// CheckpointsBefore implements store.Engine.
func (e *Engine) CheckpointsBefore(ctx context.Context, position store.Position, limit int) ([]store.Checkpoint, error) {
	found, err := rows(ctx, e, checkpointColumns+`WHERE position < $1 ORDER BY position LIMIT $2`, []any{position, limit}, scanCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return found, nil
}

// Checkpoint implements store.Tx.
func (t *tx) Checkpoint(_ context.Context, caller, name string) (store.Checkpoint, error) {
	c, err := one(t, mark("checkpoint", caller, name), checkpointQuery, []any{caller, name}, scanCheckpoint)
	if err != nil {
		return store.Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	return c, nil
}

// PutCheckpoint implements store.Tx.
func (t *tx) PutCheckpoint(_ context.Context, c store.Checkpoint) error {
	err := t.exec(mark("checkpoint", c.Caller, c.Name), `INSERT INTO checkpoints (caller, name, watch, token, position, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (caller, name) DO UPDATE SET watch = excluded.watch, token = excluded.token,
		position = excluded.position, updated_at = excluded.updated_at`, c.Caller, c.Name, c.Watch, c.Token, c.Position, micros(c.UpdatedAt))
	if err != nil {
		return fmt.Errorf("put checkpoint: %w", err)
	}
	return nil
}

// DeleteCheckpoint implements store.Tx.
func (t *tx) DeleteCheckpoint(_ context.Context, caller, name string) error {
	if err := t.exec(mark("checkpoint", caller, name), `DELETE FROM checkpoints WHERE caller = $1 AND name = $2`, caller, name); err != nil {
		return fmt.Errorf("delete checkpoint: %w", err)
	}
	return nil
}
