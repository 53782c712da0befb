package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// rpcs lists every RPC of the API.
func rpcs() (all []protoreflect.MethodDescriptor) {
	protoregistry.GlobalFiles.RangeFilesByPackage("gateway.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for k := range methods.Len() {
				all = append(all, methods.Get(k))
			}
		}
		return true
	})
	return all
}

// requests lists the request of every RPC, whose rules are compiled at start.
func requests() (all []proto.Message) {
	for _, m := range rpcs() {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
		if err == nil { // generated code registers both
			all = append(all, kind.Zero().Interface())
		}
	}
	return all
}

// serveUnary lets in calls of known callers with valid requests, and bounds them. Whatever goes wrong leaves as a
// status, and is logged once, here.
func (s *Server) serveUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (res any, err error) {
	began, ctx := time.Now(), klarna.Correlated(klarna.Timed(s.traced(ctx)))
	defer func() {
		err = s.answer(ctx, info.FullMethod, req, err, recover())
		s.observed(ctx, Call{Method: info.FullMethod, Code: status.Code(err), Duration: time.Since(began), AtKlarna: klarna.Spent(ctx)})
	}()
	if ctx, err = s.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	if err := s.accepted(ctx, req, false); err != nil {
		return nil, err
	}
	bounded := ctx
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(bounded, s.callTimeout)
		defer cancel()
	}
	if res, err = handler(bounded, req); err != nil {
		return nil, err
	}
	show(ctx, res)
	return res, decisionOf(ctx).open()
}

// serveStream is serveUnary for streams, which have no bound and check requests as they come. A watch goes on when its handler
// has returned; the goroutine that gRPC gives a stream does nothing else than wait, so that its stack stays small: see crew.
func (s *Server) serveStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	began, a := time.Now(), &admitted{ServerStream: stream, server: s, ctx: stream.Context()}
	defer func() {
		err = s.answer(a.ctx, info.FullMethod, nil, err, recover())
		s.observed(a.ctx, Call{Method: info.FullMethod, Code: status.Code(err), Stream: true, Duration: time.Since(began)})
	}()
	err = aside(func() (err error) {
		if a.ctx, err = s.admit(s.traced(a.ctx), info.FullMethod); err != nil {
			return err
		}
		return handler(srv, a)
	})
	if err != nil || a.watch == nil {
		return err
	}
	return a.watch.wait()
}

// answer turns an error or a panic into a status. What is the gateway's or Klarna's fault, or the operator's to mend, is
// logged with its cause.
func (s *Server) answer(ctx context.Context, method string, req any, err error, panicked any) error {
	if panicked != nil {
		err = errPanic(panicked)
	}
	if err == nil {
		return nil
	}
	out := toStatus(err)
	code, why := status.Code(out), reasonOf(out)
	attrs := []any{"method", method, "code", code.String(), "reason", why, "caller", callerOf(ctx).Name, "error", err}
	if named, has := req.(interface{ GetRequestId() string }); has && named.GetRequestId() != "" {
		attrs = append(attrs, "request_id", named.GetRequestId())
	}
	if id := metadataOf(out)["klarna_correlation_id"]; id != "" {
		attrs = append(attrs, "klarna_correlation_id", id)
	}
	switch {
	case code == codes.Internal, code == codes.Unknown:
		s.log.ErrorContext(ctx, "call failed", attrs...)
	case why == reasonName(gatewayv1.ErrorReason_ERROR_REASON_KLARNA_CREDENTIALS_REFUSED), why == reasonName(gatewayv1.ErrorReason_ERROR_REASON_KLARNA_FORBIDDEN):
		s.log.ErrorContext(ctx, "klarna does not serve the merchant account", attrs...)
	case code == codes.Unavailable, code == codes.ResourceExhausted, code == codes.Aborted:
		s.log.WarnContext(ctx, "call not served", attrs...)
	}
	return out
}

func errPanic(panicked any) error { return fmt.Errorf("panic: %v\n%s", panicked, debug.Stack()) }

// metadataOf is the metadata of a status's reason.
func metadataOf(err error) map[string]string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()
		}
	}
	return nil
}

// reasonOf is the reason that a status names; empty if it has none.
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// admitted is a stream of a known caller whose requests are checked as they come.
type admitted struct {
	grpc.ServerStream
	server *Server
	ctx    context.Context
	watch  *watch // that goes on when the handler has returned; nil for none
}

func (a *admitted) Context() context.Context { return a.ctx }

func (a *admitted) RecvMsg(m any) error {
	if err := a.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return a.server.accepted(a.ctx, m, true)
}

func (a *admitted) SendMsg(m any) error {
	if err := decisionOf(a.ctx).open(); err != nil {
		return err
	}
	show(a.ctx, m)
	return a.ServerStream.SendMsg(m)
}

// admittedOf is the stream below what a handler has. A watch sends frames on what lies below that in turn: what a frame may
// show was settled when it was encoded, and that the call may be answered with the bookmark that opened the watch. Nothing is
// left to be asked for each event.
func admittedOf(stream grpc.ServerStream) *admitted {
	switch s := stream.(type) {
	case *grpc.GenericServerStream[gatewayv1.WatchPaymentStatusRequest, gatewayv1.WatchPaymentStatusResponse]:
		return admittedOf(s.ServerStream)
	case *grpc.GenericServerStream[gatewayv1.WatchAccountStateRequest, gatewayv1.WatchAccountStateResponse]:
		return admittedOf(s.ServerStream)
	default:
		return s.(*admitted) // every stream is one
	}
}

// accepted checks requests of this API: what the caller may ask for, then what they look like. Others (health,
// reflection) have no rules.
func (s *Server) accepted(ctx context.Context, m any, stream bool) error {
	msg, ok := m.(proto.Message)
	if !ok || msg.ProtoReflect().Descriptor().ParentFile().Package() != "gateway.v1" {
		return nil
	}
	d := decisionOf(ctx)
	d.asks(msg, stream)
	s.log.DebugContext(ctx, "call received", "permission", d.rpc, "caller", d.caller.Name, "request", redacted{msg})
	err := d.about(msg)
	if err != nil || d.settled {
		s.audited(ctx, d, err)
	}
	if err != nil {
		return err
	}
	return validate(s.validator, msg)
}
