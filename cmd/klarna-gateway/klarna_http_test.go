package main

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
)

// cutOff is a network between a client and a server that can go silent: connections stay open, nothing arrives.
type cutOff struct {
	net.Listener
	mu     sync.Mutex
	opened []*silencable
}

type silencable struct {
	net.Conn
	silent chan struct{}
	once   sync.Once
}

func (c *cutOff) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := &silencable{Conn: conn, silent: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened = append(c.opened, s)
	return s, nil
}

// silence makes the server deaf and dumb on the connections so far.
func (c *cutOff) silence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.opened {
		s.once.Do(func() { close(s.silent) })
	}
}

// Read passes nothing on once the connection is silent.
func (s *silencable) Read(p []byte) (int, error) {
	for {
		n, err := s.Conn.Read(p)
		select {
		case <-s.silent:
			if err != nil {
				return 0, err
			}
		default:
			return n, err
		}
	}
}

// Write swallows everything once the connection is silent.
func (s *silencable) Write(p []byte) (int, error) {
	select {
	case <-s.silent:
		return len(p), nil
	default:
		return s.Conn.Write(p)
	}
}

func TestKlarnaHTTP_NoticesAConnectionGoneSilent(t *testing.T) {
	t.Parallel()
	network := &cutOff{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("served over %s", r.Proto)
		}
		_, _ = io.WriteString(w, `{"order_id":"o"}`)
	}))
	network.Listener = server.Listener
	server.Listener = network
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)

	httpClient := klarnaHTTP()
	transport := httpClient.Transport.(*http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	if h2 := transport.HTTP2; h2.SendPingTimeout+h2.PingTimeout >= 30*time.Second || transport.IdleConnTimeout >= 59*time.Second {
		t.Errorf("pings after %v and %v, idle for %v", h2.SendPingTimeout, h2.PingTimeout, transport.IdleConnTimeout)
	}
	transport.HTTP2.SendPingTimeout, transport.HTTP2.PingTimeout = 100*time.Millisecond, 100*time.Millisecond // the same, sooner
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	call := func(retries int) error {
		client, err := klarna.New(klarna.Config{BaseURL: server.URL, APIKey: "klarna_test_api_x", HTTPClient: httpClient, Retries: retries, Timeout: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Order(t.Context(), "o")
		return err
	}
	if err := call(-1); err != nil {
		t.Fatal(err)
	}
	network.silence()
	start := time.Now()
	if err := call(-1); !errors.Is(err, klarna.ErrUnavailable) {
		t.Errorf("over the silent connection: %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("noticed after %v", took)
	}
	if err := call(-1); err != nil {
		t.Errorf("after it was noticed: %v", err)
	}
	network.silence()
	if err := call(0); err != nil {
		t.Errorf("with retries nobody notices: %v", err)
	}
}
