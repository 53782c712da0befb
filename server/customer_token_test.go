package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// authorized opens and authorises a session with an intent.
func (s *stack) authorized(intent string) (sessionID string) {
	s.t.Helper()
	made, err := s.payments.CreatePaymentSession(s.t.Context(), with(sessionRequest("SO-1"), func(r *gatewayv1.CreatePaymentSessionRequest) { r.Intent = intent }))
	must(s.t, err)
	_, err = s.klarna.Authorize(made.GetSession().GetSessionId())
	must(s.t, err)
	return made.GetSession().GetSessionId()
}

// tokenRequest turns a session into a customer token.
func tokenRequest(sessionID string) *gatewayv1.CreateCustomerTokenRequest {
	return &gatewayv1.CreateCustomerTokenRequest{
		RequestId: uuid.NewString(), SessionId: sessionID, Description: "Lamp care, yearly", PurchaseCountry: "DE", PurchaseCurrency: "EUR", Locale: "de-DE",
	}
}

func (s *stack) customerToken() string {
	s.t.Helper()
	made, err := s.payments.CreateCustomerToken(s.t.Context(), tokenRequest(s.authorized("tokenize")))
	must(s.t, err)
	return made.GetCustomerToken()
}

func chargeRequest(token string) *gatewayv1.ChargeCustomerTokenRequest {
	session := sessionRequest("ABO-7")
	return &gatewayv1.ChargeCustomerTokenRequest{
		RequestId: uuid.NewString(), CustomerToken: token, OrderAmount: session.GetOrderAmount(), OrderTaxAmountMinor: session.GetOrderTaxAmountMinor(),
		OrderLines: session.GetOrderLines(), MerchantReference1: "ABO-7", PurchaseCountry: "DE",
	}
}

func TestCustomerToken_IsMadeReadChargedAndCancelled(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.DebtorData = true })
	token := s.customerToken()
	if token == "" {
		t.Fatal("no token")
	}
	read, err := s.payments.GetCustomerToken(t.Context(), &gatewayv1.GetCustomerTokenRequest{CustomerToken: token})
	must(t, err)
	want := &gatewayv1.CustomerToken{
		Status: gatewayv1.CustomerToken_STATUS_ACTIVE, StatusText: "ACTIVE", PaymentMethodType: "CARD",
		CardBrand: "VISA", CardExpiryDate: "12/2030", CardMaskedNumber: "************1111",
	}
	if diff := cmp.Diff(want, read.GetToken(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{MerchantReferences: []string{"ABO-7"}, From: fromStart(gatewayv1.WatchStart_WATCH_START_EARLIEST)})
	made, err := s.payments.ChargeCustomerToken(t.Context(), chargeRequest(token))
	must(t, err)
	p := made.GetPayment()
	if p.GetOrderId() != made.GetOrderId() || p.GetState() != gatewayv1.Payment_STATE_ORDERED || p.GetOrderAmount().GetAmountMinor() != 12995 || made.GetRedirectUrl() == "" {
		t.Errorf("charged as %v", made)
	}
	if seen := watch.event().payment(); seen.GetOrderId() != made.GetOrderId() {
		t.Errorf("a watcher sees %v", seen)
	}
	_, err = s.payments.CancelCustomerToken(t.Context(), &gatewayv1.CancelCustomerTokenRequest{RequestId: uuid.NewString(), CustomerToken: token})
	must(t, err)
	s.klarna.Advance(day)
	_, st := s.overGRPC(chargeRequest(token))
	checkRefusal(t, "gRPC", st, codes.FailedPrecondition, gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_UNUSABLE, nil)
	if strings.Contains(s.logs.String(), token) || strings.Contains(st.String(), token) {
		t.Error("the token is told")
	}
}

