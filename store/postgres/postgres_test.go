package postgres_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
	"payments.internal/klarna-gateway/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Tests{M: m}) }

func open(t testing.TB, url string, opts ...postgres.Option) *postgres.Engine {
	t.Helper()
	quiet := postgres.WithLogger(slog.New(slog.DiscardHandler)) // the server of the tests does not wait for its disk
	e, err := postgres.Open(t.Context(), url, append([]postgres.Option{quiet}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

func TestEngine_KeepsItsPromises(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Engine { return open(t, postgrestest.URL(t)) })
}

func TestEngine_KeepsItsPromisesOverOpenings(t *testing.T) {
	t.Parallel()
	storetest.Reopen(t, func(t *testing.T) func() store.Engine {
		url := postgrestest.URL(t)
		return func() store.Engine { return open(t, url, postgres.WithReaders(2)) }
	})
}
