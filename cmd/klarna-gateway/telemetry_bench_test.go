package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/server"
)

// What telemetry adds to a call that reads one payment, over a real socket: off, with metrics, and with metrics and
// traces that a collector takes.
func BenchmarkTelemetry_UnaryCall(b *testing.B) {
	for _, c := range []struct {
		name, admin string
		traced      bool
	}{{"off", "off", false}, {"metrics", "127.0.0.1:0", false}, {"metrics_and_traces", "127.0.0.1:0", true}} {
		b.Run(c.name, func(b *testing.B) {
			var with parts
			if c.traced {
				_, endpoint := startCollector(b)
				exporter, err := otlptracegrpc.New(b.Context(), otlptracegrpc.WithEndpointURL(endpoint))
				if err != nil {
					b.Fatal(err)
				}
				with.spans = sdktrace.NewBatchSpanProcessor(exporter)
			}
			at := anyPorts
			at.admin = c.admin
			l, err := newLocalWith(b.Context(), at, b.TempDir(), -1, slog.New(slog.DiscardHandler), with)
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
			ended := make(chan error, 1)
			go func() { ended <- l.gateway.run(ctx) }()
			b.Cleanup(func() { stop(); <-ended; l.close() })
			traveller, err := newTraveller(l)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(traveller.close)
			made, err := traveller.payments.CreatePaymentSession(b.Context(), sessionRequest("SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER))
			if err != nil {
				b.Fatal(err)
			}
			request := &gatewayv1.GetPaymentStatusRequest{Payment: &gatewayv1.GetPaymentStatusRequest_SessionId{SessionId: made.GetSession().GetSessionId()}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := traveller.payments.GetPaymentStatus(b.Context(), request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What metrics add to a call by themselves: the call, and one attempt at Klarna.
func BenchmarkTelemetry_Measures(b *testing.B) {
	for _, c := range []struct{ name, admin string }{{"off", "off"}, {"on", "127.0.0.1:0"}} {
		b.Run(c.name, func(b *testing.B) {
			var cfg config
			cfg.AdminAddress = c.admin
			tel, err := newTelemetry(b.Context(), cfg, parts{}, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(tel.close)
			m, err := newMeasures(tel.meter)
			if err != nil {
				b.Fatal(err)
			}
			observe := m.klarnaCalled("shop")
			b.ReportAllocs()
			for b.Loop() {
				m.called(b.Context(), server.Call{Method: "gateway.v1.OrderService/CaptureOrder", Duration: time.Second, AtKlarna: time.Second})
				if observe != nil {
					observe(b.Context(), klarna.Call{Method: "POST", Path: "/ordermanagement/v1/orders/{order_id}/captures", Attempt: 1, Status: 201, Duration: time.Second})
				}
			}
		})
	}
}
