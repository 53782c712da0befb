package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/klarna/klarnatest/contract"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
	"payments.internal/klarna-gateway/store/sqlite"
	"payments.internal/klarna-gateway/store/storetest"
	"payments.internal/klarna-gateway/webhook"
	"payments.internal/klarna-gateway/worker"
)

func TestMain(m *testing.M) {
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(planted.Spans())))
	goleak.VerifyTestMain(planted.Tests{M: postgrestest.Tests{M: m, Look: planted.Look}}, goleak.Cleanup(contractTable))
}

// The merchant accounts of every stack: two for payments, the first one being the default, and one for partners.
const (
	shop     = "shop"
	outlet   = "outlet"
	acquirer = "acquirer"
)

// patience is how long a test waits for what has to come.
const patience = time.Minute

// stack is the whole gateway over a real database, with a Klarna of its own that drives the clock.
type stack struct {
	*face
	t          *testing.T
	klarna     *klarnatest.Server
	tap        *contract.Tap // reads along between the gateway and Klarna; nil without Klarna's documents
	store      *store.Store
	journal    *journal.Journal
	operations *operation.Operations
	door       *webhook.Receiver
	stopWork   func() // ends the worker, and waits until what it has in hand is done
	logs       *logs
	readable   func() string // what whoever has the database and the key file can read
}

// face is a server on real sockets: gRPC and REST.
type face struct {
	t        *testing.T
	server   *Server
	conn     *grpc.ClientConn
	rest     *httptest.Server
	payments gatewayv1.PaymentServiceClient
	orders   gatewayv1.OrderServiceClient
	partners gatewayv1.PartnerServiceClient
	network  gatewayv1.NetworkPaymentServiceClient
	operator gatewayv1.OperatorServiceClient
	health   healthv1.HealthClient
}

// logs is what was logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs a stack until the test ends; change may alter the server's configuration.
func start(t *testing.T, change func(*Config)) *stack {
	t.Helper()
	return startOver(t, func(engine store.Engine) store.Engine { return engine }, change)
}

// startOver is start with an engine put over the database.
func startOver(t *testing.T, over func(store.Engine) store.Engine, change func(*Config)) *stack {
	t.Helper()
	const statusKey, networkKey, networkKeyID, password = "status-key", "network-key", "krn:signing-key:1", "password"
	s := &stack{t: t, logs: &logs{}}
	log := planted.Logger(slog.NewJSONHandler(s.logs, nil))
	var door atomic.Pointer[webhook.Receiver]
	hook := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { door.Load().ServeHTTP(w, r) }))
	hook.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of connections that the end of a test cuts
	hook.StartTLS()
	t.Cleanup(hook.Close)
	at := hook.URL + "/klarna/"
	began := time.Now()
	s.klarna = klarnatest.New(klarnatest.Config{
		Now:      func() time.Time { return began }, // time stands still but for Advance, however slow the machine is
		Username: "PK00000_test", Password: password, APIKey: "klarna_test_api_key",
		PaymentStatusURL: at + "payment-status/" + shop, PaymentStatusKey: statusKey,
		NetworkURL: at + "network", NetworkKeyID: networkKeyID, NetworkKey: networkKey,
		PushURL: at + "push/push-secret-of-the-shop/{checkout.order.id}", OperationalAfter: -1, HTTPClient: hook.Client(),
	})
	t.Cleanup(s.klarna.Close)
	klarnaHTTP := httptest.NewServer(s.klarna)
	t.Cleanup(klarnaHTTP.Close)
	s.tap = contract.Under(t, klarnaHTTP.Client())
	s.openStore(log, over)

	var accounts []operation.Account
	for name, api := range map[string]operation.API{shop: operation.RegionalAPI, outlet: operation.RegionalAPI, acquirer: operation.NetworkAPI} {
		cfg := klarna.Config{BaseURL: klarnaHTTP.URL, Username: "PK00000_test", Password: password, HTTPClient: klarnaHTTP.Client()}
		if api == operation.NetworkAPI {
			cfg = klarna.Config{BaseURL: klarnaHTTP.URL, APIKey: "klarna_test_api_key", HTTPClient: klarnaHTTP.Client()}
		}
		client, err := klarna.New(cfg)
		must(t, err)
		accounts = append(accounts, operation.Account{Name: name, API: api, Klarna: client})
	}
	s.journal = journal.New(journal.Config{CorrelationID: klarna.CorrelationID, Store: s.store, Logger: log, Personal: operation.Personal})
	s.operations = operation.New(operation.Config{
		Journal: s.journal, Accounts: accounts, SingleReplica: true, Logger: log,
		NetworkURL: at + "network", SigningKeys: []store.SigningKeyID{
			{Scheme: journal.NetworkScheme, MerchantAccount: acquirer, ID: networkKeyID},
			{Scheme: journal.PaymentStatusScheme, MerchantAccount: shop, ID: "1"},
		},
		CallbackURL:     func(secret string) string { return at + "authorization/" + secret },
		HostedPageURL:   func(secret string) string { return at + "hosted-page/" + secret },
		NotificationURL: func(secret string) string { return at + "notification/" + secret },
		PushURL: func(account string) string {
			if account != shop {
				return ""
			}
			return at + "push/push-secret-of-the-shop/{checkout.order.id}"
		},
	})
	s.work(log)
	receiver, err := webhook.New(webhook.Config{
		Journal: s.journal, Logger: log,
		Accounts: map[string]webhook.Account{acquirer: {}, shop: {
			PaymentStatusKeys: map[string]klarna.Secret{"1": statusKey}, PushSecrets: []klarna.Secret{"push-secret-of-the-shop"},
		}},
		NetworkKeys: map[string]webhook.NetworkKey{networkKeyID: {MerchantAccount: acquirer, Key: networkKey}},
	})
	must(t, err)
	door.Store(receiver)
	s.door = receiver
	s.face = s.serve(change)
	return s
}

