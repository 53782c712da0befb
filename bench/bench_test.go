package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" { // this binary is a baseline too
		fail(play(role))
		return
	}
	os.Exit(m.Run())
}

// Every row runs against the real gateway; what it measures in so short a time means nothing.
func TestRows_Smoke(t *testing.T) {
	program := filepath.Join(t.TempDir(), "klarna-gateway")
	if said, err := exec.Command("go", "build", "-o", program, "../cmd/klarna-gateway").CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, said)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	k, err := newKlarna()
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			b := &bench{size: quickSize, out: out, gateway: program, cache: t.TempDir(), dir: t.TempDir(), klarna: k}
			results, err := r.run(t.Context(), b)
			if errors.Is(err, postgrestest.ErrMissing) && os.Getenv("CI") == "" {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range results {
				if one.figure.median <= 0 || one.figure.low > one.figure.median || one.figure.median > one.figure.high {
					t.Errorf("%s: the figure is %v", one.work, one.figure)
				}
			}
		})
	}
}

func TestReport_TellsMissedGoals(t *testing.T) {
	r := report{size: quickSize, results: []result{
		{work: "a", baseline: "x", figure: spread{0.9, 0.8, 1}, unit: "×", goal: 0.8},
		{work: "b", baseline: "y", figure: spread{0.5, 0.4, 0.9}, unit: "×", goal: 0.7},
		{work: "c", baseline: "z", figure: spread{25, 20, 30}, unit: "ms", goal: 20, atMost: true},
		{work: "d", baseline: "<", figure: spread{0.2, 0.2, 0.2}, unit: "×"},
	}}
	page, plot := r.markdown(), r.plot()
	for _, line := range []string{
		"| a | x | 0.90 (0.80–1.00) × | ≥ 0.8 × | met |",
		"| b | y | 0.50 (0.40–0.90) × | ≥ 0.7 × | **missed** |",
		"| c | z | 25.0 (20.0–30.0) ms | ≤ 20 ms | **missed** |",
		"| d | < | 0.20 (0.20–0.20) × | none | – |",
	} {
		if !strings.Contains(page, line) {
			t.Errorf("the page lacks %s", line)
		}
	}
	if text := "\n## Where the time goes\n\nIn the disk.\n"; byHand(page+text) != text || byHand(page) != "" {
		t.Errorf("what was written by hand does not stay: %q", byHand(page+text))
	}
	if strings.Count(plot, "<circle") != 3 || strings.Contains(plot, "against: <") {
		t.Errorf("plot:\n%s", plot)
	}
}

func TestSpread_IsTheMedianOfTheRounds(t *testing.T) {
	got := ratio([]sample{{perSecond: 2}, {perSecond: 9}, {perSecond: 4}}, []sample{{perSecond: 1}, {perSecond: 3}, {perSecond: 4}}, rate)
	if got != (spread{median: 2, low: 1, high: 3}) {
		t.Errorf("spread is %v", got)
	}
}
