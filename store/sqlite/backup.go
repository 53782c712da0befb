package sqlite

import (
	"context"
	"database/sql"
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
	db, err := sql.Open("sqlite", source(path)+"&mode=rw")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, to); err != nil {
		return err
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
	db, err := sql.Open("sqlite", source(path, "query_only(1)")+"&mode=rw")
	if err != nil {
		return info, fmt.Errorf("inspect: %w", err)
	}
	defer func() {
		if err = errors.Join(err, db.Close()); err != nil {
			err = fmt.Errorf("inspect: %w", err)
		}
	}()
	if whole {
		if err := check(ctx, db); err != nil {
			return info, err
		}
	}
	if err := db.QueryRowContext(ctx, `SELECT version FROM schema_version`).Scan(&info.Schema); err != nil {
		return info, err
	}
	if err := db.QueryRowContext(ctx, `SELECT id, epoch, head, trimmed FROM log`).Scan(&info.Log, &info.Epoch, &info.Head, &info.Trimmed); err != nil {
		return info, err
	}
	var keyed bool
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM pragma_table_info('log') WHERE name = 'keyring'`).Scan(&keyed); err != nil || !keyed {
		return info, err
	}
	return info, db.QueryRowContext(ctx, `SELECT keyring FROM log`).Scan(&info.Keyring)
}

// check is SQLite's own check of a whole file.
func check(ctx context.Context, db *sql.DB) error {
	found, err := db.QueryContext(ctx, `PRAGMA integrity_check(5)`)
	if err != nil {
		return err
	}
	defer found.Close()
	var flaws []string
	for found.Next() {
		var flaw string
		if err := found.Scan(&flaw); err != nil {
			return err
		}
		if flaw != "ok" {
			flaws = append(flaws, flaw)
		}
	}
	if len(flaws) > 0 {
		return fmt.Errorf("the file is damaged: %s", strings.Join(flaws, "; "))
	}
	return found.Err()
}

// OpenReading opens the database file at path for those methods alone that read, without bringing its schema up to date.
func OpenReading(path string) (*Engine, error) {
	reading, err := sql.Open("sqlite", source(path, "query_only(1)")+"&mode=rw")
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &Engine{reader: newReader(reading)}, nil
}
