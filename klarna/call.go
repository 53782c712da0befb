package klarna

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// call is one request to Klarna and what becomes of the answer.
type call struct {
	operation string // Klarna's operation id where there is one
	family    Family
	method    string
	path      string   // template; each {…} segment takes the next of ids. Safe to log
	ids       []string // ids and tokens of the path; not safe to log
	query     url.Values
	key       string            // idempotency key; empty sends none
	body      any               // nil sends none
	tokens    map[string]Secret // headers that carry a customer's tokens; empty ones are left out
	country   string            // of the purchase; empty where the call tells none
	// oncePerToken says that Klarna does it once however often it is asked, without an idempotency key.
	oncePerToken bool
	// read takes what matters from a 2xx answer. Nil: the status says it all, and the body may be anything.
	read func(answer) error
}

// answer is a 2xx answer. What needs no body need not care that it could not be read.
type answer struct {
	header http.Header
	body   []byte
	cut    error // why body is not whole
}

// decode decodes the body into v. Members that v does not know are ignored.
func (a answer) decode(v any) error {
	if a.cut != nil {
		return a.cut
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// into decodes the body into v and keeps the bytes in raw.
func into(v any, raw *json.RawMessage) func(answer) error {
	return func(a answer) error {
		if err := a.decode(v); err != nil {
			return err
		}
		*raw = a.body
		return nil
	}
}

// doHere is the one way to Klarna. What may be repeated it repeats while the deadline, the number of attempts and the
// retry budget allow it.
func (c *Client) doHere(ctx context.Context, k call) error {
	if err := c.fits(k); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(ctx, k)
	if err != nil {
		return fmt.Errorf("%s: %w", k.operation, err)
	}
	c.budget.earn()
	var end, doubt error // as the attempts so far leave it; the newest that may have had an effect
	for n := 1; ; n++ {
		probe, err := c.admit(ctx, k)
		if err != nil {
			if n > 1 {
				return end // what Klarna said, or did not, tells more than why there is no further attempt
			}
			seen := k.seen(req, 0)
			seen.Err = err
			c.tell(ctx, seen)
			return err
		}
		transient, err := c.attempt(req, k, n, probe)
		if err == nil {
			return nil
		}
		if end = k.settle(doubt, err); errors.Is(err, ErrOutcomeUnknown) {
			doubt = err
		}
		if !transient || !k.repeatable() || !c.again(ctx, n) {
			return end
		}
		req = repeated(req)
	}
}

// admit lets an attempt begin, when its turn has come. Its error says that nothing was sent.
func (c *Client) admit(ctx context.Context, k call) (probe bool, err error) {
	unsent := func(err error) error { return k.unanswered(err, false) }
	if c.breaker.shut() {
		return false, unsent(errCircuitOpen)
	}
	switch late, err := c.rates[k.category()].take(ctx, k.lane(ctx), c.timeFor); {
	case err != nil:
		return false, unsent(err)
	case late > 0:
		return false, k.rateLimited(late)
	case !c.timeFor(ctx, 0):
		return false, unsent(fmt.Errorf("no time left to begin: %w", cmp.Or(ctx.Err(), context.DeadlineExceeded)))
	}
	probe, ok := c.breaker.allow()
	if !ok {
		return false, unsent(errCircuitOpen)
	}
	return probe, nil
}

// attempt sends req once and lets everybody know who learns from it. Transient says that another attempt may do better.
func (c *Client) attempt(req *http.Request, k call, n int, probe bool) (transient bool, err error) {
	what := moot
	defer func() { c.report(req.Context(), probe, what) }()
	seen := k.seen(req, n)
	back := away(req.Context())
	span := c.span(req.Context(), seen)
	start := time.Now()
	transient, err = c.exchange(req, k, &seen)
	seen.Err = traced(err, seen)
	seen.Duration = time.Since(start)
	span.end(seen)
	back()
	switch {
	case !transient || seen.Status == http.StatusTooManyRequests:
		what = served
	case req.Context().Err() == nil || seen.Duration >= c.patience:
		what = failed
	}
	c.tell(req.Context(), seen)
	return transient, seen.Err
}

// exchange sends req and reads the answer; it notes the status and the correlation id in seen.
func (c *Client) exchange(req *http.Request, k call, seen *Call) (transient bool, err error) {
	var conn connTrace
	res, err := c.http.Do(req.WithContext(conn.attach(req.Context())))
	if err != nil {
		return true, k.unanswered(err, conn.mayHaveSent(err))
	}
	defer func() { _ = res.Body.Close() }()
	seen.Status = res.StatusCode
	c.rates[k.category()].learn(res.StatusCode, res.Header)
	if id := printable(res.Header.Get(headerCorrelation)); id != "" {
		seen.CorrelationID = id
	}
	body, cut := readAll(res, c.maxResponse)
	if res.StatusCode < 200 || res.StatusCode > 299 {
		refused := newError(k, res, body, seen.CorrelationID)
		return !refused.served() || res.StatusCode == http.StatusTooManyRequests, k.refused(refused)
	}
	if k.read == nil {
		return false, nil
	}
	err = k.read(answer{header: res.Header, body: body, cut: cut})
	switch {
	case err == nil:
		return false, nil
	case cut != nil && !errors.Is(cut, errTooLarge):
		return true, k.unanswered(cut, true)
	}
	return false, k.unreadable(err)
}

// report tells the breaker how an attempt went, and the log what that changed.
func (c *Client) report(ctx context.Context, probe bool, what outcome) {
	switch opened, closed := c.breaker.report(probe, what); {
	case opened:
		c.log.WarnContext(ctx, "klarna circuit opened", "base_url", c.base, "probe_in", c.breaker.delay)
	case closed:
		c.log.InfoContext(ctx, "klarna circuit closed", "base_url", c.base)
	}
}

func (k call) seen(req *http.Request, attempt int) Call {
	return Call{
		Operation: k.operation, Family: k.family, Method: k.method, Path: k.path, Attempt: attempt,
		CorrelationID: req.Header.Get(headerPartnerCorrelation),
	}
}

func (c *Client) tell(ctx context.Context, seen Call) {
	correlate(ctx, seen)
	c.debug(ctx, seen)
	c.observe(ctx, seen)
}

// Header names, in Go's canonical spelling.
const (
	headerIdempotency        = "Klarna-Idempotency-Key"
	headerMetadata           = "Klarna-Integration-Metadata"
	headerPartnerCorrelation = "Partner-Correlation-Id" // Klarna: no hyphens
	headerCorrelation        = "Klarna-Correlation-Id"
	headerMTLS               = "Klarna-Mtls-Verification-Status"
	headerIPValidation       = "Klarna-Ip-Validation-Status"
	headerSessionToken       = "Klarna-Network-Session-Token"
	headerCustomerToken      = "Klarna-Customer-Token"
)

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	path, err := k.expand()
	if err != nil {
		return nil, err
	}
	if len(k.key) > 255 || !visible(k.key) {
		return nil, errors.New("idempotency key: longer than 255 or not visible ascii")
	}
	if query := k.query.Encode(); query != "" {
		path += "?" + query
	}
	var body io.Reader
	if k.body != nil {
		encoded, err := json.Marshal(k.body)
		if err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, c.base+path, body)
	if err != nil {
		return nil, errors.New("build request: not a valid url")
	}
	req.Header.Set("Authorization", c.authorization.Reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", strings.TrimSuffix(moduleName+"/"+c.version, "/"))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k.key != "" {
		req.Header.Set(headerIdempotency, k.key)
	}
	if k.family == Network {
		req.Header.Set(headerMetadata, c.metadata(k.key))
		req.Header.Set(headerPartnerCorrelation, randomHex())
	}
	for name, token := range k.tokens {
		if len(token) > 8192 || !visible(token.Reveal()) {
			return nil, fmt.Errorf("%s: longer than 8192 or not visible ascii", name)
		}
		if token != "" {
			req.Header.Set(name, token.Reveal())
		}
	}
	return req, nil
}

// expand fills the path template. An id that would name another path is refused: ids also come from unsigned
// callbacks. Colons, as in a KRN, stay plain.
func (k call) expand() (string, error) {
	segments := strings.Split(k.path, "/")
	ids := k.ids
	for i, segment := range segments {
		if !strings.HasPrefix(segment, "{") {
			continue
		}
		id := ids[0]
		ids = ids[1:]
		if id == "" || id == "." || id == ".." || len(id) > 4096 {
			return "", fmt.Errorf("%s: empty or not usable in a path", strings.Trim(segment, "{}"))
		}
		segments[i] = url.PathEscape(id)
	}
	return strings.Join(segments, "/"), nil
}

// metadata is the Network's Klarna-Integration-Metadata: compact JSON in one line. The session reference is the
// idempotency key, so that Klarna sees the retries of one operation as one.
func (c *Client) metadata(key string) string {
	type party struct {
		Name             string `json:"name"`
		SessionReference string `json:"session_reference"` // Klarna: 1 to 100
		ModuleName       string `json:"module_name,omitempty"`
		ModuleVersion    string `json:"module_version,omitempty"`
	}
	if key == "" || len(key) > 100 {
		key = randomHex()
	}
	var meta struct {
		Integrator  party   `json:"integrator"`
		Originators []party `json:"originators,omitempty"`
	}
	meta.Integrator = party{Name: c.integrator, SessionReference: key, ModuleName: moduleName, ModuleVersion: c.version}
	for _, o := range c.originators {
		meta.Originators = append(meta.Originators, party{Name: o.Name, SessionReference: key, ModuleName: o.ModuleName, ModuleVersion: o.ModuleVersion})
	}
	encoded, _ := json.Marshal(meta) // strings only: cannot fail
	return string(encoded)
}

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

var errTooLarge = errors.New("answer too large")

// readAll reads at most limit bytes of an answer's body. With an error it returns what came before.
func readAll(res *http.Response, limit int64) ([]byte, error) {
	var body bytes.Buffer
	body.Grow(int(min(max(res.ContentLength, 0), limit)) + bytes.MinRead) // it then reads without growing
	_, err := body.ReadFrom(io.LimitReader(res.Body, limit+1))
	if int64(body.Len()) > limit {
		return body.Bytes()[:limit], fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	}
	return body.Bytes(), err
}

// connTrace learns whether a request can have left: not before a connection was handed to it. What happens on the
// connection is not looked at, since a write may go on after a deadline gave up on it.
type connTrace struct{ asked, got atomic.Bool }

func (t *connTrace) attach(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { t.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { t.got.Store(true) },
	})
}

// mayHaveSent is true in doubt. A transport that does not report its connections leaves the error to tell.
func (t *connTrace) mayHaveSent(err error) bool {
	if t.asked.Load() {
		return t.got.Load()
	}
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}

// debug logs one call: no ids, no bodies, no free text.
func (c *Client) debug(ctx context.Context, seen Call) {
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", seen.Operation), slog.String("method", seen.Method), slog.String("path", seen.Path),
		slog.Int("attempt", seen.Attempt), slog.Int("status", seen.Status), slog.Duration("duration", seen.Duration),
		slog.String("correlation_id", seen.CorrelationID),
	}
	var refused *Error
	if errors.As(seen.Err, &refused) {
		attrs = append(attrs, slog.String("error_code", refused.Code), slog.String("error_id", refused.ID))
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "klarna call", attrs...)
}
