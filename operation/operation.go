// Package operation does things at Klarna, once each, and writes down what was learned. It is what the API's handlers
// and the worker share: a caller's CreateOrder and the automatic policy place the same one order through it.
//
// A write is recorded before Klarna is called and answered from the record when it is repeated (ledger.go). What a
// call taught is committed together with its answer.
package operation

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// API is the kind of Klarna API that a merchant account's credential is for.
type API string

// The APIs.
const (
	NetworkAPI  API = "network"  // Klarna Network: partners
	RegionalAPI API = "regional" // Klarna Payments and Order Management: payments, orders
)

// Account is one merchant account: a Klarna credential with its host, and what they become in time.
type Account struct {
	Name   string
	API    API
	Klarna *klarna.Client
	// Changes are profiles that come into force later, in the order of their times.
	Changes []Change
	// AutoCapture says that the contract allows capturing an order when it is placed.
	AutoCapture bool

	first *klarna.Client // before any change
}

// AnswersKept is how long answers are kept for repeats unless Config.KeepAnswers says otherwise.
const AnswersKept = 30 * 24 * time.Hour

// Config of Operations.
type Config struct {
	Journal  *journal.Journal
	Accounts []Account
	// CallbackURL makes the address for Klarna's authorisation callback out of its secret; nil leaves callbacks out.
	CallbackURL func(secret string) string
	// HostedPageURL makes the address for updates of a hosted page out of its secret; nil leaves them out.
	HostedPageURL func(secret string) string
	// NotificationURL makes the address for decisions on pending orders out of its secret; nil leaves them out.
	NotificationURL func(secret string) string
	// PushURL is the address for pushes of a merchant account's checkout orders, empty if it has none. Without it
	// checkout orders are not opened.
	PushURL func(merchantAccount string) string
	// NetworkURL is the address of our own door for what the Klarna Network posts, empty if Klarna cannot reach it.
	NetworkURL string
	// SigningKeys are the keys that the configuration has; those that are made here or imported are in the store.
	SigningKeys []store.SigningKeyID
	// SingleReplica says that no other process shares the store: a request that is leased but not being worked here
	// was cut off by a crash and is taken up at once.
	SingleReplica bool
	// KeepAnswers is how long the answer to a request is kept for its repeats; 0 means 30 days. A repeat that comes later
	// is a new request.
	KeepAnswers time.Duration
	// Failpoint is called at AfterAnswer and AfterCommit, with the operation's name, for tests that end the process there.
	// Nil, as everywhere else, does nothing.
	Failpoint func(at Point, operation string)
	Logger    *slog.Logger
}

// Point is a place in the life of a write where a crash may fall.
type Point string

// The points, in their order.
const (
	BeforeSend  Point = "before send"  // the request is on record, no byte of it has left for Klarna
	AfterSend   Point = "after send"   // Klarna may have all of it, its answer is not here
	AfterAnswer Point = "after answer" // Klarna's answer is here, nothing of it is on record
	AfterCommit Point = "after commit" // the answer is on record, the caller has not heard of it
)

// Operations does things at Klarna. It is safe for concurrent use.
type Operations struct {
	journal                                  *journal.Journal
	store                                    *store.Store
	accounts                                 map[string]Account
	callback, hostedPage, notification, push func(string) string // nil where it is not configured
	networkURL                               string
	configuredKeys                           []store.SigningKeyID
	single                                   bool
	keepAnswers                              time.Duration
	failpoint                                func(Point, string)
	log                                      *slog.Logger

	mu     sync.Mutex
	flying map[store.RequestID]*flight
}

// callBudget is how long a write may take once it has begun, whatever became of the caller. How it ended is recorded
// after that; until leaseTime has passed nobody else takes the request up.
const (
	callBudget = 75 * time.Second
	leaseTime  = callBudget + 15*time.Second
)

// New returns Operations.
func New(cfg Config) *Operations {
	o := &Operations{
		journal: cfg.Journal, store: cfg.Journal.Store(), accounts: map[string]Account{},
		callback: cfg.CallbackURL, hostedPage: cfg.HostedPageURL, notification: cfg.NotificationURL, push: cfg.PushURL,
		networkURL: cfg.NetworkURL, configuredKeys: cfg.SigningKeys,
		single: cfg.SingleReplica, keepAnswers: cmp.Or(cfg.KeepAnswers, AnswersKept), log: cfg.Logger,
		flying: map[store.RequestID]*flight{},
	}
	if o.failpoint = cfg.Failpoint; o.failpoint == nil {
		o.failpoint = func(Point, string) {}
	}
	if o.log == nil {
		o.log = slog.Default()
	}
	for _, a := range cfg.Accounts {
		a.first = a.Klarna
		o.accounts[a.Name] = a
	}
	return o
}

// account returns a merchant account that can do the job, as it is now.
func (o *Operations) account(name string, api API) (Account, error) {
	a, ok := o.accounts[name]
	switch {
	case !ok:
		return a, refuse("MERCHANT_ACCOUNT_UNKNOWN", "no merchant account %q is configured", name)
	case a.API != api:
		return a, refuse("MERCHANT_ACCOUNT_UNSUITABLE", "merchant account %q is for Klarna's %s APIs, this needs %s", name, a.API, api)
	}
	return a.at(o.store.Now()), nil
}

// Refusal is an answer of ours, not of Klarna's: what was asked for is not possible as things stand.
type Refusal struct {
	reason, message string
	field           string
	retry           time.Duration
	metadata        map[string]string
}

// Error tells what is wrong, for the caller.
func (r *Refusal) Error() string { return r.message }

// Reason is the name in the API's ErrorReason enum, without its prefix.
func (r *Refusal) Reason() string { return r.reason }

// Field is the request's field that is at fault, if one is.
func (r *Refusal) Field() string { return r.field }

// RetryDelay is when a repeat makes sense, 0 if it does not.
func (r *Refusal) RetryDelay() time.Duration { return r.retry }

// Metadata is what a program may want to know, such as the amount that is left; nil if there is nothing.
func (r *Refusal) Metadata() map[string]string { return r.metadata }

func refuse(reason, format string, args ...any) *Refusal {
	return &Refusal{reason: reason, message: fmt.Sprintf(format, args...)}
}

func refuseField(field, reason, format string, args ...any) *Refusal {
	r := refuse(reason, format, args...)
	r.field = field
	return r
}

// detached lets work go on when the caller is gone, for a bounded time.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), callBudget)
}
