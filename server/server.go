// Package server faces the callers: it serves the API over gRPC, and over REST through the same gRPC server. It
// translates, checks and answers; what is done at Klarna is package operation's, what is on record is the journal's.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"buf.build/go/protovalidate"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// Config of a Server. Zero fields have the defaults that are named.
type Config struct {
	Journal    *journal.Journal
	Operations *operation.Operations
	// Accounts are the merchant accounts that requests may name, with the API that each is for.
	Accounts map[string]operation.API
	// Defaults are the merchant accounts of requests that name none.
	Defaults map[operation.API]string
	// Callers is how callers prove who they are; the zero value means that nobody has to.
	Callers access.Callers
	// Policy says what callers may do; nil means that all may do everything, save what their tokens say of debtors.
	Policy *access.PolicyFile
	// Audit says which decisions are logged; empty means AuditDenied.
	Audit Audit
	// Door is the webhooks' door, for operators; nil if this process has none.
	Door Door
	// CORS says which pages of browsers may use REST.
	CORS CORS
	// TLS of the gRPC listener; nil means none. REST has its own, on the listener of its http.Server.
	TLS *tls.Config
	// DebtorData lets callers see debtors' names and account numbers where nobody has to authenticate.
	DebtorData bool
	// Erasures keeps a list of erasures beside the backups; nil keeps none.
	Erasures func(store.Erasure) error
	// ErasureTime is about how long ErasePersonalData looks for what an erased key does not reach, before it leaves the rest to
	// the worker; 0 means 10 s.
	ErasureTime time.Duration
	// Reflection offers gRPC reflection.
	Reflection bool
	// CallTimeout bounds unary calls that come without a deadline; 0 means 90 s, longer than any call to Klarna.
	CallTimeout time.Duration
	// StreamAge ends watches of this age with a resume token; 0 means 25 min, before the connection's own age ends.
	StreamAge time.Duration
	// UnreadLimit is how long a watch waits for a client that does not read before it is cut off; 0 means 30 s.
	UnreadLimit time.Duration
	Logger      *slog.Logger
	// Observe is told of every call, once it was answered, and Sent of every event that went out on a watch, with the time
	// since it was recorded; nil means nobody is. They must not block.
	Observe func(ctx context.Context, call Call)
	Sent    func(ctx context.Context, stream store.Stream, after time.Duration)
	// Traces makes spans of calls and of events on watches; nil means none. A caller's trace context is kept either way.
	Traces trace.TracerProvider
}

// Server serves the API. Build one with New, run it with Serve, end it with Shutdown.
type Server struct {
	journal     *journal.Journal
	store       *store.Store
	operations  *operation.Operations
	accounts    map[string]operation.API
	defaults    map[operation.API]string
	callers     access.Callers
	debtorData  bool
	erasures    func(store.Erasure) error
	scrubFor    time.Duration
	policy      *access.PolicyFile
	audit       Audit
	cors        CORS
	door        Door
	validator   protovalidate.Validator
	callTimeout time.Duration
	keeper      *keeper
	crew        *crew
	tokens      *signer
	logDigest   atomic.Pointer[digestedLog]
	log         *slog.Logger
	observe     func(context.Context, Call)
	sent        func(context.Context, store.Stream, time.Duration)
	traces      trace.TracerProvider
	tracer      trace.Tracer // nil without traces

	grpc   *grpc.Server
	health *health.Server

	now             func() time.Time // by which credentials run out
	credentialCheck time.Duration
}

const tracerName = "payments.internal/klarna-gateway/server"

// messageLimit bounds requests and responses: 1000 order lines fit well.
const messageLimit = 4 << 20

// calls is how many goroutines wait for calls. A new one would grow its stack in each call anew, down to where SQLite stands;
// when all are at work, as with many watches, others are made as they are needed.
const calls = 64

