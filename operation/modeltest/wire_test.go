package modeltest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

var (
	errKilled = errors.New("the process is dead")
	errFull   = errors.New("disk full")
	errCut    = errors.New("connection cut")
)

// call has Klarna serve a request, without a socket between.
func (w *world) call(r *http.Request, body []byte) (res *http.Response, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			if cause != http.ErrAbortHandler {
				panic(cause)
			}
			err = errCut
		}
	}()
	served := r.Clone(context.WithoutCancel(r.Context()))
	served.Body, served.RequestURI, served.RemoteAddr, served.Host = io.NopCloser(bytes.NewReader(body)), r.URL.RequestURI(), "127.0.0.1:1", r.URL.Host
	answer := httptest.NewRecorder()
	w.sim.ServeHTTP(answer, served)
	return answer.Result(), nil
}

func bodyOf(r *http.Request) []byte {
	if r.Body == nil {
		return nil
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	return body
}

// direct calls Klarna past the gateway and past all faults.
type direct struct{ w *world }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) { return d.w.call(r, bodyOf(r)) }

// wire is what a process calls Klarna over.
type wire struct{ p *process }

func (l wire) RoundTrip(r *http.Request) (*http.Response, error) {
	p, w := l.p, l.p.w
	body := bodyOf(r)
	landed := w.takeoff(r, body)
	defer landed()
	w.gate.pass(r.Context())
	if p.dead.Load() {
		return nil, errKilled
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	what := w.fault.meets(r)
	if what != "" {
		w.reached(r.Context(), what)
	}
	res, err := l.under(what, r, body)
	switch {
	case err != nil:
		w.note("   → %s %s %s %s: %v", r.Method, r.URL.Path, body, what, err)
	default:
		w.note("   → %s %s %s %s: %d", r.Method, r.URL.Path, body, what, res.StatusCode)
	}
	return res, err
}

// takeoff looks that nobody else is sending the very same. Authorisations may be given back by several, each for a reason of
// its own.
func (w *world) takeoff(r *http.Request, body []byte) (landed func()) {
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return func() {}
	}
	what := r.Method + " " + r.URL.Path + " " + r.Header.Get("Klarna-Idempotency-Key") + " " + string(body)
	w.mu.Lock()
	busy := w.flying[what]
	if w.flying == nil {
		w.flying = map[string]bool{}
	}
	w.flying[what] = true
	w.mu.Unlock()
	if busy {
		w.wrong("sent twice at the same time: %s", what)
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.flying, what)
	}
}

// under is how a call goes under a fault.
func (l wire) under(what faultKind, r *http.Request, body []byte) (*http.Response, error) {
	p, w := l.p, l.p.w
	switch what {
	case refusedConnection:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	case cutBefore:
		return nil, errCut
	case killBeforeSend:
		p.kill()
		return nil, errKilled
	case busy:
		return proxied(http.StatusTooManyRequests), nil
	case down, outage:
		return proxied(http.StatusServiceUnavailable), nil
	case locked:
		return proxied(http.StatusUnauthorized), nil
	case blocked:
		return shielded(), nil
	case missing:
		return proxied(http.StatusNotFound), nil
	case timedOut:
		w.exposed.sent(w, r, body)
		w.later(r, body)
		return nil, context.DeadlineExceeded
	}
	w.exposed.sent(w, r, body)
	res, err := w.call(r, body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 300 || res.StatusCode == http.StatusForbidden { // Klarna gives its first word to every repeat under the key
		w.exposed.done(r)
	}
	switch what {
	case answerLost:
		return nil, errCut
	case garbled:
		return half(res), nil
	case killAfterSend:
		p.kill()
		return nil, errKilled
	}
	return res, nil
}

// proxied is an answer of something on the way to Klarna, in the words of Klarna's classic APIs.
func proxied(status int) *http.Response {
	code := map[int]string{401: "UNAUTHORIZED", 404: "NOT_FOUND", 429: "TOO_MANY_REQUESTS", 503: "SERVICE_UNAVAILABLE"}[status]
	answer := httptest.NewRecorder()
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	_, _ = io.WriteString(answer, `{"error_code":"`+code+`","error_messages":["Not now"],"correlation_id":"6d0e7a1c-3b52-4f4e-9a53-d00d8f5a1b11"}`)
	return answer.Result()
}

// shielded is what a shield before Klarna says to a call that it does not let through.
func shielded() *http.Response {
	answer := httptest.NewRecorder()
	answer.Header().Set("Content-Type", "text/html")
	answer.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(answer, "<html><body>Request blocked</body></html>")
	return answer.Result()
}

// half is an answer that breaks off.
func half(res *http.Response) *http.Response {
	whole, _ := io.ReadAll(res.Body)
	res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), broken{}))
	return res
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// lateCall is a call that the gateway has given up, and that reaches Klarna yet.
type lateCall struct {
	r    *http.Request
	body []byte
	due  time.Time
}

