package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// plantedTexts are what must get to no sink, by what they are.
var plantedTexts = map[string]string{
	"iban": "DE02120300000000202051", "national id": "410321-9202", "e-mail": "erika@beispiel.example", "phone": "+4930901820",
	"bearer": "Bearer opaque-token-of-a-caller", "jwt": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzaG9wIn0.c2lnbmF0dXJl", "api key": "klarna_test_api_c2FtcGxl",
	"configured key": knownSecret,
}

// corners is a type with something in every corner.
type corners struct {
	Note   string `json:"note"`
	Inner  any
	List   []any
	ByName map[string]any
	hidden string
}

// lazy says what it is when it is logged.
type lazy struct{ text string }

func (l lazy) LogValue() slog.Value {
	return slog.GroupValue(slog.String("note", l.text), slog.Any("cause", errors.New(l.text)))
}

type brokenError struct{ text *string }

func (e *brokenError) Error() string { return *e.text }

// shapes are the ways in which a text gets into an entry.
var shapes = map[string]func(*slog.Logger, string){
	"message":       func(l *slog.Logger, s string) { l.Info("failed at " + s + " again") },
	"attribute":     func(l *slog.Logger, s string) { l.Info("x", "note", "at "+s+".") },
	"error":         func(l *slog.Logger, s string) { l.Error("x", "error", fmt.Errorf("read: %w", errors.New(s))) },
	"joined errors": func(l *slog.Logger, s string) { l.Error("x", "error", errors.Join(errors.New("a"), errors.New(s))) },
	"group":         func(l *slog.Logger, s string) { l.Info("x", slog.Group("in", slog.Group("deep", "note", s))) },
	"with":          func(l *slog.Logger, s string) { l.With("note", s).WithGroup("in").With("more", s).Info("x", "last", s) },
	"struct":        func(l *slog.Logger, s string) { l.Info("x", "all", corners{Note: s, hidden: s}) },
	"nested": func(l *slog.Logger, s string) {
		l.Info("x", "all", &corners{Inner: &corners{List: []any{corners{Note: s}, s, 7}}})
	},
	"map":   func(l *slog.Logger, s string) { l.Info("x", "all", map[string]any{"note": []string{s}, s: true}) },
	"value": func(l *slog.Logger, s string) { l.Info("x", "all", lazy{s}) },
	"value in a struct": func(l *slog.Logger, s string) {
		l.Info("x", "all", corners{Inner: lazy{s}, ByName: map[string]any{"l": lazy{s}}})
	},
	"error in a struct": func(l *slog.Logger, s string) { l.Info("x", "all", corners{Inner: errors.New(s)}) },
	"bytes":             func(l *slog.Logger, s string) { l.Info("x", "all", []byte(s), "in", corners{Inner: []byte(s)}) },
	"json":              func(l *slog.Logger, s string) { l.Info("x", "all", json.RawMessage(`{"note":["`+s+`"]}`)) },
	"message of the API": func(l *slog.Logger, s string) {
		m := &gatewayv1.CreatePaymentSessionRequest{BillingAddress: &gatewayv1.Address{GivenName: s, Country: "DE"}, PurchaseCountry: s}
		l.Info("x", "request", m, "in", corners{Inner: m, List: []any{m}})
	},
	"secret": func(l *slog.Logger, s string) {
		l.Info("x", "key", klarna.Secret(s), "all", []klarna.Secret{klarna.Secret(s)}, "in", corners{Inner: secret{klarna.Secret(s)}})
	},
	"name of the API's": func(l *slog.Logger, s string) {
		l.Info("x", "given_name", "Erika", "iban", "none", "phone", 4930901820, slog.Group("g", "family-name", "Beispiel"),
			"all", map[string]any{"dateOfBirth": "1984-05-17", "customer": corners{Note: s}})
	},
	"broken": func(l *slog.Logger, s string) { l.Info("x", "error", (*brokenError)(nil), "note", s) },
}

