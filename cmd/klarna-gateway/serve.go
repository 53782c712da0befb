package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sync/errgroup"

	"payments.internal/klarna-gateway/access"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/server"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/webhook"
	"payments.internal/klarna-gateway/worker"
)

// gatewayProcess is the whole gateway, wired and listening, not yet serving.
type gatewayProcess struct {
	terminal    bool // see parts
	cfg         config
	log         *slog.Logger
	data        database
	budgets     klarna.Budgets
	sharer      *worker.Sharer // nil in the only replica
	store       *store.Store
	api         *server.Server
	rest        *server.Gateway
	admin       *admin
	policy      *access.PolicyFile // nil without one
	tokens      []*access.TokenFile
	authorities []*access.AuthorityFile
	issuers     []*access.Issuer

	certs []*reloaded // of the listeners

	restHTTP *http.Server
	hookHTTP *http.Server
	pool     *worker.Pool
	door     *webhook.Receiver

	telemetry *telemetry
	measures  *measures
	unobserve func() error
	circuits  klarna.Circuits // of all accounts: a host that is down is down for each

	adminHTTP *http.Server // nil without an admin listener

	grpcListener, restListener, hookListener, adminListener net.Listener
	stopIssuers                                             context.CancelFunc
}

// parts is what a test or the demo replaces. Zero fields are the real thing.
type parts struct {
	now func() time.Time
	// webhookListener is taken instead of binding the webhook address.
	webhookListener net.Listener
	// webhookTLS serves the webhook listener instead of the configured files.
	webhookTLS *tls.Config
	// heartbeat of watches that do not ask for another one.
	heartbeat time.Duration
	// poll is how often the worker looks for due jobs.
	poll time.Duration
	// spans gets every span, as if a collector were configured.
	spans sdktrace.SpanProcessor
	// terminal says that SIGHUP comes of a terminal that closes, and ends the process as it would any: nobody asks for files
	// to be read again.
	terminal bool
	// change alters the configuration of a local set-up.
	change func(*config)
	// statsKept is how long metrics of the store are kept.
	statsKept time.Duration
}

// newGateway opens the store, wires everything and binds the listeners. On an error nothing stays open.
func newGateway(ctx context.Context, cfg config, with parts, log *slog.Logger) (g *gatewayProcess, err error) {
	g = &gatewayProcess{terminal: with.terminal, cfg: cfg, log: log}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if err := g.tell(ctx, with); err != nil {
		return g, err
	}
	log = g.log
	if err := g.open(ctx, with); err != nil {
		return g, err
	}
	v, err := g.accounts()
	if err != nil {
		return g, err
	}
	if err := g.share(ctx); err != nil {
		return g, err
	}
	book := journal.New(journal.Config{
		CorrelationID: klarna.CorrelationID,
		Store:         g.store, Policy: func(name string) journal.Policy { return v.policies[name] }, Logger: log,
		SessionReadDelay: cfg.SessionReadDelay, AccountReadDelay: cfg.AccountReadDelay, SilentPaymentAfter: cfg.SilentPaymentAfter, Personal: operation.Personal,
	})
	if err := book.IndexMatters(ctx); err != nil {
		return g, err
	}
	operations := operation.New(operation.Config{
		Journal: book, Accounts: v.operations, SingleReplica: !cfg.replicas(), KeepAnswers: cfg.KeepAnswers, Failpoint: failpoint, Logger: log,
		CallbackURL: cfg.callbackURL(), HostedPageURL: cfg.doorURL("hosted-page"), NotificationURL: cfg.doorURL("notification"),
		PushURL: cfg.pushURL, NetworkURL: cfg.networkURL(), SigningKeys: cfg.signingKeys(),
	})
	g.pool = worker.New(worker.Config{
		Journal: book, Operations: operations, Poll: with.poll, Retention: cfg.Retention.store(g.measures.behind), FailingAfter: cfg.FailingWorkAfter,
		Reconcile: cfg.reconcile(), Logger: log, Tracer: g.telemetry.tracer(),
	})
	api := server.Config{
		Journal: book, Operations: operations, Accounts: v.apis, Defaults: v.defaults,
		DebtorData: cfg.DebtorData, Reflection: cfg.Reflection, UnreadLimit: cfg.WatchUnreadLimit, Logger: log,
		Observe: g.measures.called, Sent: g.measures.sent, Traces: g.telemetry.traces,
	}
	if path := cfg.erasurePath(); path != "" {
		api.Erasures = erasureList(path).add
	}
	door, err := webhook.New(webhook.Config{
		Journal: book, Accounts: v.doors, NetworkKeys: v.networkKeys, Sources: cfg.sources(), Logger: log,
		Received: g.measures.webhookReceived, Observe: g.measures.webhookAnswered, Tracer: g.telemetry.tracer(),
	})
	if err != nil {
		return g, err
	}
	api.Door, g.door = door, door
	if err := g.guard(ctx, &api); err != nil {
		return g, err
	}
	if g.api, err = server.New(api); err != nil {
		return g, err
	}
	if g.rest, err = g.api.NewGateway(ctx); err != nil {
		return g, err
	}
	if err := g.listen(g.rest, door, with); err != nil {
		return g, err
	}
	if g.unobserve, err = observeState(g.telemetry.meter, &state{g: g, kept: cmp.Or(with.statsKept, statsKept)}); err != nil {
		return g, fmt.Errorf("telemetry: %w", err)
	}
	return g, nil
}

