package klarnatest

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAuth_AcceptsKlarnasWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	const classic, network = "/payments/v1/sessions/none", "/v2/accounts/none"
	for _, tc := range []struct {
		path, header string
		ok           bool
	}{
		{classic, basic(username, password), true},
		{classic, "Basic " + apiKey, true},
		{classic, basic("", apiKey), true},
		{classic, basic(username, "wrong"), false},
		{classic, "Bearer " + apiKey, false},
		{classic, "", false},
		{network, "Basic " + apiKey, true},
		{network, basic("", apiKey), true},
		{network, basic("0f1e2d3c-4b5a-4968-8776-554433221100", apiKey), true},
		{network, basic(username, password), false},
		{network, "Basic klarna_test_api_other", false},
	} {
		res := w.do("GET", tc.path, nil, "Authorization", tc.header)
		if got := res.status != http.StatusUnauthorized; got != tc.ok {
			t.Errorf("GET %s with %q: status %d", tc.path, tc.header, res.status)
		}
		if res.status == http.StatusUnauthorized && res.code() != "UNAUTHORIZED" {
			t.Errorf("GET %s: code %q", tc.path, res.code())
		}
	}
}

func TestAPI_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refused(415, "UNSUPPORTED_MEDIA_TYPE", "POST", "/payments/v1/sessions", cart(t), "Content-Type", "text/plain")
	w.refused(400, "INVALID_CONTENT_TYPE", "POST", onboardPath, merchant(t), "Content-Type", "text/plain")
	w.refused(400, "BAD_REQUEST", "POST", "/payments/v1/sessions", []string{"not", "an", "object"})
	w.refused(400, "INVALID_CONTENT_TYPE", "POST", onboardPath, "not an object")
	w.refused(413, "REQUEST_TOO_LARGE", "POST", "/payments/v1/sessions", doc{"merchant_data": strings.Repeat("x", 1<<20)})
	w.refused(404, "NOT_FOUND", "GET", "/v2/nothing", nil)
	w.refused(404, "NOT_FOUND", "PUT", "/payments/v1/sessions", nil)
}

func TestAPI_EchoesPartnerCorrelationID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	res := w.do("GET", "/v2/accounts/none", nil, "Partner-Correlation-Id", "abc123")
	if got := res.header.Get("Partner-Correlation-Id"); got != "abc123" {
		t.Errorf("echoed %q", got)
	}
}

func TestCalls_AreWitnessed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.klarna.Advance(time.Minute)
	id := w.placed(doc{})
	w.do("POST", om(id)+"/captures", doc{"captured_amount": 1}, key, key1)
	w.do("POST", om(id)+"/captures", doc{"captured_amount": 99999}, key, key2)
	if got := w.klarna.CallCount("capture"); got != 2 {
		t.Errorf("%d captures counted, want 2", got)
	}
	var operations []string
	calls := w.klarna.Calls()
	for _, c := range calls {
		operations = append(operations, c.Operation)
	}
	if !slices.Equal(operations, []string{"createSession", "placeOrder", "capture", "capture"}) {
		t.Fatalf("operations %v", operations)
	}
	want := Call{
		Operation: "capture", Method: "POST", Path: om(id) + "/captures", Status: 403, IdempotencyKey: key2, At: start.Add(time.Minute),
		CorrelationID: calls[3].CorrelationID,
	}
	if calls[3] != want || want.CorrelationID == "" || want.CorrelationID == calls[2].CorrelationID {
		t.Errorf("call %+v, want %+v", calls[3], want)
	}
}

func TestFail_RefusesBeforeAnyEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	w.must(w.klarna.Fail(Fault{Operation: "capture", Times: 2, Status: 503}))
	for range 2 {
		w.refused(503, "TEMPORARILY_UNAVAILABLE", "POST", om(id)+"/captures", doc{"captured_amount": 1}, key, key1)
	}
	if got, _ := w.klarna.Order(id); got.Captures != 0 {
		t.Fatalf("order %+v", got)
	}
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 1}, key, key1)

	w.must(w.klarna.Fail(Fault{Operation: "onboard", Status: 500, Code: "TIMEOUT"}))
	if res := w.refused(500, "TIMEOUT", "POST", onboardPath, merchant(t)); res.json.str("error_type") != "TECHNICAL_ERROR" {
		t.Errorf("body %s", res.body)
	}
	w.must(w.klarna.Fail(Fault{Operation: "onboard", Status: 429}))
	if res := w.refused(429, "RATE_LIMITED", "POST", onboardPath, merchant(t)); res.header.Get("X-Ratelimit-Remaining") != "0" {
		t.Errorf("headers %v", res.header)
	}
	if err := w.klarna.Fail(Fault{Operation: "catpure", Cut: true}); err == nil {
		t.Error("a fault of an unknown operation was taken")
	}
}

