package main

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// TestMain is also the gateway: the tests of signals start this binary anew as a process of its own.
func TestMain(m *testing.M) {
	if path := os.Getenv(serveVariable); path != "" {
		os.Args = []string{os.Args[0], "serve", "-config", path}
		if data, local := strings.CutPrefix(path, "dev:"); local {
			os.Args = []string{os.Args[0], "dev", "-data", data, "-grpc", "127.0.0.1:0", "-rest", "127.0.0.1:0", "-webhooks", "127.0.0.1:0", "-sim", "127.0.0.1:0", "-admin", "127.0.0.1:0"}
		}
		armFailpoint()
		main()
		return
	}
	goleak.VerifyTestMain(planted.Tests{M: postgrestest.Tests{M: m, Look: planted.Look}})
}

// patience bounds every wait for something that must happen. It is long, since machines that test are slow at times.
const patience = 2 * time.Minute

// until waits until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for %s after %s", what, patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// output collects what is written to it, by whomever.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// after returns the word that follows some text, and whether it is there yet.
func (o *output) after(text string) (word string, there bool) {
	_, rest, there := strings.Cut(o.String(), text)
	word, _, _ = strings.Cut(rest, "\n")
	word, _, _ = strings.Cut(word, " ")
	return strings.TrimRight(word, ",."), there
}

// forgetConnections closes what http.DefaultClient keeps open, when the test is over.
func forgetConnections(t *testing.T) { t.Cleanup(http.DefaultClient.CloseIdleConnections) }
