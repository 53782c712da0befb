package server

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// refused checks that a call is refused over gRPC and over REST alike. want holds, for each field at fault, part of
// the rule that is told.
func (f *face) refused(req proto.Message, code codes.Code, httpStatus int, reason gatewayv1.ErrorReason, want map[string]string) {
	t := f.t
	t.Helper()
	_, st := f.overGRPC(req)
	got, _, restStatus := f.overREST(req, nil)
	checkRefusal(t, "gRPC", st, code, reason, want)
	checkRefusal(t, "REST", restStatus, code, reason, want)
	if got != httpStatus {
		t.Errorf("HTTP status %d, want %d", got, httpStatus)
	}
}

func checkRefusal(t *testing.T, over string, st *status.Status, code codes.Code, reason gatewayv1.ErrorReason, want map[string]string) {
	t.Helper()
	if st.Code() != code || reasonOf(st.Err()) != reasonName(reason) {
		t.Errorf("over %s: %s %q (%s), want %s %s", over, st.Code(), reasonOf(st.Err()), st.Message(), code, reasonName(reason))
	}
	got := violations(st)
	if fields := slices.Sorted(maps.Keys(got)); !slices.Equal(fields, slices.Sorted(maps.Keys(want))) {
		t.Errorf("over %s: violations %v, want those of %v", over, got, want)
	}
	for field, rule := range want {
		if !strings.Contains(got[field], rule) {
			t.Errorf("over %s: %s: %q, want it to tell %q", over, field, got[field], rule)
		}
	}
}

// with is a request with a flaw.
func with[M proto.Message](req M, flaw func(M)) M {
	flaw(req)
	return req
}

