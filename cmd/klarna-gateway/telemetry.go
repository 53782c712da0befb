package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// instrumentation names the gateway's own meter and tracer.
const instrumentation = "payments.internal/klarna-gateway"

// telemetry is where the gateway tells how it is: metrics for whoever scrapes them, and traces, metrics and logs for a
// collector if one is configured. What is off costs nothing and has no goroutine.
type telemetry struct {
	traces   trace.TracerProvider // nil without a collector for them
	meter    metric.Meter
	scraped  http.Handler // nil without an admin listener
	log      *slog.Logger
	clean    *redaction // what is exported is without what must not be told
	shutdown []shutdown
}

// shutdown exports what is left until ctx ends.
type shutdown func(ctx context.Context) error

// after is a provider's shutdown and then its exporter's, which ends an export that still goes on: the provider does not
// wait for it longer than ctx, and would leave it behind.
func (last shutdown) after(first shutdown) shutdown {
	return func(ctx context.Context) error {
		err := first(ctx)
		if last != nil {
			_ = last(ctx) // mostly ended already
		}
		return err
	}
}

// lastExport bounds the export of what is left at the end: a collector that is away does not hold up a shutdown.
const lastExport = 2 * time.Second

// newTelemetry begins to tell. Nobody has to listen: a collector that cannot be reached costs what it is not told, and a
// line in the log.
func newTelemetry(ctx context.Context, cfg config, with parts, log *slog.Logger) (t *telemetry, err error) {
	t = &telemetry{log: slog.New(tracedLog{log.Handler()}), clean: newRedaction(cfg.secrets()...)}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	res, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("klarna-gateway"), semconv.ServiceVersion(version())),
		resource.WithTelemetrySDK(), resource.WithFromEnv()) // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES stand above ours
	if err != nil {
		return t, fmt.Errorf("telemetry: %w", err)
	}
	if err := t.exportTraces(ctx, cfg.otlp[traces], res, with); err != nil {
		return t, fmt.Errorf("telemetry: traces: %w", err)
	}
	if err := t.measure(ctx, cfg, res); err != nil {
		return t, fmt.Errorf("telemetry: metrics: %w", err)
	}
	if err := t.exportLogs(ctx, cfg.otlp[logs], res, log); err != nil {
		return t, fmt.Errorf("telemetry: logs: %w", err)
	}
	if len(t.shutdown) > 0 {
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry not exported", "error", err) }))
	}
	return t, nil
}

func (t *telemetry) exportTraces(ctx context.Context, to otlpTarget, res *resource.Resource, with parts) error {
	var last shutdown
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if with.spans != nil {
		options = append(options, sdktrace.WithSpanProcessor(with.spans))
	}
	if to.on {
		exporter, err := otlptracegrpc.New(ctx, endpoint(to, otlptracegrpc.WithEndpointURL)...)
		if err != nil {
			return err
		}
		options, last = append(options, sdktrace.WithBatcher(cleanSpans{exporter, t.clean})), exporter.Shutdown
	}
	if len(options) == 1 {
		return nil
	}
	provider := sdktrace.NewTracerProvider(options...)
	t.traces = provider
	t.shutdown = append(t.shutdown, last.after(provider.Shutdown))
	return nil
}

// measure makes the meter, for scraping where there is an admin listener, and for a collector.
func (t *telemetry) measure(ctx context.Context, cfg config, res *resource.Resource) error {
	var last shutdown
	options := []sdkmetric.Option{sdkmetric.WithResource(res)}
	if cfg.admin() {
		registry := prometheus.NewRegistry()
		reader, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
		if err != nil {
			return err
		}
		t.scraped = promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 8 * time.Second})
		options = append(options, sdkmetric.WithReader(reader))
	}
	if to := cfg.otlp[metrics]; to.on {
		exporter, err := otlpmetricgrpc.New(ctx, endpoint(to, otlpmetricgrpc.WithEndpointURL)...)
		if err != nil {
			return err
		}
		options, last = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter))), exporter.Shutdown
	}
	if len(options) == 1 {
		t.meter = noop.Meter{}
		return nil
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.shutdown = append(t.shutdown, last.after(provider.Shutdown))
	t.meter = provider.Meter(instrumentation)
	return runtime.Start(runtime.WithMeterProvider(provider))
}

// exportLogs sends the log to a collector too.
func (t *telemetry) exportLogs(ctx context.Context, to otlpTarget, res *resource.Resource, log *slog.Logger) error {
	if !to.on {
		return nil
	}
	exporter, err := otlploggrpc.New(ctx, endpoint(to, otlploggrpc.WithEndpointURL)...)
	if err != nil {
		return err
	}
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	t.shutdown = append(t.shutdown, shutdown(exporter.Shutdown).after(provider.Shutdown))
	bridge := otelslog.NewHandler(instrumentation, otelslog.WithLoggerProvider(provider))
	t.log = slog.New(beside(log.Handler(), leveled{bridge, log.Handler()}, t.clean))
	return nil
}

// endpoint is the option that names a target, none where the exporter finds it in the environment.
func endpoint[O any](to otlpTarget, named func(string) O) []O {
	if to.url == "" {
		return nil
	}
	return []O{named(to.url)}
}

// tracer makes spans; nil if there are none to be made.
func (t *telemetry) tracer() trace.Tracer {
	if t.traces == nil {
		return nil
	}
	return t.traces.Tracer(instrumentation)
}

// close exports what is left, for a short time.
func (t *telemetry) close() {
	ctx, cancel := context.WithTimeout(context.Background(), lastExport)
	defer cancel()
	var closing sync.WaitGroup
	for _, shutdown := range t.shutdown {
		closing.Go(func() {
			if err := shutdown(ctx); err != nil && !errors.Is(err, sdkmetric.ErrReaderShutdown) {
				t.log.Debug("telemetry left unexported", "error", err)
			}
		})
	}
	closing.Wait()
}
