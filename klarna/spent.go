package klarna

import (
	"context"
	"sync"
	"time"
)

// stay is the time that one piece of work spends at Klarna.
type stay struct {
	mu      sync.Mutex
	running int       // attempts that are at Klarna now
	since   time.Time // when the first of them began
	spent   time.Duration
}

type stayKey struct{}

// Timed returns a context that adds up the time of the calls made under it, for Spent.
func Timed(ctx context.Context) context.Context {
	return context.WithValue(ctx, stayKey{}, &stay{})
}

// Spent is how long at least one attempt under ctx was at Klarna. Waits for a turn and between attempts are not in it. It
// is 0 outside of Timed.
func Spent(ctx context.Context) time.Duration {
	s, timed := ctx.Value(stayKey{}).(*stay)
	if !timed {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running > 0 {
		return s.spent + time.Since(s.since)
	}
	return s.spent
}

// away notes that an attempt goes to Klarna. The returned function notes that it is back.
func away(ctx context.Context) (back func()) {
	s, timed := ctx.Value(stayKey{}).(*stay)
	if !timed {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == 0 {
		s.since = time.Now()
	}
	s.running++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running--; s.running == 0 {
			s.spent += time.Since(s.since)
		}
	}
}