func (s *stack) openStore(log *slog.Logger, over func(store.Engine) store.Engine) {
	ctx, dir := context.Background(), s.t.TempDir()
	planted.Files(s.t, filepath.Join(dir, "gateway.db*"))
	engine, err := sqlite.Open(ctx, filepath.Join(dir, "gateway.db"))
	must(s.t, err)
	s.t.Cleanup(func() { _ = engine.Close() })
	keys, err := store.OpenKeyring(filepath.Join(dir, "keys.json"))
	must(s.t, err)
	s.store, err = store.New(ctx, store.Config{Engine: over(engine), Keys: keys, Now: s.klarna.Now, PageSize: 7, TailCount: 64, Logger: log, Lasting: journal.Lasting, Renderings: Renderings()})
	must(s.t, err)
	s.t.Cleanup(s.store.Close)
	s.readable = func() string { return storetest.Readable(s.t, engine, keys) }
}

// work runs the worker pool, until stopWork or the end.
func (s *stack) work(log *slog.Logger) {
	pool := worker.New(worker.Config{Journal: s.journal, Operations: s.operations, Poll: 10 * time.Millisecond, Logger: log})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = pool.Run(ctx) })
	s.stopWork = func() { stop(); running.Wait() }
	s.t.Cleanup(s.stopWork)
}

// serve runs a server over the stack's store; there may be several.
func (s *stack) serve(change func(*Config)) *face {
	s.t.Helper()
	cfg := Config{
		Journal: s.journal, Operations: s.operations, Logger: planted.Logger(slog.NewJSONHandler(s.logs, nil)),
		Accounts: map[string]operation.API{shop: operation.RegionalAPI, outlet: operation.RegionalAPI, acquirer: operation.NetworkAPI},
		Defaults: map[operation.API]string{operation.RegionalAPI: shop, operation.NetworkAPI: acquirer}, Door: s.door,
	}
	if change != nil {
		change(&cfg)
	}
	server, err := New(cfg)
	must(s.t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	gateway, err := server.NewGateway(context.Background())
	must(s.t, err)
	conn, err := grpc.NewClient(listener.Addr().String(), append(planted.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(64<<10))...) // so that who does not read is soon felt
	must(s.t, err)
	f := &face{
		t: s.t, server: server, conn: conn, rest: httptest.NewServer(planted.Errors(gateway)), payments: gatewayv1.NewPaymentServiceClient(conn),
		orders: gatewayv1.NewOrderServiceClient(conn), partners: gatewayv1.NewPartnerServiceClient(conn), network: gatewayv1.NewNetworkPaymentServiceClient(conn),
		operator: gatewayv1.NewOperatorServiceClient(conn),
		health:   healthv1.NewHealthClient(conn),
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	s.t.Cleanup(func() {
		_ = conn.Close()
		server.Drain()
		f.rest.Close()
		grace, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		server.Shutdown(grace)
		_ = gateway.Close()
		serving.Wait()
	})
	return f
}

// on is the stack as a subtest sees it, which fails by itself.
func (s *stack) on(t *testing.T) *stack {
	face, stack := *s.face, *s
	stack.face, stack.t, face.t = &face, t, t
	return &stack
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get asks REST for a path.
func (f *face) get(path string) *http.Response {
	f.t.Helper()
	return f.do(http.MethodGet, path, nil, nil)
}

func (f *face) do(method, path string, body io.Reader, header http.Header) *http.Response {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	f.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, f.rest.URL+path, body)
	must(f.t, err)
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := f.rest.Client().Do(req)
	must(f.t, err)
	f.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// klarnaRefuses makes Klarna answer the next call of an operation with a status, however often the client repeats it.
func (s *stack) klarnaRefuses(operation string, status int) {
	s.t.Helper()
	must(s.t, s.klarna.Fail(klarnatest.Fault{Operation: operation, Status: status, Times: 1 + klarna.DefaultRetries}))
}

// logged checks that a line of the log holds every one of the texts.
func (s *stack) logged(texts ...string) {
	s.t.Helper()
	for line := range strings.Lines(s.logs.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return
		}
	}
	s.t.Errorf("no line holds %q:\n%s", texts, s.logs)
}
