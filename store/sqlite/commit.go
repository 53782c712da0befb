package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"payments.internal/klarna-gateway/store"
)

// errSpoilt says that a unit failed after it had written, and has to be undone alone.
var errSpoilt = errors.New("a unit has to be undone")

// Commit implements store.Engine. The units run in one immediate transaction. Savepoints, which would undo one of them
// alone, make SQLite copy every page that a unit changes, so there are none at first: if a unit fails after it has
// written, all of the transaction is undone and the units run again, each under a savepoint of its own.
func (e *Engine) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	results, did, err := e.commit(ctx, units, e.writer.run)
	if errors.Is(err, errSpoilt) {
		results, did, err = e.commit(ctx, units, e.writer.runAlone)
	}
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
		return slices.Repeat([]error{err}, len(units))
	}
	e.tidier.wrote()
	if did.rings {
		e.ring()
	}
	if did.erases {
		if err := e.tidier.forget(ctx); err != nil { // it is committed
			slog.WarnContext(ctx, "an erased key may still stand in the write-ahead log, which is emptied as soon as nobody reads it", slog.Any("error", err))
		}
	}
	return results
}

// runner runs one unit. refused is why the unit alone came to nothing, err why nothing can go on.
type runner func(ctx context.Context, unit func(store.Tx) error) (t *tx, refused, err error)

// commit returns what the units did that came to something.
func (e *Engine) commit(ctx context.Context, units []func(store.Tx) error, run runner) (results []error, did tx, err error) {
	results = make([]error, len(units))
	err = e.writer.transaction(ctx, func(inside context.Context) error {
		for i, unit := range units {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			t, refused, err := run(inside, unit)
			if err != nil {
				return err
			}
			results[i] = refused
			did.rings = did.rings || refused == nil && t.rings
			did.erases = did.erases || refused == nil && t.erases
		}
		return nil
	})
	return results, did, err
}

// run runs one unit that cannot be undone alone.
func (w *writer) run(_ context.Context, unit func(store.Tx) error) (t *tx, refused, err error) {
	t = &tx{w: w}
	w.wrote = false
	refused = t.attempt(unit)
	if refused != nil && w.wrote {
		return nil, nil, errSpoilt
	}
	return t, refused, nil
}

// runAlone runs one unit under a savepoint.
func (w *writer) runAlone(ctx context.Context, unit func(store.Tx) error) (t *tx, refused, err error) {
	if err := w.exec(ctx, `SAVEPOINT unit`); err != nil {
		return nil, nil, fmt.Errorf("begin unit: %w", err)
	}
	t = &tx{w: w}
	before := w.log
	if refused = t.attempt(unit); refused != nil {
		w.log = before
		if err := w.exec(ctx, `ROLLBACK TO unit`); err != nil {
			return nil, nil, fmt.Errorf("undo unit: %w", errors.Join(err, refused))
		}
	}
	if err := w.exec(ctx, `RELEASE unit`); err != nil {
		return nil, nil, fmt.Errorf("end unit: %w", err)
	}
	return t, refused, nil
}

// attempt turns a panic of the unit into an error with its stack, and a statement that failed into the unit's failure.
func (t *tx) attempt(unit func(store.Tx) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("unit panicked: %v\n%s", cause, debug.Stack())
		}
	}()
	if err = unit(t); err == nil {
		err = t.failed
	}
	return err
}

// tx is a unit's view of the open transaction.
type tx struct {
	w      *writer
	erases bool                // a data key: see tidier.forget
	rings  bool                // listeners want to know of what it wrote
	failed error               // first statement that failed: the unit is undone even if it went on
	seen   map[string]standing // subjects that the unit has read or written
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
	if err := t.w.exec(ctx, query, args...); err != nil {
		return 0, t.note(err)
	}
	return int64(t.w.conn.Changes()), nil
}

// Listen implements store.Engine. It hears this engine's own commits: there is no other replica.
func (e *Engine) Listen(ctx context.Context, ring func(own bool)) error {
	bell := make(chan struct{}, 1)
	e.mu.Lock()
	e.listeners[bell] = struct{}{}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.listeners, bell)
		e.mu.Unlock()
	}()
	for own := false; ; own = true { // the file is nobody else's
		ring(own)
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