// Whatever way it takes into an entry, what must not be told is in neither sink, and both have the same entries.
func TestLog_BothSinksAreEquallyClean(t *testing.T) {
	t.Parallel()
	taken, endpoint := startCollector(t)
	var local output
	cfg := exporting(endpoint)
	tel := must[*telemetry](t)(newTelemetry(t.Context(), cfg, parts{}, newLogger(&local, "debug", knownSecret)))
	entries := 0
	for shape, log := range shapes {
		for what, text := range plantedTexts {
			log(tel.log.With("shape", shape, "what", what, "order_id", "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417", "attempt", 3), text)
			entries++
		}
	}
	tel.close()
	theirs := map[string]map[string]any{}
	for _, r := range collected(taken, logRecords) {
		entry := plainMap(r.GetAttributes())
		entry["msg"] = r.GetBody().GetStringValue()
		theirs[fmt.Sprint(entry["shape"], entry["what"])] = entry
	}
	lines := strings.Split(strings.TrimSpace(local.String()), "\n")
	if len(lines) != entries || len(theirs) != entries {
		t.Fatalf("%d entries, %d lines, %d collected", entries, len(lines), len(theirs))
	}
	for _, line := range lines {
		var ours map[string]any
		if err := json.Unmarshal([]byte(line), &ours); err != nil {
			t.Fatal(err)
		}
		delete(ours, "time")
		delete(ours, "level")
		if other := theirs[fmt.Sprint(ours["shape"], ours["what"])]; !reflect.DeepEqual(ours, other) {
			t.Errorf("the sinks differ:\n%v\n%v", ours, other)
		}
		if ours["order_id"] != "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417" || ours["attempt"] != 3.0 {
			t.Errorf("what is nobody's is gone: %s", line)
		}
	}
	for what, text := range plantedTexts {
		quoted := strings.Trim(string(must[[]byte](t)(json.Marshal(text))), `"`)
		for sink, has := range map[string]string{"standard error": local.String(), "the collector": taken.text()} {
			if strings.Contains(has, text) || strings.Contains(has, quoted) || strings.Contains(has, "Erika") || strings.Contains(has, "1984-05-17") {
				t.Errorf("%s has the %s", sink, what)
			}
		}
	}
}

// plainMap is what JSON would read of OpenTelemetry's attributes.
func plainMap(all []*commonv1.KeyValue) map[string]any {
	plain := map[string]any{}
	for _, a := range all {
		plain[a.GetKey()] = plainValue(a.GetValue())
	}
	return plain
}

func plainValue(v *commonv1.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonv1.AnyValue_StringValue:
		return v.StringValue
	case *commonv1.AnyValue_BoolValue:
		return v.BoolValue
	case *commonv1.AnyValue_IntValue:
		return float64(v.IntValue)
	case *commonv1.AnyValue_DoubleValue:
		return v.DoubleValue
	case *commonv1.AnyValue_ArrayValue:
		plain := []any{}
		for _, one := range v.ArrayValue.GetValues() {
			plain = append(plain, plainValue(one))
		}
		return plain
	case *commonv1.AnyValue_KvlistValue:
		return plainMap(v.KvlistValue.GetValues())
	}
	return nil
}

// A logger that is not ours is no way around it to the collector.
func TestLog_WhatIsExportedIsCleanWhoeverLogsBesideIt(t *testing.T) {
	t.Parallel()
	taken, endpoint := startCollector(t)
	cfg := exporting(endpoint)
	cfg.MerchantAccounts = []accountConfig{{Password: secret{knownSecret}}}
	tel := must[*telemetry](t)(newTelemetry(t.Context(), cfg, parts{}, slog.New(slog.NewTextHandler(&output{}, nil))))
	for _, text := range plantedTexts {
		tel.log.Info("x "+text, "note", text)
	}
	tel.close()
	for what, text := range plantedTexts {
		if strings.Contains(taken.text(), text) {
			t.Errorf("the collector has the %s", what)
		}
	}
	if n := len(collected(taken, logRecords)); n != len(plantedTexts) {
		t.Errorf("%d entries came", n)
	}
}

// What each entry costs, where a line has some attributes and nothing to take out.
func BenchmarkLog(b *testing.B) {
	for name, log := range map[string]*slog.Logger{
		"clean": newLogger(io.Discard, "info", knownSecret), "raw": slog.New(slog.NewJSONHandler(io.Discard, nil)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.Info("call not served", "method", "/gateway.v1.OrderService/CaptureOrder", "code", "UNAVAILABLE", "retry_in", time.Second,
					"request_id", "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417", "error", errors.New("klarna has not answered"))
			}
		})
	}
}
