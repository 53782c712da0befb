package modeltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // for what looks at the file beside the engine

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/sqlite"
	"payments.internal/klarna-gateway/webhook"
	"payments.internal/klarna-gateway/worker"
)

// How the gateway is configured.
const (
	shop, acquirer = operationtest.Shop, operationtest.Acquirer

	username, password, apiKey = "PK00001_abc", "not-a-secret", "klarna_test_api_c2FtcGxl"

	gatewayURL   = "https://hooks.nordlicht.example"
	statusKey    = "9f2c4e6a8b0d1f3355779bbddff1234567890abcdef0fedcba98765432100123"
	networkKeyID = "krn:partner:global:notification:signing-key:0f1e2d3c-4b5a-4968-8776-554433221100"
	networkKey   = "kn-demo-signing-key-7f2c9a4e1b"
	pushSecret   = "push-secret-of-nordlicht-de"
)

// template is a database that is up to date and empty, to be copied, and its keys.
type template struct {
	dir  string
	file []byte
	keys *store.Keyring
}

// newTemplate makes the database once. It lies in memory where the machine has a place for that, so that a commit costs
// no wait for a disk; that a commit is on disk when it returns is the engine's promise, tested there.
func newTemplate() (t template, err error) {
	parent := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		parent = "/dev/shm"
	}
	if t.dir, err = os.MkdirTemp(parent, "modeltest-"); err != nil {
		return t, err
	}
	path := filepath.Join(t.dir, "template.db")
	engine, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return t, err
	}
	if err := engine.Close(); err != nil {
		return t, err
	}
	if t.keys, err = store.OpenKeyring(filepath.Join(t.dir, "keys.json")); err != nil {
		return t, err
	}
	t.file, err = os.ReadFile(path)
	return t, err
}

// world is one Klarna, one database, and the gateway's processes over it.
type world struct {
	options
	rng    *rand.Rand
	ctx    context.Context
	sim    *klarnatest.Server
	engine *sqlite.Engine
	path   string
	keys   *store.Keyring
	truth  *klarna.Client // past the gateway and past all faults
	beyond *klarna.Client // the same, for the Klarna Network
	policy journal.Policy
	procs  []*process

	history
	fault  fault           // armed for the step
	gate   gate            // of those who act at the same time
	flying map[string]bool // writes on their way, guarded by mu
	late   []lateCall      // on their way to Klarna, given up by the gateway
	pairs  map[pair]int    // reached

	shopping
	networking
	watchers []*watcher
	exposed  exposure
}

// process is one life of a gateway.
type process struct {
	w       *world
	n       int // for the history
	dead    atomic.Bool
	store   *store.Store
	journal *journal.Journal
	ops     *operation.Operations
	pool    *worker.Pool
	door    *webhook.Receiver
	leased  []store.Job // taken and not yet worked
}

func newWorld(ctx context.Context, t template, o options) (w *world, err error) {
	w = &world{options: o, rng: rand.New(rand.NewPCG(o.seed, 0)), ctx: ctx, keys: t.keys, pairs: map[pair]int{}}
	w.path = filepath.Join(t.dir, fmt.Sprintf("%d.db", o.seed))
	if err := os.WriteFile(w.path, t.file, 0o600); err != nil {
		return w, err
	}
	if w.engine, err = sqlite.Open(ctx, w.path, sqlite.WithReaders(1)); err != nil {
		return w, err
	}
	w.policy = journal.Policy{PlaceOrders: w.chance(50), AcknowledgeOrders: w.chance(50), ExtendAuthorizations: w.chance(30)}
	w.sim = klarnatest.New(klarnatest.Config{
		Username: username, Password: password, APIKey: apiKey,
		PaymentStatusURL: gatewayURL + "/klarna/payment-status/" + shop, PaymentStatusKey: statusKey,
		NetworkURL: gatewayURL + "/klarna/network", NetworkKeyID: networkKeyID, NetworkKey: networkKey,
		PushURL:    gatewayURL + "/klarna/push/" + pushSecret + "/{checkout.order.id}",
		HTTPClient: &http.Client{Transport: hooks{w}},
	})
	w.sim.Hold()
	past := klarna.Config{BaseURL: "http://127.0.0.1", HTTPClient: &http.Client{Transport: direct{w}}, Retries: -1, CircuitFailures: -1}
	past.APIKey = apiKey
	if w.beyond, err = klarna.New(past); err != nil {
		return w, err
	}
	past.APIKey, past.Username, past.Password = "", username, password
	if w.truth, err = klarna.New(past); err != nil {
		return w, err
	}
	w.watchers = []*watcher{{stream: store.Payments}, {stream: store.Accounts}}
	for range map[bool]int{false: 1, true: 2}[o.replicas] {
		if err := w.start(len(w.procs)); err != nil {
			return w, err
		}
	}
	return w, nil
}

