package store_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
	"payments.internal/klarna-gateway/store/sqlite"
)

// BenchmarkAppend is how many events become durable, by how many callers wait at the same time. A unit does what a
// webhook's does: is the event known, whose is it, append. Beside it stands what a program without this package would do: one INSERT and
// commit for each event, over as many connections as there are callers. Both servers wait for the disk.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 128} {
		b.Run(fmt.Sprintf("sqlite/callers=%d", callers), func(b *testing.B) {
			e, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gateway.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			benchmarkAppend(b, e, callers)
		})
	}
	server := postgrestest.Private(b)
	for _, callers := range []int{1, 16, 64, 128} {
		b.Run(fmt.Sprintf("postgres/callers=%d", callers), func(b *testing.B) {
			e, err := postgres.Open(b.Context(), server.Schema(b))
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			benchmarkAppend(b, e, callers)
		})
		b.Run(fmt.Sprintf("insert/callers=%d", callers), func(b *testing.B) { benchmarkInsert(b, server.Schema(b), callers) })
	}
}

// share lets callers do b.N things between them.
func share(b *testing.B, callers int, do func(n int64) error) {
	var n atomic.Int64
	var working sync.WaitGroup
	b.ResetTimer()
	for range callers {
		working.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func benchmarkAppend(b *testing.B, e store.Engine, callers int) {
	keys, err := store.OpenKeyring(filepath.Join(b.TempDir(), "keyring.json"))
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.New(b.Context(), store.Config{Engine: e, Keys: keys})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	body := make([]byte, 900)
	share(b, callers, func(n int64) error {
		payment := fmt.Sprint(n % 5003) // those of one payment do not come at once
		ev := event(fmt.Sprint("evt-", n), "pay-"+payment, store.Key{Kind: "order_id", Value: payment}, store.Key{Kind: "reference", Value: "r" + payment})
		ev.Body, ev.Raw = body, body
		return s.Do(b.Context(), func(tx store.Tx) error {
			_, known := tx.EventByID(b.Context(), ev.ID)
			_, err := tx.SubjectsByKeys(b.Context(), ev.Stream, ev.MerchantAccount, ev.Keys)
			if known == nil || err != nil {
				return fmt.Errorf("%v, %w", known, err)
			}
			_, err = tx.Append(b.Context(), ev)
			return err
		})
	})
}

func benchmarkInsert(b *testing.B, url string, callers int) {
	pool, err := pgxpool.New(b.Context(), fmt.Sprintf("%s&pool_max_conns=%d", url, callers))
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(b.Context(), `CREATE TABLE plain (id TEXT PRIMARY KEY, position BIGINT GENERATED ALWAYS AS IDENTITY, body BYTEA, raw BYTEA)`); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 928)
	share(b, callers, func(n int64) error {
		_, err := pool.Exec(b.Context(), `INSERT INTO plain (id, body, raw) VALUES ($1, $2, $3)`, fmt.Sprint("evt-", n), body, body)
		return err
	})
}
