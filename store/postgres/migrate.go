package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer says that a newer version of this program changed the database in a way that this one cannot live with.
var ErrNewer = errors.New("database is newer than this program")

// migrationLock is the advisory lock that replicas take turns by when they start together.
const migrationLock = 0x6b6c61726e61 // "klarna"

// compatible is the first line of a migration that programs which do not know it may run beside: it adds what they
// neither read nor have to write. The others need every older replica stopped first.
const compatible = "-- compatible: yes\n"

// SchemaVersion is the version that Open brings a database's schema to.
func SchemaVersion() int {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(fmt.Sprintf("list migrations: %v", err)) // only of a malformed pattern
	}
	return len(names)
}

// migrate brings the schema up to date in one transaction. The files are applied in the order of their names and never
// changed once released. A database that has more of them than are known here is taken if those are all compatible, so
// that old and new replicas can run, and restart, side by side.
func migrate(ctx context.Context, conn *pgx.Conn, files fs.FS) error {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	slices.Sort(names)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return fmt.Errorf("wait for other replicas: %w", err)
		}
		version, err := schemaVersion(ctx, tx, len(names))
		if err != nil || version >= len(names) {
			return err
		}
		for i, name := range names[version:] {
			if err := apply(ctx, tx, files, name, version+i+1); err != nil {
				return fmt.Errorf("apply %s: %w", name, err)
			}
		}
		return nil
	})
}

// schemaVersion is how many migrations the database has, of which known are known here.
func schemaVersion(ctx context.Context, tx pgx.Tx, known int) (version int, err error) {
	// Asked for first: CREATE needs a right that a role without the schema lacks, even if there is nothing to create.
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass('schema_version') IS NOT NULL`).Scan(&there); err != nil {
		return 0, fmt.Errorf("look for schema version: %w", err)
	}
	if !there {
		_, err := tx.Exec(ctx, `CREATE TABLE schema_version (version INTEGER PRIMARY KEY, compatible BOOLEAN NOT NULL,
			applied_at TIMESTAMPTZ NOT NULL DEFAULT now())`)
		if err != nil {
			return 0, fmt.Errorf("create schema version: %w", err)
		}
		return 0, nil
	}
	var tolerable bool
	err = tx.QueryRow(ctx, `SELECT coalesce(max(version), 0), coalesce(bool_and(compatible) FILTER (WHERE version > $1), true)
		FROM schema_version`, known).Scan(&version, &tolerable)
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if !tolerable {
		return 0, fmt.Errorf("schema version %d, known up to %d: %w", version, known, ErrNewer)
	}
	return version, nil
}

func apply(ctx context.Context, tx pgx.Tx, files fs.FS, name string, version int) error {
	script, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, string(script)); err != nil { // without arguments: any number of statements
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO schema_version (version, compatible) VALUES ($1, $2)`, version,
		strings.HasPrefix(string(script), compatible))
	return err
}