// tell begins to tell how the gateway is.
func (g *gatewayProcess) tell(ctx context.Context, with parts) (err error) {
	if g.telemetry, err = newTelemetry(ctx, g.cfg, with, g.log); err != nil {
		return err
	}
	g.log = g.telemetry.log
	if g.measures, err = newMeasures(g.telemetry.meter); err == nil {
		g.measures.begin(ctx, g.cfg.MerchantAccounts)
	}
	return err
}

func (g *gatewayProcess) open(ctx context.Context, with parts) (err error) {
	if g.data, err = openDatabase(ctx, g.cfg, g.log); err != nil {
		return err
	}
	g.store, err = store.New(ctx, store.Config{
		Engine: g.data.engine, Keys: g.data.keys, Now: with.now, Heartbeat: with.heartbeat, Logger: g.log, Observe: g.measures.committed,
		Lasting: journal.Lasting, Renderings: server.Renderings(),
	})
	return err
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
	if g.hookListener = with.webhookListener; g.hookListener == nil {
		bind(&g.hookListener, g.cfg.WebhookAddress)
	}
	if g.cfg.admin() {
		bind(&g.adminListener, g.cfg.AdminAddress)
	}
	if err != nil {
		return err
	}
	callers := callerRoom(g.log)
	g.grpcListener, g.restListener = callers.listener(g.grpcListener), callers.listener(g.restListener)
	errorLog := slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)
	if err := g.listenAdmin(errorLog); err != nil {
		return err
	}
	secure := with.webhookTLS
	if secure == nil {
		if secure, err = g.serveTLS(g.cfg.WebhookTLS, nil); err != nil {
			return fmt.Errorf("webhook certificate: %w", err)
		}
	}
	if secure != nil {
		g.hookListener = tls.NewListener(g.hookListener, secure)
	}
	// No WriteTimeout on REST: it would cut watches.
	g.restHTTP = &http.Server{Handler: rest, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: errorLog}
	if g.restHTTP.TLSConfig, err = g.serveTLS(g.cfg.RESTTLS, []string{"h2", "http/1.1"}); err != nil {
		return fmt.Errorf("rest certificate: %w", err)
	}
	g.hookHTTP = &http.Server{
		Handler: door, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: errorLog,
	}
	return nil
}

