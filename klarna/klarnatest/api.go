package klarnatest

import (
	"encoding/base64"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// route is one operation of an API. Its handler runs with Server.mu held and must not block.
type route struct {
	op      string
	family  family
	pattern string // for http.ServeMux
	body    bool   // a JSON object is required
	handle  func(*Server, *call) answer
}

// call is one request, read from the wire.
type call struct {
	route         *route
	r             *http.Request
	body          []byte
	fits          bool   // the body was not too large
	doc           doc    // the body as JSON, nil without one
	key           string // Klarna-Idempotency-Key
	left          int    // of its quota, if it is counted
	replayed      bool   // answered as before, without another effect
	correlationID string
}

// path is a wildcard of the route's pattern.
func (c *call) path(name string) string { return c.r.PathValue(name) }

// Call is one request as Klarna saw it.
type Call struct {
	Operation      string    `json:"operation"` // "unknown" when there is no such route
	Method         string    `json:"method"`
	Path           string    `json:"path"`
	Status         int       `json:"status"`   // 0 if cut before its effect, or still being answered
	Cut            bool      `json:"cut"`      // the caller was given no answer, whatever Status says
	Replayed       bool      `json:"replayed"` // the answer of an earlier call again, by its key or its token
	IdempotencyKey string    `json:"idempotency_key"`
	CorrelationID  string    `json:"correlation_id"` // as answered
	At             time.Time `json:"at"`             // simulated time of arrival
}

// apiRoutes are the operations this Klarna knows.
func apiRoutes() []*route {
	const (
		account = "/v2/accounts/{account_id}"
		kp      = "/payments/v1"
		om      = "/ordermanagement/v1/orders/{order_id}"
	)
	return slices.Concat([]*route{
		{"onboard", network, "POST /v2/distribution/onboard", true, (*Server).onboard},
		{"readAccount", network, "GET " + account, false, (*Server).readAccount},
		{"updateAccount", network, "PATCH " + account, true, (*Server).updateAccount},
		{"listBrands", network, "GET " + account + "/brands", false, (*Server).listBrands},
		{"readBrand", network, "GET " + account + "/brands/{brand_id}", false, (*Server).readBrand},
		{"updateBrand", network, "PATCH " + account + "/brands/{brand_id}", true, (*Server).updateBrand},
		{"listProducts", network, "GET " + account + "/products/payment", false, (*Server).listProducts},

		{"createSession", payments, "POST " + kp + "/sessions", true, (*Server).createSession},
		{"updateSession", payments, "POST " + kp + "/sessions/{session_id}", true, (*Server).updateSession},
		{"readSession", payments, "GET " + kp + "/sessions/{session_id}", false, (*Server).readSession},
		{"cancelAuthorization", payments, "DELETE " + kp + "/authorizations/{token}", false, (*Server).cancelAuthorization},
		{"placeOrder", payments, "POST " + kp + "/authorizations/{token}/order", true, (*Server).placeOrder},

		{"readOrder", orderManagement, "GET " + om, false, (*Server).readOrder},
		{"acknowledge", orderManagement, "POST " + om + "/acknowledge", false, (*Server).acknowledge},
		{"cancelOrder", orderManagement, "POST " + om + "/cancel", false, (*Server).cancelOrder},
		{"extendAuthorization", orderManagement, "POST " + om + "/extend-authorization-time", false, (*Server).extendAuthorization},
		{"releaseRemaining", orderManagement, "POST " + om + "/release-remaining-authorization", false, (*Server).releaseRemaining},
		{"updateReferences", orderManagement, "PATCH " + om + "/merchant-references", true, (*Server).updateReferences},
		{"updateAuthorization", orderManagement, "PATCH " + om + "/authorization", true, (*Server).updateAuthorization},
		{"updateCustomer", orderManagement, "PATCH " + om + "/customer-details", true, (*Server).updateCustomer},
		{"addOrderShipping", orderManagement, "POST " + om + "/shipping-info", true, (*Server).addOrderShipping},
		{"capture", orderManagement, "POST " + om + "/captures", true, (*Server).capture},
		{"listCaptures", orderManagement, "GET " + om + "/captures", false, (*Server).listCaptures},
		{"readCapture", orderManagement, "GET " + om + "/captures/{capture_id}", false, (*Server).readCapture},
		{"addCaptureShipping", orderManagement, "POST " + om + "/captures/{capture_id}/shipping-info", true, (*Server).addCaptureShipping},
		{"sendOut", orderManagement, "POST " + om + "/captures/{capture_id}/trigger-send-out", false, (*Server).sendOut},
		{"dueDateOptions", orderManagement, "GET " + om + "/captures/{capture_id}/extend-due-date-options", false, (*Server).dueDateOptions},
		{"extendDueDate", orderManagement, "PATCH " + om + "/captures/{capture_id}/extend-due-date", true, (*Server).extendDueDate},
		{"refund", orderManagement, "POST " + om + "/refunds", true, (*Server).refund},
		{"readRefund", orderManagement, "GET " + om + "/refunds/{refund_id}", false, (*Server).readRefund},
	}, tokenRoutes(), pageRoutes(), checkoutRoutes(), settlementRoutes(), partRoutes(), programRoutes(), subscriptionRoutes(), credentialRoutes(),
		networkPaymentRoutes())
}

// routes is the whole HTTP surface: the APIs, the admin side, and a refusal in the right family for all else.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range apiRoutes() {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, rt) })
	}
	unknown := func(pattern string, f family) {
		rt := &route{op: "unknown", family: f, handle: func(_ *Server, c *call) answer { return c.unknownRoute() }}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, rt) })
	}
	unknown("/", payments)
	unknown("/v2/", network)
	s.adminRoutes(mux)
	return mux
}

