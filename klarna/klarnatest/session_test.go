package klarnatest

import (
	"strings"
	"testing"
	"time"
)

// cart is a session request over 129.95 EUR with intent buy.
func cart(t *testing.T) doc {
	return fixture(t, `{
	"purchase_country": "DE", "purchase_currency": "EUR", "locale": "de-DE", "intent": "buy",
	"order_amount": 12995, "order_tax_amount": 2075,
	"order_lines": [
		{"type": "physical", "reference": "TENT-2", "name": "Zelt", "quantity": 1, "unit_price": 13995, "tax_rate": 1900, "total_discount_amount": 1500, "total_amount": 12495, "total_tax_amount": 1995},
		{"type": "shipping_fee", "name": "Versand", "quantity": 1, "unit_price": 500, "tax_rate": 1900, "total_amount": 500, "total_tax_amount": 80}],
	"merchant_reference1": "SO-88001"
	}`)
}

// session creates a session from the cart with changes laid over it, and returns its id.
func (w *world) session(changes doc) string {
	w.t.Helper()
	urls := map[string]any{
		"authorization": w.inbox.server.URL + "/callback?secret=s3cr3t", "confirmation": "https://shop.nordlicht.example/thanks",
	}
	request := cart(w.t).with(doc{"merchant_urls": urls}, changes)
	return w.want(200, "POST", "/payments/v1/sessions", request).json.str("session_id")
}

// authorized creates and authorizes a session and returns the token.
func (w *world) authorized(changes doc) (sessionID, token string) {
	w.t.Helper()
	sessionID = w.session(changes)
	token, err := w.klarna.Authorize(sessionID)
	w.must(err)
	return sessionID, token
}

// purchase is the order request that fits the cart.
func purchase(t *testing.T) doc { return cart(t).without("intent") }

// placed places an order and returns its id.
func (w *world) placed(changes doc) string {
	w.t.Helper()
	_, token := w.authorized(changes.without("auto_capture"))
	return w.want(200, "POST", orderPath(token), purchase(w.t).with(changes.without("intent"))).json.str("order_id")
}

func orderPath(token string) string { return "/payments/v1/authorizations/" + token + "/order" }

func TestSession_RefusesBadValues(t *testing.T) {
	t.Parallel()
	line := func(d doc) doc { return first(d, "order_lines") }
	for want, spoil := range map[string]func(doc){
		"order_lines":                     func(d doc) { d["order_amount"] = 12996 },
		"order_lines[0].total_amount":     func(d doc) { line(d)["quantity"] = 2 },
		"order_lines[0].total_tax_amount": func(d doc) { line(d)["total_tax_amount"] = 2005 },
		"order_lines[0].tax_rate":         func(d doc) { line(d)["tax_rate"] = 20000 },
		"order_lines[0].name":             func(d doc) { line(d)["name"] = "" },
		"order_lines[0].type":             func(d doc) { line(d)["type"] = "boat" },
		"order_lines[0].quantity":         func(d doc) { line(d)["quantity"] = -1 },
		"order_lines[0].unit_price":       func(d doc) { line(d)["unit_price"] = 200_000_001 },
		"order_tax_amount":                func(d doc) { d["order_tax_amount"] = 2078 },
		"order_amount":                    func(d doc) { d["order_amount"] = 129.95 },
		"purchase_country":                func(d doc) { d["purchase_country"] = "GER" },
		"purchase_currency":               func(d doc) { d["purchase_currency"] = "USD" },
		"locale":                          func(d doc) { d["locale"] = "german" },
		"merchant_reference1":             func(d doc) { d["merchant_reference1"] = strings.Repeat("x", 256) },
		"billing_address.postal_code":     func(d doc) { d["billing_address"] = doc{"postal_code": "12345678901"} },
		"merchant_urls.authorization":     func(d doc) { d["merchant_urls"] = doc{"authorization": "http://shop.example/cb"} },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			request := cart(t)
			spoil(request)
			res := w.refused(400, "BAD_VALUE", "POST", "/payments/v1/sessions", request)
			if !strings.Contains(string(res.body), `"Bad value: `+want+`"`) {
				t.Errorf("%s is not named in %s", want, res.body)
			}
			if got := res.json.str("correlation_id"); got == "" || got != res.header.Get("Klarna-Correlation-Id") {
				t.Errorf("correlation id %q, header %q", got, res.header.Get("Klarna-Correlation-Id"))
			}
		})
	}
}

func TestSession_CountsSalesTaxOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(200, "POST", "/payments/v1/sessions", fixture(t, `{"purchase_country": "US", "purchase_currency": "USD",
		"order_amount": 21000, "order_tax_amount": 1000, "order_lines": [
		{"name": "Tent", "quantity": 1, "unit_price": 20000, "total_amount": 20000},
		{"type": "sales_tax", "name": "Sales Tax", "quantity": 1, "unit_price": 1000, "total_amount": 1000}]}`))
}

func TestSession_ReadShowsCustomerAndTokenOnlyOnceAuthorized(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.klarna.DropCallbacks(1)
	id := w.session(doc{})
	path := "/payments/v1/sessions/" + id
	before := w.want(200, "GET", path, nil).json
	if before.has("authorization_token") || before.has("billing_address") || before.str("status") != "incomplete" {
		t.Errorf("before the authorization: %v", before)
	}
	token, err := w.klarna.Authorize(id)
	w.must(err)
	after := w.want(200, "GET", path, nil).json
	if after.str("authorization_token") != token || after.object("billing_address").str("family_name") != "Beispiel" {
		t.Errorf("after the authorization: %v", after)
	}
	order := purchase(t).with(after.pick("billing_address"))
	w.want(200, "POST", orderPath(token), order)
	if got := w.want(200, "GET", path, nil).json.str("status"); got != "complete" {
		t.Errorf("status %s after the order", got)
	}
	w.refused(404, "SESSION_COMPLETED", "POST", path, doc{"locale": "en-DE"})
	if _, err := w.klarna.Authorize(id); err == nil {
		t.Error("a completed session was authorized")
	}
}

