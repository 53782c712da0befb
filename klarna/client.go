// Package klarna is a typed client of Klarna's APIs: partner onboarding on the Klarna Network, Klarna Payments and
// Order Management. It also knows what Klarna posts to us: how those bodies read and how they are signed.
//
// It speaks Klarna's words and keeps values it does not know. Within a call it keeps to Klarna's rates, bridges a hiccup
// by repeating what has no second effect, and leaves a Klarna that is down alone for a while; it remembers nothing
// beyond that. An error says whether Klarna refused ([Error]), did not serve ([ErrUnavailable]), or may have acted
// without telling ([ErrOutcomeUnknown]), or that our rate came first ([ErrRateLimited]); the caller decides.
package klarna

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Family is a group of Klarna APIs that share their way of answering. The same status and code mean different things
// in different families, so errors are mapped by it.
type Family string

// The families this client calls.
const (
	Network         Family = "network"          // Klarna Network: onboarding and partner accounts, KRN ids
	Payments        Family = "payments"         // Klarna Payments (KP): sessions and authorizations
	OrderManagement Family = "order_management" // orders, captures, refunds
)

// AuthStyle is how a credential is put into the Authorization header.
type AuthStyle string

// The two styles. Klarna documents AuthRaw for API keys; AuthBasic is how tools that only know user and password send
// one, and the only style of the older MID credentials.
const (
	AuthRaw   AuthStyle = "raw"   // "Basic " and the API key verbatim
	AuthBasic AuthStyle = "basic" // "Basic " and base64 of user:password or user:key
)

// What a zero field of Config means.
const (
	DefaultTimeout     = 60 * time.Second // Klarna: answers within 59 s
	DefaultMaxResponse = 4 << 20
	DefaultIntegrator  = "KLARNA_GATEWAY"

	DefaultRetries         = 2
	DefaultCircuitFailures = 10
	DefaultCircuitDelay    = 5 * time.Second
)

// moduleName names this client in the integration metadata and the User-Agent.
const moduleName = "klarna-gateway"

// Config is one merchant account's way to Klarna, its profile: a host, a credential, and what they are good for.
type Config struct {
	// Environment and Region are what the credential is of. New refuses a host or key that is of others; a call about a
	// purchase in another region is refused when it is made. Zero: what the host says, if it is one of Klarna's.
	Environment Environment
	Region      Region
	// Offers are the operations that the host serves; none means all. An entry is a path, for all that is at or beneath
	// it ("/checkout"), or a method and a path ("POST /hpp/v1/sessions/{id}/distribution").
	Offers []string
	// Withdrawn are operations that are not served, although Offers has them; entries are the same.
	Withdrawn []string

	BaseURL   string    // such as https://api.klarna.com; https, or http to a loopback host
	Insecure  bool      // allows http to any host, for a simulator on a private network
	Username  string    // classic user, or the optional UUID that comes with an API key
	Password  Secret    // classic password; never beside APIKey
	APIKey    Secret    // klarna_<live|test>_api_…
	AuthStyle AuthStyle // zero: AuthBasic if there is a Username, else AuthRaw

	HTTPClient  *http.Client  // nil: http.DefaultClient. Copied; redirects are never followed
	Integrator  string        // our name in the Network's integration metadata, upper snake case; zero: DefaultIntegrator
	Originators []Originator  // who stands behind us there, such as a shop system; at most 10
	Version     string        // our version there and in the User-Agent; may be empty
	Timeout     time.Duration // of one call with all its attempts and waits; zero: DefaultTimeout
	MaxResponse int64         // bytes of an answer's body; zero: DefaultMaxResponse
	Logger      *slog.Logger  // calls are logged at debug level, never their bodies; nil: none

	// Retries is how often at most a call is repeated: one without a second effect, after no answer, 5xx or 429. The
	// deadline and a budget for all calls together bound it too. Zero: DefaultRetries; negative: none.
	Retries int
	// Rates are quotas that differ from those Klarna publishes for its hosts. Where there is none, the client goes by what
	// Klarna's answers state. Several processes with one merchant account share its quota: see Budgets.
	Rates map[Category]Rate
	// Budgets has the budgets of these rates shared out among processes, under the name BudgetsOf: the merchant account.
	// Clients of one name share them. Nil: the client has them for itself.
	Budgets   *Budgets
	BudgetsOf string
	// CircuitFailures is after how many failures in a row nothing is sent for CircuitDelay; then one call tries. Calls
	// meanwhile fail with ErrUnavailable. Zero: DefaultCircuitFailures; negative: never.
	CircuitFailures int
	CircuitDelay    time.Duration // zero: DefaultCircuitDelay
	// Circuits shares the circuit with other clients of the same host; nil: the client has one of its own.
	Circuits *Circuits

	// Observe is told of every attempt, after it ended; nil: nobody is. It must not block.
	Observe func(ctx context.Context, call Call)
	// Tracer makes a span of every attempt that is sent; nil: there are none. Klarna is not told of traces.
	Tracer trace.Tracer
}

