package klarnatest

import (
	"strings"
	"testing"
	"time"
)

const checkoutOrdersPath = "/checkout/v3/orders"

// checkoutRequest is the cart as a checkout order.
func (w *world) checkoutRequest() doc {
	return cart(w.t).without("intent").with(doc{"merchant_urls": map[string]any{
		"terms": "https://shop.nordlicht.example/terms", "checkout": "https://shop.nordlicht.example/checkout?id={checkout.order.id}",
		"confirmation": "https://shop.nordlicht.example/thanks", "push": w.inbox.server.URL + "/own-push/{checkout.order.id}",
	}})
}

func (w *world) checkout() string {
	w.t.Helper()
	return w.want(201, "POST", checkoutOrdersPath, w.checkoutRequest()).json.str("order_id")
}

func TestCheckoutOrder_IsPushedToItsOwnAddressOnceComplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	res := w.want(201, "POST", checkoutOrdersPath, w.checkoutRequest())
	id := res.json.str("order_id")
	if !strings.HasSuffix(res.header.Get("Location"), checkoutOrdersPath+"/"+id) || res.json.str("status") != "checkout_incomplete" || !strings.Contains(res.json.str("html_snippet"), id) {
		t.Errorf("answer %v %s", res.header, res.body)
	}
	w.refused(404, "NO_SUCH_ORDER", "GET", om(id), nil)
	w.want(200, "POST", checkoutOrdersPath+"/"+id, doc{"merchant_reference1": "SO-9"})
	made, err := w.klarna.CompleteCheckout(CheckoutOrder{OrderID: id})
	w.must(err)
	w.klarna.Advance(2 * time.Minute)
	posts := w.inbox.received()
	if made != id || len(posts) != 1 || posts[0].path != "/own-push/"+id || len(posts[0].body) != 0 {
		t.Fatalf("completed %s, pushed %+v", made, posts)
	}
	if order := w.want(200, "GET", om(id), nil).json; order.str("merchant_reference1") != "SO-9" || order.str("status") != "AUTHORIZED" {
		t.Errorf("order %v", order)
	}
	if got := w.want(200, "GET", checkoutOrdersPath+"/"+id, nil).json; got.str("status") != "checkout_complete" || !got.has("completed_at") {
		t.Errorf("checkout order %v", got)
	}
	w.refused(403, "READ_ONLY_ORDER", "POST", checkoutOrdersPath+"/"+id, doc{"merchant_reference1": "SO-10"})
	w.refused(403, "READ_ONLY_ORDER", "POST", checkoutOrdersPath+"/"+id+"/abort", nil)
	if _, err := w.klarna.CompleteCheckout(CheckoutOrder{OrderID: id}); err == nil {
		t.Error("completed twice")
	}
}

func TestCheckoutOrder_RefusesBadValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	urls := w.checkoutRequest().object("merchant_urls")
	for want, spoil := range map[string]func(doc){
		"locale":             func(d doc) { delete(d, "locale") },
		"order_tax_amount":   func(d doc) { delete(d, "order_tax_amount") },
		"order_lines":        func(d doc) { delete(first(d, "order_lines"), "tax_rate") },
		"order_amount":       func(d doc) { d["order_amount"] = -1 },
		"merchant_urls.push": func(d doc) { d["merchant_urls"] = urls.without("push") },
	} {
		request := w.checkoutRequest()
		spoil(request)
		res := w.refused(400, "BAD_VALUE", "POST", checkoutOrdersPath, request)
		if !strings.Contains(string(res.body), `"Bad value: `+want+`"`) {
			t.Errorf("%s is not named in %s", want, res.body)
		}
	}
	id := w.checkout()
	w.refused(400, "BAD_VALUE", "POST", checkoutOrdersPath+"/"+id, doc{"order_amount": 1})
}