func TestAPI_RefusesInvalidRequestsNamingFieldAndRule(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	session := func(flaw func(*gatewayv1.CreatePaymentSessionRequest)) proto.Message {
		return with(sessionRequest("SO-1"), flaw)
	}
	capture := func(amount *gatewayv1.Money, lines ...*gatewayv1.OrderLine) proto.Message {
		return &gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: id("order"), Amount: amount, OrderLines: lines}
	}
	onboard := func(flaw func(*gatewayv1.OnboardPartnerRequest)) proto.Message {
		return with(onboardRequest(t, "mrc-1"), flaw)
	}
	const (
		invalid  = gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD
		mismatch = gatewayv1.ErrorReason_ERROR_REASON_AMOUNTS_DO_NOT_MATCH
	)
	for name, c := range map[string]struct {
		req    proto.Message
		reason gatewayv1.ErrorReason
		want   map[string]string
	}{
		"negative order amount": {session(func(r *gatewayv1.CreatePaymentSessionRequest) { r.OrderAmount.AmountMinor = -1 }), invalid,
			map[string]string{"order_amount": "amount_minor must not be negative"}},
		"no order amount": {session(func(r *gatewayv1.CreatePaymentSessionRequest) { r.OrderAmount = nil }), invalid,
			map[string]string{"order_amount": "required"}},
		"negative capture": {capture(eur(-1)), invalid, map[string]string{"amount": "amount_minor must be greater than 0"}},
		"zero capture":     {capture(eur(0)), invalid, map[string]string{"amount": "amount_minor must be greater than 0"}},
		"zero refund": {&gatewayv1.RefundOrderRequest{RequestId: uuid.NewString(), OrderId: id("order"), Amount: eur(0)}, invalid,
			map[string]string{"amount": "amount_minor must be greater than 0"}},
		"capture above any limit": {capture(eur(200000001)), invalid, map[string]string{"amount": "amount_minor must be at most 200000000"}},
		"unknown currency": {session(func(r *gatewayv1.CreatePaymentSessionRequest) { r.OrderAmount.CurrencyCode = "XYZ" }), invalid,
			map[string]string{"order_amount.currency_code": "is not a currency of ISO 4217"}},
		"malformed currency": {session(func(r *gatewayv1.CreatePaymentSessionRequest) { r.OrderAmount.CurrencyCode = "eur" }), invalid,
			map[string]string{"order_amount.currency_code": "^[A-Z]{3}$"}},
		"unknown currency of an expectation": {&gatewayv1.CreateOrderRequest{RequestId: uuid.NewString(), SessionId: "s",
			ExpectedAmount: &gatewayv1.Money{AmountMinor: 1, CurrencyCode: "QQQ"}}, invalid,
			map[string]string{"expected_amount.currency_code": "is not a currency of ISO 4217"}},
		"line total off": {session(func(r *gatewayv1.CreatePaymentSessionRequest) {
			r.OrderLines[0].TotalAmountMinor, r.OrderAmount.AmountMinor = 12996, 12996
		}), mismatch, map[string]string{"order_lines[0].total_amount_minor": "is 12996, must be 12995 (off by +1 minor units)"}},
		"order total off": {session(func(r *gatewayv1.CreatePaymentSessionRequest) { r.OrderAmount.AmountMinor = 12990 }), mismatch,
			map[string]string{"order_amount.amount_minor": "is 12990, must be 12995 (off by -5 minor units)"}},
		"line tax off": {session(func(r *gatewayv1.CreatePaymentSessionRequest) {
			r.OrderLines[0].TotalTaxAmountMinor, r.OrderTaxAmountMinor = 2085, 2085
		}), mismatch, map[string]string{"order_lines[0].total_tax_amount_minor": "is 2085, must be 2075 (off by +10 minor units)"}},
		"order tax off": {session(func(r *gatewayv1.CreatePaymentSessionRequest) { r.OrderTaxAmountMinor = 2000 }), mismatch,
			map[string]string{"order_tax_amount_minor": "is 2000, must be 2075 (off by -75 minor units)"}},
		"capture lines off": {capture(eur(5000), sessionRequest("").GetOrderLines()...), mismatch,
			map[string]string{"amount.amount_minor": "is 5000, must be 12995 (off by -7995 minor units)"}},
		"capture with a return fee": {capture(eur(12495), append(sessionRequest("").GetOrderLines(), &gatewayv1.OrderLine{
			Type: "return_fee", Name: "Rücksendung", Quantity: 1, UnitPriceMinor: -500, TotalAmountMinor: -500})...), mismatch,
			map[string]string{"order_lines[1].type": "return_fee lines are for refunds"}},
		"refund with a positive return fee": {&gatewayv1.RefundOrderRequest{RequestId: uuid.NewString(), OrderId: id("order"), Amount: eur(500), OrderLines: []*gatewayv1.OrderLine{{
			Type: "return_fee", Name: "Rücksendung", Quantity: 1, UnitPriceMinor: 500, TotalAmountMinor: 500}}}, mismatch,
			map[string]string{"order_lines[0].total_amount_minor": "is 500, must be -500 (off by +1000 minor units): return fees are negative"}},
		"no request_id": {session(func(r *gatewayv1.CreatePaymentSessionRequest) { r.RequestId = "" }), invalid,
			map[string]string{"request_id": "UUID"}},
		"request_id that is no UUID": {session(func(r *gatewayv1.CreatePaymentSessionRequest) { r.RequestId = "order-7" }), invalid,
			map[string]string{"request_id": "UUID"}},
		"order_id that is no UUID": {&gatewayv1.GetOrderRequest{OrderId: "7"}, invalid, map[string]string{"order_id": "UUID"}},
		"payment watch without a beginning": {&gatewayv1.WatchPaymentStatusRequest{}, invalid,
			map[string]string{"from": "exactly one field is required in oneof"}},
		"account watch without a beginning": {&gatewayv1.WatchAccountStateRequest{}, invalid,
			map[string]string{"from": "exactly one field is required in oneof"}},
		"watch with an unspecified beginning": {&gatewayv1.WatchPaymentStatusRequest{From: fromStart(0)}, invalid,
			map[string]string{"start": "must not be in list [0]"}},
		"slow heartbeat": {&gatewayv1.WatchPaymentStatusRequest{From: fromStart(gatewayv1.WatchStart_WATCH_START_NOW), HeartbeatSeconds: 16}, invalid,
			map[string]string{"heartbeat_seconds": "15"}},
		"large page":         {&gatewayv1.ListPaymentsRequest{PageSize: 501}, invalid, map[string]string{"page_size": "500"}},
		"status of anything": {&gatewayv1.GetPaymentStatusRequest{}, invalid, map[string]string{"payment": "exactly one field is required in oneof"}},
		"website without url": {onboard(func(r *gatewayv1.OnboardPartnerRequest) {
			r.StoreGroups[0].Stores = []*gatewayv1.Store{{StoreReference: "web", Type: gatewayv1.Store_TYPE_WEBSITE}}
		}), invalid, map[string]string{"store_groups[0].stores[0].url": "url is required for a website"}},
		"brand reference used twice": {onboard(func(r *gatewayv1.OnboardPartnerRequest) {
			r.Brands = append(r.Brands, proto.CloneOf(r.Brands[0]))
		}), invalid, map[string]string{"brands[1].brand_reference": "is used by brands[0] as well"}},
		"category code of three digits": {onboard(func(r *gatewayv1.OnboardPartnerRequest) {
			r.Products[0].PaymentAccounts[0].DefaultMerchantCategoryCode = "763"
		}), invalid, map[string]string{"products[0].payment_accounts[0].default_merchant_category_code": "^[0-9]{4}$"}},
		"update of nothing": {&gatewayv1.UpdatePartnerRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:x"}, invalid,
			map[string]string{"partner_account_reference": "at least one of"}},
		"all at once": {session(func(r *gatewayv1.CreatePaymentSessionRequest) {
			r.RequestId, r.PurchaseCountry, r.OrderTaxAmountMinor = "7", "de", -1
			r.OrderAmount = &gatewayv1.Money{AmountMinor: -5, CurrencyCode: "XYZ"}
			r.OrderLines[0].Name, r.OrderLines[0].Quantity = "", -1
			r.BillingAddress = &gatewayv1.Address{PostalCode: strings.Repeat("1", 11)}
		}), invalid, map[string]string{
			"request_id": "UUID", "purchase_country": "^[A-Z]{2}$", "order_tax_amount_minor": "0", "order_amount": "negative",
			"order_amount.currency_code": "ISO 4217", "order_lines[0].name": "1", "order_lines[0].quantity": "0", "billing_address.postal_code": "10",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.on(t).refused(c.req, codes.InvalidArgument, http.StatusBadRequest, c.reason, c.want)
		})
	}
	t.Cleanup(func() {
		if calls := s.klarna.Calls(); len(calls) > 0 {
			t.Errorf("Klarna was called: %v", calls)
		}
	})
}

