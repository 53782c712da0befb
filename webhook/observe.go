package webhook

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// Seen is a delivery as metrics see it, once it has its outcome.
type Seen struct {
	Door    Door
	Outcome Outcome
	Effect  Effect             // of what was stored or quarantined; else empty
	Key     store.SigningKeyID // that it was signed with; zero without a good signature
}

// Effect says what was made of a delivery that is kept. Each has exactly one, so what was stored is their sum.
type Effect string

// The effects.
const (
	EffectApplied     Effect = "applied"     // it moved a state, or made a job that reads the truth
	EffectSuperseded  Effect = "superseded"  // it told nothing that was not known, or came too late
	EffectQuarantined Effect = "quarantined" // it is kept aside for a person
)

// effect is what was made of a delivery that is kept.
func (a answer) effect() Effect {
	switch {
	case a.outcome == Quarantined:
		return EffectQuarantined
	case a.outcome != Stored:
		return ""
	case a.recorded == journal.Superseded || a.recorded == journal.Unchanged:
		return EffectSuperseded
	}
	return EffectApplied
}

// begin begins the span of a delivery, if there is a tracer. Whoever posts is a stranger: the trace that they name is not
// continued but linked. A path holds secrets, so the span has the route alone.
func (r *Receiver) begin(ctx context.Context, req *http.Request) context.Context {
	if r.tracer == nil {
		return ctx
	}
	sender := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(req.Header))
	ctx, _ = r.tracer.Start(ctx, req.Pattern, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer), trace.WithLinks(links(sender)...),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(req.Method), semconv.HTTPRoute(route(req.Pattern))))
	return ctx
}

// finish ends the span of a delivery, with a link to the request of a caller's that what it tells goes back to.
func (r *Receiver) finish(ctx context.Context, a answer) {
	if r.tracer == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	defer span.End()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(a.status), attribute.String("klarna_gateway.outcome", string(a.outcome)))
	if a.eventID != "" {
		span.SetAttributes(attribute.String("klarna_gateway.event_id", a.eventID))
	}
	if a.outcome == Failed {
		span.SetStatus(codes.Error, "")
	}
	asked, err := r.journal.AskedBy(context.WithoutCancel(ctx), a.trail)
	if err != nil || asked == "" {
		return
	}
	for _, link := range links(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": asked})) {
		span.AddLink(link)
	}
}

func links(ctx context.Context) []trace.Link {
	if at := trace.SpanContextFromContext(ctx); at.IsValid() {
		return []trace.Link{{SpanContext: at}}
	}
	return nil
}

// route is a pattern's path.
func route(pattern string) string {
	for i, r := range pattern {
		if r == '/' {
			return pattern[i:]
		}
	}
	return pattern
}
