package store

import (
	"context"
	"math/rand/v2"
	"time"
)

// How long the hub waits before it listens to the engine, or reads from it, again after that broke: at first a moment, for a
// connection that was cut or a server that has restarted; then longer and longer, so that many replicas do not hold up one that
// recovers; but not so long that a watcher notices more than an engine's own poll would let it.
const (
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// backoff is for one who tries again and again.
type backoff struct{ failures int }

// wait waits longer with each failure since the last success, and tells whether ctx goes on. Up to half of it is taken off by
// chance, or those who lost the same server would all come back at once.
func (b *backoff) wait(ctx context.Context) bool {
	most := longestWait
	if shift := b.failures; shift < 6 { // the seventh would be longer
		most = min(firstWait<<shift, longestWait)
	}
	b.failures++
	timer := time.NewTimer(most/2 + rand.N(most/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// succeeded has the next failure be the first.
func (b *backoff) succeeded() { b.failures = 0 }
