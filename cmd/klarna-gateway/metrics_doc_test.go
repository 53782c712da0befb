package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented are the metrics that docs/observability.md lists, with their type and labels.
type documentedMetric struct {
	kind   string
	labels []string
	values map[string][]string // of labels that list them
}

func documentedMetrics(t *testing.T) map[string]documentedMetric {
	t.Helper()
	text := string(must[[]byte](t)(os.ReadFile("../../docs/observability.md")))
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([a-z]+)[^|]*\\|([^|]*)\\|")
	label := regexp.MustCompile("`([a-z_]+)`(?: \\(([^)]*)\\))?")
	all := map[string]documentedMetric{"up": {kind: "gauge"}} // Prometheus' own
	for _, found := range row.FindAllStringSubmatch(text, -1) {
		m := documentedMetric{kind: found[2], values: map[string][]string{}}
		for _, l := range label.FindAllStringSubmatch(found[3], -1) {
			m.labels = append(m.labels, l[1])
			for value := range strings.SplitSeq(strings.ReplaceAll(l[2], "`", ""), ", ") {
				if value != "" {
					m.values[l[1]] = append(m.values[l[1]], value)
				}
			}
		}
		all[found[1]] = m
	}
	return all
}

// family is the metric that a name of PromQL belongs to.
func family(known map[string]documentedMetric, name string) (documentedMetric, bool) {
	if m, exact := known[name]; exact {
		return m, true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if m, is := known[strings.TrimSuffix(name, suffix)]; is && strings.HasSuffix(name, suffix) && m.kind == "histogram" {
			return m, true
		}
	}
	return documentedMetric{}, false
}

// undocumented names what a scrape has that is not in the documentation.
func undocumented(known map[string]documentedMetric, s scrape) (flaws []string) {
	for _, one := range s.samples {
		m, is := family(known, one.name)
		if !is {
			flaws = append(flaws, "metric "+one.name)
			continue
		}
		for label, value := range one.labels {
			if label != "le" && !slices.Contains(m.labels, label) {
				flaws = append(flaws, "label "+label+" of "+one.name)
			}
			if listed := m.values[label]; len(listed) > 0 && !slices.Contains(listed, value) {
				flaws = append(flaws, "value "+value+" of label "+label+" of "+one.name)
			}
		}
	}
	slices.Sort(flaws)
	return slices.Compact(flaws)
}
