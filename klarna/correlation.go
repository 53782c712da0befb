package klarna

import (
	"cmp"
	"context"
	"net/http"
	"sync"
)

// correlation keeps the ids under which Klarna knows the calls of one piece of work.
type correlation struct {
	mu          sync.Mutex
	write, read string // of the newest call of either kind
}

type correlationKey struct{}

// Correlated returns a context that remembers the correlation ids of the calls made under it, for CorrelationID.
func Correlated(ctx context.Context) context.Context {
	return context.WithValue(ctx, correlationKey{}, &correlation{})
}

// CorrelationID is Klarna's correlation id of the newest write under ctx, or else of the newest read: what Klarna's
// support asks for. It is empty without a call that had one, or outside of Correlated.
func CorrelationID(ctx context.Context) string {
	c, kept := ctx.Value(correlationKey{}).(*correlation)
	if !kept {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.write, c.read)
}

// correlate remembers a call.
func correlate(ctx context.Context, call Call) {
	c, kept := ctx.Value(correlationKey{}).(*correlation)
	if !kept || call.CorrelationID == "" || call.Attempt == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.Method == http.MethodGet {
		c.read = call.CorrelationID
	} else {
		c.write = call.CorrelationID
	}
}
