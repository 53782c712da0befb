// Package webhook is the door that faces Klarna: it takes signed notifications and unsigned callbacks, proves where
// they come from, records what they tell through the journal, and answers only once that is durable. What Klarna is
// not told to have been taken, it sends again.
//
// It is open to the internet and holds no Klarna credentials: it calls nobody. What has to be done about a fact is left
// to the jobs that the journal adds.
package webhook

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// Config of a Receiver. Journal is needed; zero fields are defaults.
type Config struct {
	Journal *journal.Journal
	// Accounts by merchant account name, as it stands in URLs and in the log.
	Accounts map[string]Account
	// NetworkKeys by Klarna-Signing-Key-Id; those that the store has are taken too. For a rotation both keys are held for
	// at least a day, since a late retry bears the old one.
	NetworkKeys map[string]NetworkKey
	// MaxBody bounds a body in bytes; 0 means 1 MiB. Klarna: its own limit is 1 MB.
	MaxBody int64
	// Timeout bounds one delivery, from its headers to our answer; 0 means 1.5 s for what is unsigned, 10 s for signed
	// notifications. Klarna: a callback has 2 s to connect and 2 s to be answered, an update of a hosted page 3 s; no
	// figure for the others.
	Timeout time.Duration
	// Sources says where deliveries may come from.
	Sources Sources
	// Logger gets a line per delivery that was refused, quarantined or failed; nil means slog.Default().
	Logger *slog.Logger
	// Received is told of every delivery as it comes, Observe of every one once it has its outcome; nil means nobody is.
	Received func(ctx context.Context, door Door)
	Observe  func(ctx context.Context, seen Seen)
	// Tracer makes a span of every delivery; nil means none.
	Tracer trace.Tracer
}

// Account is what proves that a post about a merchant account is Klarna's.
type Account struct {
	// Live says that the account is of Klarna's production environment. A notification of the other environment is
	// kept aside.
	Live bool
	// PaymentStatusKeys by version, beside those that the store has; the bytes of the text are the key. Klarna: several versions may be in use at once.
	PaymentStatusKeys map[string]klarna.Secret
	// PushSecrets stand in the push URLs of checkout orders, at least 16 characters each. Several allow a rotation: a
	// push bears the secret that its order was made with, for 48 h.
	PushSecrets []klarna.Secret
}

// NetworkKey is a signing key of the Klarna Network and the merchant account that it speaks for.
type NetworkKey struct {
	MerchantAccount string
	Key             klarna.Secret // the bytes of the text are the key
}

// Door names a route.
type Door string

// The doors.
const (
	DoorPaymentStatus Door = "payment_status"
	DoorNetwork       Door = "network"
	DoorAuthorization Door = "authorization"
	DoorPush          Door = "push"
	DoorHostedPage    Door = "hosted_page"
	DoorPendingOrder  Door = "pending_order"
)

// Doors are all doors.
func Doors() []Door {
	return []Door{DoorPaymentStatus, DoorNetwork, DoorAuthorization, DoorPush, DoorHostedPage, DoorPendingOrder}
}

// Outcome says what became of a delivery. Every delivery to a door has exactly one, so what was received is their sum.
type Outcome string

// The outcomes.
const (
	Stored      Outcome = "stored"      // it is on record or made a job, whether or not it moved a state
	Duplicate   Outcome = "duplicate"   // the same bytes were on record
	Quarantined Outcome = "quarantined" // Klarna's, but not to be applied: kept for a person
	Rejected    Outcome = "rejected"    // not proven to be Klarna's, or not readable: nothing is kept
	Failed      Outcome = "failed"      // we could not keep it; Klarna sends it again
)

// Receiver is the handler of everything that Klarna posts. It belongs on a listener of its own whose server bounds the
// time that headers may take.
type Receiver struct {
	mux      *http.ServeMux
	journal  *journal.Journal
	store    *store.Store
	log      *slog.Logger
	received func(context.Context, Door)
	observe  func(context.Context, Seen)
	tracer   trace.Tracer
	maxBody  int64
	gate     *gatekeeper
	proven   proven

	live map[string]bool // by merchant account
	keys *keyring

	pushSecrets         []standingSecret
	notificationSecrets []standingSecret // one of each merchant account, derived
}

// Time for one delivery unless configured.
const (
	callbackBudget     = 1500 * time.Millisecond
	notificationBudget = 10 * time.Second
)

// New returns a Receiver. The error names every flaw of the configuration.
func New(cfg Config) (*Receiver, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &Receiver{
		mux: http.NewServeMux(), journal: cfg.Journal, store: cfg.Journal.Store(),
		log: cfg.Logger, received: cfg.Received, observe: cfg.Observe, tracer: cfg.Tracer, maxBody: cfg.MaxBody,
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	if r.received == nil {
		r.received = func(context.Context, Door) {}
	}
	if r.observe == nil {
		r.observe = func(context.Context, Seen) {}
	}
	if r.maxBody == 0 {
		r.maxBody = 1 << 20
	}
	r.gate = &gatekeeper{
		mode: cmp.Or(cfg.Sources.Mode, SourcesOff), doors: cfg.Sources.published(cfg.Accounts),
		proxies: cfg.Sources.Proxies, hops: cfg.Sources.Hops,
		flood: newFlood(cfg.Sources.RejectsPerSecond, len(cfg.Sources.Proxies) == 0, r.store.Now),
	}
	notification, callback := notificationBudget, callbackBudget
	if cfg.Timeout > 0 {
		notification, callback = cfg.Timeout, cfg.Timeout
	}
	r.takeKeys(cfg)
	r.mux.Handle("POST /klarna/payment-status/{merchant_account}", r.door(DoorPaymentStatus, notification, r.paymentStatus))
	r.mux.Handle("POST /klarna/network", r.door(DoorNetwork, notification, r.network))
	r.mux.Handle("POST /klarna/authorization/{secret}", r.door(DoorAuthorization, callback, r.authorization))
	r.mux.Handle("POST /klarna/push/{secret}/{order_id}", r.door(DoorPush, callback, r.push))
	r.mux.Handle("POST /klarna/hosted-page/{secret}", r.door(DoorHostedPage, callback, r.hostedPage))
	r.mux.Handle("POST /klarna/notification/{secret}", r.door(DoorPendingOrder, callback, r.pendingOrder))
	return r, nil
}

// ServeHTTP answers a post. Unknown paths are 404, other methods 405.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.mux.ServeHTTP(w, req) }
