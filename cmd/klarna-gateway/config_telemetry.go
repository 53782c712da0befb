package main

import (
	"fmt"
	"net/url"
	"strings"
)

// telemetryConfig says where traces, metrics and logs go, beside /metrics on the admin listener and standard error. The
// exporters, the sampler and the resource also read the standard OTEL_… variables; what is not set there or here is
// exported nowhere.
type telemetryConfig struct {
	// OTLPEndpoint is the URL of an OpenTelemetry collector's gRPC receiver, such as http://collector:4317; https for TLS.
	// OTEL_EXPORTER_OTLP_ENDPOINT stands above it.
	OTLPEndpoint string `yaml:"otlp_endpoint"`

	// otlp is what the environment says of each signal.
	otlp map[otelSignal]otlpTarget
}

// otelSignal is what OpenTelemetry exports.
type otelSignal string

// The signals.
const (
	traces  otelSignal = "TRACES"
	metrics otelSignal = "METRICS"
	logs    otelSignal = "LOGS"
)

// otlpTarget says where a signal goes.
type otlpTarget struct {
	on  bool
	url string // empty: the exporter takes it from the environment
}

// environment reads what of OTEL_… decides whether a signal is exported; the rest is the exporters' to read.
func (c *telemetryConfig) environment(env func(string) string) (flaws []error) {
	c.otlp = map[otelSignal]otlpTarget{}
	for _, s := range []otelSignal{traces, metrics, logs} {
		var target otlpTarget
		switch exporter := env("OTEL_" + string(s) + "_EXPORTER"); {
		case exporter == "none" || strings.EqualFold(env("OTEL_SDK_DISABLED"), "true"):
			continue
		case exporter != "" && exporter != "otlp":
			flaws = append(flaws, fmt.Errorf("OTEL_%s_EXPORTER: %q is neither otlp nor none", s, exporter))
			continue
		}
		for _, of := range []string{"", string(s) + "_"} {
			if protocol := env("OTEL_EXPORTER_OTLP_" + of + "PROTOCOL"); protocol != "" && protocol != "grpc" {
				flaws = append(flaws, fmt.Errorf("OTEL_EXPORTER_OTLP_%sPROTOCOL: %q is not grpc, the one that is spoken", of, protocol))
			}
			target.on = target.on || env("OTEL_EXPORTER_OTLP_"+of+"ENDPOINT") != ""
		}
		if !target.on && c.OTLPEndpoint != "" {
			target = otlpTarget{on: true, url: c.OTLPEndpoint}
		}
		c.otlp[s] = target
	}
	return flaws
}

func (c *telemetryConfig) checkTelemetry() []error {
	if c.OTLPEndpoint == "" {
		return nil
	}
	at, err := url.Parse(c.OTLPEndpoint)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return []error{fmt.Errorf("otlp_endpoint: not an http or https address")}
	}
	return nil
}
