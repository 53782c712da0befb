package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"

	"payments.internal/klarna-gateway/store"
)

// writer is the one connection that writes. Statements are prepared once and kept; their number is bounded by the
// SQL texts in this package.
type writer struct {
	turn       chan struct{} // full while a transaction is open
	conn       *sql.Conn
	statements map[string]*sql.Stmt // guarded by turn
	wrote      bool                 // a statement other than a SELECT was asked for; guarded by turn
	log        place                // guarded by turn
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
	st, err := w.statement(ctx, `UPDATE log SET head = ?`)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx, w.log.head)
	return err
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{turn: make(chan struct{}, 1), conn: conn, statements: make(map[string]*sql.Stmt)}
	var mode string
	if err := conn.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
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
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx)
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

// statement is for whoever has the turn.
func (w *writer) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	w.wrote = w.wrote || !strings.HasPrefix(query, "SELECT")
	if st, ok := w.statements[query]; ok {
		return st, nil
	}
	st, err := w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	w.statements[query] = st
	return st, nil
}

func (w *writer) exec(ctx context.Context, query string) error {
	st, err := w.statement(ctx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx)
	return err
}

// close waits for an open transaction.
func (w *writer) close() error {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	var errs []error
	for _, st := range w.statements {
		errs = append(errs, st.Close())
	}
	clear(w.statements)
	if err := w.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// reader is a pool of connections that only read, with its prepared statements. Queries take lists as one JSON
// argument, so their texts are few.
type reader struct {
	db *sql.DB

	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

func newReader(db *sql.DB) *reader {
	return &reader{db: db, statements: make(map[string]*sql.Stmt)}
}

func (r *reader) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if st, ok := r.statements[query]; ok {
		return st, nil
	}
	st, err := r.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	r.statements[query] = st
	return st, nil
}

func (r *reader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, st := range r.statements {
		errs = append(errs, st.Close())
	}
	clear(r.statements)
	return errors.Join(append(errs, r.db.Close())...)
}

// A LIMIT of a bare parameter would be looked at by SQLite's planner, which then plans the statement anew each time it is
// bound: queries say 0 + ?, which it takes as it comes.

// brief is the context of a read that is over before it could be interrupted. To watch a context costs the driver and
// database/sql a goroutine each, which is more than a look-up by key takes. A context that has ended stays one.
func brief(ctx context.Context) context.Context {
	if ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// querier is what reads inside and outside of a transaction have in common.
type querier interface {
	statement(ctx context.Context, query string) (*sql.Stmt, error)
}

// row reads the one row of a query. It fails with sql.ErrNoRows if there is none.
func row(ctx context.Context, q querier, query string, args []any, into ...any) error {
	st, err := q.statement(ctx, query)
	if err != nil {
		return err
	}
	return st.QueryRowContext(ctx, args...).Scan(into...)
}

// rows reads all rows of a query.
func rows[T any](ctx context.Context, q querier, query string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	st, err := q.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	found, err := st.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []T
	for found.Next() {
		one, err := scan(found)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, found.Err()
}

type scanner interface{ Scan(into ...any) error }
