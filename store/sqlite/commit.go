package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"payments.internal/klarna-gateway/store"
)

// Commit implements store.Engine. Each unit runs under a savepoint of its own in one immediate transaction.
func (e *Engine) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	results := make([]error, len(units))
	ring, erased := false, false
	err := e.writer.transaction(ctx, func(inside context.Context) error {
		for i, unit := range units {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			t, refused, err := e.writer.run(inside, unit)
			if err != nil {
				return err
			}
			results[i] = refused
			ring = ring || t.rings && refused == nil
			erased = erased || t.erases && refused == nil
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
		for i := range results {
			results[i] = err
		}
		return results
	}
	if ring {
		e.ring()
	}
	if erased {
		if err := e.forget(ctx); err != nil { // it is committed, and done again with the next checkpoint
			slog.WarnContext(ctx, "an erased key may still stand in the write-ahead log", slog.Any("error", err))
		}
	}
	return results
}

// run runs one unit. refused is why the unit alone was undone, err why nothing can go on.
func (w *writer) run(ctx context.Context, unit func(store.Tx) error) (t *tx, refused, err error) {
	if err := w.exec(ctx, `SAVEPOINT unit`); err != nil {
		return nil, nil, fmt.Errorf("begin unit: %w", err)
	}
	t = &tx{w: w}
	refused = attempt(unit, t)
	if refused == nil {
		refused = t.failed
	}
	if refused != nil {
		if err := w.exec(ctx, `ROLLBACK TO unit`); err != nil {
			return nil, nil, fmt.Errorf("undo unit: %w", errors.Join(err, refused))
		}
	}
	if err := w.exec(ctx, `RELEASE unit`); err != nil {
		return nil, nil, fmt.Errorf("end unit: %w", err)
	}
	return t, refused, nil
}

// attempt turns a panic of the unit into an error with its stack.
func attempt(unit func(store.Tx) error, t store.Tx) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("unit panicked: %v\n%s", cause, debug.Stack())
		}
	}()
	return unit(t)
}

// tx is a unit's view of the open transaction.
type tx struct {
	w      *writer
	erases bool  // a data key: see forget
	rings  bool  // listeners want to know of what it wrote
	failed error // first statement that failed: the unit is undone even if it went on
}

// note remembers a failure that the unit must not survive, and passes it on.
func (t *tx) note(err error) error {
	if err != nil && !errors.Is(err, store.ErrNotFound) && t.failed == nil {
		t.failed = err
	}
	return err
}

// row reads one row, store.ErrNotFound if there is none.
func (t *tx) row(ctx context.Context, query string, args []any, into ...any) error {
	return t.note(known(row(context.WithoutCancel(ctx), t.w, query, args, into...)))
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx = context.WithoutCancel(ctx)
	st, err := t.w.statement(ctx, query)
	if err != nil {
		return 0, t.note(err)
	}
	var done sql.Result
	if done, err = st.ExecContext(ctx, args...); err != nil {
		return 0, t.note(err)
	}
	changed, err := done.RowsAffected()
	return changed, t.note(err)
}

// Listen implements store.Engine. It hears this engine's own commits: there is no other replica.
func (e *Engine) Listen(ctx context.Context, ring func()) error {
	bell := make(chan struct{}, 1)
	e.mu.Lock()
	e.listeners[bell] = struct{}{}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.listeners, bell)
		e.mu.Unlock()
	}()
	for {
		ring()
		select {
		case <-bell:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (e *Engine) ring() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for bell := range e.listeners {
		select {
		case bell <- struct{}{}:
		default: // a ring waits already
		}
	}
}
