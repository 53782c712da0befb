package server

import (
	"testing"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Each service says by its name whether it is served, until the gateway drains.
func TestHealth_IsToldByService(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	check := func(service string, want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		health, err := s.health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		if err != nil || health.GetStatus() != want {
			t.Errorf("%q: %v, %v", service, health.GetStatus(), err)
		}
	}
	services := []string{"", "gateway.v1.PaymentService", "gateway.v1.PartnerService", "gateway.v1.OperatorService"}
	for _, service := range services {
		check(service, healthv1.HealthCheckResponse_SERVING)
	}
	if _, err := s.health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "gateway.v1.Nobody"}); status.Code(err) != codes.NotFound {
		t.Errorf("a service that is none: %v", err)
	}
	s.server.Drain()
	for _, service := range services {
		check(service, healthv1.HealthCheckResponse_NOT_SERVING)
	}
}
