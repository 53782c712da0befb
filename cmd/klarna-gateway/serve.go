package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/server"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/sqlite"
	"payments.internal/klarna-gateway/webhook"
	"payments.internal/klarna-gateway/worker"
)

// gatewayProcess is the whole gateway, wired and listening, not yet serving.
type gatewayProcess struct {
	cfg      config
	log      *slog.Logger
	engine   store.Engine
	store    *store.Store
	api      *server.Server
	rest     *server.Gateway
	restHTTP *http.Server
	hookHTTP *http.Server
	pool     *worker.Pool

	grpcListener, restListener, hookListener net.Listener
}

// parts is what a test or the demo replaces. Zero fields are the real thing.
type parts struct {
	now func() time.Time
	// webhookTLS serves the webhook listener instead of the configured files.
	webhookTLS *tls.Config
	// heartbeat of watches that do not ask for another one.
	heartbeat time.Duration
	// poll is how often the worker looks for due jobs.
	poll time.Duration
}

// newGateway opens the store, wires everything and binds the listeners. On an error nothing stays open.
func newGateway(ctx context.Context, cfg config, with parts, log *slog.Logger) (g *gatewayProcess, err error) {
	g = &gatewayProcess{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if err := g.open(ctx, with); err != nil {
		return g, err
	}
	v, err := g.accounts()
	if err != nil {
		return g, err
	}
	book := journal.New(journal.Config{
		Store: g.store, Policy: func(name string) journal.Policy { return v.policies[name] }, Logger: log,
		SessionReadDelay: cfg.SessionReadDelay, AccountReadDelay: cfg.AccountReadDelay,
	})
	operations := operation.New(operation.Config{
		Journal: book, Accounts: v.operations, CallbackURL: cfg.callbackURL(), SingleReplica: true, Logger: log,
	})
	g.pool = worker.New(worker.Config{Journal: book, Operations: operations, Poll: with.poll, Logger: log})
	g.api, err = server.New(server.Config{
		Journal: book, Operations: operations, Accounts: v.apis, Defaults: v.defaults, Tokens: cfg.tokens(),
		DebtorData: cfg.DebtorData, Reflection: cfg.Reflection, Logger: log,
	})
	if err != nil {
		return g, err
	}
	if g.rest, err = g.api.NewGateway(ctx); err != nil {
		return g, err
	}
	door, err := webhook.New(webhook.Config{Journal: book, Accounts: v.doors, NetworkKeys: v.networkKeys, Logger: log})
	if err != nil {
		return g, err
	}
	return g, g.listen(g.rest, door, with)
}

func (g *gatewayProcess) open(ctx context.Context, with parts) error {
	if err := os.MkdirAll(g.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	keys, err := store.OpenKeyring(filepath.Join(g.cfg.DataDir, "keys.json"))
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	engine, err := sqlite.Open(ctx, filepath.Join(g.cfg.DataDir, "gateway.db"))
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	g.engine = engine
	g.store, err = store.New(ctx, store.Config{Engine: engine, Keys: keys, Now: with.now, Heartbeat: with.heartbeat, Logger: g.log})
	return err
}

// views is what each part needs to know of the merchant accounts. Only operations get credentials.
type views struct {
	policies    map[string]journal.Policy
	operations  []operation.Account
	apis        map[string]operation.API
	defaults    map[operation.API]string
	doors       map[string]webhook.Account
	networkKeys map[string]webhook.NetworkKey
}

func (g *gatewayProcess) accounts() (views, error) {
	v := views{
		policies: map[string]journal.Policy{}, apis: map[string]operation.API{}, defaults: map[operation.API]string{},
		doors: map[string]webhook.Account{}, networkKeys: map[string]webhook.NetworkKey{},
	}
	var flaws []error
	for _, a := range g.cfg.MerchantAccounts {
		client, err := klarna.New(klarna.Config{
			BaseURL: a.BaseURL, Username: a.Username, Password: a.Password.Secret, APIKey: a.APIKey.Secret,
			HTTPClient: klarnaHTTP(), Version: version(), Logger: g.log,
		})
		if err != nil {
			flaws = append(flaws, fmt.Errorf("merchant account %q: %w", a.Name, err))
			continue
		}
		v.add(a, client)
	}
	return v, errors.Join(flaws...)
}

func (v *views) add(a accountConfig, client *klarna.Client) {
	api := operation.API(a.API)
	v.operations = append(v.operations, operation.Account{Name: a.Name, API: api, Klarna: client, AutoCapture: a.AutoCapture})
	v.policies[a.Name] = journal.Policy{PlaceOrders: a.PlaceOrders == "automatic", AcknowledgeOrders: a.Acknowledge == "automatic"}
	v.apis[a.Name] = api
	if a.Default {
		v.defaults[api] = a.Name
	}
	door := webhook.Account{Live: a.Environment == "live", PaymentStatusKeys: map[string]klarna.Secret{}}
	for version, key := range a.PaymentStatusKeys {
		door.PaymentStatusKeys[version] = key.Secret
	}
	for _, s := range a.PushSecrets {
		door.PushSecrets = append(door.PushSecrets, s.Secret)
	}
	v.doors[a.Name] = door
	for id, key := range a.SigningKeys {
		v.networkKeys[id] = webhook.NetworkKey{MerchantAccount: a.Name, Key: key.Secret}
	}
}

func (g *gatewayProcess) listen(rest, door http.Handler, with parts) (err error) {
	bind := func(l *net.Listener, address string) {
		if err == nil {
			if *l, err = net.Listen("tcp", address); err != nil {
				err = fmt.Errorf("listen: %w", err)
			}
		}
	}
	bind(&g.grpcListener, g.cfg.GRPCAddress)
	bind(&g.restListener, g.cfg.RESTAddress)
	bind(&g.hookListener, g.cfg.WebhookAddress)
	if err != nil {
		return err
	}
	secure := with.webhookTLS
	if secure == nil && g.cfg.WebhookTLS.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(g.cfg.WebhookTLS.CertFile, g.cfg.WebhookTLS.KeyFile)
		if err != nil {
			return fmt.Errorf("webhook certificate: %w", err)
		}
		secure = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	if secure != nil {
		g.hookListener = tls.NewListener(g.hookListener, secure)
	}
	errorLog := slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)
	// No WriteTimeout on REST: it would cut watches.
	g.restHTTP = &http.Server{Handler: rest, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: errorLog}
	g.hookHTTP = &http.Server{
		Handler: door, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: errorLog,
	}
	return nil
}

// run serves until ctx ends or a part fails, then shuts down in order: refuse, release watchers, drain, cut off; the
// store closes last.
func (g *gatewayProcess) run(ctx context.Context) error {
	defer g.close()
	group, ctx := errgroup.WithContext(ctx)
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	group.Go(func() error { return g.api.Serve(g.grpcListener) })
	group.Go(func() error { return served("rest", g.restHTTP.Serve(g.restListener)) })
	group.Go(func() error { return served("webhooks", g.hookHTTP.Serve(g.hookListener)) })
	group.Go(func() error { return g.pool.Run(working) })
	group.Go(func() error {
		<-ctx.Done()
		g.log.Info("shutting down", "grace", g.cfg.ShutdownGrace)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.ShutdownGrace)
		defer cancel()
		err := g.hookHTTP.Shutdown(grace) // Klarna sends again what we no longer take
		g.api.Drain()                     // NOT_SERVING; watches end with a token, which lets REST drain too
		err = errors.Join(err, g.restHTTP.Shutdown(grace))
		g.api.Shutdown(grace)
		stopWork()
		return err
	})
	g.log.Info("serving", "version", version(), "grpc", g.grpcListener.Addr().String(), "rest", g.restListener.Addr().String(),
		"webhooks", g.hookListener.Addr().String(), "merchant_accounts", len(g.cfg.MerchantAccounts))
	return group.Wait()
}

