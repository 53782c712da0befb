package klarna

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// outcomes runs a read and a write against the same Klarna.
func outcomes(t *testing.T, c *Client) (read, write error) {
	t.Helper()
	_, read = c.Order(t.Context(), "o")
	_, write = c.PlaceOrder(t.Context(), testToken, PlaceOrderRequest{})
	for _, err := range []error{read, write} {
		if err == nil {
			t.Fatal("no error")
		}
		if strings.Contains(err.Error(), testToken) {
			t.Errorf("error tells the token: %v", err)
		}
	}
	return read, write
}

func check(t *testing.T, what string, err, is, isNot error) {
	t.Helper()
	if !errors.Is(err, is) || errors.Is(err, isNot) {
		t.Errorf("%s: got %v, want %v", what, err, is)
	}
}

func TestClient_WriteThatMayHaveArrivedIsOutcomeUnknown(t *testing.T) {
	t.Parallel()
	discard := func(s *httptest.Server) { s.Config.ErrorLog = log.New(io.Discard, "", 0) }
	for name, handle := range map[string]http.HandlerFunc{
		"connection closed": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"body cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"order_id":"o"`)
		},
		"no answer in time": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"server error":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			klarna := handling(t, handle)
			discard(klarna.Server)
			read, write := outcomes(t, klarna.client(t, func(cfg *Config) { cfg.Timeout = 200 * time.Millisecond }))
			check(t, "read", read, ErrUnavailable, ErrOutcomeUnknown)
			check(t, "write", write, ErrOutcomeUnknown, ErrUnavailable)
			if name == "no answer in time" && !errors.Is(write, context.DeadlineExceeded) {
				t.Errorf("cause lost: %v", write)
			}
		})
	}
}

func TestClient_UnreadableAnswerToAWriteIsOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"html": "<html>", "empty": "", "wrong type": `{"order_id":7}`, "no id": `{}`, "too large": `{"x":"` + strings.Repeat("x", 200) + `"}`,
	} {
		klarna := answering(t, 200, body)
		_, err := klarna.client(t, func(cfg *Config) { cfg.MaxResponse = 100 }).PlaceOrder(t.Context(), testToken, PlaceOrderRequest{})
		check(t, name, err, ErrOutcomeUnknown, ErrUnavailable)
		var refused *Error
		if errors.As(err, &refused) {
			t.Errorf("%s: not a refusal: %v", name, err)
		}
	}
}

func TestClient_TooLargeAnswerSaysSo(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"order_id":"`+strings.Repeat("o", 100)+`"}`)
	_, err := klarna.client(t, func(cfg *Config) { cfg.MaxResponse = 100 }).Order(t.Context(), "o")
	if err == nil || !strings.Contains(err.Error(), "too large: more than 100 bytes") || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	_, err = klarna.client(t, func(cfg *Config) { cfg.MaxResponse = 115 }).Order(t.Context(), "o")
	if err != nil {
		t.Errorf("an answer of the exact limit: %v", err)
	}
}

func TestClient_CallThatNeverLeftIsUnavailable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close() // nobody listens there now
	c, err := New(Config{BaseURL: "http://" + listener.Addr().String(), APIKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	read, write := outcomes(t, c)
	check(t, "read", read, ErrUnavailable, ErrOutcomeUnknown)
	check(t, "write", write, ErrUnavailable, ErrOutcomeUnknown)
}

func TestClient_FailedHandshakeIsUnavailable(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	c, err := New(Config{BaseURL: server.URL, APIKey: "k"}) // does not trust the server
	if err != nil {
		t.Fatal(err)
	}
	_, write := outcomes(t, c)
	check(t, "write", write, ErrUnavailable, ErrOutcomeUnknown)
}

func TestClient_CancelledCallIsUnavailable(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 204, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := klarna.client(t).CancelOrder(ctx, testKey, "o")
	check(t, "write", err, ErrUnavailable, ErrOutcomeUnknown)
	if !errors.Is(err, context.Canceled) || len(klarna.sent) != 0 {
		t.Errorf("got %v after %d requests", err, len(klarna.sent))
	}
}

type failingTransport struct{ err error }

func (f failingTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestClient_DoubtAboutTheTransportIsOutcomeUnknown(t *testing.T) {
	t.Parallel()
	with := func(cause error) error {
		c, err := New(Config{BaseURL: "https://api.klarna.com", APIKey: "k", HTTPClient: &http.Client{Transport: failingTransport{cause}}})
		if err != nil {
			t.Fatal(err)
		}
		return c.CancelOrder(t.Context(), testKey, "o")
	}
	check(t, "reset", with(&net.OpError{Op: "read", Err: io.ErrUnexpectedEOF}), ErrOutcomeUnknown, ErrUnavailable)
	check(t, "dial", with(&net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}), ErrUnavailable, ErrOutcomeUnknown)
}

func TestClient_JudgesOutcomesOverHTTP2(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("served over %s", r.Proto)
		}
		if r.Method == http.MethodPost {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"order_id":"o"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	c, err := New(Config{BaseURL: server.URL, APIKey: "k", HTTPClient: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "new connection", c.CancelOrder(t.Context(), testKey, "o"), ErrOutcomeUnknown, ErrUnavailable)
	if _, err := c.Order(t.Context(), "o"); err != nil {
		t.Fatal(err)
	}
	check(t, "used connection", c.CancelOrder(t.Context(), testKey, "o"), ErrOutcomeUnknown, ErrUnavailable)
}
