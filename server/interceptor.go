package server

import (
	"context"
	"fmt"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// requests lists the messages whose rules are compiled at start.
func requests() []proto.Message {
	return []proto.Message{
		&gatewayv1.OnboardPartnerRequest{}, &gatewayv1.GetPartnerRequest{}, &gatewayv1.ListPartnersRequest{},
		&gatewayv1.UpdatePartnerRequest{}, &gatewayv1.UpdateBrandRequest{}, &gatewayv1.WatchAccountStateRequest{},
		&gatewayv1.CreatePaymentSessionRequest{}, &gatewayv1.UpdatePaymentSessionRequest{},
		&gatewayv1.GetPaymentSessionRequest{}, &gatewayv1.CancelAuthorizationRequest{},
		&gatewayv1.GetPaymentStatusRequest{}, &gatewayv1.ListPaymentsRequest{}, &gatewayv1.ListPaymentEventsRequest{},
		&gatewayv1.WatchPaymentStatusRequest{}, &gatewayv1.CreateOrderRequest{}, &gatewayv1.GetOrderRequest{},
		&gatewayv1.AcknowledgeOrderRequest{}, &gatewayv1.CancelOrderRequest{}, &gatewayv1.CaptureOrderRequest{},
		&gatewayv1.RefundOrderRequest{},
	}
}

// answerUnary is the outermost: whatever went wrong leaves as a status, and is logged once, here.
func (s *Server) answerUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (res any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		err = s.answer(ctx, info.FullMethod, err)
	}()
	return handler(ctx, req)
}

func (s *Server) answerStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		err = s.answer(stream.Context(), info.FullMethod, err)
	}()
	return handler(srv, stream)
}

// answer turns an error into its status. What is the gateway's or Klarna's fault is logged with its cause.
func (s *Server) answer(ctx context.Context, method string, err error) error {
	if err == nil {
		return nil
	}
	out := toStatus(err)
	switch code := status.Code(out); code {
	case codes.Internal, codes.Unknown:
		s.log.ErrorContext(ctx, "call failed", "method", method, "code", code.String(), "caller", callerOf(ctx).name, "error", err)
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted:
		s.log.WarnContext(ctx, "call not served", "method", method, "code", code.String(), "caller", callerOf(ctx).name, "error", err)
	}
	return out
}

// admitUnary lets in calls of known callers with valid requests, and bounds them.
func (s *Server) admitUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	who, err := s.callers.identify(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	if err := s.valid(req); err != nil {
		return nil, err
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.callTimeout)
		defer cancel()
	}
	return handler(withCaller(ctx, who), req)
}

func (s *Server) admitStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	who, err := s.callers.identify(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(srv, &admitted{ServerStream: stream, server: s, ctx: withCaller(stream.Context(), who)})
}

// admitted is a stream of a known caller whose requests are checked as they come.
type admitted struct {
	grpc.ServerStream
	server *Server
	ctx    context.Context
}

func (a *admitted) Context() context.Context { return a.ctx }

func (a *admitted) RecvMsg(m any) error {
	if err := a.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return a.server.valid(m)
}

// valid checks messages of this API; others (health, reflection) have no rules.
func (s *Server) valid(m any) error {
	msg, ok := m.(proto.Message)
	if !ok || msg.ProtoReflect().Descriptor().ParentFile().Package() != "gateway.v1" {
		return nil
	}
	return validate(s.validator, msg)
}
