package klarnatest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Fixtures: the first moment of every test, and invented credentials.
var start = time.Date(2026, 2, 3, 9, 15, 40, 0, time.UTC)

const (
	apiKey     = "klarna_test_api_c2FtcGxl"
	username   = "PK00001_abc"
	password   = "not-a-secret"
	networkKey = "kn-demo-signing-key-7f2c9a4e1b"
	keyID      = "krn:partner:global:notification:signing-key:0f1e2d3c-4b5a-4968-8776-554433221100"
	paymentKey = "9f2c4e6a8b0d1f3355779bbddff1234567890abcdef0fedcba98765432100123"
)

// post is one request a receiver got.
type post struct {
	path   string
	header http.Header
	body   []byte
	json   doc
}

// receiver takes what Klarna sends and answers what answer says, 200 without it.
type receiver struct {
	server *httptest.Server
	mu     sync.Mutex
	posts  []post
	answer func(n int) int // status for the nth post, 1 being the first
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	rec := &receiver{}
	rec.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rec.mu.Lock()
		rec.posts = append(rec.posts, post{path: r.URL.RequestURI(), header: r.Header, body: body, json: parse(body)})
		n, answer := len(rec.posts), rec.answer
		rec.mu.Unlock()
		if answer != nil {
			w.WriteHeader(answer(n))
		}
	}))
	t.Cleanup(rec.server.Close)
	return rec
}

func (rec *receiver) answering(answer func(n int) int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.answer = answer
}

func (rec *receiver) received() []post {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([]post(nil), rec.posts...)
}

// world is a Klarna behind HTTP, a receiver for what it sends, and a clock that only Advance moves.
type world struct {
	t      *testing.T
	klarna *Server
	api    *httptest.Server
	inbox  *receiver
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	inbox := newReceiver(t)
	cfg := Config{
		Now:      func() time.Time { return start },
		Username: username, Password: password, APIKey: apiKey,
		PaymentStatusURL: inbox.server.URL + "/payment", PaymentStatusKey: paymentKey, PaymentStatusKeyVersion: "7",
		NetworkURL: inbox.server.URL + "/network", NetworkKeyID: keyID, NetworkKey: networkKey,
		PushURL: inbox.server.URL + "/push?order={checkout.order.id}",
	}
	for _, c := range change {
		c(&cfg)
	}
	k := New(cfg)
	t.Cleanup(k.Close)
	api := httptest.NewServer(k)
	t.Cleanup(api.Close)
	return &world{t: t, klarna: k, api: api, inbox: inbox}
}

// response is an answer, read.
type response struct {
	status int
	header http.Header
	body   []byte
	json   doc
}

// code is the error code of a refusal.
func (r response) code() string { return r.json.str("error_code") }

// message is the first message of a classic refusal.
func (r response) message() string {
	if list, _ := r.json["error_messages"].([]any); len(list) > 0 {
		return list[0].(string)
	}
	return ""
}

// try sends a request, classic or Network by its path; the error is that of the transport.
func (w *world) try(method, path string, body any, header ...string) (response, error) {
	w.t.Helper()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(encode(body))
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.api.URL+path, content)
	if err != nil {
		w.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if len(path) > 3 && path[:3] == "/v2" {
		req.Header.Set("Authorization", "Basic "+apiKey)
	} else {
		req.SetBasicAuth(username, password)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.api.Client().Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return response{status: res.StatusCode, header: res.Header, body: text, json: parse(text)}, err
}

// do is try where the transport holds.
func (w *world) do(method, path string, body any, header ...string) response {
	w.t.Helper()
	res, err := w.try(method, path, body, header...)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

// want is do where the status is known.
func (w *world) want(status int, method, path string, body any, header ...string) response {
	w.t.Helper()
	res := w.do(method, path, body, header...)
	if res.status != status {
		w.t.Fatalf("%s %s: status %d, want %d: %s", method, path, res.status, status, res.body)
	}
	return res
}

// refused is do where a refusal is known.
func (w *world) refused(status int, code, method, path string, body any, header ...string) response {
	w.t.Helper()
	res := w.want(status, method, path, body, header...)
	if res.code() != code {
		w.t.Fatalf("%s %s: code %q, want %q: %s", method, path, res.code(), code, res.body)
	}
	return res
}

// settle waits until nothing due is undelivered.
func (w *world) settle() {
	w.t.Helper()
	if err := w.klarna.Idle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// fixture is JSON as a document that may be changed.
func fixture(t *testing.T, text string) doc {
	t.Helper()
	var d doc
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

const key = "Klarna-Idempotency-Key"

// key1 and key2 are two idempotency keys.
const (
	key1 = "3b0f5c1e-8a77-5c5e-9d3a-0c8f2b6d1e01"
	key2 = "3b0f5c1e-8a77-5c5e-9d3a-0c8f2b6d1e02"
)
