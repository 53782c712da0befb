package klarnatest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna/klarnatest/contract"
)

// sightings are what passed between a test and this Klarna under the documents.
type sightings struct {
	t   *testing.T
	tap *contract.Tap
}

// underContract puts Klarna's documents between the tests and this Klarna. All of them count; what else is named is for
// the reader.
func underContract(t *testing.T, w *world, _ ...string) *sightings {
	t.Helper()
	c := &sightings{t: t, tap: contract.Open(t).Tap(t, w.api.Client().Transport)}
	w.api.Client().Transport = c.tap
	return c
}

// saw requires that the journeys really came by these operations and statuses.
func (c *sightings) saw(want ...string) {
	c.t.Helper()
	for _, w := range want {
		operation, status, _ := strings.Cut(w, " ")
		if code, _ := strconv.Atoi(status); !c.tap.Saw(operation, code) {
			c.t.Errorf("%s was never seen", w)
		}
	}
}

func TestContract_Network(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w)
	account := "/v2/accounts/" + w.want(201, "POST", onboardPath, merchant(t), key, key1).json.str("partner_account_id")
	w.want(403, "PATCH", account, doc{"partner_account_name": "Nordlicht"}, key, key2)
	w.klarna.Advance(time.Second)
	w.want(200, "GET", account+"?expand=products&expand=brands&expand=store_groups&expand=partner_business_entities", nil)
	w.want(200, "PATCH", account, doc{"partner_account_name": "Nordlicht"}, key, key2)
	brand := first(w.want(200, "GET", account+"/brands", nil).json, "brands").str("brand_id")
	w.want(200, "GET", account+"/brands/"+brand, nil)
	w.want(200, "PATCH", account+"/brands/"+brand, doc{"display_name": "Nordlicht Neu"})
	w.want(200, "GET", account+"/products/payment", nil)
	w.want(404, "GET", "/v2/accounts/krn:none", nil)
	w.want(401, "GET", account, nil, "Authorization", "Basic wrong")
	w.want(400, "POST", onboardPath, doc{})
	w.want(409, "POST", onboardPath, merchant(t))
	w.must(w.klarna.Fail(Fault{Operation: "onboard", Status: 429}))
	w.want(429, "POST", onboardPath, merchant(t))
	w.must(w.klarna.Fail(Fault{Operation: "onboard", Status: 500}))
	w.want(500, "POST", onboardPath, merchant(t))
	c.saw("onboard 201", "onboard 400", "onboard 409", "onboard 429", "onboard 500", "readAccount 200", "readAccount 401",
		"readAccount 404", "updateAccount 200", "updateAccount 403", "listBrand 200", "readBrand 200", "updateBrand 200",
		"listPaymentProducts 200")
}

func TestContract_PaymentsAndOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w)
	secure := doc{"merchant_urls": doc{"confirmation": "https://shop.nordlicht.example/thanks"}}
	session, token := w.authorized(secure)
	w.want(200, "GET", "/payments/v1/sessions/"+session, nil)
	w.want(204, "POST", "/payments/v1/sessions/"+session, doc{"merchant_reference2": "till-7"})
	w.want(404, "GET", "/payments/v1/sessions/none", nil)
	w.want(400, "POST", "/payments/v1/sessions", doc{"purchase_country": "GER"})
	w.want(401, "POST", "/payments/v1/sessions", cart(t), "Authorization", "Basic wrong")
	w.want(409, "POST", orderPath(token), purchase(t).with(doc{"order_tax_amount": 2076}))
	_, token = w.authorized(secure)
	w.want(204, "DELETE", "/payments/v1/authorizations/"+token, nil)
	w.want(404, "DELETE", "/payments/v1/authorizations/"+token, nil)
	_, token = w.authorized(secure)
	id := w.want(200, "POST", orderPath(token), purchase(t)).json.str("order_id")

	w.want(204, "POST", om(id)+"/acknowledge", nil, key, key1)
	capture := w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 9000, "order_lines": cart(t)["order_lines"]}).header.Get("Capture-Id")
	refund := w.want(201, "POST", om(id)+"/refunds", doc{"refunded_amount": 100, "reference": "R-1"}).header.Get("Refund-Id")
	w.want(200, "GET", om(id)+"/captures", nil)
	w.want(200, "GET", om(id)+"/captures/"+capture, nil)
	w.want(200, "GET", om(id)+"/refunds/"+refund, nil)
	w.want(200, "GET", om(id), nil)
	w.want(204, "POST", om(id)+"/extend-authorization-time", nil)
	w.want(204, "PATCH", om(id)+"/merchant-references", doc{"merchant_reference1": "SO-9"})
	w.want(403, "POST", om(id)+"/cancel", nil)
	w.want(403, "POST", om(id)+"/captures", doc{"captured_amount": 9000})
	w.want(403, "POST", om(id)+"/refunds", doc{"refunded_amount": 9000})
	w.want(422, "POST", om(id)+"/captures", doc{"captured_amount": -1})
	w.want(204, "POST", om(id)+"/release-remaining-authorization", nil)
	w.want(403, "POST", om(id)+"/release-remaining-authorization", nil)
	w.want(404, "GET", om("6e1f0c53-3d0b-4b5e-9d3c-1a2b3c4d5e6f"), nil)
	w.want(400, "GET", om("17"), nil)
	free := w.placed(secure)
	w.want(204, "POST", om(free)+"/cancel", nil)
	w.want(404, "POST", om("6e1f0c53-3d0b-4b5e-9d3c-1a2b3c4d5e6f")+"/cancel", nil)
	c.saw("createCreditSession 200", "createCreditSession 400", "createCreditSession 401", "updateCreditSession 204",
		"readCreditSession 200", "readCreditSession 404", "cancelAuthorization 204", "cancelAuthorization 404",
		"createOrder 200", "createOrder 409", "getOrder 200", "getOrder 404", "acknowledgeOrder 204", "cancelOrder 204",
		"captureOrder 201", "captureOrder 403", "getCaptures 200", "getCapture 200", "refundOrder 201", "refundOrder 403",
		"get 200", "extendAuthorizationTime 204", "releaseRemainingAuthorization 204", "updateMerchantReferences 204")
}

func TestContract_Notifications(t *testing.T) {
	t.Parallel()
	event := contract.Open(t).Schema(t, "kn-notifications.yaml", "Event")
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	id := w.onboarded()
	w.must(w.klarna.Operational(id))
	w.must(w.klarna.BrandIncomplete(id, "mrc-000482-b1"))
	w.must(w.klarna.DisableAccount(id))
	w.must(w.klarna.EnableAccount(id))
	w.settle()
	posts := w.inbox.received()
	if len(posts) != 5 {
		t.Fatalf("%d notifications, want 5: %s", len(posts), strings.Join(types(posts), ", "))
	}
	for _, p := range posts {
		if err := event.VisitJSON(map[string]any(p.json)); err != nil {
			t.Errorf("notification against its document: %v\n%s", err, p.body)
		}
		if unknown := contract.Strange(event, map[string]any(p.json)); unknown != nil {
			t.Errorf("notification has properties that its document does not name: %v\n%s", unknown, p.body)
		}
	}
}
