package worker

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"payments.internal/klarna-gateway/store"
)

// span begins the span of an attempt at a job, if there is a tracer. It is a trace of its own, for the work may be done
// days later; a link leads to what added the job. What the work leaves behind carries the span's context or, without
// one, that of what added the job.
func (p *Pool) span(ctx context.Context, job store.Job) (_ context.Context, end func(error)) {
	added := propagation.TraceContext{}.Extract(context.WithoutCancel(ctx), propagation.MapCarrier{"traceparent": job.TraceParent})
	if p.tracer == nil {
		return added, func(error) {}
	}
	with := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("klarna_gateway.job", job.Kind), attribute.Int64("klarna_gateway.job_id", job.ID),
			attribute.Int("klarna_gateway.attempt", job.Attempt), attribute.String("klarna_gateway.merchant_account", job.MerchantAccount)),
	}
	if at := trace.SpanContextFromContext(added); at.IsValid() {
		with = append(with, trace.WithLinks(trace.Link{SpanContext: at}))
	}
	ctx, span := p.tracer.Start(ctx, "job "+job.Kind, with...)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
