package store

import (
	"context"
	"time"
)

// Checkpoint is how far a watcher has come that has nowhere of its own to keep it.
type Checkpoint struct {
	Caller    string // whose it is; empty without authentication
	Name      string // unique per caller
	Watch     string // what is watched, in its owner's words
	Token     string // continues the watch
	Position  Position
	UpdatedAt time.Time // set by the Store
}

// Checkpoint returns a caller's checkpoint. ErrNotFound if unknown.
func (s *Store) Checkpoint(ctx context.Context, caller, name string) (Checkpoint, error) {
	return s.engine.Checkpoint(ctx, caller, name)
}

// Checkpoints returns a caller's checkpoints, by name, with names greater than after.
func (s *Store) Checkpoints(ctx context.Context, caller, after string, limit int) ([]Checkpoint, error) {
	return s.engine.Checkpoints(ctx, caller, after, limit)
}

func (t *sealedTx) PutCheckpoint(ctx context.Context, c Checkpoint) error {
	c.UpdatedAt = t.now()
	return t.Tx.PutCheckpoint(ctx, c)
}
