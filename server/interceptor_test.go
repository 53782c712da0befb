package server

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestInterceptor_APanicIsAnErrorLikeAnyOther(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, err := s.server.serveUnary(t.Context(), &gatewayv1.ListPaymentsRequest{}, &grpc.UnaryServerInfo{FullMethod: "/s/M"},
		func(context.Context, any) (any, error) { panic("a secret") })
	if status.Code(err) != codes.Internal || reasonOf(err) != "INTERNAL" || strings.Contains(err.Error(), "secret") {
		t.Errorf("a panic leaves as %v", err)
	}
	s.logged(`"method":"/s/M"`, "panic: a secret", "interceptor_test.go")
}

func TestInterceptor_BoundsCallsThatComeWithoutADeadline(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	info := &grpc.UnaryServerInfo{FullMethod: "/s/M"}
	_, err := s.server.serveUnary(context.Background(), &gatewayv1.ListPaymentsRequest{}, info, func(ctx context.Context, _ any) (any, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the call has no deadline")
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestInterceptor_CompilesTheRulesOfEveryRequestAtTheStart(t *testing.T) {
	t.Parallel()
	compiled := map[string]bool{}
	for _, req := range requests() {
		compiled[string(req.ProtoReflect().Descriptor().FullName())] = true
	}
	for _, m := range methods() {
		if !compiled[string(m.Input().FullName())] {
			t.Errorf("%s is compiled when it is first called", m.Input().FullName())
		}
	}
}
