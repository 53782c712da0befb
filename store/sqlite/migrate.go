package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"zombiezen.com/go/sqlite/sqlitex"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer says that the database was written by a newer version of this program, whose schema this one cannot know.
var ErrNewer = errors.New("database is newer than this program")

// SchemaVersion is the version that Open brings a file's schema to.
func SchemaVersion() int { return len(migrationNames()) }

// migrationNames are the migrations in their order.
func migrationNames() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(fmt.Sprintf("list migrations: %v", err)) // only of a malformed pattern
	}
	slices.Sort(names)
	return names
}

// migrate brings the schema up to date in one transaction. The files are applied in the order of their names and never
// changed once released; the schema's version is the number of files applied.
func (w *writer) migrate(ctx context.Context) error {
	names := migrationNames()
	return w.transaction(ctx, func(ctx context.Context) error {
		if err := w.exec(ctx, `CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT`); err != nil {
			return fmt.Errorf("create schema version: %w", err)
		}
		var version int
		if err := row(ctx, w, `SELECT coalesce(max(version), 0) FROM schema_version`, nil, &version); err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		if version > len(names) {
			return fmt.Errorf("schema version %d, known up to %d: %w", version, len(names), ErrNewer)
		}
		for _, name := range names[version:] {
			script, err := migrations.ReadFile(name)
			if err != nil {
				return fmt.Errorf("read migration: %w", err)
			}
			// A script may end with a comment, which is no statement.
			if err := sqlitex.ExecuteScript(w.conn.Conn, string(script)+"\nSELECT 1", nil); err != nil {
				return fmt.Errorf("apply %s: %w", name, err)
			}
		}
		if version == len(names) {
			return nil
		}
		if err := w.exec(ctx, `DELETE FROM schema_version`); err != nil {
			return fmt.Errorf("replace schema version: %w", err)
		}
		if err := w.exec(ctx, `INSERT INTO schema_version (version) VALUES (?)`, len(names)); err != nil {
			return fmt.Errorf("replace schema version: %w", err)
		}
		return nil
	})
}
