package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"payments.internal/klarna-gateway/store"
)

// Commit implements store.Engine.
//
// What units write is queued and sent together with the next read, or with the COMMIT: a batch of units that only write
// costs two round trips, however many they are. A unit that fails before anything of it was sent is taken out of the
// queue, so that units need no savepoints, whose ids PostgreSQL would have to hand out and keep for each of them. Only a
// unit that reads after it has written gets one.
//
// The price: a statement that PostgreSQL refuses is noticed with others behind it, and they are all undone. Then the
// batch is run again with a savepoint and a look at the result for each unit, and the one that is to blame fails alone.
// Units may be run more than once (see store.Store.Do).
func (e *Engine) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	results, err := e.commit(ctx, units, false)
	if errors.Is(err, errRefused) {
		results, err = e.commit(ctx, units, true)
	}
	if err == nil {
		return results
	}
	results, err = make([]error, len(units)), fmt.Errorf("commit: %w", err)
	for i := range results {
		results[i] = err
	}
	return results
}

// commit runs the units in one transaction; careful looks at the result of each one before the next.
func (e *Engine) commit(ctx context.Context, units []func(store.Tx) error, careful bool) (results []error, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	inside := context.WithoutCancel(ctx)
	results = make([]error, len(units))
	err = e.transaction(inside, careful, func(w *transaction) error {
		for i, unit := range units {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if results[i], err = w.run(inside, unit); err != nil {
				return err
			}
		}
		return nil
	})
	return results, err
}

// run runs one unit. refused is why the unit alone was undone, err why nothing can go on.
func (w *transaction) run(ctx context.Context, unit func(store.Tx) error) (refused, err error) {
	w.begin()
	t := &tx{w: w}
	refused = attempt(unit, t)
	if refused == nil {
		refused = t.failed
	}
	if refused == nil && w.careful {
		refused = w.send(ctx, nil)
	}
	if w.broken != nil {
		return nil, w.broken
	}
	return refused, w.end(ctx, refused != nil)
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
	w      *transaction
	failed error // first failure that the unit must not survive: it is undone even if it went on
}

// note remembers such a failure, and passes it on.
func (t *tx) note(err error) error {
	if err != nil && !errors.Is(err, store.ErrNotFound) && t.failed == nil {
		t.failed = err
	}
	return err
}

// exec queues a statement. If PostgreSQL refuses it, the unit fails, though not here.
func (t *tx) exec(statement string, args ...any) error {
	if t.failed != nil {
		return t.failed
	}
	t.w.queue = append(t.w.queue, queued{statement, args})
	return nil
}

// query runs a query, behind everything that is queued, and reads its rows.
func query[T any](ctx context.Context, t *tx, text string, args []any, scan func(scanner) (T, error)) (all []T, err error) {
	if t.failed != nil {
		return nil, t.failed
	}
	read := read[T](text, args, scan, &all)
	if err := t.w.send(context.WithoutCancel(ctx), read); err != nil {
		return nil, t.note(err)
	}
	return all, t.note(read.err)
}

// one is query for the one row that is expected, store.ErrNotFound if there is none.
func one[T any](ctx context.Context, t *tx, text string, args []any, scan func(scanner) (T, error)) (row T, err error) {
	found, err := query(ctx, t, text, args, scan)
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return row, err
	}
	return found[0], nil
}