func TestCheckoutOrder_EndsByAbortAndAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	aborted, aged := w.checkout(), w.checkout()
	w.want(200, "POST", checkoutOrdersPath+"/"+aborted+"/abort", nil)
	w.refused(404, "NOT_FOUND", "GET", checkoutOrdersPath+"/"+aborted, nil)
	w.klarna.Advance(47 * time.Hour)
	w.want(200, "POST", checkoutOrdersPath+"/"+aged, doc{"merchant_reference1": "SO-9"})
	w.klarna.Advance(47 * time.Hour)
	w.want(200, "GET", checkoutOrdersPath+"/"+aged, nil)
	w.klarna.Advance(time.Hour)
	w.refused(404, "NOT_FOUND", "GET", checkoutOrdersPath+"/"+aged, nil)
	for _, id := range []string{aborted, aged} {
		if _, err := w.klarna.CompleteCheckout(CheckoutOrder{OrderID: id}); err == nil {
			t.Error("what has ended was completed")
		}
	}
}

func TestContract_CheckoutOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w, "kustom-checkout-v3.yaml")
	path := checkoutOrdersPath + "/" + w.checkout()
	w.want(200, "GET", path, nil)
	w.want(200, "POST", path, w.checkoutRequest())
	w.want(400, "POST", path, doc{"order_amount": -1})
	w.want(400, "POST", checkoutOrdersPath, doc{"purchase_country": "DE"})
	w.want(401, "GET", path, nil, "Authorization", "Basic wrong")
	w.want(404, "GET", checkoutOrdersPath+"/none", nil)
	complete := w.checkout()
	_, err := w.klarna.CompleteCheckout(CheckoutOrder{OrderID: complete})
	w.must(err)
	w.want(200, "GET", checkoutOrdersPath+"/"+complete, nil)
	w.want(403, "POST", checkoutOrdersPath+"/"+complete, w.checkoutRequest())
	w.want(403, "POST", checkoutOrdersPath+"/"+complete+"/abort", nil)
	w.want(200, "POST", path+"/abort", nil)
	w.want(404, "POST", path+"/abort", nil)
	c.saw("createOrderMerchant 201", "createOrderMerchant 400", "readOrderMerchant 200", "readOrderMerchant 401",
		"readOrderMerchant 404", "updateOrderMerchant 200", "updateOrderMerchant 400", "updateOrderMerchant 403",
		"abortOrder 200", "abortOrder 403", "abortOrder 404")
}

func TestAdmin_PlaysPagesTokensAndRiskDecisions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := func(path string, body any) doc {
		t.Helper()
		return w.want(200, "POST", "/admin/"+path, body, "Authorization", "").json
	}
	id := w.page(w.session(doc{}), nil)
	admin("hosted-pages/"+id+"/open", nil)
	admin("hosted-pages/"+id+"/leave", doc{"status": "BACK"})
	if admin("hosted-pages/"+id+"/complete", nil).str("authorization_token") == "" {
		t.Error("no token")
	}
	if got := w.want(200, "GET", "/admin/hosted-pages/"+id, nil).json; got.str("status") != "COMPLETED" {
		t.Errorf("page %v", got)
	}
	token, path := w.tokenized()
	admin("customer-tokens/"+token+"/decline-next", nil)
	w.refused(403, "PAYMENT_METHOD_FAILED", "POST", path+"/order", charge(t))
	admin("customer-tokens/"+token+"/suspend", nil)
	w.refused(403, "TOKEN_SUSPENDED", "POST", path+"/order", charge(t))
	admin("orders/pend-next", doc{"count": 1})
	order := w.placed(doc{"intent": "buy_and_tokenize"})
	admin("orders/"+order+"/decide", doc{"accepted": true})
	if state, _ := w.klarna.Order(order); state.FraudStatus != "ACCEPTED" {
		t.Errorf("order %+v", state)
	}
	checkout := w.checkout()
	if got := admin("checkout-orders", doc{"order_id": checkout}).str("order_id"); got != checkout {
		t.Errorf("completed %s", got)
	}
}
