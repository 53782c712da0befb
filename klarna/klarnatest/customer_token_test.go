package klarnatest

import (
	"testing"
	"time"
)

// tokenRequest asks for a token that fits the cart.
func tokenRequest() doc {
	return doc{
		"description": "Zeltpflege, jährlich", "intended_use": "SUBSCRIPTION", "locale": "de-DE",
		"purchase_country": "DE", "purchase_currency": "EUR",
	}
}

// charge is a purchase by a token.
func charge(t *testing.T) doc {
	return cart(t).without("intent", "purchase_country", "locale")
}

func tokenPath(authorization string) string {
	return "/payments/v1/authorizations/" + authorization + "/customer-token"
}

// tokenized makes a customer token and returns its path.
func (w *world) tokenized() (token, path string) {
	w.t.Helper()
	_, authorization := w.authorized(doc{"intent": "tokenize"})
	token = w.want(200, "POST", tokenPath(authorization), tokenRequest()).json.str("token_id")
	return token, "/customer-token/v1/tokens/" + token
}

func TestCustomerToken_IsMadeOfAnAuthorizationOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, authorization := w.authorized(doc{"intent": "tokenize"})
	one := w.want(200, "POST", tokenPath(authorization), tokenRequest()).json
	if two := w.want(200, "POST", tokenPath(authorization), tokenRequest()).json; one.str("token_id") == "" || two.str("token_id") != one.str("token_id") {
		t.Errorf("made %v, then %v", one, two)
	}
	w.refused(403, "INVALID_OPERATION", "POST", orderPath(authorization), purchase(t))
	w.refused(404, "NOT_FOUND", "DELETE", "/payments/v1/authorizations/"+authorization, nil)
	w.refused(404, "NOT_FOUND", "POST", tokenPath("none"), tokenRequest())

	_, both := w.authorized(doc{"intent": "buy_and_tokenize"})
	w.want(200, "POST", orderPath(both), purchase(t))
	w.want(200, "POST", tokenPath(both), tokenRequest())

	_, buy := w.authorized(doc{})
	res := w.refused(403, "INVALID_OPERATION", "POST", tokenPath(buy), tokenRequest())
	if res.message() != "Not allowed to create customer token for intent buy" {
		t.Errorf("message %q", res.message())
	}
}

func TestCustomerToken_ChecksWhatItIsFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, authorization := w.authorized(doc{"intent": "tokenize"})
	for field, wrong := range map[string]any{"intended_use": "subscription", "locale": "german", "description": "", "purchase_currency": "EURO"} {
		res := w.refused(400, "BAD_VALUE", "POST", tokenPath(authorization), tokenRequest().with(doc{field: wrong}))
		if res.message() != "Bad value: "+field {
			t.Errorf("message %q", res.message())
		}
	}
	w.refused(409, "BAD_VALUE", "POST", tokenPath(authorization), tokenRequest().with(doc{"purchase_country": "AT"}))
}

func TestCustomerToken_IsChargedOncePerKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, path := w.tokenized()
	one := w.want(200, "POST", path+"/order", charge(t), key, key1).json
	two := w.want(200, "POST", path+"/order", charge(t), key, key1).json
	three := w.want(200, "POST", path+"/order", charge(t).with(doc{"auto_capture": true}), key, key2).json
	if one.str("order_id") != two.str("order_id") || one.str("order_id") == three.str("order_id") {
		t.Errorf("orders %s, %s, %s", one.str("order_id"), two.str("order_id"), three.str("order_id"))
	}
	if order := w.want(200, "GET", om(one.str("order_id")), nil).json; order.str("merchant_reference1") != "SO-88001" || order.str("purchase_country") != "DE" {
		t.Errorf("order %v", order)
	}
	if state, _ := w.klarna.Order(three.str("order_id")); state.Status != "CAPTURED" {
		t.Errorf("order %+v", state)
	}
	w.refused(400, "BAD_VALUE", "POST", path+"/order", charge(t).with(doc{"order_amount": 1}))
	w.refused(400, "BAD_VALUE", "POST", path+"/order", charge(t).with(doc{"merchant_urls": doc{"push": "https://shop.example/p"}}))
	w.refused(404, "TOKEN_NOT_FOUND", "POST", "/customer-token/v1/tokens/none/order", charge(t))
}

