package client_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/server"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gateway is a gateway over a real database that may be stopped and started again, always at the same address.
type gateway struct {
	t       testing.TB
	store   *store.Store
	journal *journal.Journal
	address string

	mu      sync.Mutex
	server  *server.Server
	serving sync.WaitGroup
}

func newGateway(t testing.TB, change func(*store.Config)) *gateway {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	engine, err := sqlite.Open(ctx, filepath.Join(dir, "gateway.db"))
	must(t, err)
	t.Cleanup(func() { _ = engine.Close() })
	keys, err := store.OpenKeyring(filepath.Join(dir, "keys.json"))
	must(t, err)
	cfg := store.Config{Engine: engine, Keys: keys, Heartbeat: 100 * time.Millisecond, TailCount: 16, PageSize: 7}
	if change != nil {
		change(&cfg)
	}
	s, err := store.New(ctx, cfg)
	must(t, err)
	t.Cleanup(s.Close)
	g := &gateway{t: t, store: s, journal: journal.New(journal.Config{Store: s}), address: "127.0.0.1:0"}
	g.start()
	t.Cleanup(func() { g.stop(0) })
	return g
}

func (g *gateway) start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	listener, err := net.Listen("tcp", g.address)
	must(g.t, err)
	g.address = listener.Addr().String()
	g.server, err = server.New(server.Config{
		Journal: g.journal, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Accounts: map[string]operation.API{"shop": operation.RegionalAPI, "acquirer": operation.NetworkAPI},
		Defaults: map[operation.API]string{operation.RegionalAPI: "shop", operation.NetworkAPI: "acquirer"},
	})
	must(g.t, err)
	serving := g.server
	g.serving.Go(func() { _ = serving.Serve(listener) })
}

// stop ends the gateway; without grace it cuts off what is under way.
func (g *gateway) stop(grace time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	g.server.Shutdown(ctx)
	g.serving.Wait()
}

// record records one event of a payment; n counts them.
func (g *gateway) record(payment string, n int) {
	g.t.Helper()
	_, err := g.journal.RecordPayment(context.Background(), journal.PaymentFact{
		EventID: fmt.Sprintf("%s-%d", payment, n), MerchantAccount: "shop", SessionID: payment, Cause: journal.Call, At: g.store.Now(),
		Session: &journal.SessionFacts{OrderAmount: int64(n + 1), Currency: "EUR", OrderPolicy: journal.OrderByCaller, Updated: n > 0},
	})
	must(g.t, err)
}

func (g *gateway) dial() *grpc.ClientConn {
	g.t.Helper()
	conn, err := grpc.NewClient(g.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond}}))
	must(g.t, err)
	g.t.Cleanup(func() { _ = conn.Close() })
	return conn
}
