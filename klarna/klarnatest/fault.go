package klarnatest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong with the next calls of an operation. Delay comes first and combines with the
// rest; a Fault with nothing but a Delay is merely slow.
type Fault struct {
	// Operation is one of Operations.
	Operation string
	// Times is how many calls are hit; 0 means one, below 0 all until Heal.
	Times int
	// After is how many calls pass before the first one is hit.
	After int
	// Status is answered instead of doing anything, with Code or the code Klarna gives with that status.
	Status int
	Code   string
	// Messages are what the refusal says; empty means that it was asked for.
	Messages []string
	// Parameters are what a Network refusal names as invalid.
	Parameters []string
	// Body is answered with Status in place of Klarna's error, as by a proxy on the way; NoBody answers nothing with it.
	Body   string
	NoBody bool
	// Truncate cuts the connection half way through the answer, be it a refusal or not.
	Truncate bool
	// Bind has the refusal stand for its idempotency key: a repeat under it gets the very same. Klarna leaves open
	// whether it does so.
	Bind bool
	// Delay passes in real time before anything else; the call has its effect even if the caller gives up meanwhile.
	Delay time.Duration
	// Cut closes the connection before any effect.
	Cut bool
	// LoseAnswer lets the call have its effect and then closes the connection. With a Status that is answered instead, as
	// by a proxy that has passed the call on and gave up on the answer.
	LoseAnswer bool
}

// Operations are the names by which faults, Call and CallCount know what this Klarna can be asked.
func Operations() (names []string) {
	for _, rt := range apiRoutes() {
		names = append(names, rt.op)
	}
	return names
}

// Fail arranges a fault. Several for one operation are used up in the order they were arranged.
func (s *Server) Fail(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	return nil
}

func (f Fault) check() error {
	refusal := f.Code != "" || f.Messages != nil || f.Parameters != nil || f.Body != "" || f.NoBody
	switch {
	case !slices.Contains(Operations(), f.Operation):
		return fmt.Errorf("fail operation %q: %w", f.Operation, errUnknown)
	case f.Status != 0 && (f.Status < 300 || f.Status > 599):
		return fmt.Errorf("fail operation %s: status %d is no refusal", f.Operation, f.Status)
	case f.Status == 0 && refusal:
		return fmt.Errorf("fail operation %s: a refusal has a status", f.Operation)
	case f.Delay < 0 || f.After < 0:
		return fmt.Errorf("fail operation %s: delay or after is below 0", f.Operation)
	case f.Status == 0 && f.Delay == 0 && !f.Cut && !f.LoseAnswer && !f.Truncate:
		return fmt.Errorf("fail operation %s: nothing goes wrong", f.Operation)
	}
	return nil
}

// Heal takes back every fault of calls and of posts that was arranged and not used up. What was held back to be overtaken
// goes out.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.hooks.faults = nil, nil
	s.releaseOvertaken(s.now())
}

// takeFault is the fault the next call of op meets; the zero Fault does nothing. Callers hold mu.
func (s *Server) takeFault(op string) Fault {
	i := slices.IndexFunc(s.faults, func(f *Fault) bool { return f.Operation == op })
	if i < 0 {
		return Fault{}
	}
	f := s.faults[i]
	switch {
	case f.After > 0:
		f.After--
		return Fault{}
	case f.Times > 0:
		f.Times--
	}
	if f.Times == 0 {
		s.faults = slices.Delete(s.faults, i, i+1)
	}
	return *f
}

// faultHeader marks an answer that was asked for, so that nobody takes it for what Klarna would say.
const faultHeader = "Klarnatest-Fault"

// faulty is the refusal a fault asks for.
func (c *call) faulty(f Fault) answer {
	a := c.faultyBody(f)
	if a.header == nil {
		a.header = map[string]string{}
	}
	a.header[faultHeader] = "true"
	return a
}

func (c *call) faultyBody(f Fault) answer {
	switch {
	case f.NoBody:
		return answer{status: f.Status}
	case strings.HasPrefix(f.Body, "<"):
		return answer{status: f.Status, body: []byte(f.Body), header: map[string]string{"Content-Type": "text/html"}}
	case f.Body != "":
		return answer{status: f.Status, body: []byte(f.Body)}
	}
	code, messages := f.Code, f.Messages
	if code == "" {
		code = codeFor(c.route.family, f.Status)
	}
	if messages == nil {
		messages = []string{"Refused on request"}
	}
	a := c.refuse(f.Status, code, messages...)
	if c.route.family == network && f.Parameters != nil {
		var errs []doc
		for _, parameter := range f.Parameters {
			errs = append(errs, doc{"parameter": parameter, "reason": "refused on request"})
		}
		a.body = encode(parse(a.body).with(doc{"validation_errors": errs}))
	}
	return a
}

// cutShort sends half of an answer and closes the connection.
func cutShort(w http.ResponseWriter, body []byte) {
	_, _ = w.Write(body[:len(body)/2])
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
	panic(http.ErrAbortHandler)
}

// delay waits for d in real time; false means the server was closed meanwhile. That the caller went away changes
// nothing: Klarna would not notice either.
func (s *Server) delay(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}
