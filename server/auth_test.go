package server

import (
	"crypto/sha256"
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// tokens of two callers; the second one may see debtors.
var tokens = []access.Token{
	{Name: "billing", SHA256: sha256.Sum256([]byte("billing-token"))},
	{Name: "care", SHA256: sha256.Sum256([]byte("care-token")), DebtorData: true},
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func TestAuth_EveryRPCNeedsAToken(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Callers.Tokens = tokens })
	served := s.server.grpc.GetServiceInfo()
	for _, m := range methods() {
		if _, ok := served[string(m.Parent().FullName())]; !ok {
			t.Errorf("%s is not served", m.Parent().FullName())
			continue
		}
		t.Run(string(m.FullName()), func(t *testing.T) {
			t.Parallel()
			s := s.on(t)
			kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
			must(t, err)
			req := kind.New().Interface() // not valid either: who calls comes first
			for name, header := range map[string]string{
				"none": "", "wrong": "Bearer wrong", "empty": "Bearer ", "of another scheme": "Basic billing-token", "without a scheme": "billing-token",
			} {
				_, st := s.overGRPC(req, "authorization", header)
				if st.Code() != codes.Unauthenticated || reasonOf(st.Err()) != "UNAUTHENTICATED" {
					t.Errorf("with token %s: %v", name, st)
				}
				if method, _, _ := annotated(m); method == "" {
					continue
				}
				if code, _, rest := s.overREST(req, http.Header{"Authorization": {header}}); code != http.StatusUnauthorized || rest.Code() != codes.Unauthenticated {
					t.Errorf("with token %s over REST: %d %v", name, code, rest)
				}
			}
			for _, header := range []string{"Bearer billing-token", "bearer care-token"} {
				if _, st := s.overGRPC(req, "authorization", header); st.Code() == codes.Unauthenticated {
					t.Errorf("with %q: %v", header, st)
				}
			}
		})
	}
}

func TestAuth_HealthNeedsNone(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Callers.Tokens = tokens })
	health, err := s.health.Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health is %v, %v", health, err)
	}
	for _, path := range []string{"/healthz", "/openapi.json"} {
		if res := s.get(path); res.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", path, res.StatusCode)
		}
	}
}

func TestAuth_RequestIDsBelongToTheirCaller(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Callers.Tokens = tokens })
	req := sessionRequest("SO-1")
	_, st := s.overGRPC(req, "authorization", "Bearer billing-token")
	if st.Code() != codes.OK {
		t.Fatal(st)
	}
	_, st = s.overGRPC(req, "authorization", "Bearer care-token")
	code, _, rest := s.overREST(req, bearer("care-token"))
	checkRefusal(t, "gRPC", st, codes.PermissionDenied, gatewayv1.ErrorReason_ERROR_REASON_REQUEST_ID_OF_ANOTHER_CALLER, nil)
	checkRefusal(t, "REST", rest, codes.PermissionDenied, gatewayv1.ErrorReason_ERROR_REASON_REQUEST_ID_OF_ANOTHER_CALLER, nil)
	if code != http.StatusForbidden || s.klarna.CallCount("createSession") != 1 {
		t.Errorf("HTTP status %d, %d sessions", code, s.klarna.CallCount("createSession"))
	}
	if _, st := s.overGRPC(req, "authorization", "Bearer billing-token"); st.Code() != codes.OK {
		t.Errorf("its own repeat: %v", st)
	}
}

func TestAuth_DebtorDataNeedsThePermission(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Callers.Tokens = tokens })
	s.record(opened("SO-1"))
	for _, req := range []proto.Message{
		&gatewayv1.GetPaymentStatusRequest{Payment: &gatewayv1.GetPaymentStatusRequest_MerchantReference{MerchantReference: "SO-1"}, IncludeDebtorData: true},
		&gatewayv1.ListPaymentEventsRequest{IncludeDebtorData: true},
		&gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), IncludeDebtorData: true},
	} {
		_, st := s.overGRPC(req, "authorization", "Bearer billing-token")
		code, _, rest := s.overREST(req, bearer("billing-token"))
		checkRefusal(t, "gRPC", st, codes.PermissionDenied, gatewayv1.ErrorReason_ERROR_REASON_DEBTOR_DATA_NOT_PERMITTED, nil)
		checkRefusal(t, "REST", rest, codes.PermissionDenied, gatewayv1.ErrorReason_ERROR_REASON_DEBTOR_DATA_NOT_PERMITTED, nil)
		if code != http.StatusForbidden {
			t.Errorf("HTTP status %d", code)
		}
		if _, st := s.overGRPC(req, "authorization", "Bearer care-token"); st.Code() != codes.OK {
			t.Errorf("with the permission: %v", st)
		}
	}
}

func TestAuth_CallersAreNamedInTheLogs(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Callers.Tokens = tokens })
	s.klarnaRefuses("readOrder", http.StatusUnauthorized)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer billing-token")
	if _, err := s.orders.GetOrder(ctx, &gatewayv1.GetOrderRequest{OrderId: id("order")}); reasonOf(err) != "KLARNA_CREDENTIALS_REFUSED" {
		t.Fatalf("%v, want KLARNA_CREDENTIALS_REFUSED", err)
	}
	s.logged(`"level":"ERROR"`, `"reason":"KLARNA_CREDENTIALS_REFUSED"`, `"caller":"billing"`, "correlation id")
}