// run serves until ctx ends or a part fails, then shuts down; the store closes last.
func (g *gatewayProcess) run(ctx context.Context) error {
	defer g.close()
	defer g.keepSharing(context.WithoutCancel(ctx))() // ends after the last call
	group, ctx := errgroup.WithContext(ctx)
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	worked := make(chan struct{})
	group.Go(func() error { return g.api.Serve(g.grpcListener) })
	group.Go(func() error { return served("rest", serveHTTP(g.restHTTP, g.restListener)) })
	group.Go(func() error { return served("webhooks", g.hookHTTP.Serve(g.hookListener)) })
	go func() { // waited for by shutDown, and no longer than the grace
		defer close(worked)
		if err := g.pool.Run(working); err != nil {
			g.log.Error("work jobs", "error", err)
		}
	}()
	if g.adminHTTP != nil {
		group.Go(func() error { return served("admin", serveHTTP(g.adminHTTP, g.adminListener)) })
	}
	group.Go(func() error { return g.followFiles(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		stopWork() // what is in hand has all of the grace
		return g.shutDown(context.WithoutCancel(ctx), worked)
	})
	g.log.Info("serving", "version", version(), "grpc", g.grpcListener.Addr().String(), "rest", g.restListener.Addr().String(),
		"webhooks", g.hookListener.Addr().String(), "merchant_accounts", len(g.cfg.MerchantAccounts), "admin", g.adminAddress())
	return group.Wait()
}

// shutDown ends all parts in order: release watchers, refuse, drain. What the grace is too short for is cut off and told
// as an error; nothing of it is lost, as callers, Klarna and the jobs' leases bring it up again.
func (g *gatewayProcess) shutDown(ctx context.Context, worked <-chan struct{}) error {
	g.log.Info("shutting down", "grace", g.cfg.ShutdownGrace)
	ctx, cancel := context.WithTimeout(ctx, g.cfg.ShutdownGrace)
	defer cancel()
	g.admin.draining.Store(true)
	g.api.Drain() // NOT_SERVING; watches end with a token, which lets REST drain too
	// Side by side: http.Server waits seconds for a connection that says nothing, and the webhooks face the internet.
	var faces errgroup.Group
	faces.Go(func() error { return ended(ctx, "webhooks", g.hookHTTP) })
	faces.Go(func() error { return ended(ctx, "rest", g.restHTTP) })
	err := faces.Wait()
	g.api.Shutdown(ctx)
	select {
	case <-worked:
	case <-ctx.Done():
		err = errors.Join(err, errors.New("jobs were cut off"))
	}
	if g.adminHTTP != nil { // last, so that it can be seen what is waited for
		err = errors.Join(err, g.adminHTTP.Close())
	}
	if err != nil {
		return fmt.Errorf("shutdown_grace of %s was too short: %w", g.cfg.ShutdownGrace, err)
	}
	return nil
}

// ended waits for the requests in hand and cuts them off when ctx ends.
func ended(ctx context.Context, what string, web *http.Server) error {
	if err := web.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s were cut off", what), web.Close())
	}
	return nil
}

func served(what string, err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", what, err)
}

func (g *gatewayProcess) close() {
	for _, l := range []net.Listener{g.grpcListener, g.restListener, g.hookListener, g.adminListener} {
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
	if g.stopIssuers != nil {
		g.stopIssuers()
	}
	if g.unobserve != nil {
		_ = g.unobserve() // the store is not asked any more
	}
	if g.store != nil {
		g.store.Close()
	}
	if err := g.data.close(); err != nil {
		g.log.Error("close database", "error", err)
	}
	if g.telemetry != nil {
		g.telemetry.close()
	}
}

// callbackURL makes the addresses for Klarna's authorisation callbacks.
func (c *config) callbackURL() func(string) string { return c.doorURL("authorization") }

// pushURL is the address for pushes of an account's checkout orders, empty if it has no secret for them. Of several
// secrets the first one is for new orders, the others are for those that were made with them.
func (c *config) pushURL(merchantAccount string) string {
	door := c.doorURL("push")
	for _, a := range c.MerchantAccounts {
		if door != nil && a.Name == merchantAccount && len(a.PushSecrets) > 0 {
			return door(url.PathEscape(a.PushSecrets[0].Reveal())) + "/{checkout.order.id}"
		}
	}
	return ""
}

// doorURL makes the addresses of one of the webhook listener's doors; nil if Klarna cannot reach it.
func (c *config) doorURL(door string) func(secret string) string {
	if c.PublicBaseURL == "" {
		return nil
	}
	base := c.PublicBaseURL
	for len(base) > 0 && base[len(base)-1] == '/' {
		base = base[:len(base)-1]
	}
	return func(secret string) string { return base + "/klarna/" + door + "/" + secret }
}
