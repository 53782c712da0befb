package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"payments.internal/klarna-gateway/klarna"
)

func TestToStatus_MapsEveryDocumentedRefusalOfKlarna(t *testing.T) {
	t.Parallel()
	const (
		kp = klarna.Payments
		om = klarna.OrderManagement
		kn = klarna.Network
	)
	for _, c := range []struct {
		family    klarna.Family
		operation string
		status    int
		code      string
		grpc      codes.Code
		reason    string
	}{
		{kp, "createCreditSession", 400, "BAD_REQUEST", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{kp, "createCreditSession", 400, "BAD_VALUE", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{kp, "createCreditSession", 400, "HTTP_400", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{kp, "createCreditSession", 401, "UNAUTHORIZED", codes.FailedPrecondition, "KLARNA_CREDENTIALS_REFUSED"},
		{kp, "createOrder", 403, "INVALID_OPERATION", codes.FailedPrecondition, "AUTHORIZATION_TOKEN_INVALID"},
		{kp, "cancelAuthorization", 403, "INVALID_OPERATION", codes.FailedPrecondition, "AUTHORIZATION_TOKEN_INVALID"},
		{kp, "createCreditSession", 403, "INVALID_OPERATION", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED"},
		{kp, "createCreditSession", 403, "MERCHANT_INACTIVE", codes.FailedPrecondition, "KLARNA_FORBIDDEN"},
		{kp, "createOrder", 403, "REJECTED", codes.FailedPrecondition, "PURCHASE_REJECTED"},
		{kp, "createOrder", 403, "NEWS", codes.FailedPrecondition, "KLARNA_FORBIDDEN"},
		{kp, "readCreditSession", 404, "NOT_FOUND", codes.NotFound, "SESSION_NOT_FOUND"},
		{kp, "updateCreditSession", 404, "NOT_FOUND", codes.NotFound, "SESSION_NOT_FOUND"},
		{kp, "readCreditSession", 404, "HTTP_404", codes.NotFound, "SESSION_NOT_FOUND"},
		{kp, "createOrder", 404, "NOT_FOUND", codes.FailedPrecondition, "AUTHORIZATION_TOKEN_INVALID"},
		{kp, "cancelAuthorization", 404, "NOT_FOUND", codes.FailedPrecondition, "AUTHORIZATION_TOKEN_INVALID"},
		{kp, "updateCreditSession", 404, "SESSION_COMPLETED", codes.FailedPrecondition, "SESSION_COMPLETED"},
		{kp, "createCreditSession", 404, "HTTP_404", codes.Internal, "KLARNA_UNEXPECTED"},
		{kp, "createOrder", 409, "BAD_VALUE", codes.FailedPrecondition, "DIFFERS_FROM_AUTHORIZATION"},
		{kp, "createOrder", 409, "NEWS", codes.Aborted, "CONFLICT"},

		{om, "getOrder", 400, "INVALID_ORDER_ID", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{om, "getOrder", 404, "INVALID_ORDER_ID", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{om, "getRefund", 400, "NOT_FOUND", codes.NotFound, "REFUND_NOT_FOUND"},
		{om, "getRefund", 404, "NOT_FOUND", codes.NotFound, "REFUND_NOT_FOUND"},
		{om, "captureOrder", 403, "CAPTURE_NOT_ALLOWED", codes.FailedPrecondition, "CAPTURE_NOT_ALLOWED"},
		{om, "refundOrder", 403, "REFUND_NOT_ALLOWED", codes.FailedPrecondition, "REFUND_NOT_ALLOWED"},
		{om, "cancelOrder", 403, "CANCEL_NOT_ALLOWED", codes.FailedPrecondition, "CANCEL_NOT_ALLOWED"},
		{om, "acknowledgeOrder", 403, "NOT_ALLOWED", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED"},
		{om, "captureOrder", 403, "HTTP_403", codes.FailedPrecondition, "KLARNA_FORBIDDEN"},
		{om, "captureOrder", 401, "UNAUTHORIZED", codes.FailedPrecondition, "KLARNA_CREDENTIALS_REFUSED"},
		{om, "captureOrder", 404, "NO_SUCH_ORDER", codes.NotFound, "ORDER_NOT_FOUND"},
		{om, "captureOrder", 404, "HTTP_404", codes.NotFound, "ORDER_NOT_FOUND"},
		{om, "refundOrder", 404, "NOT_FOUND", codes.NotFound, "NOT_FOUND"},
		{om, "getCapture", 404, "NO_SUCH_CAPTURE", codes.NotFound, "CAPTURE_NOT_FOUND"},
		{om, "appendShippingInfo", 404, "NO_SUCH_CAPTURE", codes.NotFound, "CAPTURE_NOT_FOUND"},
		{om, "updateAuthorization", 403, "NOT_ALLOWED", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED"},
		{om, "updateAuthorization", 403, "UPDATE_NOT_ALLOWED", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED"},
		{om, "captureOrder", 409, "CONFLICT", codes.Aborted, "CONFLICT"},
		{om, "captureOrder", 413, "REQUEST_TOO_LARGE", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{om, "captureOrder", 422, "UNPROCESSABLE_ENTITY", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{om, "updateConsumerDetails", 422, "INVALID_ADDRESS", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{om, "captureOrder", 429, "TOO_MANY_REQUESTS", codes.ResourceExhausted, "KLARNA_RATE_LIMITED"},

		{kn, "onboard", 400, "VALIDATION_ERROR", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{kn, "onboard", 400, "INVALID_CONTENT_TYPE", codes.Internal, "KLARNA_UNEXPECTED"},
		{kn, "onboard", 401, "UNAUTHORIZED", codes.FailedPrecondition, "KLARNA_CREDENTIALS_REFUSED"},
		{kn, "updateBrand", 403, "OPERATION_FORBIDDEN", codes.FailedPrecondition, "KLARNA_FORBIDDEN"},
		{kn, "onboard", 403, "HTTP_403", codes.FailedPrecondition, "KLARNA_FORBIDDEN"},
		{kn, "onboard", 404, "RESOURCE_NOT_FOUND", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{kn, "readPartnerAccount", 404, "RESOURCE_NOT_FOUND", codes.NotFound, "PARTNER_NOT_FOUND"},
		{kn, "updatePartnerAccount", 404, "RESOURCE_NOT_FOUND", codes.NotFound, "PARTNER_NOT_FOUND"},
		{kn, "updateBrand", 404, "RESOURCE_NOT_FOUND", codes.NotFound, "PARTNER_RESOURCE_NOT_FOUND"},
		{kn, "readPartnerAccount", 404, "NOT_FOUND", codes.Internal, "KLARNA_UNEXPECTED"},
		{kn, "onboard", 409, "RESOURCE_CONFLICT", codes.AlreadyExists, "PARTNER_DIFFERS"},
		{kn, "updatePartnerAccount", 409, "RESOURCE_CONFLICT", codes.Aborted, "CONFLICT"},
		{kn, "onboard", 413, "HTTP_413", codes.InvalidArgument, "REFUSED_BY_KLARNA"},
		{kn, "onboard", 429, "RATE_LIMITED", codes.ResourceExhausted, "KLARNA_RATE_LIMITED"},

		{kp, "createOrder", 302, "HTTP_302", codes.Internal, "KLARNA_UNEXPECTED"},
		{om, "captureOrder", 415, "UNSUPPORTED_MEDIA_TYPE", codes.Internal, "KLARNA_UNEXPECTED"},
		{om, "captureOrder", 503, "TEMPORARILY_UNAVAILABLE", codes.Unavailable, "OUTCOME_UNKNOWN"},
	} {
		refused := &klarna.Error{Family: c.family, Operation: c.operation, Status: c.status, Code: c.code}
		wantStatus(t, fmt.Errorf("call: %w", refused), c.grpc, c.reason)
	}
}

func TestToStatus_TellsTheConflictsOfPlacingAnOrderApart(t *testing.T) {
	t.Parallel()
	refused := &klarna.Error{Family: klarna.Payments, Operation: "createOrder", Status: 409, Code: "BAD_VALUE"}
	refused.Messages = []string{"The order has been already completed with different request body"}
	wantStatus(t, refused, codes.AlreadyExists, "ORDER_EXISTS")

	refused.Messages = []string{"Not matching fields: [billing_address.postal_code]"}
	refused.Violations = []klarna.Violation{{Parameter: "billing_address.postal_code", Reason: "differs"}}
	a := wantStatus(t, refused, codes.FailedPrecondition, "DIFFERS_FROM_AUTHORIZATION")
	if len(a.violations) != 1 || a.violations[0].GetField() != "billing_address.postal_code" {
		t.Errorf("%v", a.violations)
	}
}

func TestToStatus_NamesFieldsAndKeepsKlarnasTextBack(t *testing.T) {
	t.Parallel()
	refused := &klarna.Error{
		Family: klarna.Network, Operation: "onboard", Status: 400, Code: "VALIDATION_ERROR",
		ID: "5b7d0f36-2f55-4c6e-9a0c-54f0c1f2a3b4", CorrelationID: "corr-1", Messages: []string{"told about Mira Sand"},
		Violations: []klarna.Violation{
			{Parameter: "partner_business_entities[0].legal_registration_country", Reason: "Mira Sand lives elsewhere"},
			{Parameter: "Mira Sand", Reason: "is no path"},
		},
	}
	st := status.Convert(toStatus(refused))
	if text := st.String() + fmt.Sprint(st.Details()); strings.Contains(text, "Mira") {
		t.Errorf("Klarna's text gets out: %s", text)
	}
	a := wantStatus(t, refused, codes.InvalidArgument, "REFUSED_BY_KLARNA")
	wantViolations := []*errdetails.BadRequest_FieldViolation{{
		Field: "business_entities[0].legal_registration_country", Description: "Klarna refused this value", Reason: "REFUSED_BY_KLARNA",
	}}
	if diff := cmp.Diff(wantViolations, a.violations, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	wantMetadata := map[string]string{
		"klarna_error_code": "VALIDATION_ERROR", "klarna_error_id": "5b7d0f36-2f55-4c6e-9a0c-54f0c1f2a3b4",
		"klarna_correlation_id": "corr-1", "klarna_http_status": "400", "klarna_operation": "onboard",
	}
	if diff := cmp.Diff(wantMetadata, a.info.GetMetadata()); diff != "" {
		t.Error(diff)
	}
}

func TestToStatus_PrefersWhatBecameOfTheCallToTheAnswer(t *testing.T) {
	t.Parallel()
	failed := &klarna.Error{Family: klarna.OrderManagement, Operation: "captureOrder", Status: 500, Code: "INTERNAL_SERVER_ERROR"}
	a := wantStatus(t, fmt.Errorf("%w: %w", klarna.ErrOutcomeUnknown, failed), codes.Unavailable, "OUTCOME_UNKNOWN")
	want := map[string]string{
		"klarna_error_code": "INTERNAL_SERVER_ERROR", "klarna_http_status": "500", "klarna_operation": "captureOrder",
	}
	if diff := cmp.Diff(want, a.info.GetMetadata()); diff != "" {
		t.Error(diff)
	}
	wantStatus(t, fmt.Errorf("%w: %w", klarna.ErrUnavailable, failed), codes.Unavailable, "KLARNA_UNAVAILABLE")
}

func TestToStatus_SaysWhenTheRateLimitIsOver(t *testing.T) {
	t.Parallel()
	limited := &klarna.Error{Family: klarna.Network, Operation: "onboard", Status: 429, Code: "RATE_LIMITED"}
	if a := takeApart(t, toStatus(limited)); a.retry != time.Second {
		t.Errorf("without a word of Klarna's: %s", a.retry)
	}
	limited.RetryAfter = 7 * time.Second
	if a := takeApart(t, toStatus(limited)); a.retry != 7*time.Second {
		t.Errorf("Klarna said 7 s, the caller hears %s", a.retry)
	}
}

func TestRefusals_HaveVerdicts(t *testing.T) {
	t.Parallel()
	for key, r := range refusals {
		if _, known := verdicts[r]; !known {
			t.Errorf("%+v: %s", key, r)
		}
	}
}
