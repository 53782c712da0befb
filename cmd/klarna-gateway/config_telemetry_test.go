package main

import (
	"strings"
	"testing"
)

func TestConfig_SignalsAreExportedWhereTheyAreWanted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  map[string]string
		file string // otlp_endpoint
		on   string
		flaw string
	}{
		"nothing said":     {},
		"the file":         {file: "http://collector:4317", on: "TRACES METRICS LOGS"},
		"the environment":  {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, on: "TRACES METRICS LOGS"},
		"one signal":       {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4317"}, on: "TRACES"},
		"all but one":      {file: "http://c:4317", env: map[string]string{"OTEL_LOGS_EXPORTER": "none"}, on: "TRACES METRICS"},
		"switched off":     {file: "http://c:4317", env: map[string]string{"OTEL_SDK_DISABLED": "true"}},
		"another exporter": {env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, flaw: "OTEL_TRACES_EXPORTER"},
		"another protocol": {env: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, flaw: "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"no address":       {file: "collector:4317", on: "TRACES METRICS LOGS", flaw: "otlp_endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := telemetryConfig{OTLPEndpoint: c.file}
			flaws := append(cfg.environment(func(name string) string { return c.env[name] }), cfg.checkTelemetry()...)
			var on []string
			for _, s := range []otelSignal{traces, metrics, logs} {
				if cfg.otlp[s].on {
					on = append(on, string(s))
				}
			}
			if c.flaw == "" && len(flaws) > 0 || c.flaw != "" && (len(flaws) == 0 || !strings.Contains(flaws[0].Error(), c.flaw)) {
				t.Errorf("flaws %v, want %q", flaws, c.flaw)
			}
			if got := strings.Join(on, " "); c.flaw == "" && got != c.on {
				t.Errorf("exported: %q, want %q", got, c.on)
			}
		})
	}
}
