package main

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// cleanSpans exports spans without what must not be told. They are made without such things; what a client puts into the
// path of a request is all that a stranger decides on.
type cleanSpans struct {
	sdktrace.SpanExporter
	redaction *redaction
}

func (e cleanSpans) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	clean := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		clean[i] = cleanSpan{s, e.redaction}
	}
	return e.SpanExporter.ExportSpans(ctx, clean)
}

// cleanSpan is a span as it may be told.
type cleanSpan struct {
	sdktrace.ReadOnlySpan
	redaction *redaction
}

func (s cleanSpan) Name() string { return s.redaction.text(s.ReadOnlySpan.Name()) }

func (s cleanSpan) Attributes() []attribute.KeyValue {
	return s.redaction.keyValues(s.ReadOnlySpan.Attributes())
}

func (s cleanSpan) Status() sdktrace.Status {
	status := s.ReadOnlySpan.Status()
	status.Description = s.redaction.text(status.Description)
	return status
}

func (s cleanSpan) Events() []sdktrace.Event {
	clean := append([]sdktrace.Event(nil), s.ReadOnlySpan.Events()...)
	for i := range clean {
		clean[i].Name, clean[i].Attributes = s.redaction.text(clean[i].Name), s.redaction.keyValues(clean[i].Attributes)
	}
	return clean
}

func (s cleanSpan) Links() []sdktrace.Link {
	clean := append([]sdktrace.Link(nil), s.ReadOnlySpan.Links()...)
	for i := range clean {
		clean[i].Attributes = s.redaction.keyValues(clean[i].Attributes)
	}
	return clean
}

func (r *redaction) keyValues(all []attribute.KeyValue) []attribute.KeyValue {
	clean := make([]attribute.KeyValue, len(all))
	for i, a := range all {
		clean[i] = attribute.KeyValue{Key: a.Key, Value: r.attribute(string(a.Key), a.Value)}
	}
	return clean
}

func (r *redaction) attribute(key string, v attribute.Value) attribute.Value {
	if holds(key[strings.LastIndexByte(key, '.')+1:]) {
		return attribute.StringValue(masked)
	}
	switch v.Type() {
	case attribute.BOOL, attribute.INT64, attribute.FLOAT64, attribute.BOOLSLICE, attribute.INT64SLICE, attribute.FLOAT64SLICE:
		return v
	case attribute.STRINGSLICE:
		texts := append([]string(nil), v.AsStringSlice()...)
		for i := range texts {
			texts[i] = r.text(texts[i])
		}
		return attribute.StringSliceValue(texts)
	case attribute.STRING:
		return attribute.StringValue(r.text(v.AsString()))
	}
	return attribute.StringValue(r.text(v.String()))
}
