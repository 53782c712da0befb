package klarna

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Category is a group of calls that share a quota. Klarna counts per merchant account, whatever the credential.
type Category string

// The categories. Klarna has more for the Network, without numbers.
const (
	CreateSessions       Category = "create_sessions"
	CreateHostedSessions Category = "create_hosted_sessions"
	Regional             Category = "regional" // all other calls that are not the Network's
	Onboarding           Category = "onboarding"
	Management           Category = "management" // all other calls of the Network

	PaymentRequests      Category = "payment_requests"
	PaymentAuthorization Category = "payment_authorization"
	PaymentCaptures      Category = "payment_captures"
	PaymentTransactions  Category = "payment_transactions" // all other calls about payments on the Network
)

var categories = []Category{
	CreateSessions, CreateHostedSessions, Regional, Onboarding, Management,
	PaymentRequests, PaymentAuthorization, PaymentCaptures, PaymentTransactions,
}

// Rate is a quota in calls a second. Zero is the default, a negative one no quota.
type Rate float64

// Klarna's published quotas of its regional APIs. Klarna publishes none for the Network: those are cautious guesses.
var (
	liveRates       = map[Category]Rate{CreateSessions: 40, CreateHostedSessions: 40, Regional: 200}
	playgroundRates = map[Category]Rate{CreateSessions: 5, CreateHostedSessions: 5, Regional: 50}
	networkRates    = map[Category]Rate{
		Onboarding: 5, Management: 20,
		PaymentRequests: 20, PaymentAuthorization: 20, PaymentCaptures: 20, PaymentTransactions: 20,
	}
)

// defaultRates are the quotas of Klarna's hosts. Another host, such as a simulator, is its owner's: it has none unless
// Config.Rates says so.
func defaultRates(base string) map[Category]Rate {
	u, err := url.Parse(base)
	if err != nil {
		return nil
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case host != "klarna.com" && !strings.HasSuffix(host, ".klarna.com") && !strings.HasSuffix(host, ".kustom.co"):
		return nil
	case strings.HasPrefix(host, "api-global."):
		return networkRates
	case strings.Contains(host, ".playground."):
		return playgroundRates
	}
	return liveRates
}

// lane orders the calls that wait for one quota. Money that moves goes first and reports go last; a steady flow in a
// higher lane can hold up a lower one until its deadline.
type lane int

const (
	laneMoney lane = iota
	laneWrite
	laneRead
	laneBackground // reads that nobody waits for
	laneReport
	lanes
)

func (k call) category() Category {
	switch {
	case k.family == Network && k.operation == "onboard":
		return Onboarding
	case k.family == Network && strings.HasPrefix(k.path, networkPaymentPath):
		return k.paymentCategory()
	case k.family == Network:
		return Management
	case k.method == http.MethodPost && k.path == "/payments/v1/sessions":
		return CreateSessions
	case k.method == http.MethodPost && k.path == "/hpp/v1/sessions":
		return CreateHostedSessions
	}
	return Regional
}

// paymentCategory is Klarna's rate category of a call about a payment on the Network.
func (k call) paymentCategory() Category {
	switch {
	case k.path == networkPaymentPath+"/authorize":
		return PaymentAuthorization
	case strings.HasPrefix(k.path, requestsPath):
		return PaymentRequests
	case strings.HasSuffix(k.path, "/capture"):
		return PaymentCaptures
	}
	return PaymentTransactions
}

type backgroundKey struct{}

