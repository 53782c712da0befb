package journal

import (
	"fmt"
	"time"
)

// ExpiryWarnings are how long before something runs out its watchers are told, the longest first.
var ExpiryWarnings = []time.Duration{7 * 24 * time.Hour, 24 * time.Hour}

// ExpiryFacts tells that something runs out, or has: the order's authorisation, or while there is no order the session.
type ExpiryFacts struct {
	At     time.Time     `json:"at"`               // when it runs out, by Klarna's word
	Within time.Duration `json:"within,omitempty"` // one of ExpiryWarnings; 0: it has run out
}

// ExpiryMoment is when something that runs out has to be looked at next: at a warning, or once it is over.
func ExpiryMoment(now, expires time.Time) time.Time {
	for _, within := range ExpiryWarnings {
		if at := expires.Add(-within); at.After(now) {
			return at
		}
	}
	return expires.Add(expiryGrace)
}

// ExpiryWarning is the warning that is due, if one is.
func ExpiryWarning(now, expires time.Time) (within time.Duration, due bool) {
	if !expires.After(now) {
		return 0, false // it is over
	}
	for _, w := range ExpiryWarnings {
		if !expires.Add(-w).After(now) {
			within, due = w, true
		}
	}
	return within, due
}

// expiry takes that something runs out. What was told about the same end is not told again, nor what comes before it.
func (c *change) expiry(p *Payment, e *ExpiryFacts, now time.Time) {
	if p.Expiry != nil && p.Expiry.At.Equal(e.At) && p.Expiry.Within <= e.Within {
		return
	}
	told := *e
	p.Expiry = &told
	switch {
	case e.Within == 0:
		c.kind = KindExpired
	case e.Within <= 24*time.Hour:
		c.kind = KindExpiresInOneDay
		if p.hasOrder() && p.RemainingAmount > 0 {
			p.attend(AuthorizationExpiring, fmt.Sprintf("the authorisation runs out at %s, and %d minor units of %s are not captured",
				e.At.UTC().Format(time.RFC3339), p.RemainingAmount, p.Currency), now)
			c.attention = AuthorizationExpiring
		}
	default:
		c.kind = KindExpiresInSevenDays
	}
}

// tokenExpired takes that the customer's authorisation ran out before an order was made of it.
func (c *change) tokenExpired(p *Payment, f *PaymentFact) {
	if p.Token == "" || p.TokenCancelled || p.OrderID != "" || differ(f.CancelledToken, p.Token) {
		return
	}
	p.TokenCancelled = true
	c.kind = KindAuthorizationExpired
}
