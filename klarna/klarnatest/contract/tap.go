package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// FaultHeader marks an answer of the simulator's that a test asked for; it need not be one that the document knows.
const FaultHeader = "Klarnatest-Fault"

// Tap is a transport that holds every request and answer against the documents. What breaks them fails the test.
type Tap struct {
	t    testing.TB
	docs *Documents
	next http.RoundTripper

	mu   sync.Mutex
	seen map[*Operation]*Seen
}

// Seen is what came by of one operation.
type Seen struct {
	Statuses []int
	Requests int      // that were taken, and are as the document says
	Answers  int      // of success, that are as the document says
	Methods  []string // of klarna.Client that sent them
}

// Under makes a client's requests pass a Tap. Without documents nothing changes, and the Tap is nil.
func Under(t testing.TB, client *http.Client) *Tap {
	t.Helper()
	folder := Folder(t)
	if folder == "" {
		return nil
	}
	tap := open(t, folder).Tap(t, client.Transport)
	client.Transport = tap
	return tap
}

// Tap reads along with what next carries; nil is the default transport.
func (d *Documents) Tap(t testing.TB, next http.RoundTripper) *Tap {
	if next == nil {
		next = http.DefaultTransport
	}
	return &Tap{t: t, docs: d, next: next, seen: map[*Operation]*Seen{}}
}

// Seen is what came by so far.
func (tap *Tap) Seen() map[*Operation]Seen {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	all := map[*Operation]Seen{}
	for o, s := range tap.seen {
		all[o] = *s
	}
	return all
}

// Saw tells whether an operation was answered with a status.
func (tap *Tap) Saw(operationID string, status int) bool {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	for o, s := range tap.seen {
		if o.ID == operationID && slices.Contains(s.Statuses, status) {
			return true
		}
	}
	return false
}

// CloseIdleConnections lets the client close what next keeps open.
func (tap *Tap) CloseIdleConnections() {
	if closer, ok := tap.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// exchange is one request with its answer.
type exchange struct {
	operation *Operation
	method    string // of klarna.Client
	request   *http.Request
	params    map[string]string
	sent      []byte
	answer    *http.Response
	body      []byte
}

// RoundTrip implements http.RoundTripper.
func (tap *Tap) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchange{request: r, method: sender()}
	if x.operation, x.params = tap.docs.Find(r); x.operation == nil {
		tap.t.Errorf("no document has %s %s", r.Method, r.URL.Path)
		return tap.next.RoundTrip(r)
	}
	again := r.Clone(r.Context())
	if r.Body != nil {
		var err error
		x.sent, err = io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
		again.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.sent)), nil }
		again.Body, _ = again.GetBody()
	}
	res, err := tap.next.RoundTrip(again)
	if err != nil {
		return nil, err
	}
	x.answer = res
	if mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); mediaType == "application/json" || mediaType == "" {
		var cut error
		x.body, cut = io.ReadAll(res.Body)
		if err := res.Body.Close(); cut == nil {
			cut = err
		}
		res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(x.body), failing{cut}))
		if cut != nil {
			return res, nil
		}
	}
	tap.judge(x)
	return res, nil
}

// failing ends what was read as it ended.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// clientMethod is a frame of klarna's client.
var clientMethod = regexp.MustCompile(`/klarna\.\(\*Client\)\.([A-Z]\w*)$`)

// sender is the method of klarna.Client that sends, by the stack.
func sender() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if m := clientMethod.FindStringSubmatch(frame.Function); m != nil {
			return m[1]
		}
		if !more {
			return ""
		}
	}
}

// judge compares what was sent and answered with the document. A request may break it only if it is refused.
func (tap *Tap) judge(x exchange) {
	status := x.answer.StatusCode
	if !x.operation.Described() {
		tap.note(x, status, status < http.StatusBadRequest, status < http.StatusBadRequest)
		return
	}
	if x.answer.Header.Get(FaultHeader) != "" && (x.schema() == nil || !json.Valid(x.body)) {
		tap.note(x, status, false, false)
		return
	}
	var flaws []string
	flaw := func(err error) {
		if err != nil {
			flaws = append(flaws, err.Error())
		}
	}
	taken := status < http.StatusBadRequest
	if taken {
		flaw(x.checkRequest())
	}
	requestOK := taken && len(flaws) == 0
	before := len(flaws)
	flaw(x.checkAnswer())
	answerOK := taken && len(flaws) == before
	for _, f := range flaws {
		tap.t.Errorf("%s %s answered %d: %s\nsent %s\nanswered %s", x.operation.Document, x.operation.ID, status, f, x.sent, x.body)
	}
	tap.note(x, status, requestOK, answerOK)
}

func (tap *Tap) note(x exchange, status int, requestOK, answerOK bool) {
	count(x.operation, requestOK, answerOK, x.method)
	tap.mu.Lock()
	defer tap.mu.Unlock()
	s := tap.seen[x.operation]
	if s == nil {
		s = &Seen{}
		tap.seen[x.operation] = s
	}
	if !slices.Contains(s.Statuses, status) {
		s.Statuses = append(s.Statuses, status)
	}
	if requestOK {
		s.Requests++
	}
	if answerOK {
		s.Answers++
	}
	if x.method != "" && !slices.Contains(s.Methods, x.method) {
		s.Methods = append(s.Methods, x.method)
		slices.Sort(s.Methods)
	}
}
