package main

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
)

// window is two scrapes; what grows is told by their difference.
type window struct{ before, after scrape }

// series are values by their labels, in text.
type series []sample

// fires tells for which labels an alert's expression is true.
func (w window) fires(t *testing.T, expr string) (labels []string) {
	t.Helper()
	parsed := must[metricsql.Expr](t)(metricsql.Parse(expr))
	found, err := w.eval(parsed)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	for _, one := range found {
		labels = append(labels, identity(one.labels))
	}
	return labels
}

func identity(labels map[string]string) string {
	var text []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		text = append(text, name+"="+labels[name])
	}
	return strings.Join(text, ",")
}

// eval evaluates what the alerts use of PromQL, by its rules. What it does not know is an error.
func (w window) eval(e metricsql.Expr) (series, error) {
	switch e := e.(type) {
	case *metricsql.NumberExpr:
		return series{{value: e.N}}, nil
	case *metricsql.MetricExpr:
		return w.after.match(e), nil
	case *metricsql.FuncExpr:
		return w.function(e)
	case *metricsql.AggrFuncExpr:
		return w.aggregate(e)
	case *metricsql.BinaryOpExpr:
		return w.binary(e)
	}
	return nil, fmt.Errorf("cannot evaluate %T", e)
}

func (s scrape) match(e *metricsql.MetricExpr) (found series) {
	for _, one := range s.samples {
		ok := true
		for _, f := range e.LabelFilterss[0] {
			value := one.labels[f.Label]
			if f.Label == "__name__" {
				value = one.name
			}
			is := value == f.Value
			if f.IsRegexp {
				is = regexp.MustCompile("^(?:" + f.Value + ")$").MatchString(value)
			}
			ok = ok && is != f.IsNegative
		}
		if ok {
			found = append(found, one)
		}
	}
	return found
}

func (w window) function(e *metricsql.FuncExpr) (series, error) {
	switch e.Name {
	case "increase", "rate":
		rollup, is := e.Args[0].(*metricsql.RollupExpr)
		if !is || rollup.Window == nil {
			return nil, fmt.Errorf("%s of no window", e.Name)
		}
		metric := rollup.Expr.(*metricsql.MetricExpr)
		over := 1.0
		if e.Name == "rate" {
			over = float64(rollup.Window.Duration(0)) / 1000
		}
		was := map[string]float64{}
		for _, one := range w.before.match(metric) {
			was[one.name+identity(one.labels)] = one.value
		}
		grown := w.after.match(metric)
		for i, one := range grown { // what was not there before has not grown
			grown[i].value = 0
			if before, there := was[one.name+identity(one.labels)]; there {
				grown[i].value = (one.value - before) / over
			}
		}
		return grown, nil
	case "histogram_quantile":
		buckets, err := w.eval(e.Args[1])
		return quantiles(e.Args[0].(*metricsql.NumberExpr).N, buckets), err
	}
	return nil, fmt.Errorf("cannot evaluate %s", e.Name)
}

// quantiles are the upper bounds of the buckets that the quantile falls into, not interpolated.
func quantiles(q float64, buckets series) (found series) {
	byRest := map[string]series{}
	for _, one := range buckets {
		rest := maps.Clone(one.labels)
		delete(rest, "le")
		byRest[identity(rest)] = append(byRest[identity(rest)], one)
	}
	bound := func(one sample) float64 {
		le, _ := strconv.ParseFloat(one.labels["le"], 64)
		return le
	}
	for _, group := range byRest {
		slices.SortFunc(group, func(a, b sample) int {
			if bound(a) < bound(b) {
				return -1
			}
			return 1
		})
		all, value := group[len(group)-1].value, math.NaN()
		for _, one := range group {
			if all > 0 && one.value >= q*all {
				value = bound(one)
				break
			}
		}
		rest := maps.Clone(group[0].labels)
		delete(rest, "le")
		found = append(found, sample{labels: rest, value: value})
	}
	return found
}

func (w window) aggregate(e *metricsql.AggrFuncExpr) (series, error) {
	all, err := w.eval(e.Args[0])
	groups := map[string]*sample{}
	for _, one := range all {
		kept := map[string]string{}
		for _, name := range e.Modifier.Args {
			if value, has := one.labels[name]; has {
				kept[name] = value
			}
		}
		group, begun := groups[identity(kept)]
		switch {
		case !begun:
			groups[identity(kept)] = &sample{labels: kept, value: one.value}
		case e.Name == "sum":
			group.value += one.value
		case e.Name == "max":
			group.value = max(group.value, one.value)
		default:
			return nil, fmt.Errorf("cannot evaluate %s", e.Name)
		}
	}
	var found series
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		found = append(found, *groups[id])
	}
	return found, err
}

func (w window) binary(e *metricsql.BinaryOpExpr) (found series, err error) {
	left, err := w.eval(e.Left)
	if err != nil {
		return nil, err
	}
	right, err := w.eval(e.Right)
	if err != nil {
		return nil, err
	}
	_, scalar := e.Right.(*metricsql.NumberExpr)
	for _, a := range left {
		for _, b := range right {
			if !scalar && identity(a.labels) != identity(b.labels) {
				continue
			}
			keep := true
			switch e.Op {
			case ">":
				keep = a.value > b.value
			case "==":
				keep = a.value == b.value
			case "/":
				a.value /= b.value
			case "and":
			default:
				return nil, fmt.Errorf("cannot evaluate %s", e.Op)
			}
			if keep {
				found = append(found, a)
			}
		}
	}
	return found, nil
}

// unknownIn names what an expression uses and no metric has: metrics, labels that are compared or kept, and values of
// labels whose values are listed.
func unknownIn(known map[string]documentedMetric, expr string) (flaws []string) {
	parsed, err := metricsql.Parse(expr)
	if err != nil {
		return []string{err.Error()}
	}
	var labels []string // of the metrics of the expression
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		metric, is := e.(*metricsql.MetricExpr)
		if !is {
			return
		}
		for _, filters := range metric.LabelFilterss {
			name := filters[0].Value
			m, has := family(known, name)
			if !has {
				flaws = append(flaws, "metric "+name)
				continue
			}
			labels = append(labels, append(m.labels, "le", "job", "instance")...)
			for _, f := range filters[1:] {
				if !slices.Contains(append(m.labels, "job", "instance"), f.Label) {
					flaws = append(flaws, "label "+f.Label+" of "+name)
				}
				for value := range strings.SplitSeq(f.Value, "|") {
					if listed := m.values[f.Label]; len(listed) > 0 && !slices.Contains(listed, value) {
						flaws = append(flaws, "value "+value+" of label "+f.Label+" of "+name)
					}
				}
			}
		}
	})
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		if aggregate, is := e.(*metricsql.AggrFuncExpr); is {
			for _, label := range aggregate.Modifier.Args {
				if !slices.Contains(labels, label) {
					flaws = append(flaws, "label "+label+" that it keeps")
				}
			}
		}
	})
	return flaws
}