func served(what string, err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", what, err)
}

func (g *gatewayProcess) close() {
	for _, l := range []net.Listener{g.grpcListener, g.restListener, g.hookListener} {
		if l != nil {
			_ = l.Close() // mostly closed already
		}
	}
	if g.api != nil {
		done, cancel := context.WithCancel(context.Background())
		cancel()
		g.api.Shutdown(done)
	}
	if g.rest != nil {
		_ = g.rest.Close()
	}
	if g.store != nil {
		g.store.Close()
	}
	if g.engine != nil {
		if err := g.engine.Close(); err != nil {
			g.log.Error("close database", "error", err)
		}
	}
}

// callbackURL makes the addresses for Klarna's authorisation callbacks.
func (c *config) callbackURL() func(string) string {
	if c.PublicBaseURL == "" {
		return nil
	}
	base := c.PublicBaseURL
	for len(base) > 0 && base[len(base)-1] == '/' {
		base = base[:len(base)-1]
	}
	return func(secret string) string { return base + "/klarna/authorization/" + secret }
}

func (c *config) tokens() (all []server.Token) {
	for _, t := range c.Tokens {
		token := server.Token{Name: t.Name, DebtorData: t.DebtorData}
		_, _ = hex.Decode(token.SHA256[:], []byte(t.SHA256)) // checked by check
		all = append(all, token)
	}
	return all
}