// Background marks reads that nobody waits for: they go behind all others, save reports.
func Background(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

func (k call) lane(ctx context.Context) lane {
	last := k.path[strings.LastIndexByte(k.path, '/')+1:]
	switch {
	case strings.HasPrefix(k.path, "/settlements/"):
		return laneReport
	case k.method == http.MethodGet && ctx.Value(backgroundKey{}) != nil:
		return laneBackground
	case k.method == http.MethodGet:
		return laneRead
	case slices.Contains(moneyPaths, last):
		return laneMoney
	}
	return laneWrite
}

// moneyPaths are the ends of the paths whose writes move, claim or free money.
var moneyPaths = []string{"order", "captures", "refunds", "cancel", "authorization", "release-remaining-authorization", "{authorization_token}",
	"authorize", "capture", "refund", "void"}

// ErrRateLimited marks a call that was not sent, because our share of Klarna's quota comes too late for its deadline.
// It is an [Error] as well, with Status 429, the code CodeLocalRateLimit, and in RetryAfter when a call like it could
// be sent as things stand: so whoever handles Klarna's 429 handles ours.
var ErrRateLimited = errors.New("rate budget spent")

// CodeLocalRateLimit is the code of an Error that is our own 429, not Klarna's.
const CodeLocalRateLimit = "LOCAL_RATE_LIMIT"

// rateLimited is ErrRateLimited and an Error, with a text that does not say Klarna answered.
type rateLimited struct{ as *Error }

func (k call) rateLimited(wait time.Duration) error {
	return &rateLimited{&Error{
		Family: k.family, Operation: k.operation, Status: http.StatusTooManyRequests,
		Code: CodeLocalRateLimit, RetryAfter: max(wait, time.Millisecond),
	}}
}

func (e *rateLimited) Error() string {
	return fmt.Sprintf("%s: %v, again in %v", e.as.Operation, ErrRateLimited, e.as.RetryAfter)
}

func (e *rateLimited) Unwrap() []error { return []error{ErrRateLimited, e.as} }

const (
	quotaWindow = time.Second // Klarna: 40, 40;w=1. Also how long to wait when Klarna does not say
	longestHalt = time.Minute // a reset further away than that is tried again in between
)

// bucket shares out one quota. Four fifths of it flow in steadily and a fifth may be saved up, so that no second sees
// more than the quota, however the calls come.
//
// Calls that have to wait stand in lanes. The timer belongs to the bucket; it runs only while somebody waits.
type bucket struct {
	owner    string // see Budget
	category Category

	agreed bool // the quota was agreed on: Klarna's answers do not change it

	mu      sync.Mutex
	quota   Rate    // 0: none, which leaves what Klarna says
	part    float64 // of the quota that is ours; the others are other processes'
	flow    float64 // a second
	most    float64
	tokens  float64
	came    int       // calls since asked
	asked   time.Time // when demand was last asked for
	at      time.Time // when tokens was right; in the future while Klarna halts us
	waiting [lanes][]*waiter
	timer   *time.Timer
}

// waiter is a call in a lane. granted is under the bucket's mu and set before ready closes.
type waiter struct {
	ready   chan struct{}
	granted bool
}

func newBucket(quota Rate) *bucket {
	b := &bucket{at: time.Now(), asked: time.Now(), part: 1}
	b.adopt(quota)
	return b
}

// adopt makes quota the bucket's, with all of it that may be saved up. Callers hold mu.
func (b *bucket) adopt(quota Rate) {
	if quota > 0 {
		b.quota = quota
		b.size()
		b.tokens = b.most
	}
}

// size makes flow and savings those of the bucket's part of the quota. One call can always be saved up, which leaves the
// less to flow the smaller the part is. Callers hold mu.
func (b *bucket) size() {
	ours := float64(b.quota) * b.part
	b.most = max(1, ours/5)
	b.flow = min(ours*4/5, max(ours-b.most, ours/10))
	if b.part == 1 {
		b.flow = ours * 4 / 5
	}
}

// statedQuota reads the quota of an answer. Klarna: X-Ratelimit-Limit is "40, 40;w=1", the quota and then its policies, each
// with its window in seconds; of several the tightest counts. Zero: none that could be read.
func statedQuota(header http.Header) (quota Rate) {
	for policy := range strings.SplitSeq(header.Get("X-Ratelimit-Limit"), ",") {
		parameters := strings.Split(policy, ";")
		calls, err := strconv.ParseUint(strings.TrimSpace(parameters[0]), 10, 31)
		for _, p := range parameters[1:] {
			window, isWindow := strings.CutPrefix(strings.TrimSpace(p), "w=")
			seconds, notANumber := strconv.ParseUint(window, 10, 31)
			if !isWindow || err != nil || notANumber != nil || calls == 0 || seconds == 0 {
				continue
			}
			if rate := Rate(calls) / Rate(seconds); quota == 0 || rate < quota {
				quota = rate
			}
		}
	}
	return quota
}

// take waits for a token. What ctx leaves no time for fails at once: late then says how long it would have taken.
// Another error is ctx's.
func (b *bucket) take(ctx context.Context, in lane, timeFor func(context.Context, time.Duration) bool) (late time.Duration, err error) {
	b.mu.Lock()
	b.came++
	wait := b.wait(b.ahead(in))
	if wait <= 0 {
		b.tokens--
		b.mu.Unlock()
		return 0, nil
	}
	if !timeFor(ctx, wait) {
		b.mu.Unlock()
		return wait, ctx.Err()
	}
	w := &waiter{ready: make(chan struct{})}
	b.waiting[in] = append(b.waiting[in], w)
	b.share()
	b.mu.Unlock()
	select {
	case <-w.ready:
		return 0, nil
	case <-ctx.Done():
		return b.leave(in, w, ctx.Err())
	}
}

// leave takes w out of its lane. It was overtaken by higher lanes until its time ran out, or its caller is gone.
func (b *bucket) leave(in lane, w *waiter, err error) (late time.Duration, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.granted {
		b.tokens++
	}
	b.waiting[in] = slices.DeleteFunc(b.waiting[in], func(other *waiter) bool { return other == w })
	b.share()
	if errors.Is(err, context.DeadlineExceeded) {
		return max(b.wait(b.ahead(in)), time.Nanosecond), nil
	}
	return 0, err
}

// ahead counts who goes first: the own lane and the higher ones. Callers hold mu.
func (b *bucket) ahead(in lane) (n int) {
	for _, waiting := range b.waiting[:in+1] {
		n += len(waiting)
	}
	return n
}

// wait is how long a call waits that comes now with so many ahead of it. Callers hold mu.
func (b *bucket) wait(ahead int) time.Duration {
	now := time.Now()
	if b.at.Before(now) {
		b.tokens = min(b.tokens+b.flow*now.Sub(b.at).Seconds(), b.most)
		b.at = now
	}
	halt := b.at.Sub(now) // Klarna's
	missing := float64(ahead) + 1 - b.tokens
	if b.flow == 0 || missing < 1e-9 {
		return halt
	}
	return halt + time.Duration(math.Ceil(missing/b.flow*float64(time.Second)))
}

// share gives tokens to those who wait, in order, and sets the timer for the next. Callers hold mu.
func (b *bucket) share() {
	for in := range b.waiting {
		for len(b.waiting[in]) > 0 {
			if wait := b.wait(0); wait > 0 {
				b.ring(wait)
				return
			}
			w := b.waiting[in][0]
			b.waiting[in] = b.waiting[in][1:]
			b.tokens--
			w.granted = true
			close(w.ready)
		}
	}
	if b.timer != nil {
		b.timer.Stop()
	}
}

func (b *bucket) ring(after time.Duration) {
	if b.timer == nil {
		b.timer = time.AfterFunc(after, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.share()
		})
		return
	}
	b.timer.Reset(after)
}

// learn takes what an answer tells about the quota, which other replicas use too. Klarna: X-Ratelimit-Limit,
// X-Ratelimit-Remaining, and X-Ratelimit-Reset in seconds, on every answer; approximate.
func (b *bucket) learn(status int, header http.Header) {
	remaining, err := strconv.ParseUint(header.Get("X-Ratelimit-Remaining"), 10, 32)
	stated := statedQuota(header)
	if status != http.StatusTooManyRequests && err != nil && stated == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wait(0) // brings tokens up to date
	if !b.agreed && stated > 0 && stated != b.quota {
		saved := b.tokens
		had := b.quota > 0
		if b.adopt(stated); had {
			b.tokens = min(saved, b.most)
		}
	}
	if status != http.StatusTooManyRequests && err != nil {
		b.share()
		return
	}
	if status == http.StatusTooManyRequests || remaining == 0 {
		halt := retryAfter(header, time.Now())
		if halt == 0 {
			halt = quotaWindow
		}
		if until := time.Now().Add(min(halt, longestHalt)); until.After(b.at) {
			b.at = until
		}
		b.tokens = 1 // for whoever is first then
	} else if b.flow > 0 {
		b.tokens = min(b.tokens, float64(remaining))
	}
	b.share()
}
