package klarnatest

import (
	"bytes"
	"net/http"
	"time"
)

// Klarna: a key is honoured for 24 hours from its first use.
const replayLifetime = 24 * time.Hour

// replayKey is an idempotency key within the APIs that share keys.
type replayKey struct {
	family family
	key    string
}

// replay is the first answer given under a key, and to what.
type replay struct {
	answer answer
	path   string
	body   []byte
	at     time.Time
}

// once calls the route, or gives the first answer again where its key says so. Callers hold mu.
//
// Klarna, Order Management: only the key counts, what comes with it is disregarded, whichever operation it is.
// Klarna, Network: 409 covers misuse of a key; here another path or body under a known key is misuse.
// Klarna Payments has no such header and ignores it.
func (s *Server) once(c *call) answer {
	if c.key == "" || c.route.family == payments || (c.r.Method != http.MethodPost && c.r.Method != http.MethodPatch) {
		return c.route.handle(s, c)
	}
	key := replayKey{c.route.family, c.key}
	if first, known := s.replays[key]; known && s.now().Sub(first.at) < replayLifetime {
		if c.route.family == network && first.answer.status < http.StatusBadRequest && (first.path != c.r.URL.Path || !bytes.Equal(first.body, c.body)) {
			return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Idempotency key was used for another request")
		}
		c.replayed = true
		return first.answer
	}
	a := c.route.handle(s, c)
	if binds(c.route.family, a.status) {
		s.replays[key] = replay{answer: a, path: c.r.URL.Path, body: c.body, at: s.now()}
	}
	return a
}

// bind has an answer stand for the call's key.
func (s *Server) bind(c *call, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replays[replayKey{c.route.family, c.key}] = replay{answer: a, path: c.r.URL.Path, body: c.body, at: s.now()}
}

// binds tells whether an answer is kept under its key. Klarna, Network: after a 400 the corrected request may come under
// the same key; here no refusal binds it, as nothing was done. Klarna, Order Management: a duplicate gets the same
// response; here that goes for refusals too, except those of the request's form.
func binds(f family, status int) bool {
	if f == network {
		return status < http.StatusBadRequest
	}
	form := status == http.StatusBadRequest || status == http.StatusUnprocessableEntity
	return status < http.StatusInternalServerError && !form
}