func TestAPI_RefusesMerchantAccountsThatDoNotFit(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	field := func(rule string) map[string]string { return map[string]string{"merchant_account": rule} }
	unknown := gatewayv1.ErrorReason_ERROR_REASON_MERCHANT_ACCOUNT_UNKNOWN
	unsuitable := gatewayv1.ErrorReason_ERROR_REASON_MERCHANT_ACCOUNT_UNSUITABLE
	s.refused(with(sessionRequest("SO-1"), func(r *gatewayv1.CreatePaymentSessionRequest) { r.MerchantAccount = "shoop" }),
		codes.NotFound, http.StatusNotFound, unknown, field(`no merchant account "shoop" is configured`))
	s.refused(with(sessionRequest("SO-1"), func(r *gatewayv1.CreatePaymentSessionRequest) { r.MerchantAccount = acquirer }),
		codes.FailedPrecondition, http.StatusBadRequest, unsuitable, field("this needs regional"))
	s.refused(&gatewayv1.WatchAccountStateRequest{MerchantAccount: shop, From: &gatewayv1.WatchAccountStateRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW}},
		codes.FailedPrecondition, http.StatusBadRequest, unsuitable, field("this needs network"))

	nothing := s.serve(func(c *Config) { c.Defaults = nil })
	nothing.refused(&gatewayv1.ListPartnersRequest{}, codes.NotFound, http.StatusNotFound, unknown, field("no merchant account is the default"))
}

func TestAPI_RefusesARequestIDWithAnotherBody(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	first := sessionRequest("SO-1")
	made, err := s.payments.CreatePaymentSession(t.Context(), first)
	must(t, err)
	s.refused(with(proto.CloneOf(first), func(r *gatewayv1.CreatePaymentSessionRequest) { r.MerchantReference1 = "SO-2" }),
		codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
		map[string]string{"request_id": "with other content before"})

	named := proto.CloneOf(first) // the default account by its name is the same request
	named.MerchantAccount = shop
	again, err := s.payments.CreatePaymentSession(t.Context(), named)
	must(t, err)
	if again.GetSession().GetSessionId() != made.GetSession().GetSessionId() || s.klarna.CallCount("createSession") != 1 {
		t.Errorf("a repeat opened session %v after %v", again.GetSession().GetSessionId(), made.GetSession().GetSessionId())
	}
}

