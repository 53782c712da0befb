package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func opened(t *testing.T, opts ...Option) *Engine {
	t.Helper()
	e, err := Open(t.Context(), filepath.Join(t.TempDir(), "gateway.db"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// A read that takes too long for its caller gives the connection back, which serves the next one.
func TestRead_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := opened(t, WithReaders(1))
	const endless = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n WHERE i = ?`
	var count int
	ctx, giveUp := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer giveUp()
	if err := row(ctx, e.reader, endless, []any{0}, &count); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the endless read ended with %v", err)
	}
	if err := row(ctx, e.reader, `SELECT 7`, nil, &count); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read of a context that has ended gave %v", err)
	}
	if _, _, err := e.Log(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRead_OfAClosedEngineFails(t *testing.T) {
	t.Parallel()
	e, err := Open(t.Context(), filepath.Join(t.TempDir(), "gateway.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Log(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("a read gave %v", err)
	}
	if err := e.writer.transaction(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, errClosed) {
		t.Errorf("a write gave %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestStatements_AreBoundAndScannedWhole(t *testing.T) {
	t.Parallel()
	e := opened(t)
	type word string
	var (
		text  word
		bytes []byte
		none  = []byte("left over")
		yes   bool
		part  float64
		n     int64
	)
	args := []any{word("a\x00b"), []byte{}, []byte(nil), true, 0.25, 1 << 40}
	if err := row(t.Context(), e.reader, `SELECT ?, ?, ?, ?, ?, ?`, args, &text, &bytes, &none, &yes, &part, &n); err != nil {
		t.Fatal(err)
	}
	if text != "a\x00b" || bytes == nil || len(bytes) > 0 || none != nil || !yes || part != 0.25 || n != 1<<40 {
		t.Errorf("got %q, %v, %v, %v, %v, %d", text, bytes, none, yes, part, n)
	}
	for query, args := range map[string][]any{
		"0 arguments for 1 parameters": nil,
		"argument 1 is a struct {}":    {struct{}{}},
		"column 0 is NULL":             {nil},
	} {
		if err := row(t.Context(), e.reader, `SELECT ?`, args, &n); err == nil || !strings.Contains(err.Error(), query) {
			t.Errorf("%v: got %v", args, err)
		}
	}
	if err := row(t.Context(), e.reader, `SELECT ?`, []any{1}, new(time.Time)); err == nil {
		t.Error("scanned into what takes no column")
	}
}
