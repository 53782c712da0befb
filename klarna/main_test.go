package klarna

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sent is a request as Klarna would see it.
type sent struct {
	method, uri string
	header      http.Header
	body        []byte
}

// fakeKlarna answers every request alike and keeps them.
type fakeKlarna struct {
	*httptest.Server
	mu   sync.Mutex
	sent []sent
}

// answering starts a server that answers with status, headers (name, value, …) and body.
func answering(t *testing.T, status int, body string, headers ...string) *fakeKlarna {
	t.Helper()
	return handling(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func handling(t *testing.T, handle http.HandlerFunc) *fakeKlarna {
	t.Helper()
	k := &fakeKlarna{}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		k.mu.Lock()
		k.sent = append(k.sent, sent{r.Method, r.RequestURI, r.Header, body})
		k.mu.Unlock()
		handle(w, r)
	}))
	t.Cleanup(k.Close)
	return k
}

// client returns a client of k; change may alter its configuration.
func (k *fakeKlarna) client(t *testing.T, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{BaseURL: k.URL, APIKey: "klarna_test_api_abc", HTTPClient: k.Client()}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// only returns the one request k got.
func (k *fakeKlarna) only(t *testing.T) sent {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.sent) != 1 {
		t.Fatalf("%d requests, want 1", len(k.sent))
	}
	return k.sent[0]
}

func (s sent) want(t *testing.T, method, uri string) {
	t.Helper()
	if s.method != method || s.uri != uri {
		t.Errorf("sent %s %s, want %s %s", s.method, s.uri, method, uri)
	}
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkRoundTrip decodes the fixture into v, which has to know every member of it, and back again without loss.
func checkRoundTrip(t *testing.T, name string, v any) {
	t.Helper()
	data := fixture(t, name)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	checkJSON(t, encoded, string(data))
}

func checkJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	sameTime := cmp.FilterValues(func(a, b string) bool { return !instant(a).IsZero() && !instant(b).IsZero() },
		cmp.Comparer(func(a, b string) bool { return instant(a).Equal(instant(b)) }))
	if diff := cmp.Diff(w, g, sameTime); diff != "" {
		t.Errorf("json differs (-want +got):\n%s", diff)
	}
}

// instant reads a timestamp, or is zero.
func instant(text string) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, text)
	return at
}
