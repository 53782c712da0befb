package server

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	rpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"payments.internal/klarna-gateway/store"
)

// Call is one RPC as metrics see it, once it was answered.
type Call struct {
	Method   string // such as "gateway.v1.OrderService/CaptureOrder"
	Code     rpccodes.Code
	Stream   bool
	Duration time.Duration
	// AtKlarna is the part of it that calls to Klarna took. What another request was waited for that did the same is
	// not in it, nor are waits for a turn: those are ours. 0 for streams.
	AtKlarna time.Duration
}

// WatchStats tells of the open watches of a stream.
type WatchStats struct {
	Open int
	// Undelivered is how long ago the oldest event was recorded that a client is not taking; 0 if all are out. Events from
	// before a watch began count from its beginning.
	Undelivered time.Duration
}

// Watches tells of the open watches by stream.
func (s *Server) Watches() map[store.Stream]WatchStats {
	now := s.store.Now()
	all := map[store.Stream]WatchStats{store.Payments: {}, store.Accounts: {}}
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	for w := range s.keeper.watches {
		seen := all[w.query.Stream]
		seen.Open++
		if since := w.undelivered.Load(); since != 0 {
			seen.Undelivered = max(seen.Undelivered, now.Sub(time.UnixMicro(since)))
		}
		all[w.query.Stream] = seen
	}
	return all
}

// observed tells of a call that was answered.
func (s *Server) observed(ctx context.Context, call Call) {
	if s.observe == nil {
		return
	}
	call.Method = strings.TrimPrefix(call.Method, "/")
	s.observe(ctx, call)
}

// spanned runs the sending of an event on a watch within a span.
func (s *Server) spanned(ctx context.Context, ev *store.Event, send func() error) error {
	if s.tracer == nil {
		return send()
	}
	span := s.sendSpan(ctx, ev)
	defer span.End()
	err := send()
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	return err
}

// sendSpan begins the span of an event that goes out on a watch, linked to whoever learned what it tells.
func (s *Server) sendSpan(ctx context.Context, ev *store.Event) trace.Span {
	with := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("klarna_gateway.event_id", ev.ID), attribute.Int64("klarna_gateway.position", int64(ev.Position)))}
	learned := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": ev.TraceParent})
	if at := trace.SpanContextFromContext(learned); at.IsValid() {
		with = append(with, trace.WithLinks(trace.Link{SpanContext: at}))
	}
	_, span := s.tracer.Start(ctx, "send "+string(ev.Stream)+" event", with...)
	return span
}

// tracing has gRPC make spans, if there is a provider. Its metrics are not taken: whoever calls a method that does not
// exist would make up labels.
func tracing(provider trace.TracerProvider) []grpc.ServerOption {
	if provider == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(provider), otelgrpc.WithMeterProvider(noop.NewMeterProvider()),
		otelgrpc.WithPropagators(propagation.TraceContext{}), otelgrpc.WithFilter(filters.Not(filters.HealthCheck())),
	))}
}

// traced is the context of a call with the caller's trace context, where no span of our own continues it.
func (s *Server) traced(ctx context.Context) context.Context {
	if s.tracer != nil {
		return ctx
	}
	named := metadata.ValueFromIncomingContext(ctx, traceParentKey)
	if len(named) != 1 {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{traceParentKey: named[0]})
}

const traceParentKey = "traceparent"
