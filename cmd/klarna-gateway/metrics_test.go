package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// sample is one value of a scrape; of histograms and their like there are several, under the names that PromQL knows.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// scrape is what /metrics tells at one moment.
type scrape struct {
	samples []sample
	types   map[string]string // by name of the family
}

func scraped(t *testing.T, l *local) scrape {
	t.Helper()
	return scrapedAt(t, l.gateway.adminListener.Addr().String())
}

func scrapedAt(t *testing.T, admin string) scrape {
	t.Helper()
	res := must[*http.Response](t)(http.Get("http://" + admin + "/metrics"))
	defer res.Body.Close()
	body := must[[]byte](t)(io.ReadAll(res.Body))
	if res.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s\n%s", res.Status, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	s := scrape{types: map[string]string{}}
	for name, family := range families {
		s.types[name] = strings.ToLower(family.GetType().String())
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			add := func(suffix string, value float64, more ...string) {
				all := maps.Clone(labels)
				for i := 0; i+1 < len(more); i += 2 {
					all[more[i]] = more[i+1]
				}
				s.samples = append(s.samples, sample{name + suffix, all, value})
			}
			switch h := m.GetHistogram(); {
			case h != nil:
				add("_count", float64(h.GetSampleCount()))
				add("_sum", h.GetSampleSum())
				for _, b := range h.GetBucket() {
					add("_bucket", float64(b.GetCumulativeCount()), "le", fmt.Sprint(b.GetUpperBound()))
				}
			case m.GetCounter() != nil:
				add("", m.GetCounter().GetValue())
			default:
				add("", m.GetGauge().GetValue())
			}
		}
	}
	return s
}

// sum adds up what has a name and these labels (name, value, …).
func (s scrape) sum(name string, labels ...string) (sum float64) {
	for _, one := range s.samples {
		matches := one.name == name
		for i := 0; matches && i+1 < len(labels); i += 2 {
			matches = one.labels[labels[i]] == labels[i+1]
		}
		if matches {
			sum += one.value
		}
	}
	return sum
}

// values are all that a label has of a metric.
func (s scrape) values(name, label string) (values []string) {
	for _, one := range s.samples {
		if one.name == name && !slices.Contains(values, one.labels[label]) {
			values = append(values, one.labels[label])
		}
	}
	return values
}
