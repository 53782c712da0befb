package klarnatest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Config says who calls, whom to notify and how time runs. The zero value answers 401 to everything but admin.
type Config struct {
	// Now is the base clock, to which Advance adds. Nil means time.Now. A clock of one's own that jumps is noticed
	// within a few milliseconds.
	Now func() time.Time

	// Username and Password are the classic credentials of Klarna Payments, Order Management and Settlements.
	Username, Password string
	// APIKey is the key for Klarna Network, taken as "Basic <key>" and as user:password with the key as password.
	// The classic APIs accept it too. Klarna: a new-style key is klarna_<live|test>_api_<random>.
	APIKey string

	// Live makes this production: notifications say live and account ids lose their "test".
	Live bool

	// PaymentStatusURL receives payment-status notifications, signed with PaymentStatusKey; PaymentStatusKeyVersion
	// is sent as v, "1" when empty. Without a URL the states change silently.
	PaymentStatusURL, PaymentStatusKey, PaymentStatusKeyVersion string
	// NetworkURL is subscribed to partner.* and payment.* with the signing key NetworkKey, known to the receiver as
	// NetworkKeyID, as if somebody had made key and webhook already. Empty leaves that to calls.
	NetworkURL, NetworkKeyID, NetworkKey string
	// PushURL receives the push of a completed Checkout order; {checkout.order.id} is replaced by its id.
	PushURL string

	// OperationalAfter is how long an account's set-up takes, by the simulated clock. 0 means one second; below 0 it
	// never finishes by itself.
	OperationalAfter time.Duration

	// EnforceRates answers 429 to whoever asks more often than Klarna's quotas allow. Without it nobody is counted, as
	// most tests run faster than the simulated clock.
	EnforceRates bool

	// HTTPClient delivers what Klarna sends. Nil means one of our own. Redirects are never followed.
	HTTPClient *http.Client
	// Logger hears of deliveries at debug level. Nil means silence.
	Logger *slog.Logger
}

// withDefaults fills the fields whose zero value stands for something else.
func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.PaymentStatusKeyVersion == "" {
		c.PaymentStatusKeyVersion = "1"
	}
	if c.OperationalAfter == 0 {
		c.OperationalAfter = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Server is one Klarna. All methods may be used from several goroutines.
type Server struct {
	cfg     Config
	jumpy   bool // the base clock is not time.Now
	handler http.Handler
	client  *http.Client
	drop    func() // closes idle connections of our own client

	ctx       context.Context // done once Close was called
	cancel    context.CancelFunc
	done      chan struct{} // closed when the delivery goroutine has ended
	wake      chan struct{} // holds one ring: look at the agenda again
	advancing sync.Mutex    // one Advance at a time

	mu      sync.Mutex // guards all below
	offset  time.Duration
	agenda  agenda
	busy    bool          // an entry of the agenda is being worked
	settled chan struct{} // closed and renewed after each entry
	hooks   hooks

	accounts       map[string]*account
	byReference    map[string]*account // by partner_account_reference
	paymentAccount map[string]*account // by acquiring account id and payment_account_reference
	sessions       map[string]*session
	authorizations map[string]*authorization
	orders         map[string]*order
	pending        int // orders that will be PENDING
	tokens         map[string]*customerToken
	pages          map[string]*hostedPage
	checkouts      map[string]*checkoutOrder
	books          settlements
	subs           subscriptions
	creds          credentials
	payments       networkPayments
	replays        map[replayKey]replay
	rates          map[string]used
	serving        string // operation that is being served, if one is
	faults         []*Fault
	calls          []Call
}

// New starts a Klarna; Close ends it.
func New(cfg Config) *Server {
	s := &Server{
		cfg:            cfg.withDefaults(),
		jumpy:          cfg.Now != nil,
		drop:           func() {},
		done:           make(chan struct{}),
		wake:           make(chan struct{}, 1),
		settled:        make(chan struct{}),
		hooks:          hooks{sent: map[string]*message{}},
		accounts:       map[string]*account{},
		byReference:    map[string]*account{},
		paymentAccount: map[string]*account{},
		sessions:       map[string]*session{},
		authorizations: map[string]*authorization{},
		orders:         map[string]*order{},
		tokens:         map[string]*customerToken{},
		pages:          map[string]*hostedPage{},
		checkouts:      map[string]*checkoutOrder{},
		books:          settlements{booked: map[string]bool{}, debts: map[string]int64{}},
		payments:       newNetworkPayments(),
		replays:        map[replayKey]replay{},
		rates:          map[string]used{},
	}
	s.subs = s.cfg.configured(s.cfg.Now())
	s.creds.apiKeys = []*credential{{id: newCredentialID(), description: "initial", created: s.cfg.Now(), secret: s.cfg.APIKey}}
	s.client = s.deliveryClient()
	s.handler = s.routes()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s
}

// ServeHTTP answers the APIs and /admin.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close breaks off what is being delivered, drops what is not, and waits for the delivery goroutine. The APIs still
// answer afterwards, but nothing is sent any more.
func (s *Server) Close() {
	s.cancel()
	<-s.done
	s.drop()
}

// deliveryClient is the configured client, or one with a transport of its own, that takes a redirect for an answer.
func (s *Server) deliveryClient() *http.Client {
	client := http.Client{}
	if s.cfg.HTTPClient != nil {
		client = *s.cfg.HTTPClient
	} else {
		transport := &http.Transport{}
		client.Transport, s.drop = transport, transport.CloseIdleConnections
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// maxBody is Klarna's limit of a request body in bytes.
const maxBody = 1 << 20

// readBody reads a request body of at most maxBody bytes; ok tells whether it fitted.
func readBody(r *http.Request) (body []byte, ok bool) {
	if r.Body == nil {
		return nil, true
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	return body, err == nil && len(body) <= maxBody
}
