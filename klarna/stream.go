package klarna

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// errStalled is why a stream was given up.
var errStalled = errors.New("no progress in time")

// stream makes a call whose answer may be of any size, at c and then elsewhere; see do.
func (c *Client) stream(ctx context.Context, accept string, k call) (contentType string, body io.ReadCloser, err error) {
	contentType, body, err = c.streamHere(ctx, accept, k)
	for _, other := range c.elsewhere {
		if !absent(err) {
			break
		}
		if foundType, found, foundErr := other.streamHere(ctx, accept, k); foundErr == nil {
			return foundType, found, nil
		}
	}
	return contentType, body, err
}

// streamHere is doHere for answers of any size: a 2xx body is handed on as it comes. The client's timeout bounds the wait for
// the answer and each wait for more of it, not the whole; what the reader takes between two Reads does not count. It is
// one attempt, which is observed when the body has ended or was closed: what was handed on cannot be taken back.
func (c *Client) streamHere(ctx context.Context, accept string, k call) (contentType string, body io.ReadCloser, err error) {
	if err := c.fits(k); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := c.request(ctx, k)
	if err != nil {
		cancel(nil)
		return "", nil, fmt.Errorf("%s: %w", k.operation, err)
	}
	req.Header.Set("Accept", accept+", */*;q=0.5") // refusals come as JSON, under whichever type
	s := &streamed{client: c, cancel: cancel, call: k, req: req, seen: k.seen(req, 0), start: time.Now()}
	res, err := s.open()
	if err != nil {
		s.end(err)
		return "", nil, err
	}
	s.body = res.Body
	return res.Header.Get("Content-Type"), s, nil
}

// streamed is a body being read.
type streamed struct {
	client *Client
	call   call
	req    *http.Request
	cancel context.CancelCauseFunc // of req
	seen   Call
	start  time.Time
	stall  *time.Timer // cancels req
	body   io.ReadCloser
	span   attemptSpan
	back   func() // nil before it was sent
	once   sync.Once
}

// open sends the request when its turn has come, and reads a refusal.
func (s *streamed) open() (*http.Response, error) {
	turn, cancel := context.WithTimeout(s.req.Context(), s.client.timeout)
	defer cancel()
	probe, err := s.client.admit(turn, s.call)
	if err != nil {
		return nil, err
	}
	what := moot
	defer func() { s.client.report(turn, probe, what) }()
	s.seen.Attempt = 1
	s.back, s.span, s.start = away(s.req.Context()), s.client.span(s.req.Context(), s.seen), time.Now()
	s.stall = time.AfterFunc(s.client.timeout, func() { s.cancel(errStalled) })
	defer s.stall.Stop()
	res, err := s.client.http.Do(s.req)
	if err != nil {
		if cause := context.Cause(s.req.Context()); cause == nil || errors.Is(cause, errStalled) {
			what = failed // unless the caller gave up
		}
		return nil, s.broken(err)
	}
	if what = served; res.StatusCode >= 500 {
		what = failed
	}
	s.client.rates[s.call.category()].learn(res.StatusCode, res.Header)
	s.seen.Status = res.StatusCode
	if id := printable(res.Header.Get(headerCorrelation)); id != "" {
		s.seen.CorrelationID = id
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		defer func() { _ = res.Body.Close() }()
		body, _ := readAll(res, s.client.maxResponse)
		return nil, s.call.refused(newError(s.call, res, body, s.seen.CorrelationID))
	}
	return res, nil
}

// Read implements io.Reader. Its errors, apart from io.EOF, are those of a call.
func (s *streamed) Read(p []byte) (int, error) {
	s.stall.Reset(s.client.timeout)
	n, err := s.body.Read(p)
	s.stall.Stop()
	switch {
	case errors.Is(err, io.EOF):
		s.end(nil)
	case err != nil:
		err = s.broken(err)
		s.end(err)
	}
	return n, err
}

// Close implements io.Closer. Closing before the end is no failure of Klarna's.
func (s *streamed) Close() error {
	s.end(nil)
	return s.body.Close()
}

// broken names the stall, which on the wire is a cancelled request.
func (s *streamed) broken(err error) error {
	if errors.Is(context.Cause(s.req.Context()), errStalled) {
		err = errStalled
	}
	return traced(s.call.unanswered(err, true), s.seen)
}

func (s *streamed) end(err error) {
	s.once.Do(func() {
		s.seen.Err, s.seen.Duration = err, time.Since(s.start)
		s.span.end(s.seen)
		if s.back != nil {
			s.back()
		}
		s.client.tell(context.WithoutCancel(s.req.Context()), s.seen)
		s.cancel(nil)
	})
}