func TestChargeCustomerToken_OfUnknownOutcomeChargesOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	req := chargeRequest(s.customerToken())
	must(t, s.klarna.Fail(klarnatest.Fault{Operation: "chargeCustomerToken", LoseAnswer: true, Times: 1 + klarna.DefaultRetries}))
	if _, st := s.overGRPC(req); st.Code() != codes.Unavailable || reasonOf(st.Err()) != "OUTCOME_UNKNOWN" {
		t.Fatalf("with a lost answer: %v", st)
	}
	first, err := s.payments.ChargeCustomerToken(t.Context(), req)
	must(t, err)
	again, err := s.payments.ChargeCustomerToken(t.Context(), req)
	must(t, err)
	if !proto.Equal(first, again) {
		t.Errorf("%v, then %v", first, again)
	}
	if list, err := s.payments.ListPayments(t.Context(), &gatewayv1.ListPaymentsRequest{MerchantReference: "ABO-7"}); err != nil || len(list.GetPayments()) != 1 {
		t.Errorf("payments %v, %v; want one", list, err)
	}
}

func TestCreateCustomerToken_OfUnknownOutcomeGetsTheToken(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	req := tokenRequest(s.authorized("tokenize"))
	must(t, s.klarna.Fail(klarnatest.Fault{Operation: "createCustomerToken", LoseAnswer: true}))
	if _, st := s.overGRPC(req); reasonOf(st.Err()) != "OUTCOME_UNKNOWN" {
		t.Fatalf("with a lost answer: %v", st)
	}
	first, err := s.payments.CreateCustomerToken(t.Context(), req)
	must(t, err)
	again, err := s.payments.CreateCustomerToken(t.Context(), req)
	must(t, err)
	if first.GetCustomerToken() == "" || !proto.Equal(first, again) {
		t.Errorf("%v, then %v", first, again)
	}
}

func TestCustomerTokens_AreRefusedWithWhatToDoAboutIt(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	token := s.customerToken()
	open, err := s.payments.CreatePaymentSession(t.Context(), sessionRequest("SO-2"))
	must(t, err)
	cart := func(flaw func(*gatewayv1.ChargeCustomerTokenRequest)) proto.Message {
		return with(chargeRequest(token), flaw)
	}
	for name, c := range map[string]struct {
		req    proto.Message
		code   codes.Code
		http   int
		reason gatewayv1.ErrorReason
		fields map[string]string
	}{
		"not authorised": {
			tokenRequest(open.GetSession().GetSessionId()), codes.FailedPrecondition, 400,
			gatewayv1.ErrorReason_ERROR_REASON_NOT_AUTHORIZED, nil,
		},
		"another intent": {
			tokenRequest(s.authorized("buy")), codes.FailedPrecondition, 400,
			gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, nil,
		},
		"unknown authorisation": {
			with(tokenRequest(s.authorized("tokenize")), func(r *gatewayv1.CreateCustomerTokenRequest) { r.AuthorizationToken = "none" }),
			codes.FailedPrecondition, 400, gatewayv1.ErrorReason_ERROR_REASON_AUTHORIZATION_TOKEN_INVALID, nil,
		},
		"differs": {
			with(tokenRequest(s.authorized("tokenize")), func(r *gatewayv1.CreateCustomerTokenRequest) { r.PurchaseCurrency = "SEK" }),
			codes.FailedPrecondition, 400, gatewayv1.ErrorReason_ERROR_REASON_DIFFERS_FROM_AUTHORIZATION,
			map[string]string{"purchase_currency": "authorised"},
		},
		"unknown token read": {
			&gatewayv1.GetCustomerTokenRequest{CustomerToken: "none"}, codes.NotFound, 404,
			gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_NOT_FOUND, nil,
		},
		"unknown token charged": {
			chargeRequest("none"), codes.NotFound, 404, gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_NOT_FOUND, nil,
		},
		"unknown token cancelled": {
			&gatewayv1.CancelCustomerTokenRequest{RequestId: uuid.NewString(), CustomerToken: "none"}, codes.NotFound, 404,
			gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_NOT_FOUND, nil,
		},
		"amounts off": {
			cart(func(r *gatewayv1.ChargeCustomerTokenRequest) { r.OrderAmount.AmountMinor++ }), codes.InvalidArgument, 400,
			gatewayv1.ErrorReason_ERROR_REASON_AMOUNTS_DO_NOT_MATCH, map[string]string{"order_amount.amount_minor": "must be 12995"},
		},
		"nothing to pay": {
			cart(func(r *gatewayv1.ChargeCustomerTokenRequest) { r.OrderAmount.AmountMinor = 0 }), codes.InvalidArgument, 400,
			gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"order_amount": "at least 1"},
		},
		"capture not agreed": {
			cart(func(r *gatewayv1.ChargeCustomerTokenRequest) { r.AutoCapture = true }), codes.FailedPrecondition, 400,
			gatewayv1.ErrorReason_ERROR_REASON_AUTO_CAPTURE_NOT_ALLOWED, map[string]string{"auto_capture": "contract"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.on(t).refused(c.req, c.code, c.http, c.reason, c.fields)
		})
	}
	must(t, s.klarna.SuspendToken(token))
	s.refused(chargeRequest(token), codes.FailedPrecondition, 400, gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_UNUSABLE, nil)
}