// New builds a server; nothing is served before Serve.
func New(cfg Config) (*Server, error) {
	if cfg.CORS.Credentials && slices.Contains(cfg.CORS.Origins, "*") {
		return nil, errors.New("cors: every origin, with credentials: every page could act as whoever looks at it")
	}
	validator, err := protovalidate.New(protovalidate.WithMessages(requests()...))
	if err != nil {
		return nil, fmt.Errorf("compile validation rules: %w", err)
	}
	s := &Server{
		journal: cfg.Journal, store: cfg.Journal.Store(), operations: cfg.Operations,
		accounts: cfg.Accounts, defaults: cfg.Defaults, validator: validator,
		callers: cfg.Callers, debtorData: cfg.DebtorData, erasures: cfg.Erasures, scrubFor: cmp.Or(cfg.ErasureTime, 10*time.Second), policy: cfg.Policy, audit: cmp.Or(cfg.Audit, AuditDenied), cors: cfg.CORS, door: cfg.Door,
		now: cfg.Callers.Now, credentialCheck: credentialCheck,
		callTimeout: cfg.CallTimeout, log: cfg.Logger, observe: cfg.Observe, sent: cfg.Sent, traces: cfg.Traces,
		keeper: newKeeper(cmp.Or(cfg.StreamAge, 25*time.Minute), cmp.Or(cfg.UnreadLimit, 30*time.Second)),
		crew:   newCrew(),
		tokens: newSigner(cfg.Journal.Store().Derive("token", "signature")),
		health: health.NewServer(),
	}
	if s.callTimeout == 0 {
		s.callTimeout = 90 * time.Second
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.traces != nil {
		s.tracer = s.traces.Tracer(tracerName)
	}
	s.grpc = grpc.NewServer(append(tracing(s.traces),
		grpc.Creds(listenerCredentials(cfg.TLS)),
		grpc.UnaryInterceptor(s.serveUnary), grpc.StreamInterceptor(s.serveStream),
		grpc.ForceServerCodecV2(newCodec()), grpc.InTapHandle(leashWatches),
		grpc.MaxRecvMsgSize(messageLimit), grpc.MaxSendMsgSize(messageLimit),
		grpc.NumStreamWorkers(calls),
		// Watches end by themselves (StreamAge) before a connection's age cuts them.
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 15 * time.Minute, MaxConnectionAge: 30 * time.Minute, MaxConnectionAgeGrace: 30 * time.Second,
			Time: 30 * time.Second, Timeout: 10 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 15 * time.Second, PermitWithoutStream: true}),
	)...)
	gatewayv1.RegisterPartnerServiceServer(s.grpc, &partnerService{Server: s})
	gatewayv1.RegisterPaymentServiceServer(s.grpc, &paymentService{Server: s})
	gatewayv1.RegisterOrderServiceServer(s.grpc, &orderService{Server: s})
	gatewayv1.RegisterNetworkPaymentServiceServer(s.grpc, &networkPaymentService{Server: s})
	gatewayv1.RegisterSettlementServiceServer(s.grpc, &settlementService{Server: s})
	gatewayv1.RegisterWatchServiceServer(s.grpc, &watchService{Server: s})
	gatewayv1.RegisterOperatorServiceServer(s.grpc, &operatorService{Server: s})
	for name := range s.grpc.GetServiceInfo() { // each by its name; the empty name stands for all
		s.health.SetServingStatus(name, healthv1.HealthCheckResponse_SERVING)
	}
	healthv1.RegisterHealthServer(s.grpc, s.health)
	if cfg.Reflection {
		reflection.Register(s.grpc)
	}
	return s, nil
}

// Serve serves gRPC on the listener until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve grpc: %w", err)
	}
	return nil
}

// Drain says NOT_SERVING and ends every watch with a resume token; calls go on. It is the first half of Shutdown, for
// those who have to stop what stands in front (REST) between the two.
func (s *Server) Drain() {
	s.health.Shutdown()
	s.keeper.drain()
}

// Shutdown drains, waits for the calls in hand, and cuts off what is left when ctx ends.
func (s *Server) Shutdown(ctx context.Context) {
	s.Drain()
	defer s.crew.leave()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop() // and no wait: a write at Klarna goes on when its call is cut off, for longer than any grace
	}
}

// paymentsAccount resolves the merchant account of a request about payments of either kind. Without a name it is the
// default of the Network if something of the Network is named or there is no other.
func (s *Server) paymentsAccount(ctx context.Context, name string, ofNetwork bool) (string, error) {
	api := operation.RegionalAPI
	have, known := s.accounts[name]
	if known && have == operation.NetworkAPI || name == "" && (ofNetwork || s.defaults[api] == "") && s.defaults[operation.NetworkAPI] != "" {
		api = operation.NetworkAPI
	}
	return s.merchantAccount(ctx, name, api)
}

// merchantAccount resolves the merchant account that a request names, or the default one, and settles that the caller may
// use it. Nobody learns by it which accounts there are: what a request names was checked before.
func (s *Server) merchantAccount(ctx context.Context, name string, api operation.API) (string, error) {
	if name == "" {
		name = s.defaults[api]
		if name == "" {
			return "", unknownAccount("no merchant account is the default for this; name one in merchant_account")
		}
	}
	have, ok := s.accounts[name]
	switch {
	case !ok:
		return "", unknownAccount(fmt.Sprintf("no merchant account %q is configured", name))
	case have != api:
		return "", unsuitableAccount(fmt.Sprintf("merchant account %q is for Klarna's %s APIs, this needs %s", name, have, api))
	}
	d := decisionOf(ctx)
	told := d == nil || d.settled
	err := d.permit(name)
	if !told { // what names its account was logged as it came
		s.audited(ctx, d, err)
	}
	return name, err
}
