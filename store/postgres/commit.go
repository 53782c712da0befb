package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"payments.internal/klarna-gateway/store"
)

// Commit implements store.Engine. Round trips are what a transaction costs, so units do not make them one by one:
//
//   - What units ask is asked together (see rounds). All units run ahead at the same time, each up to its first Append or
//     to its end. Then each gets its turn, in order; one that has read what a unit before it wrote is run again, now that
//     it is its turn.
//   - What units write is queued and sent together with the next question, or with the COMMIT.
//
// A batch of units that ask once or twice and then write costs two to four round trips, however many they are.
//
// Units need no savepoints, whose ids PostgreSQL would have to hand out and keep: one that fails before anything it wrote
// was sent is taken out of the queue. The price is that a statement that PostgreSQL refuses is noticed with others behind
// it, and they are all undone. Then the batch is run again, with a savepoint and a look at the result for each unit, and
// the one that is to blame fails alone.
func (e *Engine) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	results, err := e.commit(ctx, units, false)
	if errors.Is(err, errRefused) {
		results, err = e.commit(ctx, units, true)
	}
	if err == nil {
		return results
	}
	results, err = make([]error, len(units)), fmt.Errorf("commit: %w", away(err))
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
	results = make([]error, len(units))
	err = e.transaction(context.WithoutCancel(ctx), careful, func(w *transaction) error {
		var ahead *rounds
		if careful {
			err = w.send()
		} else {
			ahead = w.runAhead(units)
			defer ahead.end()
			err = ahead.ask()
		}
		if err != nil {
			return err
		}
		for i, unit := range units {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if ahead != nil && !ahead.runners[i].stale() {
				results[i], err = w.goOn(ahead.runners[i])
			} else {
				results[i], err = w.run(unit)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return results, err
}

// run runs one unit whose turn it is. refused is why the unit alone was undone, err why nothing can go on.
func (w *transaction) run(unit func(store.Tx) error) (refused, err error) {
	t := &tx{w: w, turn: true}
	w.begin()
	return w.end(t, attempt(unit, t))
}

// goOn gives a unit that ran ahead its turn, and waits for its end.
func (w *transaction) goOn(r *runner) (refused, err error) {
	w.begin()
	w.queue = append(w.queue, r.tx.queue...)
	w.rings = w.rings || r.tx.rings
	r.tx.queue = nil
	r.resume(true)
	return w.end(r.tx, r.refused)
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

// tx is a unit's view of the transaction. Its methods mark what they read and write, or a unit that ran ahead would keep
// what it read although another one changed it: every exec and every query names its marks, and a query adds those of what
// it found.
type tx struct {
	w      *transaction
	failed error // first failure that the unit must not survive: it is undone even if it went on

	turn        bool    // the unit has its turn: everything before it is done
	runner      *runner // while it has not
	queue       []queued
	rings       bool
	read, wrote marks
	expects     *expected
}

// marks names things that units read and write, such that who wrote and who read the same thing can tell.
type marks map[string]struct{}

// mark marks one thing.
func mark(what string, name ...string) []string {
	return []string{what + "\x00" + strings.Join(name, "\x00")}
}

func (m *marks) add(names ...string) {
	if *m == nil {
		*m = marks{}
	}
	for _, name := range names {
		(*m)[name] = struct{}{}
	}
}

func (m marks) meet(others marks) bool {
	for name := range m {
		if _, both := others[name]; both {
			return true
		}
	}
	return false
}

// note remembers a failure that the unit must not survive, and passes it on.
func (t *tx) note(err error) error {
	if err != nil && !errors.Is(err, store.ErrNotFound) && t.failed == nil {
		t.failed = err
	}
	return err
}

// exec queues a statement that writes the marked things. If PostgreSQL refuses it, the unit fails, though not here.
func (t *tx) exec(wrote []string, statement string, args ...any) error {
	if t.failed != nil {
		return t.failed
	}
	t.wrote.add(wrote...)
	t.enqueue(queued{text: statement, args: args})
	return nil
}

func (t *tx) enqueue(q queued) {
	if t.turn {
		t.w.queue = append(t.w.queue, q)
	} else {
		t.queue = append(t.queue, q)
	}
}

// ring has listeners told of the commit.
func (t *tx) ring() {
	if t.turn {
		t.w.rings = true
	} else {
		t.rings = true
	}
}

// query reads the rows of a query about the marked things, with everything applied that was written before.
func query[T any](t *tx, about []string, text string, args []any, scan func(scanner) (T, error)) (all []T, err error) {
	return queryTogether(t, nil, about, text, args, scan)
}

// queryTogether is query for what other units ask, too.
func queryTogether[T any](t *tx, b *bundle, about []string, text string, args []any, scan func(scanner) (T, error), along ...*reading) (all []T, err error) {
	asked := read(text, args, scan, &all)
	asked.bundle = b
	t.read.add(about...)
	if t.read.meet(t.wrote) { // what is queued has to be sent before
		t.await()
	}
	if t.failed != nil {
		return nil, t.failed
	}
	if t.turn {
		err = t.w.send(append(along, asked)...)
	} else {
		err = t.runner.ask(append(along, asked)...)
	}
	if err != nil {
		return nil, t.note(err)
	}
	return all, t.note(asked.err)
}

// one is query for the one row that is expected, store.ErrNotFound if there is none.
func one[T any](t *tx, about []string, text string, args []any, scan func(scanner) (T, error)) (row T, err error) {
	found, err := query(t, about, text, args, scan)
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return row, err
	}
	return found[0], nil
}