func TestChargeCustomerToken_RefusalTellsHowToStepUp(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	token := s.customerToken()
	for stepUp, want := range map[bool]bool{true: true, false: false} {
		must(t, s.klarna.DeclineNextCharge(token))
		_, st := s.overGRPC(with(chargeRequest(token), func(r *gatewayv1.ChargeCustomerTokenRequest) { r.StepUp = stepUp }))
		checkRefusal(t, "gRPC", st, codes.FailedPrecondition, gatewayv1.ErrorReason_ERROR_REASON_PURCHASE_REJECTED, nil)
		if id := takeApart(t, st.Err()).info.GetMetadata()["step_up_id"]; (id != "") != want {
			t.Errorf("asked %t: step_up_id %q", stepUp, id)
		}
	}
}

func TestToStatus_TakesARefusalWithAStepUpForOneOfThePurchase(t *testing.T) {
	t.Parallel()
	refused := &klarna.Error{Family: klarna.CustomerTokens, Operation: "createOrder", Status: 403, Code: "NEWS"}
	wantStatus(t, refused, codes.FailedPrecondition, "KLARNA_FORBIDDEN")
	refused.StepUpID = "su-1"
	if a := wantStatus(t, refused, codes.FailedPrecondition, "PURCHASE_REJECTED"); a.info.GetMetadata()["step_up_id"] != "su-1" {
		t.Errorf("metadata %v", a.info.GetMetadata())
	}
	refused.Code = "UNAVAILABLE_PAYMENT_METHOD"
	wantStatus(t, refused, codes.FailedPrecondition, "CUSTOMER_TOKEN_UNUSABLE")
}

