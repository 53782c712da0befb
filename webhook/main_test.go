package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(planted.Tests{M: m}) }

// What the gateway under test is configured with. The keys of both schemes are those of the worked vectors.
const (
	merchant     = "nordlicht-de"
	otherAccount = "nordlicht-se"
	statusKey    = "9f2c4e6a8b0d1f3355779bbddff1234567890abcdef0fedcba98765432100123"
	otherKey     = "0000000000000000000000000000000000000000000000000000000000000000"
	networkKeyID = "krn:partner:global:notification:signing-key:0f1e2d3c-4b5a-4968-8776-554433221100"
	networkKey   = "kn-demo-signing-key-7f2c9a4e1b"
	pushText     = "push-secret-of-nordlicht-de"
	callbackText = "callback-secret-of-one-session"

	statusPath  = "/klarna/payment-status/" + merchant
	networkPath = "/klarna/network"

	order   = "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417"
	session = "0b1bdf94-c76a-4f28-98e8-6f4a0d3f4f0a"
	token   = "b4bd3423-24e3-4c17-8e3c-1d6b0f2a9c55"
)

var now = time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)

// gateway is a Receiver behind a real socket, over a real database.
type gateway struct {
	t       *testing.T
	url     string
	client  *http.Client
	journal *journal.Journal
	store   *store.Store
	broken  *atomic.Bool  // makes commits fail
	asked   *atomic.Int64 // how often signing keys were read
	moved   atomic.Int64  // how far the clock was moved on
	keys    *keyring
	engine  *breakable

	receiver *Receiver

	mu   sync.Mutex
	seen map[Door]map[Outcome]int
	logs bytes.Buffer
}

// breakable is an engine whose commits and reads of signing keys can be made to fail.
type breakable struct {
	store.Engine
	broken  atomic.Bool
	asked   atomic.Int64
	commits atomic.Int64 // that were asked for
}

func (b *breakable) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	b.asked.Add(1)
	if b.broken.Load() {
		return nil, errors.New("disk full")
	}
	return b.Engine.SigningKeys(ctx)
}

func (b *breakable) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	b.commits.Add(1)
	if !b.broken.Load() {
		return b.Engine.Commit(ctx, units)
	}
	results := make([]error, len(units))
	for i := range results {
		results[i] = errors.New("disk full")
	}
	return results
}

// start runs a gateway; change may alter its configuration.
func start(t *testing.T, change func(*Config)) *gateway {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	file, err := sqlite.Open(ctx, filepath.Join(dir, "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	keys, err := store.OpenKeyring(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	engine := &breakable{Engine: file}
	g := &gateway{t: t, broken: &engine.broken, engine: engine, asked: &engine.asked, seen: make(map[Door]map[Outcome]int)}
	log, err := store.New(ctx, store.Config{Engine: engine, Keys: keys, Now: g.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	g.store = log
	logger := planted.Logger(slog.NewJSONHandler(g, &slog.HandlerOptions{Level: slog.LevelDebug}))
	g.journal = journal.New(journal.Config{Store: log, Logger: logger})
	cfg := config(g.journal)
	cfg.Logger, cfg.Observe = logger, g.count
	if change != nil {
		change(&cfg)
	}
	receiver, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.receiver, g.keys = receiver, receiver.keys
	g.keys.now = g.now
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	g.url, g.client = server.URL, server.Client()
	return g
}

func config(j *journal.Journal) Config {
	return Config{
		Journal: j,
		Accounts: map[string]Account{
			merchant:     {PaymentStatusKeys: map[string]klarna.Secret{"1": statusKey}, PushSecrets: []klarna.Secret{"push-secret-of-last-year", pushText}},
			otherAccount: {PaymentStatusKeys: map[string]klarna.Secret{"1": otherKey, "2": statusKey}, PushSecrets: []klarna.Secret{"push-secret-of-nordlicht-se"}},
		},
		NetworkKeys: map[string]NetworkKey{networkKeyID: {MerchantAccount: merchant, Key: networkKey}},
	}
}

// now is the time by the clock of store and keyring alike.
func (g *gateway) now() time.Time { return now.Add(time.Duration(g.moved.Load())) }

// advance moves the clock on.
func (g *gateway) advance(d time.Duration) { g.moved.Add(int64(d)) }

// Write takes log lines, which come from several goroutines.
func (g *gateway) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.logs.Write(line)
}

func (g *gateway) logged() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.logs.String()
}

func (g *gateway) count(_ context.Context, seen Seen) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen[seen.Door] == nil {
		g.seen[seen.Door] = make(map[Outcome]int)
	}
	g.seen[seen.Door][seen.Outcome]++
}

// counted is how many deliveries of a door had an outcome.
func (g *gateway) counted(door Door, outcome Outcome) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[door][outcome]
}

