package main

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"payments.internal/klarna-gateway/server"
)

// logLevel is slog's, under a name of our own so that config.go needs no logging import.
type logLevel = slog.Level

// newLogger logs JSON, one line an entry.
func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // checked with the config; the zero level is info
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l, ReplaceAttr: server.RedactAttr}))
}

// tracedLog adds to each entry the trace that it belongs to.
type tracedLog struct{ slog.Handler }

func (h tracedLog) Handle(ctx context.Context, r slog.Record) error {
	if at := trace.SpanContextFromContext(ctx); at.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", at.TraceID().String()), slog.String("span_id", at.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h tracedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracedLog{h.Handler.WithAttrs(attrs)}
}
func (h tracedLog) WithGroup(name string) slog.Handler { return tracedLog{h.Handler.WithGroup(name)} }

// leveled is a handler that takes what another one does.
type leveled struct {
	slog.Handler
	as slog.Handler
}

func (h leveled) Enabled(ctx context.Context, l slog.Level) bool { return h.as.Enabled(ctx, l) }

func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(attrs), h.as}
}
func (h leveled) WithGroup(name string) slog.Handler { return leveled{h.Handler.WithGroup(name), h.as} }