// latest is how long after it was sent a call may arrive. The gateway takes ten minutes for certain.
const latest = 9 * time.Minute

func (w *world) later(r *http.Request, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = append(w.late, lateCall{r.Clone(context.WithoutCancel(r.Context())), body, w.sim.Now().Add(latest)})
}

// arrive has a late call served.
func (w *world) arrive(i int) {
	l := w.late[i]
	w.late = append(w.late[:i:i], w.late[i+1:]...)
	status := 0
	if res, err := w.call(l.r, l.body); err == nil {
		if status = res.StatusCode; status < 300 || status == http.StatusForbidden {
			w.exposed.done(l.r)
		}
	}
	w.note("   late at klarna: %s %s: %d", l.r.Method, l.r.URL.Path, status)
	_ = w.sim.Idle(w.ctx)
}

// hooks is what Klarna posts over, to the first process that lives.
type hooks struct{ w *world }

func (h hooks) RoundTrip(r *http.Request) (*http.Response, error) {
	w, body := h.w, bodyOf(r)
	for _, p := range w.procs {
		if p.dead.Load() {
			continue
		}
		served := r.Clone(context.WithoutCancel(r.Context()))
		served.Body, served.RequestURI, served.RemoteAddr = io.NopCloser(bytes.NewReader(body)), r.URL.RequestURI(), "192.0.2.10:443"
		answer := httptest.NewRecorder()
		p.door.ServeHTTP(answer, served)
		if p.dead.Load() {
			w.note("   klarna → POST %s: the process died", r.URL.Path)
			return nil, errKilled
		}
		w.note("   klarna → POST %s %s: %d", r.URL.Path, body, answer.Code)
		return answer.Result(), nil
	}
	return nil, errors.New("nobody listens")
}

// kill ends the process where it stands: nothing that it does from now on reaches the database or Klarna.
func (p *process) kill() {
	p.dead.Store(true)
	p.w.note("   ✝ process %d is killed", p.n)
}

func (p *process) failpoint(at operation.Point, what string) {
	kind := map[operation.Point]faultKind{operation.AfterAnswer: killAfterAnswer, operation.AfterCommit: killAfterCommit}[at]
	if !p.dead.Load() && p.w.fault.meetsPoint(kind) {
		p.w.reached(context.Background(), kind)
		p.kill()
	}
}

// disk is the engine as a process sees it.
type disk struct {
	store.Engine
	p *process
}

func (d disk) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	all := func(err error) []error {
		errs := make([]error, len(units))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	w := d.p.w
	if d.p.dead.Load() {
		return all(errKilled)
	}
	what := w.fault.meetsCommit()
	if what != "" {
		w.reached(ctx, what)
	}
	switch what {
	case diskFull:
		return all(errFull)
	case killBeforeWrite:
		d.p.kill()
		return all(errKilled)
	}
	errs := d.Engine.Commit(ctx, units)
	if what == killAfterWrite {
		d.p.kill()
		return all(errKilled)
	}
	return errs
}

func (d disk) Lease(ctx context.Context, now, until time.Time, n int) ([]store.Job, error) {
	if d.p.dead.Load() {
		return nil, errKilled
	}
	return d.Engine.Lease(ctx, now, until, n)
}

func (d disk) TrimRequests(ctx context.Context, before time.Time, limit int) (int, error) {
	if d.p.dead.Load() {
		return 0, errKilled
	}
	return d.Engine.TrimRequests(ctx, before, limit)
}

func isWrite(r *http.Request) bool { return r.Method != http.MethodGet }

func lastOf(path string) string { return path[strings.LastIndex(path, "/")+1:] }
