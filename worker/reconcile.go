package worker

import (
	"cmp"
	"time"
)

// Reconcile says how payments and accounts are read of which nothing was heard for a while: what Klarna has not told, or
// could not deliver, is found by asking. Each is read after a silence that doubles, so that quiet ones cost little, in the
// rate lane behind everything that somebody waits for. What a reading teaches is an event like any other, with the cause
// RECONCILED. Zero fields have the defaults that are named.
type Reconcile struct {
	// After is the silence after which a payment or account is read first; 0 means 24 hours. Negative: never.
	After time.Duration
	// Until is the silence after which a payment is left alone for good; 0 means 90 days. Whatever is heard of it
	// begins anew.
	Until time.Duration
}

// The longest times between two readings.
const (
	mostSilence    = 16 * 24 * time.Hour // of a payment
	accountSilence = 7 * 24 * time.Hour
)

func (r Reconcile) orDefault() Reconcile {
	return Reconcile{After: cmp.Or(r.After, 24*time.Hour), Until: cmp.Or(r.Until, 90*24*time.Hour)}
}

// next is when to read a payment again that has been silent since a time; zero for never.
func (r Reconcile) next(now, since time.Time) time.Time {
	silence := now.Sub(since)
	if r.After < 0 || silence >= r.Until {
		return time.Time{}
	}
	return now.Add(min(max(silence, r.After), mostSilence))
}

// account is next for a partner account, which has no end.
func (r Reconcile) account(now, since time.Time) time.Time {
	if r.After < 0 {
		return time.Time{}
	}
	return now.Add(min(max(now.Sub(since), r.After), max(accountSilence, r.After)))
}

// sooner is the earlier of two times; zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