// Originator is a party behind the integrator, as the Network's integration metadata names it.
type Originator struct {
	Name          string // Klarna: the public product name in A-Z, 0-9 and _, at most 50
	ModuleName    string // at most 50; may be empty
	ModuleVersion string // at most 50; may be empty
}

// Call is one attempt of a call to Klarna as metrics see it.
type Call struct {
	Operation     string // Klarna's name of the operation, such as "captureOrder"
	Family        Family
	Method        string
	Path          string        // its template, such as "/ordermanagement/v1/orders/{order_id}"
	Attempt       int           // from 1; 0 when a call was not sent at all: no time, no rate, or the circuit open
	Status        int           // 0 when there was no answer
	Duration      time.Duration // of the attempt alone, without waits
	CorrelationID string        // Klarna's, or the one we sent if Klarna named none; may be empty
	Err           error         // of this attempt; the caller gets the last one's, or that an earlier one leaves doubt
}

// Client calls Klarna for one merchant account. It is safe for concurrent use.
type Client struct {
	base          string
	authorization Secret
	http          *http.Client
	region        Region
	offers        []string
	withdrawn     []string
	elsewhere     []*Client
	integrator    string
	originators   []Originator
	version       string
	timeout       time.Duration
	least         time.Duration // no attempt is begun with less time left
	patience      time.Duration // a caller that gave up earlier than that does not speak for Klarna's health
	maxResponse   int64
	retries       int
	budget        *budget
	rates         map[Category]*bucket
	breaker       *breaker // the host's
	log           *slog.Logger
	observe       func(context.Context, Call)
	tracer        trace.Tracer // nil: no spans
}

