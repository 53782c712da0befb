package klarna

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is a Klarna without a network, for tests in simulated time. It goes through its steps, one a request, and
// repeats the last one. A step is "dial" (never sent), "cut" (sent, no answer), "hang" (no answer ever), "short" (200,
// body cut off), "html" (200, not ours), or a status with an optional code; "name=value" parts are headers.
type script struct {
	steps []string

	mu   sync.Mutex
	sent []scripted
}

type scripted struct {
	at      time.Time
	method  string
	path    string
	headers http.Header
	body    string
}

func scripting(steps ...string) *script { return &script{steps: steps} }

func (s *script) client(t testing.TB, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{BaseURL: "https://simulator.example", APIKey: "k", HTTPClient: &http.Client{Transport: s}}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *script) requests() []scripted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	s.mu.Lock()
	step := s.steps[min(len(s.sent), len(s.steps)-1)]
	s.sent = append(s.sent, scripted{time.Now(), req.Method, req.URL.Path, req.Header, string(body)})
	s.mu.Unlock()
	words := strings.Fields(step)
	switch words[0] {
	case "dial":
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	case "cut":
		return nil, io.ErrUnexpectedEOF
	case "hang":
		<-req.Context().Done()
		return nil, req.Context().Err()
	case "short":
		return scriptedAnswer(200, http.Header{}, io.MultiReader(strings.NewReader(`{"order`), failingReader{})), nil
	case "html":
		return scriptedAnswer(200, http.Header{}, strings.NewReader("<html>")), nil
	}
	status, err := strconv.Atoi(words[0])
	if err != nil {
		return nil, err
	}
	header, text := http.Header{}, ""
	if status < 300 {
		header.Set("Capture-Id", "c")
		text = `{"order_id":"o","session_id":"s","partner_account_id":"krn:a"}`
	}
	for _, word := range words[1:] {
		if name, value, ok := strings.Cut(word, "="); ok {
			header.Set(name, value)
		} else {
			text = fmt.Sprintf(`{"error_code":%q}`, word)
		}
	}
	return scriptedAnswer(status, header, strings.NewReader(text)), nil
}

func scriptedAnswer(status int, header http.Header, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(body), ProtoMajor: 2}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
