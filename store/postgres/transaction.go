package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"payments.internal/klarna-gateway/store"
)

// errRefused says that PostgreSQL refused a statement, and with it everything that was sent in one go.
var errRefused = errors.New("statement refused")

// transaction is an open write transaction. It holds the log's row, so there is one at a time over all replicas.
type transaction struct {
	conn     *pgx.Conn
	channel  string
	deadline time.Time
	careful  bool           // look at what became of each unit before the next
	head     store.Position // newest position so far
	found    store.Position // the one it began with
	rings    bool           // listeners want to know of what was written
	broken   error          // why nothing can go on
	queue    []queued
	unit     *begun // the one that runs
}

// queued is a statement that waits to be sent.
type queued struct {
	text string
	args []any
}

// begun is where the transaction stood when a unit began.
type begun struct {
	from  int  // its place in the queue
	saved bool // there is a savepoint
	head  store.Position
	rings bool
}

// reading is a query that is sent behind the queue. err is what this process made of its rows.
type reading struct {
	queued
	rows func(pgx.Rows) error
	err  error
}

// read makes a reading that puts its rows into all.
func read[T any](text string, args []any, scan func(scanner) (T, error), all *[]T) *reading {
	return &reading{queued: queued{text, args}, rows: func(rows pgx.Rows) (err error) {
		*all, err = collect(rows, scan)
		return err
	}}
}

// transaction runs do and commits what it wrote, or nothing if it fails. It gets on, or ends, within Engine.patience.
func (e *Engine) transaction(ctx context.Context, careful bool, do func(*transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	conn, err := e.writers.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Release() // closes a connection that is still inside a transaction
	w := &transaction{conn: conn.Conn(), channel: e.channel, careful: careful}
	w.deadline, _ = ctx.Deadline()
	if err := w.open(ctx); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err = do(w); err == nil {
		err = w.commit(ctx)
	}
	if err != nil && !w.conn.IsClosed() {
		_ = w.control(ctx, `ROLLBACK`) // if this fails, the connection is closed instead
	}
	return err
}

// open begins, and takes the log's row. Nobody else writes from here to the end, and what others wrote before is visible
// to every statement (READ COMMITTED: each one looks anew).
func (w *transaction) open(ctx context.Context) error {
	w.queue = append(w.queue, queued{text: `BEGIN`})
	var head []store.Position
	lock := read(`SELECT head FROM log FOR UPDATE`, nil, func(row scanner) (p store.Position, err error) { return p, row.Scan(&p) }, &head)
	if err := w.send(ctx, lock); err != nil {
		return err
	}
	if lock.err != nil || len(head) != 1 {
		return errors.Join(errors.New("the log's row cannot be read"), lock.err)
	}
	w.head, w.found = head[0], head[0]
	return nil
}

func (w *transaction) commit(ctx context.Context) error {
	if w.head != w.found {
		w.queue = append(w.queue, queued{`UPDATE log SET head = $1`, []any{w.head}})
	}
	if w.rings {
		w.queue = append(w.queue, queued{`SELECT pg_notify($1, '')`, []any{w.channel}})
	}
	w.queue = append(w.queue, queued{text: `COMMIT`})
	return w.send(ctx, nil)
}

// begin starts a unit.
func (w *transaction) begin() {
	w.unit = &begun{from: len(w.queue), head: w.head, rings: w.rings}
}

// end ends a unit, and undoes it if that is wanted.
func (w *transaction) end(ctx context.Context, undo bool) error {
	unit := w.unit
	w.unit = nil
	if undo {
		w.queue = w.queue[:unit.from]
		w.head, w.rings = unit.head, unit.rings
	}
	switch {
	case undo && unit.saved:
		return w.control(ctx, `ROLLBACK TO unit; RELEASE unit`)
	case unit.saved:
		w.queue = append(w.queue, queued{text: `RELEASE unit`})
	}
	return nil
}

// control sends what may not be prepared: in a transaction that failed PostgreSQL prepares nothing.
func (w *transaction) control(ctx context.Context, statements string) error {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), w.deadline)
	defer cancel()
	_, err := w.conn.PgConn().Exec(ctx, statements).ReadAll()
	return err
}

// send sends the queue, and a reading behind it, in one round trip. A unit that sends what it wrote gets a savepoint.
func (w *transaction) send(ctx context.Context, last *reading) error {
	if w.broken != nil {
		return w.broken
	}
	if u := w.unit; u != nil {
		if !u.saved && (w.careful || len(w.queue) > u.from) {
			w.queue, u.saved = slices.Insert(w.queue, u.from, queued{text: `SAVEPOINT unit`}), true
		}
		u.from = 0
	}
	var batch pgx.Batch
	for _, q := range w.queue {
		batch.Queue(q.text, q.args...)
	}
	w.queue = w.queue[:0]
	if last != nil {
		batch.Queue(last.text, last.args...).Query(func(rows pgx.Rows) error {
			last.err = last.rows(rows)
			return rows.Err()
		})
	}
	if batch.Len() == 0 {
		return nil
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), w.deadline)
	defer cancel()
	return w.judge(w.conn.SendBatch(ctx, &batch).Close())
}

// judge tells whom an error concerns: the unit that runs, or everything.
func (w *transaction) judge(err error) error {
	var refused *pgconn.PgError
	switch own := errors.As(err, &refused) && !w.conn.IsClosed(); {
	case err == nil:
		return nil
	case own && w.careful && w.unit != nil:
		return err
	case own && !w.careful:
		w.broken = fmt.Errorf("%w: %w", errRefused, err)
	default:
		w.broken = err
	}
	return w.broken
}

// scanner is a row.
type scanner interface{ Scan(into ...any) error }

func collect[T any](rows pgx.Rows, scan func(scanner) (T, error)) (all []T, err error) {
	defer rows.Close()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
