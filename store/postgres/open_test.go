package postgres

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

var quiet = WithLogger(slog.New(slog.DiscardHandler))

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// later gives the migrations of this version with more of a later one.
func later(t *testing.T, more map[string]string) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		script, err := fs.ReadFile(migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: script}
	}
	for name, script := range more {
		all["migrations/"+name] = &fstest.MapFile{Data: []byte(script)}
	}
	return all
}

func TestOpen_ReplicasThatStartTogetherTakeTurns(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	ids := make([]string, 6)
	var starting sync.WaitGroup
	for i := range ids {
		starting.Go(func() {
			e, err := Open(t.Context(), url, quiet)
			if err != nil {
				t.Error(err)
				return
			}
			defer e.Close()
			ids[i], _, err = e.Log(t.Context())
			if err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("logs %v", ids)
		}
	}
}

// A replica lives with what a later version has added, and refuses what it cannot know.
func TestOpen_LivesWithCompatibleMigrationsOfALaterVersion(t *testing.T) {
	t.Parallel()
	url, ctx := postgrestest.URL(t), t.Context()
	old, err := Open(ctx, url, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	upgrade := func(more map[string]string) {
		t.Helper()
		if err := migrate(ctx, connect(t, url), later(t, more)); err != nil {
			t.Fatal(err)
		}
	}
	added := map[string]string{"9001_colour.sql": compatible + `ALTER TABLE events ADD COLUMN colour TEXT NOT NULL DEFAULT ''; CREATE TABLE colours (name TEXT)`}
	upgrade(added)
	again, err := Open(ctx, url, quiet) // an older replica is started again
	if err != nil {
		t.Fatalf("beside a later version: %v", err)
	}
	defer again.Close()
	for i, e := range []*Engine{old, again} {
		ev := store.Event{ID: string(rune('a' + i)), Stream: store.Payments, Subject: "p"}
		results := e.Commit(ctx, []func(store.Tx) error{func(tx store.Tx) error { _, err := tx.Append(ctx, ev); return err }})
		if results[0] != nil {
			t.Errorf("append beside a later version: %v", results[0])
		}
	}
	added["9002_break.sql"] = "-- compatible: no\nALTER TABLE events ADD COLUMN needed TEXT"
	upgrade(added)
	if _, err := Open(ctx, url, quiet); !errors.Is(err, ErrNewer) {
		t.Errorf("behind a change it cannot live with: %v, want ErrNewer", err)
	}
}

// A migration that fails leaves the schema as it was.
func TestMigrate_DoesAllOrNothing(t *testing.T) {
	t.Parallel()
	url, ctx := postgrestest.URL(t), t.Context()
	conn := connect(t, url)
	if err := migrate(ctx, conn, later(t, map[string]string{"9001_bad.sql": `CREATE TABLE extra (); SELECT nonsense`})); err == nil {
		t.Fatal("a bad migration was applied")
	}
	var tables int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables are left, error %v", tables, err)
	}
}

// Commits wait for the disk whatever the server, the database or the URL says.
func TestOpen_WritesWaitForTheDisk(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	for set, want := range map[string]string{"off": "on", "local": "on", "on": "on", "remote_apply": "remote_apply"} {
		e, err := Open(t.Context(), url+"&synchronous_commit="+set, quiet)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := e.writers.QueryRow(t.Context(), `SHOW synchronous_commit`).Scan(&got); err != nil || got != want {
			t.Errorf("set to %s: commits with %s, error %v", set, got, err)
		}
		_ = e.Close()
	}
}

// What is wrong with a database is said, and its password is not.
func TestOpen_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	const password = "correct-horse-battery"
	for _, tc := range []struct{ url, says string }{
		{"mysql://gateway:" + password + "@localhost/x", "begins with postgres://"},
		{"postgres://gateway:" + password + "@localhost:port/x", "cannot be parsed"},
		{"postgres://gateway:" + password + "@127.0.0.1:1/x?connect_timeout=1", "connect"},
		{url + "&default_transaction_read_only=on", "takes no writes"},
	} {
		_, err := Open(t.Context(), tc.url, quiet)
		if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: got %v", tc.says, err)
		}
	}
	var said strings.Builder
	e, err := Open(t.Context(), url, WithLogger(slog.New(slog.NewTextHandler(&said, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var fsync string
	if err := e.readers.QueryRow(t.Context(), `SHOW fsync`).Scan(&fsync); err != nil {
		t.Fatal(err)
	}
	if complains := strings.Contains(said.String(), "lose data"); complains != (fsync == "off") {
		t.Errorf("fsync is %s, the log says %q", fsync, said.String())
	}
}

// A replica may run with a role that cannot change the schema, once another has brought it up to date.
func TestOpen_NeedsNoRightToChangeTheSchema(t *testing.T) {
	t.Parallel()
	url, ctx := postgrestest.URL(t), t.Context()
	owner, err := Open(ctx, url, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	conn := connect(t, url)
	var schema string
	if err := conn.QueryRow(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	role := schema + "_role"
	_, err = conn.Exec(ctx, `CREATE ROLE `+role+` LOGIN; GRANT USAGE ON SCHEMA `+schema+` TO `+role+`;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA `+schema+` TO `+role+`; GRANT USAGE ON ALL SEQUENCES IN SCHEMA `+schema+` TO `+role)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = conn.Exec(context.WithoutCancel(ctx), `DROP OWNED BY `+role+`; DROP ROLE `+role) }()
	plain, err := Open(ctx, url+"&user="+role, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	results := plain.Commit(ctx, []func(store.Tx) error{func(tx store.Tx) error {
		_, err := tx.Append(ctx, store.Event{ID: "e1", Stream: store.Payments, Subject: "p", Keys: []store.Key{{Kind: "k", Value: "v"}}})
		return errors.Join(err, tx.AddJob(ctx, store.Job{Kind: "read", Key: "k"}))
	}})
	_, shareErr := plain.Share(ctx, "replica", map[string]float64{"shop": 1}, 1)
	_, trimErr := plain.Trim(ctx, 1)
	if err := errors.Join(results[0], shareErr, trimErr); err != nil {
		t.Error(err)
	}
	// As after an upgrade that brought a table on which the role was granted nothing: what writes there by itself may.
	if _, err := conn.Exec(ctx, `REVOKE ALL ON leftovers FROM `+role); err != nil {
		t.Fatal(err)
	}
	again := plain.Commit(ctx, []func(store.Tx) error{func(tx store.Tx) error {
		_, err := tx.Append(ctx, store.Event{ID: "e2", Stream: store.Payments, Subject: "p"})
		return err
	}})
	if again[0] != nil {
		t.Error(again[0])
	}
}
