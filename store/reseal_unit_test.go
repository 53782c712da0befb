package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"payments.internal/klarna-gateway/store"
)

// resealUnits puts down what each unit seals anew.
type resealUnits struct {
	store.Engine
	mu    sync.Mutex
	units []resealUnit
}

type resealUnit struct {
	table       string
	rows, bytes int
}

// Commit implements store.Engine.
func (e *resealUnits) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	watched := make([]func(store.Tx) error, len(units))
	for i, unit := range units {
		watched[i] = func(tx store.Tx) error {
			seen := &resealUnit{}
			err := unit(resealTx{tx, seen})
			if e.mu.Lock(); seen.rows > 0 {
				e.units = append(e.units, *seen)
			}
			e.mu.Unlock()
			return err
		}
	}
	return e.Engine.Commit(ctx, watched)
}

type resealTx struct {
	store.Tx
	seen *resealUnit
}

func (t resealTx) Reseal(ctx context.Context, on store.Shelf, row store.SealedRow, values [][]byte) error {
	t.seen.table = on.Table
	t.seen.rows++
	for _, value := range values {
		t.seen.bytes += len(value)
	}
	return t.Tx.Reseal(ctx, on, row, values)
}

// Commits wait while a unit writes: none of a walk writes more than about a megabyte, or a single row that is larger.
func TestReseal_WritesLittleAtATime(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		s, done := f.open(t)
		const blocks, small = 9, 150
		appendEvent(t, s, event("e", "p"))
		large := strings.Repeat("x", 200_000)
		for i := range blocks {
			b := store.Block{Stream: store.Payments, MerchantAccount: account, Form: fmt.Sprint("f", i), UpTo: 1}
			if err := s.SealBlock(&b, []byte(large)); err != nil {
				t.Fatal(err)
			}
			if err := s.Engine().PutBlocks(t.Context(), []store.Block{b}); err != nil {
				t.Fatal(err)
			}
		}
		err := s.Do(t.Context(), func(tx store.Tx) error {
			for i := range small + 5 {
				raw := fmt.Sprint("post ", i)
				if i >= small {
					raw = strings.Repeat(large, i-small+2) // 400 KB to 1.2 MB
				}
				if _, err := tx.Quarantine(context.Background(), store.Quarantined{MerchantAccount: account, EventID: fmt.Sprint(i), Raw: []byte(raw)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		done()
		f.rotate(t)
		var watched *resealUnits
		f.change = func(cfg *store.Config) {
			watched = &resealUnits{Engine: cfg.Engine}
			cfg.Engine = watched
		}
		s, done = f.open(t)
		defer func() { done() }()
		all := count(t, s.Reseal)
		_, seals := s.SealingKeys()
		if all.Under(seals) != 0 || all.Resealed < blocks+small+5 {
			t.Errorf("%+v", all)
		}
		rows, most := map[string]int{}, map[string]int{}
		for _, u := range watched.units {
			rows[u.table] += u.rows
			most[u.table] = max(most[u.table], u.rows)
			if u.rows > 1 && u.bytes > 1<<20 {
				t.Errorf("%d rows of %s and %d bytes in one unit", u.rows, u.table, u.bytes)
			}
		}
		if rows["blocks"] != blocks || rows["quarantine"] != small+5 {
			t.Errorf("rows that were sealed anew: %v", rows)
		}
		if most["blocks"] > 4 || most["quarantine"] != 100 {
			t.Errorf("most rows in a unit: %v", most)
		}
	})
}