// serve answers one API request: record it, play faults, then let the route do its work.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, rt *route) {
	c := &call{route: rt, r: r, key: r.Header.Get("Klarna-Idempotency-Key"), correlationID: uuid.NewString()}
	id, fault := s.arrived(c)
	c.body, c.fits = readBody(r)
	if !s.delay(fault.Delay) || fault.Cut {
		s.answered(id, c, 0, true)
		panic(http.ErrAbortHandler)
	}
	var a answer
	if fault.Status != 0 && !fault.LoseAnswer {
		a = c.faulty(fault)
		if fault.Bind {
			s.bind(c, a)
		}
	} else {
		a = s.perform(c)
	}
	s.answered(id, c, a.status, fault.LoseAnswer)
	switch {
	case fault.LoseAnswer && fault.Status != 0:
		a = c.faulty(fault)
	case fault.LoseAnswer:
		panic(http.ErrAbortHandler)
	}
	s.write(w, c, a, fault.Truncate)
}

// perform checks what all operations have in common and calls the route.
func (s *Server) perform(c *call) answer {
	switch {
	case !s.authorized(c):
		return c.unauthorized()
	case !c.fits:
		return c.tooLarge()
	}
	if c.route.body {
		mediaType, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
		if err != nil || mediaType != "application/json" {
			return c.wrongType()
		}
		if c.doc = parse(c.body); c.doc == nil {
			return c.malformed()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.spend(c) {
		return c.exhausted()
	}
	s.serving = c.route.op
	defer func() { s.serving = "" }()
	header, refusal := s.guard(c)
	if refusal == nil {
		a := s.once(c)
		refusal = &a
	}
	return refusal.withHeader(header)
}

// arrived records a call and takes the fault it meets, if any.
func (s *Server) arrived(c *call) (id int, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, Call{
		CorrelationID: c.correlationID,
		Operation:     c.route.op, Method: c.r.Method, Path: c.r.URL.Path, IdempotencyKey: c.key, At: s.now(),
	})
	return len(s.calls) - 1, s.takeFault(c.route.op)
}

// answered completes the record of a call.
func (s *Server) answered(id int, c *call, status int, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[id].Status, s.calls[id].Cut, s.calls[id].Replayed = status, cut, c.replayed
}

// write sends an answer with the headers every Klarna answer has.
func (s *Server) write(w http.ResponseWriter, c *call, a answer, cut bool) {
	h := w.Header()
	h.Set("Klarna-Correlation-Id", c.correlationID)
	if id := c.r.Header.Get("Partner-Correlation-Id"); id != "" {
		h.Set("Partner-Correlation-Id", id)
	}
	s.rateHeaders(h, c, a)
	for name, value := range a.header {
		h.Set(name, value)
	}
	if a.body != nil && h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	if cut {
		h.Set("Content-Length", strconv.Itoa(len(a.body)+1)) // an empty answer is cut off too
	}
	w.WriteHeader(a.status)
	if cut {
		cutShort(w, a.body)
	}
	_, _ = w.Write(a.body)
}

// authorized checks the credentials. Klarna: an API key is sent as "Basic <key>" or as the password of a user that may
// be empty; the user of a classic credential has to match.
func (s *Server) authorized(c *call) bool {
	key, classic := s.opens(c.r.Header.Get("Authorization"))
	return key || classic && c.route.family != network
}

// opens tells what an Authorization header has: an API key, or a classic user and password.
func (s *Server) opens(header string) (key, classic bool) {
	scheme, credential, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") || credential == "" {
		return false, false
	}
	user, password := "", ""
	if plain, err := base64.StdEncoding.DecodeString(credential); err == nil {
		user, password, _ = strings.Cut(string(plain), ":")
	}
	key = s.knowsKey(credential) || s.knowsKey(password)
	return key, s.cfg.Username != "" && user == s.cfg.Username && password == s.cfg.Password
}

// Calls lists all API requests so far, in order of arrival; admin requests are not among them.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call{}, s.calls...)
}

// CallCount is how often an operation was called, whatever came of it. The names are those of Fault.Operation.
func (s *Server) CallCount(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.calls {
		if c.Operation == operation {
			n++
		}
	}
	return n
}