// post posts a body with headers (name, value, …) and returns the answer's status and body.
func (g *gateway) post(path, body string, headers ...string) (status int, answer string) {
	g.t.Helper()
	return g.send(http.MethodPost, path, body, headers...)
}

func (g *gateway) send(method, path, body string, headers ...string) (status int, answer string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := g.client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// want fails the test unless a post was answered with status.
func (g *gateway) want(status int, path, body string, headers ...string) {
	g.t.Helper()
	if got, answer := g.post(path, body, headers...); got != status {
		g.t.Errorf("POST %s: %d %s, want %d", path, got, answer, status)
	}
}

// status posts a payment-status notification as Klarna would.
func (g *gateway) status(want int, body string) {
	g.t.Helper()
	g.want(want, statusPath, body, signed(body)...)
}

// network posts a Network notification as Klarna would.
func (g *gateway) network(want int, body string) {
	g.t.Helper()
	g.want(want, networkPath, body, networkSigned(body)...)
}

func signed(body string) []string {
	return []string{"Payload-Signature", klarna.SignPaymentStatus([]byte(statusKey), "1", now, []byte(body))}
}

func networkSigned(body string) []string {
	return []string{"Klarna-Signing-Key-Id", networkKeyID, "Klarna-Signature", klarna.SignNetwork([]byte(networkKey), []byte(body))}
}

// secret makes the callback secret known, as whoever opens a session does.
func (g *gateway) secret(change func(*store.Secret)) {
	g.t.Helper()
	hash := sha256.Sum256([]byte(callbackText))
	s := store.Secret{
		Hash: hash[:], Purpose: journal.PurposeAuthorization, MerchantAccount: merchant, ExpiresAt: now.Add(48 * time.Hour),
	}
	if change != nil {
		change(&s)
	}
	if err := g.store.Do(g.t.Context(), func(tx store.Tx) error { return tx.PutSecret(g.t.Context(), s) }); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) events(stream store.Stream) []store.Event {
	g.t.Helper()
	found, err := g.store.Events(g.t.Context(), store.Query{Stream: stream, Limit: 1000})
	if err != nil {
		g.t.Fatal(err)
	}
	return found
}

func (g *gateway) quarantined() []store.Quarantined {
	g.t.Helper()
	found, err := g.store.Quarantined(g.t.Context(), 0, 1000)
	if err != nil {
		g.t.Fatal(err)
	}
	return found
}

func (g *gateway) jobs(kind string) []store.Job {
	g.t.Helper()
	found, err := g.store.Jobs(g.t.Context(), kind, "", 1000)
	if err != nil {
		g.t.Fatal(err)
	}
	return found
}

// untouched fails the test if anything was kept.
func (g *gateway) untouched() {
	g.t.Helper()
	payments, accounts, kept, work := g.events(store.Payments), g.events(store.Accounts), g.quarantined(), g.jobs("")
	if n := len(payments) + len(accounts) + len(kept) + len(work); n != 0 {
		g.t.Errorf("kept %d payment events, %d account events, %d quarantined, %d jobs; want nothing", len(payments), len(accounts), len(kept), len(work))
	}
}

// payment is the one payment on record.
func (g *gateway) payment() journal.Payment {
	g.t.Helper()
	all := g.events(store.Payments)
	if len(all) == 0 {
		g.t.Fatal("no payment is on record")
	}
	entry, err := journal.DecodePaymentEntry(all[len(all)-1].Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return entry.Payment
}

// account is the one account on record.
func (g *gateway) account() journal.Account {
	g.t.Helper()
	all := g.events(store.Accounts)
	if len(all) == 0 {
		g.t.Fatal("no account is on record")
	}
	entry, err := journal.DecodeAccountEntry(all[len(all)-1].Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return entry.Account
}

// object is JSON in the making.
type object = map[string]any

func text(t *testing.T, o object) string {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
