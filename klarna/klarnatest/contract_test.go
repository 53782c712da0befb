package klarnatest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Where this Klarna departs from the OpenAPI documents on purpose.
//
//   - Statuses the classic documents leave out of an operation, although the prose or the answer of a sibling has them:
//     401 and 415 anywhere, 404 of the writes that list only 403, 400 and 422 in Order Management.
//   - A refund answers 201 without a body, a release and two updates 204. The document declares a JSON text there, the
//     prose shows none, and a 204 cannot have one.
//   - app_return_url has a pattern with a look-ahead, which Go's regexp cannot compile; the fixtures leave it out.
//   - 413 is in no document; it is not part of these journeys.
var undocumented = map[string][]int{
	"createCreditSession":           {401, 415},
	"getOrder":                      {400},
	"cancelOrder":                   {404},
	"captureOrder":                  {422},
	"releaseRemainingAuthorization": {404},
	"updateAuthorization":           {404, 422},
	"updateConsumerDetails":         {404, 422},
	"appendOrderShippingInfo":       {422},
	"appendShippingInfo":            {422},
	"extendDueDate":                 {422},
}

// emptyThough are operations and statuses that have no body although the document declares one.
var emptyThough = map[string]int{
	"refundOrder": 201, "releaseRemainingAuthorization": 204, "updateAuthorization": 204, "updateConsumerDetails": 204,
}

// openapiFolder is KLARNA_OPENAPI, or the folder that lies beside the repository. Without one the contract tests are
// skipped, but not in CI.
func openapiFolder(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("KLARNA_OPENAPI")
	if folder == "" {
		folder = besideRepository(t, filepath.Join("shared", "klarna", "openapi"))
	}
	if _, err := os.Stat(folder); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("Klarna's OpenAPI documents are demanded in CI: %v", err)
		}
		t.Skipf("Klarna's OpenAPI documents are not here, set KLARNA_OPENAPI: %v", err)
	}
	return folder
}

// besideRepository is a path relative to the folder that holds the repository, whose root has the go.mod.
func besideRepository(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(filepath.Dir(dir), path)
		}
	}
	t.Fatal("no go.mod above the test")
	return ""
}

func loadSpec(t *testing.T, name string) *openapi3.T {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromFile(filepath.Join(openapiFolder(t), name))
	if err != nil {
		t.Fatalf("load %s: %v", name, err)
	}
	return spec
}

// contract is a transport that holds every request and answer against the documents.
type contract struct {
	t       *testing.T
	next    http.RoundTripper
	routers []routers.Router

	mu   sync.Mutex
	seen map[string]bool // operation and status
}

// underContract puts the documents, and more of them, between the tests and this Klarna.
func underContract(t *testing.T, w *world, more ...string) *contract {
	t.Helper()
	c := &contract{t: t, next: w.api.Client().Transport, seen: map[string]bool{}}
	for _, name := range append([]string{"kn-distribution-v2.yaml", "payments-v1.yaml", "ordermanagement-v1.yaml"}, more...) {
		spec := loadSpec(t, name)
		spec.Servers = openapi3.Servers{{URL: w.api.URL}}
		router, err := legacy.NewRouter(spec, openapi3.DisableExamplesValidation(), openapi3.DisableSchemaPatternValidation())
		if err != nil {
			t.Fatalf("route %s: %v", name, err)
		}
		c.routers = append(c.routers, router)
	}
	w.api.Client().Transport = c
	return c
}

func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	route, params, err := c.route(r)
	if err != nil {
		return nil, err
	}
	var sent []byte
	if r.Body != nil {
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	requestErr := openapi3filter.ValidateRequest(r.Context(), input)
	r.Body = io.NopCloser(bytes.NewReader(sent))
	res, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	c.judge(input, requestErr, res, body)
	return res, nil
}

// route finds the operation in any of the documents.
func (c *contract) route(r *http.Request) (*routers.Route, map[string]string, error) {
	for _, router := range c.routers {
		if route, params, err := router.FindRoute(r); err == nil {
			return route, params, nil
		}
	}
	return nil, nil, fmt.Errorf("no document has %s %s", r.Method, r.URL.Path)
}

// judge compares what was sent and answered with the document. A request may break it only if it is refused.
func (c *contract) judge(input *openapi3filter.RequestValidationInput, requestErr error, res *http.Response, body []byte) {
	operation := input.Route.Operation.OperationID
	c.mu.Lock()
	c.seen[fmt.Sprintf("%s %d", operation, res.StatusCode)] = true
	c.mu.Unlock()
	if requestErr != nil && res.StatusCode < 400 {
		c.t.Errorf("%s took a request that the document refuses: %v", operation, requestErr)
	}
	for _, status := range undocumented[operation] {
		if status == res.StatusCode {
			return
		}
	}
	if status, ok := emptyThough[operation]; ok && status == res.StatusCode && len(body) == 0 {
		return
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: res.StatusCode, Header: res.Header, Options: input.Options,
	}
	answer.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(c.t.Context(), answer); err != nil {
		c.t.Errorf("%s answered %d against its document: %v\n%s", operation, res.StatusCode, err, body)
	}
}

// saw requires that the journeys really came by these operations and statuses.
func (c *contract) saw(want ...string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range want {
		if !c.seen[w] {
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
	event := loadSpec(t, "kn-notifications.yaml").Components.Schemas["Event"].Value
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
	}
}
