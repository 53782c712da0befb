package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// exporting is a configuration that exports everything to an endpoint, or nothing if it is empty.
func exporting(endpoint string) config {
	cfg := config{telemetryConfig: telemetryConfig{OTLPEndpoint: endpoint}}
	cfg.AdminAddress = "127.0.0.1:0"
	cfg.telemetryConfig.environment(func(string) string { return "" })
	return cfg
}

// What is told when the gateway ends reaches the collector too.
func TestTelemetry_ReachesACollector(t *testing.T) {
	t.Parallel()
	collected, endpoint := startCollector(t)
	var local output
	tel := must[*telemetry](t)(newTelemetry(t.Context(), exporting(endpoint), parts{}, newLogger(&local, "info")))
	measures := must[*measures](t)(newMeasures(tel.meter))
	ctx, span := tel.tracer().Start(t.Context(), "a call")
	tel.log.InfoContext(ctx, "serving", "version", "x")
	tel.log.DebugContext(ctx, "klarna call")
	measures.sent(ctx, "payment", time.Second)
	span.End()
	tel.close()
	collected.mu.Lock()
	defer collected.mu.Unlock()
	if !collected.spans["a call"] || !collected.metrics["klarna_gateway.watch.lag"] || !collected.logs["serving"] || collected.logs["klarna call"] {
		t.Errorf("collected %v", collected)
	}
	if !strings.Contains(local.String(), span.SpanContext().TraceID().String()) || strings.Count(local.String(), "\n") != 1 {
		t.Errorf("standard error has %s", local.String())
	}
}

// Without a collector nothing is made that could be exported; with one that is away, the end waits for it no longer than
// it may.
func TestTelemetry_IsNotInTheWay(t *testing.T) {
	t.Parallel()
	off := must[*telemetry](t)(newTelemetry(t.Context(), exporting(""), parts{}, slog.New(slog.DiscardHandler)))
	if off.traces != nil || off.tracer() != nil || len(off.shutdown) != 1 { // the metrics, for scraping
		t.Errorf("without a collector: %+v", off)
	}
	off.close()
	cfg := exporting("")
	cfg.AdminAddress = "off"
	none := must[*telemetry](t)(newTelemetry(t.Context(), cfg, parts{}, slog.New(slog.DiscardHandler)))
	if len(none.shutdown) != 0 || none.scraped != nil {
		t.Errorf("without anybody who listens: %+v", none)
	}
	none.close()

	silent := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")) // takes connections and says nothing
	defer silent.Close()
	away := must[*telemetry](t)(newTelemetry(t.Context(), exporting("http://"+silent.Addr().String()), parts{}, slog.New(slog.DiscardHandler)))
	_, span := away.tracer().Start(t.Context(), "a call")
	span.End()
	away.log.Info("serving")
	bounded := false
	away.shutdown = append(away.shutdown, func(ctx context.Context) error {
		until, has := ctx.Deadline()
		bounded = has && time.Until(until) <= lastExport
		return nil
	})
	away.close()
	if !bounded {
		t.Error("the end waits as long as a collector likes")
	}
}

// Metrics are there though the database is not: they are what tells.
func TestMetrics_AreThereThoughTheStoreIsNot(t *testing.T) {
	t.Parallel()
	l := runLocalWith(t, -1, slog.New(slog.DiscardHandler), parts{statsKept: time.Nanosecond})
	if err := l.gateway.data.engine.Close(); err != nil {
		t.Fatal(err)
	}
	seen := scraped(t, l)
	if seen.sum("klarna_gateway_build_info") != 1 || len(seen.values("klarna_gateway_log_head", "")) != 0 {
		t.Error("want what is in memory, and nothing of the store")
	}
}

// An error is one line, where it stops, with what it takes to find it: whatever goes wrong, and however often it was tried.
func TestLog_ACallThatFailsIsOneLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault klarnatest.Fault
		lines int // of level warn and above
	}{
		"refused by Klarna, the caller's to mend": {klarnatest.Fault{Operation: "createSession", Status: http.StatusBadRequest}, 0},
		"credential":                  {klarnatest.Fault{Operation: "createSession", Status: http.StatusUnauthorized, Times: -1}, 1},
		"Klarna down, three attempts": {klarnatest.Fault{Operation: "createSession", Status: http.StatusServiceUnavailable, Times: -1}, 1},
		"no answer, three attempts":   {klarnatest.Fault{Operation: "createSession", LoseAnswer: true, Times: -1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log output
			l := runLocalWith(t, -1, newLogger(&log, "warn"), parts{})
			if err := l.sim.Fail(c.fault); err != nil {
				t.Fatal(err)
			}
			request := sessionRequest("SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)
			if _, err := travel(t, l).payments.CreatePaymentSession(t.Context(), request); err == nil {
				t.Fatal("it did not fail")
			}
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			var ours []string
			for _, line := range lines {
				if line != "" && !strings.Contains(line, `"side":"klarna"`) {
					ours = append(ours, line)
				}
			}
			if len(ours) != c.lines {
				t.Fatalf("%d lines, want %d:\n%s", len(ours), c.lines, log.String())
			}
			for _, line := range ours {
				if !strings.Contains(line, `"request_id":"`+request.GetRequestId()) || !strings.Contains(line, `"method":"/gateway.v1.PaymentService/CreatePaymentSession"`) {
					t.Errorf("the line does not tell which call: %s", line)
				}
			}
		})
	}
}
