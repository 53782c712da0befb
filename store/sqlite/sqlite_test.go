package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // for what looks at a file beside the engine

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/sqlite"
	"payments.internal/klarna-gateway/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string, opts ...sqlite.Option) *sqlite.Engine {
	t.Helper()
	e, err := sqlite.Open(t.Context(), path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEngine_KeepsItsPromises(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Engine {
		e := open(t, filepath.Join(t.TempDir(), "gateway.db"))
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return e
	})
}

func TestEngine_KeepsItsPromisesOverOpenings(t *testing.T) {
	t.Parallel()
	storetest.Reopen(t, func(t *testing.T) func() store.Engine {
		path := filepath.Join(t.TempDir(), "gateway.db")
		return func() store.Engine { return open(t, path, sqlite.WithReaders(1)) }
	})
}

func TestOpen_TakesAnyFileName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b?mode=memory#%41&é.db")
	e := open(t, path)
	defer e.Close()
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has permissions %o", filepath.Base(name), info.Mode().Perm())
		}
	}
}

func TestOpen_TakesBackPermissions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	e := open(t, path)
	defer e.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("permissions %v, error %v", info.Mode().Perm(), err)
	}
}

func TestOpen_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE schema_version SET version = version + 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path); !errors.Is(err, sqlite.ErrNewer) {
		t.Errorf("newer database: got %v, want ErrNewer", err)
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "missing", "gateway.db")); err == nil {
		t.Error("opened a file in a folder that is missing")
	}
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("these are notes and no database at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), text); err == nil {
		t.Error("opened a text file")
	}
}

func TestOpen_SyncsBeforeACommitReturns(t *testing.T) {
	t.Parallel()
	e := open(t, filepath.Join(t.TempDir(), "gateway.db"))
	defer e.Close()
	mode, level, err := sqlite.Durability(context.Background(), e)
	if err != nil || mode != "wal" || level != 2 {
		t.Errorf("journal %s, synchronous %d (2 is FULL), error %v", mode, level, err)
	}
}