func TestCustomerToken_DeclinedChargeMayStepUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, path := w.tokenized()
	w.must(w.klarna.DeclineNextCharge(token))
	if res := w.refused(403, "PAYMENT_METHOD_FAILED", "POST", path+"/order", charge(t)); res.json.has("step_up_id") {
		t.Error("a step-up that was not asked for")
	}
	w.must(w.klarna.DeclineNextCharge(token))
	res := w.refused(403, "PAYMENT_METHOD_FAILED", "POST", path+"/order", charge(t).with(doc{"step_up": "SUPPORTED"}))
	if res.json.str("step_up_id") == "" {
		t.Errorf("no step-up in %s", res.body)
	}
	w.session(doc{"step_up_id": res.json.str("step_up_id")})
	w.want(200, "POST", path+"/order", charge(t))
}

func TestCustomerToken_EndsALittleLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, path := w.tokenized()
	w.refused(400, "BAD_VALUE", "PATCH", path+"/status", doc{"status": "ACTIVE"})
	w.want(202, "PATCH", path+"/status", doc{"status": "CANCELLED"})
	if got := w.want(200, "GET", path, nil).json.str("status"); got != "ACTIVE" {
		t.Errorf("status %s at once", got)
	}
	w.klarna.Advance(time.Second)
	if got := w.want(200, "GET", path, nil).json.str("status"); got != "CANCELLED" {
		t.Errorf("status %s", got)
	}
	w.refused(403, "TOKEN_CANCELED", "POST", path+"/order", charge(t))
	w.refused(400, "BAD_VALUE", "PATCH", path+"/status", doc{"status": "CANCELLED"})

	token, path := w.tokenized()
	w.must(w.klarna.SuspendToken(token))
	w.refused(403, "TOKEN_SUSPENDED", "POST", path+"/order", charge(t))
	if w.klarna.SuspendToken("none") == nil {
		t.Error("an unknown token was suspended")
	}
}

func TestContract_CustomerTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w, "customer-token-v1.yaml")
	secure := doc{"merchant_urls": doc{"confirmation": "https://shop.nordlicht.example/thanks"}, "intent": "tokenize"}
	_, authorization := w.authorized(secure)
	token := w.want(200, "POST", tokenPath(authorization), tokenRequest()).json.str("token_id")
	w.want(400, "POST", tokenPath(authorization), tokenRequest().with(doc{"intended_use": "subscription"}))
	w.want(404, "POST", tokenPath("none"), tokenRequest())
	w.want(409, "POST", tokenPath(authorization), tokenRequest().with(doc{"purchase_country": "AT"}))
	path := "/customer-token/v1/tokens/" + token
	w.want(200, "GET", path, nil)
	w.want(404, "GET", path+"x", nil)
	w.want(200, "POST", path+"/order", charge(t), key, key1)
	w.want(400, "POST", path+"/order", charge(t).with(doc{"order_amount": 0}))
	w.must(w.klarna.DeclineNextCharge(token))
	w.want(403, "POST", path+"/order", charge(t).with(doc{"step_up": "SUPPORTED"}))
	w.want(404, "POST", path+"x/order", charge(t))
	w.want(202, "PATCH", path+"/status", doc{"status": "CANCELLED"})
	w.want(400, "PATCH", path+"/status", doc{"status": "ACTIVE"})
	w.want(404, "PATCH", path+"x/status", doc{"status": "CANCELLED"})
	c.saw("purchaseToken 200", "purchaseToken 400", "purchaseToken 404", "purchaseToken 409", "readCustomerToken 200",
		"readCustomerToken 404", "createOrder 200", "createOrder 400", "createOrder 403", "createOrder 404",
		"patchCustomerToken 202", "patchCustomerToken 400", "patchCustomerToken 404")
}
