package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// rule is an alert of deploy/observability/alerts.yaml.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) map[string]rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(must[[]byte](t)(os.ReadFile("../../deploy/observability/alerts.yaml")))))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	all := map[string]rule{}
	for _, group := range file.Groups {
		for _, r := range group.Rules {
			all[r.Alert] = r
		}
	}
	return all
}

// Each alert is about metrics that there are, says what to do in a line, and where the runbook says more.
func TestAlerts_AreAboutWhatThereIs(t *testing.T) {
	t.Parallel()
	known, runbook := documentedMetrics(t), string(must[[]byte](t)(os.ReadFile("../../docs/operations.md")))
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(runbook, -1) {
		anchors[strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")] = true
	}
	for name, r := range rules(t) {
		for _, flaw := range unknownIn(known, r.Expr) {
			t.Errorf("%s uses %s, which there is not", name, flaw)
		}
		if anchor := strings.TrimPrefix(r.Annotations["runbook"], "docs/operations.md#"); !anchors[anchor] || anchor != strings.ToLower(name) {
			t.Errorf("%s: no heading of docs/operations.md for %q", name, r.Annotations["runbook"])
		}
		if r.Annotations["summary"] == "" || r.Annotations["action"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s: summary, action or severity is missing", name)
		}
	}
	for _, broken := range []string{
		"klarna_gateway_nothing > 0", `klarna_gateway_watch_open{door="x"}`, `klarna_gateway_job_count{state="lost"}`, "sum by (door) (klarna_gateway_watch_open)", "sum(",
	} {
		if len(unknownIn(known, broken)) == 0 {
			t.Errorf("%s passes", broken)
		}
	}
}

func TestDashboard_IsAboutWhatThereIs(t *testing.T) {
	t.Parallel()
	var dashboard any
	if err := json.Unmarshal(must[[]byte](t)(os.ReadFile("../../deploy/observability/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	known, asked := documentedMetrics(t), 0
	var walk func(at any)
	walk = func(at any) {
		switch at := at.(type) {
		case []any:
			for _, one := range at {
				walk(one)
			}
		case map[string]any:
			for key, one := range at {
				if expr, is := one.(string); is && key == "expr" {
					asked++
					expr = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$instance", ".*").Replace(expr)
					for _, flaw := range unknownIn(known, expr) {
						t.Errorf("%s uses %s, which there is not", expr, flaw)
					}
				}
				walk(one)
			}
		}
	}
	walk(dashboard)
	if asked < 20 {
		t.Errorf("the dashboard asks %d times", asked)
	}
}