// start begins a life of the gateway's nth process.
func (w *world) start(n int) error {
	p := &process{w: w, n: n}
	if n < len(w.procs) {
		w.procs[n].end()
		w.procs[n] = p
	} else {
		w.procs = append(w.procs, p)
	}
	var err error
	log := slog.New(slog.DiscardHandler)
	if p.store, err = store.New(w.ctx, store.Config{Engine: disk{w.engine, p}, Keys: w.keys, Now: w.sim.Now, Logger: log, PageSize: 3, TailCount: 8}); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	p.journal = journal.New(journal.Config{Store: p.store, Logger: log, CorrelationID: klarna.CorrelationID, Policy: func(string) journal.Policy { return w.policy }})
	client := func(cfg klarna.Config) *klarna.Client {
		cfg.BaseURL, cfg.HTTPClient, cfg.Retries, cfg.CircuitFailures = "http://127.0.0.1", &http.Client{Transport: wire{p}}, -1, -1
		c, e := klarna.New(cfg)
		err = errors.Join(err, e)
		return c
	}
	at := func(door string) func(string) string {
		return func(secret string) string { return gatewayURL + "/klarna/" + door + "/" + secret }
	}
	p.ops = operation.New(operation.Config{
		Journal: p.journal, Logger: log, SingleReplica: !w.replicas, Failpoint: p.failpoint,
		CallbackURL: at("authorization"), HostedPageURL: at("hosted-page"), NotificationURL: at("notification"),
		PushURL:     func(string) string { return at("push")(pushSecret) + "/{checkout.order.id}" },
		NetworkURL:  gatewayURL + "/klarna/network",
		KeepAnswers: 400 * 24 * time.Hour, // longer than a seed plays
		Accounts: []operation.Account{
			{Name: shop, API: operation.RegionalAPI, Klarna: client(klarna.Config{Username: username, Password: password})},
			{Name: acquirer, API: operation.NetworkAPI, Klarna: client(klarna.Config{APIKey: apiKey})},
		},
	})
	p.pool = worker.New(worker.Config{
		Journal: p.journal, Operations: p.ops, Logger: log, Reconcile: worker.Reconcile{Until: 20 * 24 * time.Hour},
		Lease:  100 * time.Second, // work and the ledger's leases do not end at the same moment, or a seed would not play the same again
		Jitter: func(d time.Duration) time.Duration { return d },
	})
	door, e := webhook.New(webhook.Config{
		Journal: p.journal, Logger: log,
		Accounts: map[string]webhook.Account{
			shop:     {PaymentStatusKeys: map[string]klarna.Secret{"1": statusKey}, PushSecrets: []klarna.Secret{pushSecret}},
			acquirer: {},
		},
		NetworkKeys: map[string]webhook.NetworkKey{networkKeyID: {MerchantAccount: acquirer, Key: networkKey}},
	})
	p.door = door
	return errors.Join(err, e)
}

// end drops whatever the process has in memory.
func (p *process) end() {
	p.dead.Store(true)
	if p.store != nil {
		p.store.Close()
	}
}

func (w *world) close() {
	for _, p := range w.procs {
		p.end()
	}
	if w.sim != nil {
		w.sim.Close()
	}
	if w.engine != nil {
		if err := w.engine.Close(); err != nil {
			w.wrong("close database: %v", err)
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(w.path + suffix)
	}
}

// process picks one of the gateway's processes; one that was killed starts again.
func (w *world) process() *process {
	i := w.rng.IntN(len(w.procs))
	if w.procs[i].dead.Load() {
		w.note("   process %d starts again", i)
		if err := w.start(i); err != nil {
			w.wrong("%v", err)
		}
	}
	return w.procs[i]
}

// chance is true in so many of a hundred cases.
func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

// advance moves the clock of everybody. What is late on its way to Klarna arrives in its time.
func (w *world) advance(d time.Duration) {
	end := w.sim.Now().Add(d)
	for {
		next := -1
		for i, l := range w.late {
			if !l.due.After(end) && (next < 0 || l.due.Before(w.late[next].due)) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		if wait := w.late[next].due.Sub(w.sim.Now()); wait > 0 {
			w.sim.Advance(wait)
		}
		w.arrive(next)
	}
	if wait := end.Sub(w.sim.Now()); wait > 0 {
		w.sim.Advance(wait)
	}
	_ = w.sim.Idle(w.ctx)
}

// query reads the database past the gateway, and calls f with each row.
func (w *world) query(text string, f func(columns []string)) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: w.path}).EscapedPath()+"?_pragma=query_only(1)")
	if err != nil {
		w.wrong("query: %v", err)
		return
	}
	defer db.Close()
	rows, err := db.QueryContext(w.ctx, text)
	if err != nil {
		w.wrong("query %s: %v", text, err)
		return
	}
	defer rows.Close()
	names, _ := rows.Columns()
	for rows.Next() {
		values, into := make([]string, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			w.wrong("query %s: %v", text, err)
			return
		}
		f(values)
	}
	if err := rows.Err(); err != nil {
		w.wrong("query %s: %v", text, err)
	}
}

// history is what happened, for people, and what went wrong first.
type history struct {
	mu     sync.Mutex
	lines  []string
	flaws  []string
	indent string
}

func (h *history) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, h.indent+fmt.Sprintf(format, args...))
}

// wrong says that something does not hold.
func (h *history) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	h.note("!! %s", text)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flaws = append(h.flaws, text)
}

func (h *history) failed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.flaws) > 0
}

// told is all that happened.
func (h *history) told() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines, "\n")
}