// New checks cfg and returns a client. The error names every flaw at once, and no secret.
func New(cfg Config) (*Client, error) {
	base, baseErr := checkBase(cfg.BaseURL, cfg.Insecure)
	authorization, authErr := authorize(cfg)
	if err := errors.Join(baseErr, authErr, checkPlace(cfg), checkNames(cfg), checkLimits(cfg)); err != nil {
		return nil, fmt.Errorf("klarna client: %w", err)
	}
	c := &Client{
		base:          base,
		authorization: authorization,
		http:          &http.Client{},
		region:        cfg.Region,
		offers:        cfg.Offers,
		withdrawn:     cfg.Withdrawn,
		integrator:    cmp.Or(cfg.Integrator, DefaultIntegrator),
		originators:   cfg.Originators,
		version:       cfg.Version,
		timeout:       cfg.Timeout,
		maxResponse:   cfg.MaxResponse,
		retries:       cmp.Or(cfg.Retries, DefaultRetries),
		budget:        newBudget(),
		rates:         map[Category]*bucket{},
		breaker:       cfg.Circuits.of(base, cmp.Or(cfg.CircuitFailures, DefaultCircuitFailures), cmp.Or(cfg.CircuitDelay, DefaultCircuitDelay)),
		log:           cfg.Logger,
		observe:       cfg.Observe,
		tracer:        cfg.Tracer,
	}
	if host, known := HostAt(base); known {
		c.region = host.Region
	}
	defaults := defaultRates(base)
	for _, category := range categories {
		made := newBucket(cmp.Or(cfg.Rates[category], defaults[category]))
		made.agreed = cfg.Rates[category] != 0
		made.owner, made.category = cfg.BudgetsOf, category
		c.rates[category] = cfg.Budgets.of(strings.Join([]string{cfg.BudgetsOf, base, string(category)}, " "), made)
	}
	if cfg.HTTPClient != nil {
		*c.http = *cfg.HTTPClient
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	c.least, c.patience = min(50*time.Millisecond, c.timeout/4), min(5*time.Second, c.timeout/2)
	if c.maxResponse == 0 {
		c.maxResponse = DefaultMaxResponse
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.observe == nil {
		c.observe = func(context.Context, Call) {}
	}
	return c, nil
}

// checkBase returns the base URL without a trailing slash. Its errors do not quote the URL, which may hold a password.
func checkBase(raw string, insecure bool) (string, error) {
	if raw == "" {
		return "", errors.New("base url: missing")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "", errors.New("base url: not an absolute url")
	}
	var flaws []error
	switch {
	case u.Scheme == "https":
	case u.Scheme != "http":
		flaws = append(flaws, errors.New("base url: scheme is neither https nor http"))
	case !insecure && !loopback(u.Hostname()):
		flaws = append(flaws, errors.New("base url: http would send the credential in clear"))
	}
	if u.User != nil {
		flaws = append(flaws, errors.New("base url: holds a user; set the credential instead"))
	}
	if u.RawQuery != "" || u.Fragment != "" {
		flaws = append(flaws, errors.New("base url: holds a query or fragment"))
	}
	return strings.TrimRight(raw, "/"), errors.Join(flaws...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// authorize returns the Authorization header's value.
func authorize(cfg Config) (Secret, error) {
	var flaws []error
	flaw := func(text string) { flaws = append(flaws, errors.New("credential: "+text)) }
	style := cfg.AuthStyle
	if style == "" && (cfg.Username != "" || cfg.Password != "") {
		style = AuthBasic
	}
	switch {
	case cfg.APIKey == "" && cfg.Password == "":
		flaw("neither an api key nor a password")
	case cfg.APIKey != "" && cfg.Password != "":
		flaw("both an api key and a password")
	case cfg.Password != "" && cfg.Username == "":
		flaw("a password without a username")
	}
	switch {
	case cfg.AuthStyle != "" && cfg.AuthStyle != AuthRaw && cfg.AuthStyle != AuthBasic:
		flaw("unknown auth style")
	case cfg.AuthStyle == AuthRaw && (cfg.Username != "" || cfg.Password != ""):
		flaw("raw style takes an api key alone")
	}
	if strings.Contains(cfg.Username, ":") {
		flaw("a colon in the username")
	}
	if !visible(cfg.Username) || !visible(cfg.Password.Reveal()) || !visible(cfg.APIKey.Reveal()) {
		flaw("a character that is not visible ascii")
	}
	if style == AuthBasic {
		pair := cfg.Username + ":" + cfg.Password.Reveal() + cfg.APIKey.Reveal() // one of the two is empty
		return Secret("Basic " + base64.StdEncoding.EncodeToString([]byte(pair))), errors.Join(flaws...)
	}
	return Secret("Basic " + cfg.APIKey.Reveal()), errors.Join(flaws...)
}

// checkPlace checks that host, key, environment and region belong together, as far as they tell.
func checkPlace(cfg Config) error {
	var flaws []error
	flaw := func(format string, args ...any) { flaws = append(flaws, fmt.Errorf(format, args...)) }
	if !slices.Contains([]Environment{"", Live, Playground}, cfg.Environment) {
		flaw("environment: neither live nor playground")
	}
	if !slices.Contains([]Region{"", Europe, NorthAmerica, Oceania}, cfg.Region) {
		flaw("region: none of eu, na, oc")
	}
	host, known := HostAt(cfg.BaseURL)
	if known && cfg.Environment != "" && cfg.Environment != host.Environment {
		flaw("base url: %s is of environment %s, not %s", host.BaseURL, host.Environment, cfg.Environment)
	}
	if known && cfg.Region != "" && cfg.Region != host.Region && host.API == RegionalAPI {
		flaw("base url: %s is of region %s, not %s", host.BaseURL, host.Region, cfg.Region)
	}
	where := cmp.Or(cfg.Environment, host.Environment)
	for name, key := range map[string]Secret{"api key": cfg.APIKey, "password": cfg.Password} {
		if of := environmentOf(key); of != "" && where != "" && of != where {
			flaw("credential: the %s is of environment %s, not %s", name, of, where)
		}
	}
	for _, entry := range slices.Concat(cfg.Offers, cfg.Withdrawn) {
		if !operationEntry.MatchString(entry) {
			flaw("operations: %q is neither a path nor a method and a path", entry)
		}
	}
	return errors.Join(flaws...)
}

// integratorName is Klarna's rule for names in the integration metadata.
var integratorName = regexp.MustCompile(`^[A-Z0-9_]{1,50}$`)

func checkNames(cfg Config) error {
	var flaws []error
	if cfg.Integrator != "" && !integratorName.MatchString(cfg.Integrator) {
		flaws = append(flaws, errors.New("integrator: not 1 to 50 of A-Z, 0-9 and _"))
	}
	if len(cfg.Originators) > 10 {
		flaws = append(flaws, errors.New("originators: more than 10"))
	}
	for i, o := range cfg.Originators {
		if !integratorName.MatchString(o.Name) {
			flaws = append(flaws, fmt.Errorf("originators[%d]: name: not 1 to 50 of A-Z, 0-9 and _", i))
		}
		if len(o.ModuleName) > 50 || len(o.ModuleVersion) > 50 || !visible(o.ModuleName) || !visible(o.ModuleVersion) {
			flaws = append(flaws, fmt.Errorf("originators[%d]: module name or version longer than 50 or not visible ascii", i))
		}
	}
	if len(cfg.Version) > 50 || !visible(cfg.Version) {
		flaws = append(flaws, errors.New("version: longer than 50 or not visible ascii"))
	}
	return errors.Join(flaws...)
}

func checkLimits(cfg Config) error {
	var flaws []error
	if cfg.Timeout < 0 {
		flaws = append(flaws, errors.New("timeout: negative"))
	}
	if cfg.MaxResponse < 0 || cfg.MaxResponse > 1<<30 {
		flaws = append(flaws, errors.New("max response: negative or above 1 GiB"))
	}
	if cfg.CircuitDelay < 0 {
		flaws = append(flaws, errors.New("circuit delay: negative"))
	}
	for category, rate := range cfg.Rates {
		switch {
		case !slices.Contains(categories, category):
			flaws = append(flaws, fmt.Errorf("rates: unknown category %q", category))
		case math.IsNaN(float64(rate)) || math.IsInf(float64(rate), 0) || rate > 0 && rate < 1e-3:
			flaws = append(flaws, fmt.Errorf("rates: %s: not a rate a second", category))
		}
	}
	return errors.Join(flaws...)
}

// visible reports whether s is made of visible ASCII, which every header takes. The empty string is.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