func TestFail_CutHasNoEffectAndLoseAnswerHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	w.must(w.klarna.Fail(Fault{Operation: "capture", Cut: true}))
	if _, err := w.try("POST", om(id)+"/captures", doc{"captured_amount": 1}, key, key1); err == nil {
		t.Fatal("the connection was not cut")
	}
	if got, _ := w.klarna.Order(id); got.Captures != 0 {
		t.Fatalf("a cut call captured: %+v", got)
	}
	w.must(w.klarna.Fail(Fault{Operation: "capture", LoseAnswer: true}))
	if _, err := w.try("POST", om(id)+"/captures", doc{"captured_amount": 1}, key, key1); err == nil {
		t.Fatal("the answer was not lost")
	}
	if got, _ := w.klarna.Order(id); got.Captures != 1 {
		t.Fatalf("a call with a lost answer did not capture: %+v", got)
	}
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 1}, key, key1)
	if got, _ := w.klarna.Order(id); got.Captures != 1 {
		t.Errorf("the repeat captured again: %+v", got)
	}
	calls := w.klarna.Calls()[2:]
	if calls[0].Status != 0 || !calls[0].Cut || calls[1].Status != 201 || !calls[1].Cut || calls[2].Cut {
		t.Errorf("calls %+v", calls)
	}
	w.must(w.klarna.Fail(Fault{Operation: "capture", LoseAnswer: true, Status: 499, Body: "<html>"}))
	if res, err := w.try("POST", om(id)+"/captures", doc{"captured_amount": 1}, key, key2); err != nil || res.status != 499 || string(res.body) != "<html>" {
		t.Errorf("in place of the answer came %+v, %v", res, err)
	}
	if got, _ := w.klarna.Order(id); got.Captures != 2 {
		t.Errorf("a call whose answer was replaced did not capture: %+v", got)
	}
}

func TestFail_DelayEndsWithTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.klarna.Fail(Fault{Operation: "readSession", Delay: time.Hour}))
	sent := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) },
	})
	go func() {
		<-sent
		w.klarna.Close()
	}()
	req, err := http.NewRequestWithContext(ctx, "GET", w.api.URL+"/payments/v1/sessions/none", nil)
	w.must(err)
	if res, err := w.api.Client().Do(req); err == nil {
		res.Body.Close()
		t.Error("a delayed call was answered after Close")
	}
}

func TestFail_DelayedCallStillHasItsEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	w.must(w.klarna.Fail(Fault{Operation: "capture", Delay: 10 * time.Millisecond}))
	began := time.Now()
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 1})
	if took := time.Since(began); took < 10*time.Millisecond {
		t.Errorf("the delayed call took %v", took)
	}
}

func TestAdmin_DoesWhatTheMethodsDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	admin := func(path string, body any) doc {
		t.Helper()
		return w.want(200, "POST", "/admin/"+path, body, "Authorization", "").json
	}
	account := "accounts/" + w.onboarded()
	admin(account+"/operational", nil)
	admin(account+"/product/disable", nil)
	admin(account+"/product/enable", nil)
	admin(account+"/disable", nil)
	admin(account+"/enable", nil)
	admin(account+"/brand-incomplete", doc{"brand_reference": "mrc-000482-b1"})
	admin("hooks/drop-callbacks", doc{"count": 1})
	token := admin("sessions/"+w.session(doc{})+"/authorize", doc{}).str("authorization_token")
	admin("faults", doc{"operation": "placeOrder", "status": 500, "delay": "1ms"})
	w.want(500, "POST", orderPath(token), purchase(t))
	id := w.want(200, "POST", orderPath(token), purchase(t)).json.str("order_id")
	admin("hooks/hold", nil)
	admin("orders/"+id+"/pay", doc{"amount": 9000})
	admin("hooks/release", doc{"reversed": true})
	admin("checkout-orders", doc{"amount": 100, "currency": "EUR", "country": "DE"})
	admin("advance", doc{"duration": "2m"})
	admin("idle", nil)
	if got := w.want(200, "GET", "/admin/orders/"+id, nil).json.str("payment_status"); got != "PAID" {
		t.Errorf("payment status %s", got)
	}
	if got := w.want(200, "GET", "/admin/"+account, nil).json.str("state"); got != "OPERATIONAL" {
		t.Errorf("state %s", got)
	}
	kinds := map[string]int{}
	for _, p := range w.inbox.received() {
		path, _, _ := strings.Cut(p.path, "?")
		kinds[path]++
	}
	if kinds["/network"] != 7 || kinds["/payment"] != 2 || kinds["/push"] != 1 || kinds["/callback"] != 0 {
		t.Errorf("posts %v", kinds)
	}
	if body := w.want(200, "GET", "/admin/deliveries", nil).body; strings.Count(string(body), `"event_id"`) != 11 {
		t.Errorf("deliveries %s", body)
	}
}

func TestAdmin_ErrorsHaveAStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(404, "POST", "/admin/orders/none/pay", nil)
	w.want(404, "GET", "/admin/accounts/none", nil)
	w.want(404, "POST", "/admin/nothing", nil)
	w.want(400, "POST", "/admin/advance", doc{"duration": "soon"})
	w.want(400, "POST", "/admin/faults", []string{})
	w.want(409, "POST", "/admin/orders/"+w.placed(doc{"intent": "tokenize"})+"/lapse", nil)
}

func TestAdmin_AnswersOnlyTheLoopbackInterface(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/admin/hooks/hold", "/admin/faults", "/admin/checkout-orders", "/admin/nothing"} {
		req := httptest.NewRequest("POST", path, strings.NewReader("{}"))
		req.RemoteAddr = "203.0.113.24:5000"
		res := httptest.NewRecorder()
		w.klarna.ServeHTTP(res, req)
		if res.Code != http.StatusForbidden {
			t.Errorf("POST %s from afar: status %d", path, res.Code)
		}
	}
}
