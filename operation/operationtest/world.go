// Package operationtest is a gateway without its edges, for tests of what is done at Klarna: a simulated Klarna behind a
// real socket, a real SQLite store that can be closed and opened again, and the operations over them. Both sides run on
// the simulator's clock, which only moves when a test moves it.
package operationtest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/klarna/klarnatest/contract"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/sqlite"
)

// The merchant accounts of every World.
const (
	Shop     = "nordlicht-de" // Klarna Payments and Order Management
	Acquirer = "acquirer"     // Klarna Network
)

// Start is the first moment of every World.
var Start = time.Date(2026, 2, 3, 9, 15, 40, 0, time.UTC)

// Options say how a World differs from the plain one.
type Options struct {
	Policy           journal.Policy
	AutoCapture      bool                            // the contract allows it
	Replicas         bool                            // other processes may share the store
	OperationalAfter time.Duration                   // of onboarded accounts; 0 means never by themselves
	Callbacks        bool                            // Klarna is told addresses to call back, where nobody listens
	Engine           func(store.Engine) store.Engine // stands in for the store's
	Change           *Change                         // of the shop's profile
	Before           func(*http.Request)             // told of each call on its way to Klarna, which waits for it
}

// Change is a profile that the shop gets at a time: another Klarna, with other credentials.
type Change struct {
	From      time.Time
	TakesOver bool
	Offers    []string // nil: everything
}

// World is one Klarna and one gateway.
type World struct {
	T          testing.TB
	Klarna     *klarnatest.Server
	Next       *klarnatest.Server // after Options.Change; nil without
	Store      *store.Store
	Journal    *journal.Journal
	Operations *operation.Operations
	Log        *slog.Logger

	options  Options
	accounts []operation.Account
	dir      string
	close    func()
}

// New returns a World that ends with the test.
func New(t testing.TB, options Options) *World {
	t.Helper()
	const username, password, apiKey = "PK00001_abc", "not-a-secret", "klarna_test_api_c2FtcGxl"
	w := &World{T: t, options: options, dir: t.TempDir(), Log: planted.Logger()}
	if options.OperationalAfter == 0 {
		options.OperationalAfter = -1
	}
	w.Klarna = klarnatest.New(klarnatest.Config{
		Now:      func() time.Time { return Start },
		Username: username, Password: password, APIKey: apiKey, OperationalAfter: options.OperationalAfter,
	})
	t.Cleanup(w.Klarna.Close)
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if options.Before != nil {
			options.Before(r)
		}
		w.Klarna.ServeHTTP(rw, r)
	}))
	t.Cleanup(api.Close)
	// Nothing is repeated by the transport, which does so on reused connections, nor by the client: one fault is one
	// failed call.
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	contract.Under(t, web)
	client := func(cfg klarna.Config) *klarna.Client {
		cfg.BaseURL, cfg.HTTPClient, cfg.Retries, cfg.CircuitFailures = cmp.Or(cfg.BaseURL, api.URL), web, -1, -1
		c, err := klarna.New(cfg)
		w.Must(err)
		return c
	}
	w.accounts = []operation.Account{
		{
			Name: Shop, API: operation.RegionalAPI, AutoCapture: options.AutoCapture,
			Klarna: client(klarna.Config{Username: username, Password: password}),
		},
		{Name: Acquirer, API: operation.NetworkAPI, Klarna: client(klarna.Config{APIKey: apiKey})},
	}
	if change := options.Change; change != nil {
		const password = "not-one-either"
		w.Next = klarnatest.New(klarnatest.Config{Now: w.Klarna.Now, Username: username, Password: password})
		t.Cleanup(w.Next.Close)
		next := httptest.NewServer(w.Next)
		t.Cleanup(next.Close)
		w.accounts[0].Changes = []operation.Change{{
			From: change.From, TakesOver: change.TakesOver,
			Klarna: client(klarna.Config{BaseURL: next.URL, Username: username, Password: password, Offers: change.Offers}),
		}}
	}
	w.open()
	t.Cleanup(func() { w.close() })
	return w
}

