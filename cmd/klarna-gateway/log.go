package main

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"payments.internal/klarna-gateway/klarna"
)

// logLevel is slog's, under a name of our own so that config.go needs no logging import.
type logLevel = slog.Level

// newLogger logs JSON, one line an entry, without what must not be told: secrets among it.
func newLogger(w io.Writer, level string, secrets ...klarna.Secret) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // checked with the config; the zero level is info
	return slog.New(cleanLog{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}), newRedaction(secrets...)})
}

// logger is newLogger as configured.
func (c *config) logger(w io.Writer) *slog.Logger {
	return newLogger(w, c.LogLevel, c.secrets()...)
}

// cleanLog is the one place where entries are cleaned: it stands before every handler that tells somebody of them.
type cleanLog struct {
	slog.Handler
	redaction *redaction
}

func (h cleanLog) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.redaction.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.redaction.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h cleanLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return cleanLog{h.Handler.WithAttrs(h.redaction.attrs(attrs)), h.redaction}
}
func (h cleanLog) WithGroup(name string) slog.Handler {
	return cleanLog{h.Handler.WithGroup(name), h.redaction}
}

// beside is a handler and another one that gets the same entries, as clean as those of newLogger. The other one finds the
// trace that an entry belongs to by itself.
func beside(h, other slog.Handler, redaction *redaction) slog.Handler {
	if clean, is := h.(cleanLog); is {
		return cleanLog{slog.NewMultiHandler(tracedLog{clean.Handler}, other), clean.redaction}
	}
	return slog.NewMultiHandler(tracedLog{h}, cleanLog{other, redaction})
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