func TestSession_EndsAfter48Hours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.session(doc{})
	w.klarna.Advance(48*time.Hour - time.Second)
	w.want(204, "POST", "/payments/v1/sessions/"+id, doc{"merchant_reference1": "SO-88002"})
	w.klarna.Advance(time.Second)
	res := w.refused(404, "NOT_FOUND", "GET", "/payments/v1/sessions/"+id, nil)
	if res.message() != "Invalid session id" {
		t.Errorf("message %q", res.message())
	}
	if _, err := w.klarna.Authorize(id); err == nil {
		t.Error("an expired session was authorized")
	}
}

func TestSession_UpdateIsCheckedAsAWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/payments/v1/sessions/" + w.session(doc{})
	w.refused(400, "BAD_VALUE", "POST", path, doc{"order_amount": 500})
	if got, _ := w.want(200, "GET", path, nil).json.number("order_amount"); got != 12995 {
		t.Errorf("order_amount %d after a refused update", got)
	}
}

func TestAuthorization_NewTokenSupersedesOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, old := w.authorized(doc{})
	token, err := w.klarna.Authorize(id)
	w.must(err)
	res := w.refused(404, "NOT_FOUND", "POST", orderPath(old), purchase(t))
	if res.message() != "Invalid authorization token" {
		t.Errorf("message %q", res.message())
	}
	w.want(200, "POST", orderPath(token), purchase(t))
}

func TestAuthorization_EndsAfter60Minutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, token := w.authorized(doc{})
	w.klarna.Advance(time.Hour)
	w.refused(404, "NOT_FOUND", "POST", orderPath(token), purchase(t))
	if w.want(200, "GET", "/payments/v1/sessions/"+id, nil).json.has("authorization_token") {
		t.Error("the session still shows the expired token")
	}
}

func TestAuthorization_CanBeCancelledOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, token := w.authorized(doc{})
	w.want(204, "DELETE", "/payments/v1/authorizations/"+token, nil)
	w.refused(404, "NOT_FOUND", "DELETE", "/payments/v1/authorizations/"+token, nil)
	w.refused(404, "NOT_FOUND", "POST", orderPath(token), purchase(t))
}

func TestPlaceOrder_RepeatGetsFirstOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, token := w.authorized(doc{})
	one := w.want(200, "POST", orderPath(token), purchase(t))
	if one.json.str("fraud_status") != "ACCEPTED" || one.json.str("redirect_url") == "" ||
		one.json.object("authorized_payment_method").str("type") != "direct_bank_transfer" {
		t.Errorf("answer %s", one.body)
	}
	if two := w.want(200, "POST", orderPath(token), purchase(t)); two.json.str("order_id") != one.json.str("order_id") {
		t.Error("the repeat made another order")
	}
	res := w.refused(409, "BAD_VALUE", "POST", orderPath(token), purchase(t).with(doc{"merchant_reference2": "x"}))
	if res.message() != "The order has been already completed with different request body" {
		t.Errorf("message %q", res.message())
	}
}

func TestPlaceOrder_RepeatGetsFirstErrorToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, token := w.authorized(doc{})
	wrong := purchase(t)
	first(wrong, "order_lines")["reference"] = "TENT-3"
	res := w.refused(409, "BAD_VALUE", "POST", orderPath(token), wrong)
	if res.message() != "Not matching fields: [order_lines[0].reference]" {
		t.Errorf("message %q", res.message())
	}
	w.refused(409, "BAD_VALUE", "POST", orderPath(token), purchase(t))
	token, err := w.klarna.Authorize(id)
	w.must(err)
	w.want(200, "POST", orderPath(token), purchase(t))
}

func TestPlaceOrder_RefusesWhatWasNotAuthorized(t *testing.T) {
	t.Parallel()
	address := map[string]any{"given_name": "Ida", "family_name": "Berg", "postal_code": "10969", "country": "DE"}
	for want, change := range map[string]func(doc){
		"billing_address.postal_code":  func(d doc) { d["billing_address"] = doc(address).with(doc{"postal_code": "10970"}) },
		"shipping_address.postal_code": func(d doc) { d["shipping_address"] = doc(address).with(doc{"postal_code": "10970"}) },
		"order_tax_amount":             func(d doc) { d["order_tax_amount"] = 2076 },
		"Incorrect number of items in the cart. Expected: 2, Actual: 1": func(d doc) {
			d["order_lines"] = []any{map[string]any{"name": "Zelt", "quantity": 1, "unit_price": 12995, "total_amount": 12995, "total_tax_amount": 2075}}
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, token := w.authorized(doc{"billing_address": address, "shipping_address": address})
			request := purchase(t)
			change(request)
			res := w.refused(409, "BAD_VALUE", "POST", orderPath(token), request)
			if res.message() != "Not matching fields: ["+want+"]" {
				t.Errorf("message %q, want %s", res.message(), want)
			}
		})
	}
}

func TestPlaceOrder_CanCaptureAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{"auto_capture": true})
	if got, _ := w.klarna.Order(id); got.Status != "CAPTURED" || got.Captured != 12995 || got.Captures != 1 {
		t.Errorf("order %+v", got)
	}
}