func TestREST_RefusesWhatItWouldLose(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	big := strings.Repeat("x", 5<<20)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		message            string
	}{
		"unknown field":          {"POST", "/v1/payments/sessions", `{"requestId":"` + id("1") + `","orderAmout":{}}`, 400, `unknown field "orderAmout"`},
		"unknown inner field":    {"POST", "/v1/payments/sessions", `{"orderAmount":{"amountMinor":"1","curency":"EUR"}}`, 400, `unknown field "curency"`},
		"unknown enum value":     {"POST", "/v1/payments/sessions", `{"orderPolicy":"MAYBE"}`, 400, "MAYBE"},
		"a fraction of a cent":   {"POST", "/v1/payments/sessions", `{"orderAmount":{"amountMinor":"129.95"}}`, 400, "129.95"},
		"no JSON":                {"POST", "/v1/payments/sessions", `{"requestId":`, 400, "the request cannot be read"},
		"unknown parameter":      {"GET", "/v1/payments:watch?start=WATCH_START_NOW&sesionIds=1", "", 400, `unknown query parameters ["sesionIds"]`},
		"unknown list parameter": {"GET", "/v1/partners?state=STATE_OPERATIONAL", "", 400, `["state"]`},
		"parameter of a body":    {"POST", "/v1/payments/sessions?merchantAccount=outlet", `{}`, 400, "put the field into the body"},
		"a parameter twice":      {"GET", "/v1/payments?page_size=1&pageSize=2", "", 400, "page_size"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := s.on(t).do(c.method, c.path, strings.NewReader(c.body), nil)
			body, err := io.ReadAll(res.Body)
			must(t, err)
			st := statusOf(t, body)
			if res.StatusCode != c.status || !strings.Contains(st.Message(), c.message) {
				t.Errorf("%d %s, want %d with %q", res.StatusCode, body, c.status, c.message)
			}
			if reasonOf(st.Err()) != "INVALID_FIELD" {
				t.Errorf("reason %q, want INVALID_FIELD", reasonOf(st.Err()))
			}
		})
	}
	t.Run("a body of 5 MB", func(t *testing.T) {
		t.Parallel()
		for name, body := range map[string]io.Reader{
			"with its length": strings.NewReader(`{"merchantData":"` + big + `"}`), "in chunks": io.MultiReader(strings.NewReader(`{"merchantData":"`), strings.NewReader(big+`"}`)),
		} {
			res := s.on(t).do("POST", "/v1/payments/sessions", body, nil)
			answer, err := io.ReadAll(res.Body)
			must(t, err)
			if res.StatusCode != http.StatusRequestEntityTooLarge || statusOf(t, answer).Code() != codes.ResourceExhausted {
				t.Errorf("%s: %d %s, want 413", name, res.StatusCode, answer)
			}
		}
		_, st := s.on(t).overGRPC(with(sessionRequest("SO-1"), func(r *gatewayv1.CreatePaymentSessionRequest) { r.MerchantData = big }))
		if st.Code() != codes.ResourceExhausted {
			t.Errorf("over gRPC: %v, want RESOURCE_EXHAUSTED", st)
		}
	})
}

func TestREST_HonoursNoOtherMethodThanTheAnnotated(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	override := http.Header{"X-Http-Method-Override": {"GET"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	for name, c := range map[string]struct {
		method, path string
		header       http.Header
		body         string
		status       int
	}{
		"HEAD":                {"HEAD", "/v1/payments", nil, "", 405},
		"DELETE":              {"DELETE", "/v1/payments", nil, "", 405},
		"form to a GET path":  {"POST", "/v1/payments", form, "pageSize=1", 405},
		"method override":     {"POST", "/v1/payments", override, "", 405},
		"PUT instead of POST": {"PUT", "/v1/payments/sessions", nil, "{}", 405},
		"unknown path":        {"GET", "/v2/payments", nil, "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if res := s.on(t).do(c.method, c.path, bytes.NewReader([]byte(c.body)), c.header); res.StatusCode != c.status {
				t.Errorf("HTTP status %d, want %d", res.StatusCode, c.status)
			}
		})
	}
}
