package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"payments.internal/klarna-gateway/store"
)

// Backup writes a copy of the database file at path to a new file, while a gateway, this or another process, works with
// it. The copy is what one commit left, never half of one, holds nothing that was deleted, and has reached the disk when
// Backup returns. Commits do not wait for it; what is written meanwhile stays in the write-ahead log until it is done.
func Backup(ctx context.Context, path, to string) (err error) {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	copied, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) // VACUUM INTO takes an empty file
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer func() {
		if err = errors.Join(err, copied.Close()); err != nil {
			err = errors.Join(fmt.Errorf("back up: %w", err), os.Remove(to))
		}
	}()
	conn, err := connect(path, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	conn.SetInterrupt(ctx.Done())
	if err := conn.do(`VACUUM INTO ?`, to); err != nil {
		return errors.Join(err, ctx.Err())
	}
	return errors.Join(copied.Sync(), syncFolder(filepath.Dir(to)))
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Info is what a database file says about itself.
type Info struct {
	Schema        int    // version of its schema
	Log           string // id of the log
	Epoch         int64
	Head, Trimmed store.Position
	Keyring       []byte // digest of the keyring that it began with; nil if it never began, or is older than that
}

// Inspect reads what the database file at path says about itself, without changing it and whoever works with it. whole
// checks all of its pages and indexes, too, which takes as long as reading the file.
func Inspect(ctx context.Context, path string, whole bool) (info Info, err error) {
	if _, err := os.Stat(path); err != nil {
		return info, fmt.Errorf("inspect: %w", err)
	}
	r := newReader(path, 1)
	defer func() {
		if err = errors.Join(err, r.close()); err != nil {
			err = fmt.Errorf("inspect: %w", err)
		}
	}()
	if whole {
		if err := check(ctx, r); err != nil {
			return info, err
		}
	}
	if err := row(ctx, r, `SELECT version FROM schema_version`, nil, &info.Schema); err != nil {
		return info, err
	}
	if err := row(ctx, r, `SELECT id, epoch, head, trimmed FROM log`, nil, &info.Log, &info.Epoch, &info.Head, &info.Trimmed); err != nil {
		return info, err
	}
	var keyed bool
	if err := row(ctx, r, `SELECT count(*) FROM pragma_table_info('log') WHERE name = 'keyring'`, nil, &keyed); err != nil || !keyed {
		return info, err
	}
	return info, row(ctx, r, `SELECT keyring FROM log`, nil, &info.Keyring)
}

// check is SQLite's own check of a whole file.
func check(ctx context.Context, r *reader) error {
	flaws, err := rows(ctx, r, `PRAGMA integrity_check(5)`, nil, func(row scanner) (flaw string, err error) { return flaw, row.Scan(&flaw) })
	if err != nil {
		return err
	}
	if found := strings.Join(flaws, "; "); found != "ok" {
		return fmt.Errorf("the file is damaged: %s", found)
	}
	return nil
}

// OpenReading opens the database file at path for those methods alone that read, without bringing its schema up to date.
func OpenReading(path string) *Engine {
	return &Engine{reader: newReader(path, 1)}
}
