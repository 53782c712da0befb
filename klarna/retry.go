package klarna

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The waits between attempts: anything up to backoffFirst, doubling up to backoffMost. Klarna advises 5 s, 5 min, 5 h
// between repeats of a failed operation; that is for whoever made the call. These bridge a hiccup while somebody waits.
const (
	backoffFirst = 200 * time.Millisecond
	backoffMost  = 5 * time.Second
)

// repeatable reports whether a second attempt has no second effect: reads, writes under an idempotency key, and those
// that Klarna does once per token.
func (k call) repeatable() bool {
	return k.method == http.MethodGet || k.key != "" || k.oncePerToken
}

// settle makes the end of a repeated call out of its newest attempt and of doubt, the newest attempt that may have had
// an effect; nil if none may have. What was in doubt stays so until Klarna's word on the same request is known: a
// success is, and a refusal that the earlier attempt must have met as well. That a later attempt was not sent, or was
// turned away for its rate or credential, says nothing about the earlier one.
func (k call) settle(doubt, last error) error {
	var refused *Error
	switch {
	case doubt == nil || errors.Is(last, ErrOutcomeUnknown):
		return last
	case !errors.As(last, &refused):
		return doubt
	case k.judges(refused):
		return last
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, refused)
}

// judges reports whether a refusal also tells that the earlier attempts had no effect. In doubt it does not: an outcome
// called unknown costs the caller another repeat, one called refused may cost a second order.
func (k call) judges(e *Error) bool {
	if strings.HasPrefix(e.Code, "HTTP_") { // not Klarna's words; perhaps a proxy's
		return false
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true // the request is at fault, and it was the same before
	case http.StatusNotFound:
		return k.key != "" // by token, it may be gone by our own doing: deleted, or made into the order
	case http.StatusForbidden: // at the Network about our rights
		return k.key != "" && k.family != Network && e.Code != "FORBIDDEN" && e.Code != "MERCHANT_INACTIVE"
	}
	return false // above all 409: Klarna may be at work on the earlier attempt still
}

// again waits for the attempt after the nth, if there may be one. The wait is at random, so that callers that failed
// together do not come back together; none is begun that ctx leaves no time for.
func (c *Client) again(ctx context.Context, n int) bool {
	wait := rand.N(min(backoffFirst<<min(n-1, 10), backoffMost))
	if n > c.retries || !c.timeFor(ctx, wait) || !c.budget.spend() {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// timeFor reports whether ctx lasts for wait and an attempt after it.
func (c *Client) timeFor(ctx context.Context, wait time.Duration) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() == nil && (!limited || time.Until(deadline) >= wait+c.least)
}

// repeated returns req for another attempt.
func repeated(req *http.Request) *http.Request {
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		again.Body, _ = req.GetBody() // bytes in memory: cannot fail
	}
	if again.Header.Get(headerPartnerCorrelation) != "" {
		again.Header.Set(headerPartnerCorrelation, randomHex())
	}
	return again
}

// The retry budget: each call earns a tenth of a retry, each second one more, and no more than retryMost are saved. So
// an outage of Klarna's is met by a tenth more calls, not by three times as many, and a quiet client can retry at all.
const (
	retryShare     = 0.1
	retryPerSecond = 1
	retryMost      = 10
)

// budget bounds the retries of a client.
type budget struct {
	mu    sync.Mutex
	saved float64
	at    time.Time // when saved was right
}

func newBudget() *budget { return &budget{saved: retryMost, at: time.Now()} }

// earn is told of every call.
func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved = min(b.saved+retryShare, retryMost)
}

// spend takes one retry, if there is one.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.saved = min(b.saved+retryPerSecond*now.Sub(b.at).Seconds(), retryMost)
	b.at = now
	if b.saved < 1 {
		return false
	}
	b.saved--
	return true
}
