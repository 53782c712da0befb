// Package sqlite keeps the log, the jobs and the answered requests in one SQLite file. It suits a single replica; the
// file has to be on a local disk.
//
// One connection writes, a few read beside it (WAL). synchronous=FULL makes SQLite sync the write-ahead log before a
// commit returns, so what was committed survives a power cut.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"payments.internal/klarna-gateway/store"
)

// Engine implements store.Engine over one file.
type Engine struct {
	writer *writer
	reader *reader
	tidier *tidier
	file   *os.File // closed last: to close any handle on it drops the locks that this process holds on it through SQLite

	mu        sync.Mutex
	listeners map[chan struct{}]struct{}
}

var _ store.Engine = (*Engine)(nil)

// Option changes how an engine is opened.
type Option func(*options)

type options struct{ readers int }

// WithReaders sets how many reads run at the same time. The default is 4.
func WithReaders(n int) Option {
	return func(o *options) { o.readers = max(n, 1) }
}

// Open opens the database file at path, creates it if it is missing (readable by its owner alone) and brings its schema
// up to date. It fails with ErrNewer on a file that a newer version of this program wrote.
func Open(ctx context.Context, path string, opts ...Option) (*Engine, error) {
	o := options{readers: 4}
	for _, opt := range opts {
		opt(&o)
	}
	if err := protect(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	e := &Engine{listeners: make(map[chan struct{}]struct{})}
	if err := e.open(ctx, path, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), e.Close())
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context, path string, o options) error {
	var err error
	if e.writer, err = newWriter(path); err != nil {
		return err
	}
	if err := e.writer.migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	e.reader = newReader(path, o.readers)
	tidying, err := connect(path, 0, "synchronous(FULL)")
	if err != nil {
		return err
	}
	if e.file, err = os.Open(path); err != nil {
		return errors.Join(err, tidying.Close())
	}
	e.tidier = newTidier(ctx, tidying, e.file, e.writer)
	return nil
}

// Close ends all work with the file. Listen calls end with their context, not here.
func (e *Engine) Close() error {
	var errs []error
	if e.tidier != nil {
		errs = append(errs, e.tidier.close())
	}
	if e.reader != nil {
		errs = append(errs, e.reader.close())
	}
	if e.writer != nil {
		errs = append(errs, e.writer.close())
	}
	if e.file != nil {
		errs = append(errs, e.file.Close())
		e.file = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// protect makes sure that the file exists and only its owner can read it; SQLite gives the files beside it the same
// permissions. An existing file is never opened here: closing any handle on it would drop the locks that this process
// holds through SQLite.
func protect(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return os.Chmod(path, 0o600)
	}
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
