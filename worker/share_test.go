package worker_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
	"payments.internal/klarna-gateway/worker"
)

// Replicas that share a database share a quota: the second one gets what it wants of it when the first asks again.
func TestSharer_ReplicasShareAQuota(t *testing.T) {
	t.Parallel()
	url, keys := postgrestest.URL(t), filepath.Join(t.TempDir(), "keys.json")
	klarnas := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(klarnas.Close)
	ctx := t.Context()
	replica := func(name string) (*worker.Sharer, *store.Store) {
		engine, err := postgres.Open(ctx, url, postgres.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		ring, err := store.OpenKeyring(keys)
		if err != nil {
			t.Fatal(err)
		}
		s, err := store.New(ctx, store.Config{Engine: engine, Keys: ring})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(); _ = engine.Close() })
		var budgets klarna.Budgets
		_, err = klarna.New(klarna.Config{
			BaseURL: klarnas.URL, Username: "PK00000_test", Password: "password", Rates: map[klarna.Category]klarna.Rate{klarna.Regional: 40},
			Budgets: &budgets, BudgetsOf: "shop",
		})
		if err != nil {
			t.Fatal(err)
		}
		return &worker.Sharer{Store: s, Budgets: &budgets, Replica: name, Logger: slog.New(slog.DiscardHandler)}, s
	}
	first, shared := replica("first")
	second, _ := replica("second")
	for _, s := range []*worker.Sharer{first, second, first, second} {
		if err := s.Ask(ctx); err != nil {
			t.Fatal(err)
		}
	}
	demands := map[string]float64{"shop " + klarnas.URL + " regional": 8} // as much as both together
	third, err := shared.Share(ctx, "third", demands, time.Hour)
	if err != nil || len(third) != 1 {
		t.Fatal(third, err)
	}
	for name, share := range third {
		if share > 0.01 {
			t.Errorf("%s: the two replicas left %v", name, share)
		}
	}
	for _, s := range []*worker.Sharer{first, second} { // each gives up half of what it has
		if err := s.Ask(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if third, err = shared.Share(ctx, "third", demands, time.Hour); err != nil {
		t.Fatal(err)
	}
	for name, share := range third {
		if share < 0.45 || share > 0.55 {
			t.Errorf("%s: who wants half has %v", name, share)
		}
	}
}
