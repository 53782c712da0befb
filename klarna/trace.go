package klarna

import (
	"context"
	"errors"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// attemptSpan is the trace of one attempt. The zero value is none.
type attemptSpan struct{ trace.Span }

// span begins the span of an attempt. Paths hold ids and tokens, so it has their template and no URL.
func (c *Client) span(ctx context.Context, seen Call) attemptSpan {
	if c.tracer == nil {
		return attemptSpan{}
	}
	attrs := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(seen.Method), semconv.URLTemplate(seen.Path), attribute.String("klarna.operation", seen.Operation),
	}
	if base, err := url.Parse(c.base); err == nil {
		attrs = append(attrs, semconv.ServerAddress(base.Hostname()))
		if port, err := strconv.Atoi(base.Port()); err == nil {
			attrs = append(attrs, semconv.ServerPort(port))
		}
	}
	if seen.Attempt > 1 {
		attrs = append(attrs, semconv.HTTPRequestResendCount(seen.Attempt-1))
	}
	_, s := c.tracer.Start(ctx, seen.Method+" "+seen.Path, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	return attemptSpan{s}
}

// end ends the span with what became of the attempt; never with Klarna's free text.
func (s attemptSpan) end(seen Call) {
	if s.Span == nil {
		return
	}
	if seen.Status != 0 {
		s.SetAttributes(semconv.HTTPResponseStatusCode(seen.Status))
	}
	if seen.CorrelationID != "" {
		s.SetAttributes(attribute.String("klarna.correlation_id", seen.CorrelationID))
	}
	if seen.Err != nil {
		s.SetStatus(codes.Error, "")
		s.SetAttributes(semconv.ErrorTypeKey.String(ErrorType(seen)))
	}
	s.End()
}

// ErrorType is a word of a small set for what became of an attempt: the status of a refusal, or why there was no answer
// that makes sense. Empty if all went well.
func ErrorType(seen Call) string {
	switch {
	case seen.Err == nil:
		return ""
	case errors.Is(seen.Err, errCircuitOpen):
		return "circuit_open"
	case errors.Is(seen.Err, ErrRateLimited):
		return "rate_limited"
	case seen.Status >= 300:
		return strconv.Itoa(seen.Status)
	case errors.Is(seen.Err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(seen.Err, context.Canceled):
		return "canceled"
	case seen.Status != 0:
		return "unreadable"
	}
	return "no_answer"
}
