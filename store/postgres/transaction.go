package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"payments.internal/klarna-gateway/store"
)

// errRefused says that PostgreSQL refused a statement, and with it everything that was sent in one go.
var errRefused = errors.New("statement refused")

// transaction is an open write transaction. It holds the log's row, so there is one at a time over all replicas.
type transaction struct {
	ctx     context.Context // of its whole life, with its deadline
	conn    *pgx.Conn
	channel string
	crew    crew
	careful bool           // look at what became of each unit before the next
	head    store.Position // newest position so far
	found   store.Position // the one it began with
	rings   bool           // listeners want to know of what was written
	wrote   marks          // by the units that had their turn
	begun   bool           // BEGIN was sent
	broken  error          // why nothing can go on
	queue   []queued
	unit    *begun // the one that has its turn
}

// queued is a statement that waits to be sent.
type queued struct {
	text  string
	args  []any
	alone bool // events are not to be moved past it

	event *store.Event // to be appended, instead of a text
	keys  string       // its keys column
	job   *store.Job   // to be added, instead of a text
	jobs  bool         // the text changes jobs: none that come later are to be moved past it
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

	bundle *bundle             // of those that ask the same, if they may be asked together
	each   func(scanner) error // takes one of its rows then
}

// read makes a reading that puts its rows into all.
func read[T any](text string, args []any, scan func(scanner) (T, error), all *[]T) *reading {
	return &reading{
		queued: queued{text: text, args: args},
		rows: func(rows pgx.Rows) (err error) {
			*all, err = collect(rows, scan)
			return err
		},
		each: func(row scanner) error {
			one, err := scan(row)
			*all = append(*all, one)
			return err
		},
	}
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
	w := &transaction{ctx: ctx, conn: conn.Conn(), channel: e.channel, crew: e.crew, careful: careful, queue: []queued{{text: `BEGIN`}}}
	if err = do(w); err == nil {
		err = w.commit()
	}
	if err != nil && !w.conn.IsClosed() {
		_ = w.control(`ROLLBACK`) // if this fails, the connection is closed instead
	}
	return err
}

// open takes the log's row, right behind BEGIN. Nobody else writes from here to the end, and what others wrote before is
// visible to every statement (READ COMMITTED: each one looks anew).
func (w *transaction) open() *reading {
	return &reading{queued: queued{text: `SELECT head FROM log FOR UPDATE`}, rows: func(rows pgx.Rows) error {
		head, err := collect(rows, func(row scanner) (p store.Position, err error) { return p, row.Scan(&p) })
		if err == nil && len(head) != 1 {
			err = errors.New("the log has no row")
		}
		if err == nil {
			w.head, w.found = head[0], head[0]
		}
		return err
	}}
}

func (w *transaction) commit() error {
	if w.head != w.found {
		w.queue = append(w.queue, queued{text: `UPDATE log SET head = $1`, args: []any{w.head}})
	}
	if w.rings {
		w.queue = append(w.queue, queued{text: `SELECT pg_notify($1, '')`, args: []any{w.channel}})
	}
	w.queue = append(w.queue, queued{text: `COMMIT`})
	return w.send()
}

// begin starts a unit.
func (w *transaction) begin() {
	w.unit = &begun{from: len(w.queue), head: w.head, rings: w.rings}
}

// end ends a unit, and undoes it if it has failed.
func (w *transaction) end(t *tx, refused error) (_, err error) {
	if refused == nil {
		refused = t.failed
	}
	if refused == nil && w.careful {
		refused = w.send()
	}
	if w.broken != nil {
		return nil, w.broken
	}
	unit := w.unit
	w.unit = nil
	switch {
	case refused == nil && unit.saved:
		w.queue = append(w.queue, queued{text: `RELEASE unit`, alone: true})
	case refused != nil:
		w.queue = w.queue[:unit.from]
		w.head, w.rings = unit.head, unit.rings
		if unit.saved {
			err = w.control(`ROLLBACK TO unit; RELEASE unit`)
		}
		return refused, err
	}
	w.wrote.add(slices.Collect(maps.Keys(t.wrote))...)
	return nil, nil
}

// control sends what may not be prepared: in a transaction that failed PostgreSQL prepares nothing.
func (w *transaction) control(statements string) error {
	_, err := w.conn.PgConn().Exec(w.ctx, statements).ReadAll()
	return err
}

// send sends the queue, and readings behind it, in one round trip. A unit that sends what it wrote gets a savepoint.
func (w *transaction) send(readings ...*reading) error {
	if w.broken != nil {
		return w.broken
	}
	if u := w.unit; u != nil {
		if !u.saved && (w.careful || len(w.queue) > u.from) {
			w.queue, u.saved = slices.Insert(w.queue, u.from, queued{text: `SAVEPOINT unit`, alone: true}), true
		}
		u.from = 0
	}
	if !w.begun {
		w.begun, readings = true, slices.Insert(readings, 0, w.open())
	}
	var batch pgx.Batch
	for _, q := range gather(w.queue) {
		batch.Queue(q.text, q.args...)
	}
	w.queue = w.queue[:0]
	for _, r := range together(readings) {
		batch.Queue(r.text, r.args...).Query(func(rows pgx.Rows) error {
			r.err = r.rows(rows)
			return rows.Err()
		})
	}
	if batch.Len() == 0 {
		return nil
	}
	return w.judge(w.conn.SendBatch(w.ctx, &batch).Close())
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
