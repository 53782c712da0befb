package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"payments.internal/klarna-gateway/store"
)

func appendEvent(t *testing.T, e store.Engine, ev store.Event) {
	t.Helper()
	results := e.Commit(t.Context(), []func(store.Tx) error{func(tx store.Tx) error {
		_, err := tx.Append(t.Context(), ev)
		return err
	}})
	if results[0] != nil {
		t.Fatal(results[0])
	}
}

// What was committed comes into the file while the engine is open, without a long write-ahead log or another commit.
func TestCommit_ReachesTheFileByItself(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	e := open(t, path)
	defer e.Close()
	appendEvent(t, e, store.Event{ID: "e1", Stream: store.Payments, Subject: "p1", Body: make([]byte, 1<<20)})
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(path); err != nil {
			t.Fatal(err)
		} else if info.Size() > 1<<20 {
			return
		}
		if time.Now().After(until) {
			t.Fatal("it is still in the write-ahead log")
		}
	}
}

// An erasure that a reader keeps from emptying the write-ahead log is made good once the reader is gone, though nothing is
// committed after it.
func TestErase_EmptiesTheLogOnceNobodyReadsIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	e := open(t, path)
	defer e.Close()
	appendEvent(t, e, store.Event{ID: "e1", Stream: store.Payments, Subject: "p1"})
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	reading, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var head int
	if err := reading.QueryRow(`SELECT head FROM log`).Scan(&head); err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithTimeout(t.Context(), time.Second)
	defer giveUp()
	erased := e.Commit(ctx, []func(store.Tx) error{func(tx store.Tx) error {
		_, err := tx.Erase(t.Context(), "p1", time.Now())
		return err
	}})
	if erased[0] != nil {
		t.Fatal(erased[0])
	}
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if size() == 0 {
		t.Fatal("the log is empty though it is read")
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); size() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("what was erased still stands in the write-ahead log")
		}
	}
}

// Before migration 0011 the engine kept a subject's state in its own row, too.
func TestSubject_OfAnEarlierVersionHasItsState(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	e := open(t, path)
	defer e.Close()
	body := func() string {
		t.Helper()
		s, err := e.Subject(t.Context(), "p1")
		if err != nil {
			t.Fatal(err)
		}
		return string(s.Body) + " " + string(s.Lasting)
	}
	first := store.Event{ID: "e1", Stream: store.Payments, Subject: "p1", Body: []byte("one"), Lasting: []byte("lasts")}
	appendEvent(t, e, first)
	if got := body(); got != "one lasts" {
		t.Errorf("state is %q", got)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE subjects SET body = CAST('as it was' AS BLOB), lasting = NULL`); err != nil {
		t.Fatal(err)
	}
	if got := body(); got != "as it was " {
		t.Errorf("state of an earlier version is %q", got)
	}
	appendEvent(t, e, store.Event{ID: "e2", Stream: store.Payments, Subject: "p1", Body: []byte("two")})
	if got := body(); got != "two " {
		t.Errorf("state is %q", got)
	}
}
