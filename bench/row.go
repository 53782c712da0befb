package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// rows are what is measured, in the order of the table.
var rows = []struct {
	name string
	run  func(context.Context, *bench) ([]result, error)
}{
	{"session", createSession},
	{"capture", captureOrder},
	{"read", getOrder},
	{"webhook", webhookSQLite},
	{"webhook-postgres", webhookPostgres},
	{"delivery", delivery},
	{"memory", memory},
	{"strangers", strangers},
	{"append", appendLarge},
	{"resume", resume},
	{"latency", latency},
	{"start", start},
}

func names() (all []string) {
	for _, r := range rows {
		all = append(all, r.name)
	}
	return all
}

// result is a line of the table.
type result struct {
	work, baseline string
	ours, base     string // figures for a reader
	figure         spread
	unit           string
	goal           float64 // 0 for none
	atMost         bool    // the figure shall not be above the goal; else not below
}

func (r result) met() bool {
	if r.atMost {
		return r.figure.median <= r.goal
	}
	return r.figure.median >= r.goal
}

func (r result) goalText() string {
	switch {
	case r.goal == 0:
		return "none"
	case r.atMost:
		return fmt.Sprintf("≤ %g %s", r.goal, r.unit)
	}
	return fmt.Sprintf("≥ %g %s", r.goal, r.unit)
}

func (r result) verdict() string {
	switch {
	case r.goal == 0:
		return "–"
	case r.met():
		return "met"
	}
	return "**missed**"
}

func (r result) String() string {
	return fmt.Sprintf("%s / %s: %s %s, goal %s: %s\n    gateway: %s\n    baseline: %s", r.work, r.baseline, r.figure, r.unit, r.goalText(), r.verdict(), r.ours, r.base)
}

// spread is what the rounds gave.
type spread struct{ median, low, high float64 }

func (s spread) String() string {
	return fmt.Sprintf("%s (%s–%s)", figure(s.median), figure(s.low), figure(s.high))
}

func figure(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return spread{}
	}
	median := sorted[len(sorted)/2]
	if len(sorted)%2 == 0 {
		median = (median + sorted[len(sorted)/2-1]) / 2
	}
	return spread{median, sorted[0], sorted[len(sorted)-1]}
}

// sample is what one round of one contestant gave.
type sample struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of the process under test, for each piece of work
}

func rate(s sample) float64    { return s.perSecond }
func tail(s sample) float64    { return s.p99.Seconds() }
func seconds(s sample) float64 { return 1 / s.perSecond }

// ratio compares two contestants round by round.
func ratio(ours, base []sample, of func(sample) float64) spread {
	values := make([]float64, len(ours))
	for i := range ours {
		values[i] = of(ours[i]) / of(base[i])
	}
	return spreadOf(values)
}

func medianOf(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return spreadOf(values).median
}

// calls tells of samples what a reader wants to know.
func calls(samples []sample, what string) string {
	return fmt.Sprintf("%.0f %s/s, p50 %s, p99 %s, %.0f µs CPU each", medianOf(samples, rate), what,
		millis(medianOf(samples, func(s sample) float64 { return s.p50.Seconds() })), millis(medianOf(samples, tail)),
		medianOf(samples, func(s sample) float64 { return float64(s.cpu.Nanoseconds()) / 1000 }))
}

func millis(seconds float64) string { return figure(seconds*1000) + " ms" }

// alternate lets the contestants take turns, and returns the samples of each.
func (b *bench) alternate(contestants ...func() (sample, error)) ([][]sample, error) {
	all := make([][]sample, len(contestants))
	for range b.rounds {
		for i, run := range contestants {
			one, err := run()
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], one)
		}
	}
	return all, nil
}

// load has callers do something over and over for a round, and counts what ends within it. A round goes on until there is
// something to count.
func (b *bench) load(callers int, under *process, do func(caller int) error) (s sample, err error) {
	var counting, over atomic.Bool
	var counted atomic.Int64
	var first atomic.Pointer[error]
	took := make([][]time.Duration, callers)
	var working sync.WaitGroup
	for c := range callers {
		working.Go(func() {
			for !over.Load() {
				began := time.Now()
				if err := do(c); err != nil {
					first.CompareAndSwap(nil, &err)
					return
				}
				if counting.Load() {
					counted.Add(1)
					took[c] = append(took[c], time.Since(began))
				}
			}
		})
	}
	time.Sleep(b.warm)
	counting.Store(true)
	cpu, began := under.cpu(), time.Now()
	for time.Sleep(b.round); counted.Load() == 0 && first.Load() == nil; {
		time.Sleep(time.Millisecond)
	}
	counting.Store(false)
	elapsed, used := time.Since(began), under.cpu()-cpu
	over.Store(true)
	working.Wait()
	if failed := first.Load(); failed != nil {
		return s, *failed
	}
	return summed(slices.Concat(took...), elapsed, used)
}

func summed(took []time.Duration, elapsed, cpu time.Duration) (s sample, err error) {
	if len(took) == 0 {
		return s, fmt.Errorf("nothing was done within %s", elapsed)
	}
	slices.Sort(took)
	n := len(took)
	return sample{
		perSecond: float64(n) / elapsed.Seconds(), p50: took[n/2], p99: took[min(n-1, n*99/100)], cpu: cpu / time.Duration(n),
	}, nil
}

// quantile of sorted values.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*q))]
}
