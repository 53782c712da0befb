package main

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
)

func with(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

func text[T ~string](key string, value T) attribute.KeyValue {
	return attribute.String(key, string(value))
}

// labels are those of measurements of one kind, by what they are made of. They are made once: sorting them takes longer than
// counting. There are as many as there are series.
type labels[K comparable] struct{ made sync.Map }

func (l *labels[K]) of(key K, attrs func(K) []attribute.KeyValue) metric.MeasurementOption {
	if made, known := l.made.Load(key); known {
		return made.(metric.MeasurementOption)
	}
	made := with(attrs(key)...)
	l.made.Store(key, made)
	return made
}

// answeredCall is a call as it is counted.
type answeredCall struct {
	method string
	code   codes.Code
}

func (a answeredCall) attrs() []attribute.KeyValue {
	return []attribute.KeyValue{
		text("rpc.system.name", "grpc"), text("rpc.method", a.method), text("rpc.response.status_code", code.Code(a.code).String()),
	}
}

func ofMethod(method string) []attribute.KeyValue {
	return []attribute.KeyValue{text("rpc.method", method)}
}

// klarnaAttempt is an attempt at a call to Klarna as it is counted.
type klarnaAttempt struct {
	method, path, flaw string
	attempt, status    int
}

func (t klarnaAttempt) attrs() []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		text("http.request.method", t.method), text("url.template", t.path), attribute.Int("http.request.attempt", t.attempt),
	}
	if t.status != 0 {
		attrs = append(attrs, attribute.Int("http.response.status_code", t.status))
	}
	if t.flaw != "" {
		attrs = append(attrs, text("error.type", t.flaw))
	}
	return attrs
}

// klarnaOutcome is what became of an attempt, or of a call that was not sent.
type klarnaOutcome struct{ account, word string }

func (o klarnaOutcome) attrs() []attribute.KeyValue {
	return []attribute.KeyValue{text("merchant_account", o.account), text("outcome", o.word)}
}
