package sqlite

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"payments.internal/klarna-gateway/store"
)

// TestQueries_WalkIndexes asks SQLite how it would run every read, whatever the filters: none may scan a table, and
// only what few keys address or few jobs are due may be sorted.
func TestQueries_WalkIndexes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e, err := Open(ctx, filepath.Join(t.TempDir(), "gateway.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	asked := map[string]bool{}
	e.reader.asked = func(query string) { asked[query] = true }
	one, two, three := store.Key{Kind: "order_id", Value: "1"}, store.Key{Kind: "order_id", Value: "2"}, store.Key{Kind: "session_id", Value: "3"}
	shared, other := store.Key{Kind: "partner_account_id", Value: "4"}, store.Key{Kind: "partner_account_id", Value: "5"}
	for shape := range 8 {
		q := store.Query{Stream: store.Payments, Limit: 10, Descending: shape&1 != 0}
		if shape&2 != 0 {
			q.MerchantAccount = "A-NORDLICHT"
		}
		if shape&4 != 0 {
			q.States = []string{"AUTHORIZED"}
		}
		for _, q.Keys = range [][]store.Key{nil, {one}, {one, two}, {one, two, three}, {shared}, {shared, other}, {shared, one}, {shared, one, two}} {
			if _, err := e.Events(ctx, q); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Subjects(ctx, q); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := e.Lease(ctx, time.Now(), time.Now().Add(time.Minute), 1); err != nil {
		t.Fatal(err)
	}
	for _, on := range store.Shelves() {
		if _, err := e.Sealed(ctx, on, nil, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Block(ctx, store.Payments, "A-NORDLICHT", "f", 0); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := e.Packed(ctx, store.Payments, "f"); err != nil {
		t.Fatal(err)
	}
	texts := slices.Collect(maps.Keys(asked))
	if len(texts) != 92 {
		t.Fatalf("%d texts to explain", len(texts))
	}
	for _, query := range texts {
		explain(t, e, query)
	}
}

func explain(t *testing.T, e *Engine, query string) {
	t.Helper()
	var steps []string
	err := e.reader.lend(t.Context(), `EXPLAIN QUERY PLAN `+query, func(st *sqlite.Stmt) error {
		for {
			found, err := st.Step()
			if err != nil || !found {
				return err
			}
			steps = append(steps, st.ColumnText(3))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	keyed := strings.Contains(query, "event_keys") || strings.Contains(query, "subject_keys")
	account := strings.Contains(query, "merchant_account = ?")
	for _, step := range steps {
		scans := strings.HasPrefix(step, "SCAN ") && !strings.Contains(step, "VIRTUAL TABLE") &&
			!strings.HasPrefix(step, "SCAN keyed") && step != "SCAN back" && !strings.HasPrefix(step, "SCAN (subquery")
		sorts := strings.Contains(step, "FOR ORDER BY") && !strings.Contains(query, "subject_keys") && !strings.Contains(query, "jobs")
		strays := strings.Contains(step, "_by_stream") && (keyed || account)
		if scans || sorts || strays {
			t.Errorf("%s\nin the plan of\n%s", step, query)
		}
	}
}
