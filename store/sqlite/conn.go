package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"payments.internal/klarna-gateway/store"
)

// busyTimeout is how long a connection waits for another one, of whatever process, that holds the lock it needs.
const busyTimeout = 5 * time.Second

// conn is a connection with its prepared statements. Their number is bounded by the SQL texts in this package.
type conn struct {
	*sqlite.Conn
	prepared map[string]*sqlite.Stmt
}

// connect opens the database file at path, as it is named, and sets it up. It creates nothing unless told to.
func connect(path string, flags sqlite.OpenFlags, pragmas ...string) (*conn, error) {
	opened, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|flags)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: opened, prepared: make(map[string]*sqlite.Stmt)}
	c.SetBusyTimeout(busyTimeout)
	for _, pragma := range pragmas {
		if err := c.do(`PRAGMA ` + pragma); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// do runs a statement that is run once.
func (c *conn) do(query string, args ...any) error {
	st, _, err := c.PrepareTransient(query)
	if err != nil {
		return err
	}
	return errors.Join(exec(st, args), st.Finalize())
}

// lend lends a prepared statement, which is made at the first time. What it was bound to before stays: to clear that would
// have SQLite plan some statements anew.
func (c *conn) lend(query string, use func(*sqlite.Stmt) error) (err error) {
	st, ok := c.prepared[query]
	if !ok {
		if st, err = c.Prepare(query); err != nil {
			return err
		}
		c.prepared[query] = st
	}
	return errors.Join(use(st), st.Reset())
}

// writer is the one connection that writes.
type writer struct {
	turn  chan struct{} // full while a transaction is open
	conn  *conn
	wrote bool  // a statement other than a SELECT was asked for; guarded by turn
	log   place // guarded by turn
}

// place is where the log stands inside of a transaction.
type place struct {
	known bool
	head  store.Position // of what was appended so far
	found store.Position // what the row has
	swept store.Position
}

// place reads where the log stands, once in a transaction.
func (w *writer) place(ctx context.Context) error {
	if w.log.known {
		return nil
	}
	if err := row(ctx, w, `SELECT head, swept FROM log`, nil, &w.log.found, &w.log.swept); err != nil {
		return err
	}
	w.log.known, w.log.head = true, w.log.found
	return nil
}

// putPlace writes the newest position.
func (w *writer) putPlace(ctx context.Context) error {
	if !w.log.known || w.log.head == w.log.found {
		return nil
	}
	return w.exec(ctx, `UPDATE log SET head = ?`, w.log.head)
}

// writerCache is in KiB. More is not better: whenever pages of an index were put in order, SQLite's next commit goes through all
// that is in the cache.
const writerCache = 16 << 10

func newWriter(path string) (*writer, error) {
	conn, err := connect(path, sqlite.OpenCreate, "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)",
		fmt.Sprintf("journal_size_limit(%d)", longestWAL*pageSize), fmt.Sprintf("wal_autocheckpoint(%d)", longestWAL), "temp_store(MEMORY)", fmt.Sprintf("cache_size(-%d)", writerCache))
	if err != nil {
		return nil, err
	}
	w := &writer{turn: make(chan struct{}, 1), conn: conn}
	var mode string
	if err := row(context.Background(), w, `PRAGMA journal_mode`, nil, &mode); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if mode != "wal" {
		return nil, errors.Join(fmt.Errorf("journal mode is %s instead of wal: is the file on a local disk?", mode), conn.Close())
	}
	return w, nil
}

// transaction runs do and commits what it wrote, or nothing if it fails. The write lock is taken at the beginning
// (IMMEDIATE): a transaction that read before it writes would otherwise fail once another process wrote meanwhile.
//
// do gets a context that does not end. SQLite answers an interrupted statement by rolling back the whole transaction,
// and with it the work of units that have nothing to do with the caller who gave up.
func (w *writer) transaction(ctx context.Context, do func(context.Context) error) error {
	return w.hold(ctx, func() error { return w.transact(context.WithoutCancel(ctx), do) })
}

// hold does something while nothing is written.
func (w *writer) hold(ctx context.Context, do func() error) error {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return do()
}

// transact is for whoever has the turn.
func (w *writer) transact(ctx context.Context, do func(context.Context) error) error {
	w.log = place{}
	if err := w.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	committed := false
	defer func() {
		if !committed { // SQLite may have rolled back already; then this fails and says nothing new
			_ = w.exec(ctx, `ROLLBACK`)
		}
	}()
	if err := do(ctx); err != nil {
		return err
	}
	if err := w.putPlace(ctx); err != nil {
		return fmt.Errorf("put head: %w", err)
	}
	if err := w.exec(ctx, `COMMIT`); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	return nil
}

// lend is for whoever has the turn.
func (w *writer) lend(_ context.Context, query string, use func(*sqlite.Stmt) error) error {
	w.wrote = w.wrote || !strings.HasPrefix(query, "SELECT")
	if w.conn == nil {
		return errClosed
	}
	return w.conn.lend(query, use)
}

func (w *writer) exec(ctx context.Context, query string, args ...any) error {
	return w.lend(ctx, query, func(st *sqlite.Stmt) error { return exec(st, args) })
}

// close waits for an open transaction.
func (w *writer) close() error {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	if w.conn == nil {
		return nil
	}
	err := w.conn.Close()
	w.conn = nil
	return err
}

var errClosed = errors.New("the database is closed")

// reader is a pool of connections that only read. Queries take lists as one JSON argument, so that their texts are few:
// each connection keeps them prepared.
type reader struct {
	path   string
	idle   chan *conn // nil where one is still to be opened
	closed chan struct{}
	asked  func(query string) // told of what is read, if a test wants to know
}

func newReader(path string, conns int) *reader {
	r := &reader{path: path, idle: make(chan *conn, conns), closed: make(chan struct{})}
	for range conns {
		r.idle <- nil
	}
	return r
}

func (r *reader) lend(ctx context.Context, query string, use func(*sqlite.Stmt) error) (err error) {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var conn *conn
	select {
	case conn = <-r.idle:
	case <-r.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r.idle <- conn }()
	if conn == nil {
		if conn, err = connect(r.path, 0, "query_only(1)"); err != nil {
			return err
		}
	}
	if r.asked != nil {
		r.asked(query)
	}
	if ctx.Done() == nil {
		return conn.lend(query, use)
	}
	conn.SetInterrupt(ctx.Done())
	defer conn.SetInterrupt(nil)
	if err := conn.lend(query, use); err != nil && ctx.Err() != nil {
		return ctx.Err() // it was interrupted
	} else {
		return err
	}
}

// close waits for reads.
func (r *reader) close() error {
	select {
	case <-r.closed:
		return nil
	default:
	}
	close(r.closed)
	var errs []error
	for range cap(r.idle) {
		if conn := <-r.idle; conn != nil {
			errs = append(errs, conn.Close())
		}
	}
	return errors.Join(errs...)
}