func (w *World) open() {
	w.T.Helper()
	engine, err := sqlite.Open(context.Background(), filepath.Join(w.dir, "gateway.db"))
	w.Must(err)
	keys, err := store.OpenKeyring(filepath.Join(w.dir, "keys.json"))
	w.Must(err)
	var over store.Engine = engine
	if w.options.Engine != nil {
		over = w.options.Engine(engine)
	}
	w.Store, err = store.New(context.Background(), store.Config{Engine: over, Keys: keys, Now: w.Klarna.Now, Logger: w.Log})
	w.Must(err)
	log := w.Store
	w.close = func() {
		log.Close()
		if err := engine.Close(); err != nil {
			w.T.Errorf("close database: %v", err)
		}
	}
	w.Journal = journal.New(journal.Config{CorrelationID: klarna.CorrelationID, Store: w.Store, Logger: w.Log, Personal: operation.Personal, Policy: func(string) journal.Policy { return w.options.Policy }})
	w.Operations = w.Replica()
}

// Reopen is a restart of the gateway.
func (w *World) Reopen() {
	w.T.Helper()
	w.close()
	w.open()
}

// OnDisk is everything that the database has written.
func (w *World) OnDisk() (all []byte) {
	w.T.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "gateway.db*"))
	w.Must(err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		w.Must(err)
		all = append(all, content...)
	}
	return all
}

// Replica returns further operations over the same store.
func (w *World) Replica() *operation.Operations {
	cfg := operation.Config{Journal: w.Journal, Accounts: w.accounts, SingleReplica: !w.options.Replicas, Logger: w.Log}
	if w.options.Callbacks {
		cfg.CallbackURL = func(secret string) string { return "http://127.0.0.1:9/" + secret }
		cfg.HostedPageURL = func(secret string) string { return "http://127.0.0.1:9/page/" + secret }
		cfg.NotificationURL = func(secret string) string { return "http://127.0.0.1:9/pending/" + secret }
		cfg.PushURL = func(string) string { return "http://127.0.0.1:9/push/secret/{checkout.order.id}" }
	}
	return operation.New(cfg)
}

// Client is what the gateway calls Klarna with for a merchant account, to go there past the gateway.
func (w *World) Client(merchantAccount string) *klarna.Client {
	i := slices.IndexFunc(w.accounts, func(a operation.Account) bool { return a.Name == merchantAccount })
	return w.accounts[i].Klarna
}

// Must ends the test on an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Fail arranges what goes wrong at Klarna.
func (w *World) Fail(f klarnatest.Fault) {
	w.T.Helper()
	w.Must(w.Klarna.Fail(f))
}

// LoseAnswer lets the next call of an operation have its effect and loses the answer.
func (w *World) LoseAnswer(operation string) {
	w.T.Helper()
	w.Fail(klarnatest.Fault{Operation: operation, LoseAnswer: true})
}

// Calls lists what Klarna saw of an operation.
func (w *World) Calls(operation string) (calls []klarnatest.Call) {
	for _, c := range w.Klarna.Calls() {
		if c.Operation == operation {
			calls = append(calls, c)
		}
	}
	return calls
}

// CalledTimes checks how often Klarna was called.
func (w *World) CalledTimes(operation string, want int) {
	w.T.Helper()
	if got := w.Klarna.CallCount(operation); got != want {
		w.T.Errorf("%s was called %d times, want %d", operation, got, want)
	}
}

// SameKey checks that all calls of an operation came under one idempotency key.
func (w *World) SameKey(operation string) {
	w.T.Helper()
	calls := w.Calls(operation)
	for _, c := range calls {
		if c.IdempotencyKey == "" || c.IdempotencyKey != calls[0].IdempotencyKey {
			w.T.Errorf("%s came under keys %q and %q", operation, calls[0].IdempotencyKey, c.IdempotencyKey)
		}
	}
}

// Refused checks that err is a refusal of ours with this reason and field.
func (w *World) Refused(err error, reason, field string) {
	w.T.Helper()
	var refusal *operation.Refusal
	if !errors.As(err, &refusal) {
		w.T.Errorf("want %s, got %v", reason, err)
		return
	}
	if refusal.Reason() != reason || refusal.Field() != field {
		w.T.Errorf("refused with %s on %q (%v), want %s on %q", refusal.Reason(), refusal.Field(), err, reason, field)
	}
}

// Unknown checks that err says that the outcome cannot be known.
func (w *World) Unknown(err error) {
	w.T.Helper()
	if !errors.Is(err, klarna.ErrOutcomeUnknown) {
		w.T.Errorf("want an unknown outcome, got %v", err)
	}
}
