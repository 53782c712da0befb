package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// collector is an OpenTelemetry collector as far as it takes what it is sent.
type collector struct {
	mu                   sync.Mutex
	spans, metrics, logs map[string]bool // by name; of logs the text
	sent                 []proto.Message // everything, as it came over the wire
}

type traceService struct {
	collectortrace.UnimplementedTraceServiceServer
	*collector
}
type metricsService struct {
	collectormetrics.UnimplementedMetricsServiceServer
	*collector
}
type logsService struct {
	collectorlogs.UnimplementedLogsServiceServer
	*collector
}

func (c traceService) Export(_ context.Context, req *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, req)
	for _, r := range req.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				c.spans[span.GetName()] = true
			}
		}
	}
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

func (c metricsService) Export(_ context.Context, req *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, req)
	for _, r := range req.GetResourceMetrics() {
		for _, s := range r.GetScopeMetrics() {
			for _, m := range s.GetMetrics() {
				c.metrics[m.GetName()] = true
			}
		}
	}
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

func (c logsService) Export(_ context.Context, req *collectorlogs.ExportLogsServiceRequest) (*collectorlogs.ExportLogsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, req)
	for _, r := range req.GetResourceLogs() {
		for _, s := range r.GetScopeLogs() {
			for _, l := range s.GetLogRecords() {
				c.logs[l.GetBody().GetStringValue()] = true
			}
		}
	}
	return &collectorlogs.ExportLogsServiceResponse{}, nil
}

func startCollector(t testing.TB) (c *collector, endpoint string) {
	t.Helper()
	c = &collector{spans: map[string]bool{}, metrics: map[string]bool{}, logs: map[string]bool{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	grpcServer := grpc.NewServer()
	collectortrace.RegisterTraceServiceServer(grpcServer, traceService{collector: c})
	collectormetrics.RegisterMetricsServiceServer(grpcServer, metricsService{collector: c})
	collectorlogs.RegisterLogsServiceServer(grpcServer, logsService{collector: c})
	go func() { _ = grpcServer.Serve(listener) }()
	t.Cleanup(grpcServer.Stop)
	return c, "http://" + listener.Addr().String()
}

// text is everything that was sent, bytes as text.
func (c *collector) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all strings.Builder
	for _, m := range c.sent {
		all.WriteString(prototext.MarshalOptions{Multiline: true}.Format(m))
	}
	return all.String()
}

// collected are the parts of all that was sent of one signal.
func collected[R proto.Message, P any](c *collector, parts func(R) []P) (all []P) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.sent {
		if req, is := m.(R); is {
			all = append(all, parts(req)...)
		}
	}
	return all
}

func logRecords(req *collectorlogs.ExportLogsServiceRequest) (all []*logsv1.LogRecord) {
	for _, r := range req.GetResourceLogs() {
		for _, s := range r.GetScopeLogs() {
			all = append(all, s.GetLogRecords()...)
		}
	}
	return all
}

func spanRecords(req *collectortrace.ExportTraceServiceRequest) (all []*tracev1.Span) {
	for _, r := range req.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			all = append(all, s.GetSpans()...)
		}
	}
	return all
}