func TestToStatus_MapsTheRefusalsOfTokensPagesAndCheckout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		family    klarna.Family
		operation string
		status    int
		code      string
		grpc      codes.Code
		reason    string
	}{
		{klarna.Payments, "purchaseToken", 400, "BAD_REQUEST", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{klarna.Payments, "purchaseToken", 403, "INVALID_OPERATION", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED"},
		{klarna.Payments, "purchaseToken", 404, "NOT_FOUND", codes.FailedPrecondition, "AUTHORIZATION_TOKEN_INVALID"},
		{klarna.Payments, "purchaseToken", 409, "HTTP_409", codes.FailedPrecondition, "DIFFERS_FROM_AUTHORIZATION"},
		{klarna.CustomerTokens, "readCustomerToken", 404, "NOT_FOUND", codes.NotFound, "CUSTOMER_TOKEN_NOT_FOUND"},
		{klarna.CustomerTokens, "createOrder", 404, "TOKEN_NOT_FOUND", codes.NotFound, "CUSTOMER_TOKEN_NOT_FOUND"},
		{klarna.CustomerTokens, "createOrder", 403, "TOKEN_SUSPENDED", codes.FailedPrecondition, "CUSTOMER_TOKEN_UNUSABLE"},
		{klarna.CustomerTokens, "createOrder", 403, "TOKEN_CANCELED", codes.FailedPrecondition, "CUSTOMER_TOKEN_UNUSABLE"},
		{klarna.CustomerTokens, "createOrder", 403, "UNAVAILABLE_PAYMENT_METHOD", codes.FailedPrecondition, "CUSTOMER_TOKEN_UNUSABLE"},
		{klarna.CustomerTokens, "createOrder", 403, "PAYMENT_METHOD_FAILED", codes.FailedPrecondition, "PURCHASE_REJECTED"},
		{klarna.CustomerTokens, "patchCustomerToken", 400, "BAD_VALUE", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{klarna.HostedPages, "createHppSession", 404, "HTTP_404", codes.NotFound, "SESSION_NOT_FOUND"},
		{klarna.HostedPages, "createHppSession", 400, "HTTP_400", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{klarna.HostedPages, "getSessionById", 404, "HTTP_404", codes.NotFound, "HOSTED_PAGE_NOT_FOUND"},
		{klarna.HostedPages, "disableHppSession", 400, "HTTP_400", codes.FailedPrecondition, "SESSION_COMPLETED"},
		{klarna.HostedPages, "distributeHppSession", 403, "HTTP_403", codes.FailedPrecondition, "KLARNA_FORBIDDEN"},
		{klarna.Checkout, "updateOrderMerchant", 403, "READ_ONLY_ORDER", codes.FailedPrecondition, "SESSION_COMPLETED"},
		{klarna.Checkout, "updateOrderMerchant", 403, "HTTP_403", codes.FailedPrecondition, "KLARNA_FORBIDDEN"},
		{klarna.Checkout, "readOrderMerchant", 404, "HTTP_404", codes.NotFound, "ORDER_NOT_FOUND"},
		{klarna.Checkout, "createOrderMerchant", 400, "BAD_VALUE", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
	} {
		wantStatus(t, &klarna.Error{Family: c.family, Operation: c.operation, Status: c.status, Code: c.code}, c.grpc, c.reason)
	}
}

func TestOurField_NamesFieldsOfTokensPagesAndCheckout(t *testing.T) {
	t.Parallel()
	for parameter, c := range map[string]struct {
		request proto.Message
		want    string
	}{
		"merchant_urls.terms":               {&gatewayv1.CreateCheckoutOrderRequest{}, "terms_url"},
		"merchant_urls.checkout":            {&gatewayv1.CreateCheckoutOrderRequest{}, "checkout_url"},
		"merchant_urls.confirmation":        {&gatewayv1.ChargeCustomerTokenRequest{}, "confirmation_url"},
		"order_tax_amount":                  {&gatewayv1.UpdateCheckoutOrderRequest{}, "order_tax_amount_minor"},
		"merchant_urls.success":             {&gatewayv1.CreateHostedPageRequest{}, "success_url"},
		"merchant_urls.back":                {&gatewayv1.CreateHostedPageRequest{}, "back_url"},
		"merchant_urls.cancel":              {&gatewayv1.CreateHostedPageRequest{}, "cancel_url"},
		"merchant_urls.failure":             {&gatewayv1.CreateHostedPageRequest{}, "failure_url"},
		"merchant_urls.error":               {&gatewayv1.CreateHostedPageRequest{}, "error_url"},
		"payment_session_url":               {&gatewayv1.CreateHostedPageRequest{}, "session_id"},
		"options.payment_method_category":   {&gatewayv1.CreateHostedPageRequest{}, "payment_method_category"},
		"options.page_title":                {&gatewayv1.CreateHostedPageRequest{}, "page_title"},
		"options.logo_url":                  {&gatewayv1.CreateHostedPageRequest{}, "logo_url"},
		"contact_information.email":         {&gatewayv1.DistributeHostedPageRequest{}, "email"},
		"contact_information.phone":         {&gatewayv1.DistributeHostedPageRequest{}, "phone"},
		"contact_information.phone_country": {&gatewayv1.DistributeHostedPageRequest{}, "phone_country"},
	} {
		if got := ourField(parameter); got != c.want || !hasField(c.request.ProtoReflect().Descriptor(), got) {
			t.Errorf("%s is %q, want %q", parameter, got, c.want)
		}
	}
	refused := &klarna.Error{
		Family: klarna.Payments, Operation: "purchaseToken", Status: 400, Code: "BAD_VALUE",
		Violations: []klarna.Violation{{Parameter: "purchase_currency"}},
	}
	if fields := violations(status.Convert(toStatus(refused))); len(fields) != 1 || fields["purchase_currency"] == "" {
		t.Errorf("violations %v", fields)
	}
}
