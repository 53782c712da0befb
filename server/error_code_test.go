package server

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/klarna/klarnatest/contract"
)

// coded is one error code of Klarna's as an operation answers it, and what the caller gets.
type coded struct {
	fault  klarnatest.Fault
	req    string // of requests
	code   codes.Code
	reason string
	fields []string // of our request, if Klarna names any
}

func refusing(operation string, status int, code string, messages ...string) klarnatest.Fault {
	return klarnatest.Fault{Operation: operation, Status: status, Code: code, Messages: messages}
}

// documentedCodes are all error codes of Klarna's classic APIs and of the Network, each with an operation that has it.
var documentedCodes = []coded{
	// Klarna Payments.
	{refusing("createSession", 400, "BAD_REQUEST"), "session", codes.InvalidArgument, "REFUSED_BY_KLARNA", nil},
	{refusing("createSession", 400, "BAD_VALUE", "Bad value: order_lines"), "session", codes.InvalidArgument, "REFUSED_BY_KLARNA", []string{"order_lines"}},
	{
		refusing("createSession", 400, "BAD_VALUE", "Bad value: order_lines[0].tax_rate", "Bad value: purchase_currency", "Bad value: billing_address.email", "Bad value: order_tax_amount"),
		"session", codes.InvalidArgument, "REFUSED_BY_KLARNA",
		[]string{"billing_address.email", "order_amount.currency_code", "order_lines[0].tax_rate_basis_points", "order_tax_amount_minor"},
	},
	{refusing("createSession", 401, "UNAUTHORIZED"), "session", codes.FailedPrecondition, "KLARNA_CREDENTIALS_REFUSED", nil},
	{refusing("placeOrder", 403, "INVALID_OPERATION", "Authorization token already consumed"), "order", codes.FailedPrecondition, "AUTHORIZATION_TOKEN_INVALID", nil},
	{refusing("createCustomerToken", 403, "INVALID_OPERATION", "Not allowed to create customer token for intent buy"), "token", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED", nil},
	{refusing("createSession", 403, "MERCHANT_INACTIVE"), "session", codes.FailedPrecondition, "KLARNA_FORBIDDEN", nil},
	{refusing("placeOrder", 403, "REJECTED", "Rejected"), "order", codes.FailedPrecondition, "PURCHASE_REJECTED", nil},
	{refusing("readSession", 404, "NOT_FOUND", "Invalid session id"), "read session", codes.NotFound, "SESSION_NOT_FOUND", nil},
	{refusing("placeOrder", 404, "NOT_FOUND", "Invalid authorization token"), "order", codes.FailedPrecondition, "AUTHORIZATION_TOKEN_INVALID", nil},
	{refusing("updateSession", 404, "SESSION_COMPLETED", "Session has already been completed"), "update session", codes.FailedPrecondition, "SESSION_COMPLETED", nil},
	{
		refusing("placeOrder", 409, "BAD_VALUE", "Not matching fields: [billing_address.postal_code]"), "order",
		codes.FailedPrecondition, "DIFFERS_FROM_AUTHORIZATION", []string{"billing_address.postal_code"},
	},
	{
		refusing("placeOrder", 409, "BAD_VALUE", "Not matching fields: [Incorrect number of items in the cart. Expected: 2, Actual: 3]"), "order",
		codes.FailedPrecondition, "DIFFERS_FROM_AUTHORIZATION", nil,
	},
	{
		refusing("placeOrder", 409, "BAD_VALUE", "The order has been already completed with different request body"), "order",
		codes.AlreadyExists, "ORDER_EXISTS", nil,
	},
	{refusing("readSession", 500, "INTERNAL_SERVER_ERROR", "Internal error"), "read session", codes.Unavailable, "KLARNA_UNAVAILABLE", nil},
	{refusing("createSession", 500, "INTERNAL_SERVER_ERROR", "Internal error"), "session", codes.Unavailable, "OUTCOME_UNKNOWN", nil},

	// Order Management.
	{refusing("readOrder", 400, "INVALID_ORDER_ID", "Order ID must be a valid UUID."), "read order", codes.InvalidArgument, "REFUSED_BY_KLARNA", []string{"order_id"}},
	{refusing("readRefund", 400, "NOT_FOUND", "Refund cannot be found"), "read refund", codes.NotFound, "REFUND_NOT_FOUND", nil},
	{refusing("readRefund", 404, "NOT_FOUND", "Refund cannot be found"), "read refund", codes.NotFound, "REFUND_NOT_FOUND", nil},
	{refusing("refund", 404, "NOT_FOUND"), "refund", codes.NotFound, "NOT_FOUND", nil},
	{refusing("capture", 403, "CAPTURE_NOT_ALLOWED", "Capture not allowed"), "capture", codes.FailedPrecondition, "CAPTURE_NOT_ALLOWED", nil},
	{refusing("cancelOrder", 403, "CANCEL_NOT_ALLOWED", "Order has previous captures. Cancel not possible."), "cancel", codes.FailedPrecondition, "CANCEL_NOT_ALLOWED", nil},
	{refusing("refund", 403, "REFUND_NOT_ALLOWED", "Over refund is not allowed. Refund not possible."), "refund", codes.FailedPrecondition, "REFUND_NOT_ALLOWED", nil},
	{refusing("updateAuthorization", 403, "NOT_ALLOWED", "Update not allowed."), "UpdateAuthorization", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED", nil},
	{refusing("updateCustomer", 403, "NOT_ALLOWED"), "UpdateCustomerDetails", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED", nil},
	{refusing("releaseRemaining", 403, "NOT_ALLOWED"), "ReleaseRemainingAuthorization", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED", nil},
	{refusing("extendAuthorization", 403, "NOT_ALLOWED"), "ExtendAuthorization", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED", nil},
	{refusing("updateReferences", 403, "NOT_ALLOWED"), "UpdateMerchantReferences", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED", nil},
	{refusing("sendOut", 403, "NOT_ALLOWED"), "TriggerSendOut", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED", nil},
	{refusing("readOrder", 404, "NO_SUCH_ORDER"), "read order", codes.NotFound, "ORDER_NOT_FOUND", nil},
	{refusing("addCaptureShipping", 404, "NO_SUCH_CAPTURE"), "AddCaptureShippingInfo", codes.NotFound, "CAPTURE_NOT_FOUND", nil},
	{refusing("capture", 409, "CONFLICT"), "capture", codes.Aborted, "CONFLICT", nil},
	{refusing("addOrderShipping", 413, "REQUEST_TOO_LARGE", "Request is too large"), "AddOrderShippingInfo", codes.InvalidArgument, "REFUSED_BY_KLARNA", nil},
	{
		refusing("addOrderShipping", 422, "UNPROCESSABLE_ENTITY", "The size of the shipping_info/shipping_company value must be between 0 and 100"),
		"AddOrderShippingInfo", codes.InvalidArgument, "REFUSED_BY_KLARNA", nil,
	},
	{refusing("updateCustomer", 422, "INVALID_ADDRESS"), "UpdateCustomerDetails", codes.InvalidArgument, "REFUSED_BY_KLARNA", []string{"shipping_address"}},
	{refusing("readOrder", 500, "INTERNAL_SERVER_ERROR"), "read order", codes.Unavailable, "KLARNA_UNAVAILABLE", nil},
	{refusing("capture", 500, "UNEXPECTED_ERROR", "Unexpected server error"), "capture", codes.Unavailable, "OUTCOME_UNKNOWN", nil},
	{refusing("capture", 502, "TEMPORARILY_UNAVAILABLE"), "capture", codes.Unavailable, "OUTCOME_UNKNOWN", nil},
	{refusing("readOrder", 503, "TEMPORARILY_UNAVAILABLE"), "read order", codes.Unavailable, "KLARNA_UNAVAILABLE", nil},
	{refusing("readOrder", 504, "TEMPORARILY_UNAVAILABLE"), "read order", codes.Unavailable, "KLARNA_UNAVAILABLE", nil},
	{refusing("updateAuthorization", 403, "UPDATE_NOT_ALLOWED"), "UpdateAuthorization", codes.FailedPrecondition, "OPERATION_NOT_ALLOWED", nil},
	{refusing("capture", 403, "FORBIDDEN"), "capture", codes.FailedPrecondition, "KLARNA_FORBIDDEN", nil},
	{refusing("capture", 415, "UNSUPPORTED_MEDIA_TYPE"), "capture", codes.Internal, "KLARNA_UNEXPECTED", nil},
	{refusing("capture", 400, "INVALID_REQUEST_PARAMETERS"), "capture", codes.InvalidArgument, "REFUSED_BY_KLARNA", nil},
	{refusing("capture", 413, "PAYLOAD_TOO_LARGE"), "capture", codes.InvalidArgument, "REFUSED_BY_KLARNA", nil},
	{refusing("capture", 404, "RESOURCE_NOT_FOUND"), "capture", codes.NotFound, "ORDER_NOT_FOUND", nil},
	{refusing("capture", 500, "INTERNAL_ERROR"), "capture", codes.Unavailable, "OUTCOME_UNKNOWN", nil},

	// Customer tokens.
	{refusing("chargeCustomerToken", 404, "TOKEN_NOT_FOUND"), "charge", codes.NotFound, "CUSTOMER_TOKEN_NOT_FOUND", nil},
	{refusing("chargeCustomerToken", 403, "TOKEN_SUSPENDED"), "charge", codes.FailedPrecondition, "CUSTOMER_TOKEN_UNUSABLE", nil},
	{refusing("chargeCustomerToken", 403, "TOKEN_CANCELED"), "charge", codes.FailedPrecondition, "CUSTOMER_TOKEN_UNUSABLE", nil},
	{refusing("chargeCustomerToken", 403, "UNAVAILABLE_PAYMENT_METHOD"), "charge", codes.FailedPrecondition, "CUSTOMER_TOKEN_UNUSABLE", nil},
	{refusing("chargeCustomerToken", 403, "PAYMENT_METHOD_FAILED"), "charge", codes.FailedPrecondition, "PURCHASE_REJECTED", nil},
	{refusing("chargeCustomerToken", 400, "BAD_REQUEST"), "charge", codes.InvalidArgument, "REFUSED_BY_KLARNA", nil},
	{refusing("chargeCustomerToken", 503, "SERVICE_UNAVAILABLE"), "charge", codes.Unavailable, "OUTCOME_UNKNOWN", nil},
	{refusing("readCustomerToken", 404, "NOT_FOUND", "Invalid customer-token ID"), "read token", codes.NotFound, "CUSTOMER_TOKEN_NOT_FOUND", nil},
	{refusing("cancelCustomerToken", 400, "BAD_VALUE"), "cancel token", codes.InvalidArgument, "REFUSED_BY_KLARNA", nil},

	// Checkout.
	{refusing("createCheckoutOrder", 400, "BAD_VALUE", "Bad value: purchase_country"), "checkout", codes.InvalidArgument, "REFUSED_BY_KLARNA", []string{"purchase_country"}},
	{refusing("updateCheckoutOrder", 403, "READ_ONLY_ORDER", "Resource is read-only"), "update checkout", codes.FailedPrecondition, "SESSION_COMPLETED", nil},
	{refusing("readCheckoutOrder", 404, "NOT_FOUND"), "read checkout", codes.NotFound, "ORDER_NOT_FOUND", nil},
	{refusing("readCheckoutOrder", 504, "TEMPORARILY_UNAVAILABLE"), "read checkout", codes.Unavailable, "KLARNA_UNAVAILABLE", nil},

	// The Network.
	{
		klarnatest.Fault{Operation: "onboard", Status: 400, Code: "VALIDATION_ERROR", Parameters: []string{
			"products[0].payment_accounts[0].default_merchant_category_code", "partner_account_contact.email", "partner_business_entities[0].legal_registration_country",
		}},
		"onboard", codes.InvalidArgument, "REFUSED_BY_KLARNA",
		[]string{"business_entities[0].legal_registration_country", "contact.email", "products[0].payment_accounts[0].default_merchant_category_code"},
	},
	{refusing("onboard", 400, "INVALID_CONTENT_TYPE"), "onboard", codes.Internal, "KLARNA_UNEXPECTED", nil},
	{refusing("readAccount", 401, "UNAUTHORIZED"), "read partner", codes.FailedPrecondition, "KLARNA_CREDENTIALS_REFUSED", nil},
	{refusing("updateAccount", 403, "OPERATION_FORBIDDEN"), "update partner", codes.FailedPrecondition, "KLARNA_FORBIDDEN", nil},
	{refusing("readAccount", 404, "RESOURCE_NOT_FOUND"), "read partner", codes.NotFound, "PARTNER_NOT_FOUND", nil},
	{refusing("readBrand", 404, "RESOURCE_NOT_FOUND"), "read brand", codes.NotFound, "PARTNER_RESOURCE_NOT_FOUND", nil},
	{refusing("readAccount", 404, "NOT_FOUND"), "read partner", codes.Internal, "KLARNA_UNEXPECTED", nil},
	{refusing("onboard", 409, "RESOURCE_CONFLICT"), "onboard", codes.AlreadyExists, "PARTNER_DIFFERS", nil},
	{refusing("updateAccount", 409, "RESOURCE_CONFLICT"), "update partner", codes.Aborted, "CONFLICT", nil},
	{refusing("readAccount", 500, "INTERNAL_ERROR"), "read partner", codes.Unavailable, "KLARNA_UNAVAILABLE", nil},
	{refusing("onboard", 500, "SERVER_CONFIGURATION_ERROR"), "onboard", codes.Unavailable, "OUTCOME_UNKNOWN", nil},
	{refusing("onboard", 500, "TIMEOUT"), "onboard", codes.Unavailable, "OUTCOME_UNKNOWN", nil},

	// What the quotas say, last of all: they hold up who asks next.
	{refusing("capture", 429, "TOO_MANY_REQUESTS", "Too many requests"), "capture", codes.ResourceExhausted, "KLARNA_RATE_LIMITED", nil},
	{refusing("readAccount", 429, "RATE_LIMITED"), "read partner", codes.ResourceExhausted, "KLARNA_RATE_LIMITED", nil},

	// Answers that are no errors of Klarna's: of a proxy, empty, or cut off.
	{klarnatest.Fault{Operation: "capture", Status: 403, Body: "<html><h1>Forbidden</h1></html>"}, "capture", codes.FailedPrecondition, "KLARNA_FORBIDDEN", nil},
	{klarnatest.Fault{Operation: "readOrder", Status: 502, Body: "<html><h1>Bad Gateway</h1></html>"}, "read order", codes.Unavailable, "KLARNA_UNAVAILABLE", nil},
	{klarnatest.Fault{Operation: "capture", Status: 404, NoBody: true}, "capture", codes.NotFound, "ORDER_NOT_FOUND", nil},
	{klarnatest.Fault{Operation: "createSession", Status: 400, NoBody: true}, "session", codes.InvalidArgument, "REFUSED_BY_KLARNA", nil},
	{klarnatest.Fault{Operation: "onboard", Status: 403, Body: "<html>denied</html>"}, "onboard", codes.FailedPrecondition, "KLARNA_FORBIDDEN", nil},
	{klarnatest.Fault{Operation: "onboard", Status: 409, Body: `{"error_code": 17, "error_mess`}, "onboard", codes.AlreadyExists, "PARTNER_DIFFERS", nil},
	{klarnatest.Fault{Operation: "capture", Status: 409, Truncate: true}, "capture", codes.Aborted, "CONFLICT", nil},
	{klarnatest.Fault{Operation: "capture", Status: 500, Truncate: true}, "capture", codes.Unavailable, "OUTCOME_UNKNOWN", nil},
	{klarnatest.Fault{Operation: "readOrder", Truncate: true}, "read order", codes.Unavailable, "KLARNA_UNAVAILABLE", nil},
	{klarnatest.Fault{Operation: "createSession", Truncate: true}, "session", codes.Unavailable, "OUTCOME_UNKNOWN", nil},
}

// requests are what documentedCodes ask for, each with ids of their own at every call.
func (s *stack) requests() map[string]func() proto.Message {
	s.t.Helper()
	order, capture := s.capturedOrder(s.t)
	session, _ := s.paged(gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER, nil)
	token, checkout := s.customerToken(), s.checkedOut("SO-9").GetOrderId()
	partner := s.managed("mrc-1")
	tokenized := s.authorized("tokenize")
	all := map[string]func() proto.Message{
		"session":      func() proto.Message { return sessionRequest("SO-1") },
		"read session": func() proto.Message { return &gatewayv1.GetPaymentSessionRequest{SessionId: session} },
		"update session": func() proto.Message {
			return &gatewayv1.UpdatePaymentSessionRequest{
				RequestId: uuid.NewString(), SessionId: session, PurchaseCountry: "DE", OrderAmount: eur(5000), OrderLines: lamp(5000),
			}
		},
		"order": func() proto.Message {
			return &gatewayv1.CreateOrderRequest{RequestId: uuid.NewString(), SessionId: s.authorized("buy")}
		}, // a refusal spends it
		"token": func() proto.Message { return tokenRequest(tokenized) },

		"read order":  func() proto.Message { return &gatewayv1.GetOrderRequest{OrderId: order} },
		"read refund": func() proto.Message { return &gatewayv1.GetRefundRequest{OrderId: order, RefundId: uuid.NewString()} },
		"capture": func() proto.Message {
			return &gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(1), Reference: uuid.NewString()}
		},
		"refund": func() proto.Message {
			return &gatewayv1.RefundOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(1), Reference: uuid.NewString()}
		},
		"cancel": func() proto.Message {
			return &gatewayv1.CancelOrderRequest{RequestId: uuid.NewString(), OrderId: s.order("SO-2")}
		},

		"charge":     func() proto.Message { return chargeRequest(token) },
		"read token": func() proto.Message { return &gatewayv1.GetCustomerTokenRequest{CustomerToken: token} },
		"cancel token": func() proto.Message {
			return &gatewayv1.CancelCustomerTokenRequest{RequestId: uuid.NewString(), CustomerToken: token}
		},

		"checkout":        func() proto.Message { return checkoutRequest("SO-3") },
		"read checkout":   func() proto.Message { return &gatewayv1.GetCheckoutOrderRequest{OrderId: checkout} },
		"update checkout": func() proto.Message { return checkoutUpdate(checkout) },

		"onboard":      func() proto.Message { return onboardRequest(s.t, "mrc-"+uuid.NewString()) },
		"read partner": func() proto.Message { return &gatewayv1.GetPartnerRequest{PartnerAccountId: partner.id} },
		"read brand": func() proto.Message {
			return &gatewayv1.GetBrandRequest{PartnerAccountId: partner.id, BrandId: partner.brand}
		},
		"update partner": func() proto.Message {
			return &gatewayv1.UpdatePartnerRequest{RequestId: uuid.NewString(), PartnerAccountId: partner.id, PartnerAccountName: text("Nordlicht")}
		},
	}
	for name, c := range changes {
		all[name] = func() proto.Message { return c.req(order, capture) }
	}
	return all
}

// TestErrors_EachOfKlarnasCodesReachesTheCaller has the simulated Klarna answer every documented error, and looks at what
// becomes of it over gRPC and over REST.
func TestErrors_EachOfKlarnasCodesReachesTheCaller(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	requests := s.requests()
	healthy := []proto.Message{requests["read order"](), requests["read partner"]()}
	for _, c := range documentedCodes {
		name := strings.TrimSpace(c.fault.Operation + " " + strconv.Itoa(c.fault.Status) + " " + c.fault.Code)
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			for _, over := range []string{"gRPC", "REST"} {
				f := c.fault
				f.Times = -1 // the worker may ask too
				req := requests[c.req]()
				must(t, s.klarna.Fail(f))
				st, httpStatus := s.over(over, req)
				s.klarna.Heal()
				if st.Code() != c.code || reasonOf(st.Err()) != c.reason {
					t.Errorf("over %s: %s %s (%s), want %s %s", over, st.Code(), reasonOf(st.Err()), st.Message(), c.code, c.reason)
				}
				if want := runtime.HTTPStatusFromCode(c.code); over == "REST" && httpStatus != want {
					t.Errorf("HTTP status %d, want %d", httpStatus, want)
				}
				if fields := slices.Sorted(maps.Keys(violations(st))); !slices.Equal(fields, c.fields) {
					t.Errorf("over %s: fields %v, want %v", over, fields, c.fields)
				}
				checkOrigin(t, over, st, c.fault)
				for _, req := range healthy { // so that no row of failures opens a circuit
					if _, st := s.overGRPC(req); st.Code() != codes.OK {
						t.Fatalf("Klarna is healed: %v", st)
					}
				}
			}
		})
	}
}

// over makes a call one way or the other.
func (f *face) over(way string, req proto.Message) (*status.Status, int) {
	f.t.Helper()
	if way == "REST" {
		httpStatus, _, st := f.overREST(req, nil)
		return st, httpStatus
	}
	_, st := f.overGRPC(req)
	return st, 0
}

// checkOrigin looks for what leads back to Klarna's answer: its ids and code, and none of its text.
func checkOrigin(t *testing.T, over string, st *status.Status, f klarnatest.Fault) {
	t.Helper()
	if f.Status == 0 {
		return // there was no error of Klarna's
	}
	metadata := map[string]string{}
	for _, detail := range st.Details() {
		if info, is := detail.(*errdetails.ErrorInfo); is {
			metadata = info.GetMetadata()
		}
	}
	want := map[string]string{"klarna_http_status": strconv.Itoa(f.Status), "klarna_error_code": f.Code}
	if f.Code == "" {
		delete(want, "klarna_error_code")
	}
	for key, value := range want {
		if metadata[key] != value {
			t.Errorf("over %s: %s is %q, want %q", over, key, metadata[key], value)
		}
	}
	if metadata["klarna_correlation_id"] == "" || metadata["klarna_operation"] == "" {
		t.Errorf("over %s: the call at Klarna cannot be found again: %v", over, metadata)
	}
	for _, message := range append([]string{"Refused on request", "<html"}, f.Messages...) {
		if strings.Contains(st.String(), message) {
			t.Errorf("over %s: Klarna's text is told: %v", over, st)
		}
	}
}

// TestErrors_NoneOfKlarnasCodesIsMissing looks the codes up in the fact sheets, where they are at hand.
func TestErrors_NoneOfKlarnasCodesIsMissing(t *testing.T) {
	t.Parallel()
	folder := contract.Folder(t)
	if folder == "" {
		t.Skip("the fact sheets are not here, nothing can be checked: set KLARNA_OPENAPI")
	}
	tried := map[string]bool{}
	for _, c := range documentedCodes {
		tried[c.fault.Code] = true
	}
	for sheet, sections := range map[string][2]string{"classic.md": {"## 3. Errors", "## 4."}, "network.md": {"### 8.1 Object", "### 8.2"}} {
		content, err := os.ReadFile(filepath.Join(folder, "..", sheet))
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(content), sections[0])
		section, _, found := strings.Cut(section, sections[1])
		if !found {
			t.Fatalf("%s has no section %s", sheet, sections[0])
		}
		for code := range codesIn(section) {
			if !tried[code] {
				t.Errorf("%s: no test of %s", sheet, code)
			}
		}
	}
}

var (
	codeWord  = regexp.MustCompile(`\b[A-Z]+(_[A-Z]+)+\b|\b(UNAUTHORIZED|REJECTED|CONFLICT|TIMEOUT|FORBIDDEN)\b`)
	statusRow = regexp.MustCompile(`^\| (\d{3}|\?)`)
)

// codesIn are the error codes of a section: those of its tables' rows with a status, and those of the lists in its prose.
func codesIn(section string) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(section) {
		if !statusRow.MatchString(line) && !strings.Contains(line, " · ") && !strings.HasPrefix(line, "REFUND_/CAPTURE_") && !strings.HasPrefix(line, "PAYLOAD_TOO_LARGE") {
			continue
		}
		line, _, _ = strings.Cut(strings.ReplaceAll(line, "REFUND_/CAPTURE_/CANCEL_/UPDATE_NOT_ALLOWED", "UPDATE_NOT_ALLOWED"), "Suggested gRPC")
		for _, word := range codeWord.FindAllString(line, -1) {
			if !slices.Contains([]string{"INPUT_ERROR", "ACCESS_ERROR", "RESOURCE_ERROR", "TECHNICAL_ERROR"}, word) {
				found[word] = true
			}
		}
	}
	return found
}
