package store_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"payments.internal/klarna-gateway/store"
)

// full is an engine whose disk may be full.
type full struct {
	store.Engine
	disk atomic.Bool
}

func (f *full) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	results := f.Engine.Commit(ctx, units)
	if f.disk.Load() {
		for i := range results {
			results[i] = errors.New("disk full")
		}
	}
	return results
}

// A commit that the engine does not take is told apart from a unit that refuses by itself.
func TestDo_TellsOfEachCommit(t *testing.T) {
	t.Parallel()
	engine, seen := &full{}, make(chan store.Commit, 1)
	s := open(t, func(cfg *store.Config) {
		engine.Engine = cfg.Engine
		cfg.Engine = engine
		cfg.Observe = func(_ context.Context, c store.Commit) { seen <- c }
	})
	commit := func(what string, unit func(store.Tx) error, units, failed int) {
		t.Helper()
		_ = s.Do(t.Context(), unit)
		if c := <-seen; c.Units != units || c.Failed != failed || c.Duration <= 0 {
			t.Errorf("%s: %+v", what, c)
		}
	}
	commit("a good one", appending(event("evt-1", "pay-1")), 1, 0)
	commit("a unit that refuses", func(store.Tx) error { return errors.New("no such payment") }, 1, 0)
	engine.disk.Store(true)
	commit("a full disk", appending(event("evt-2", "pay-1")), 1, 1)
}

// Events and jobs keep the trace that they are made under, unless they bring one.
func TestTx_KeepsTheTraceOfItsContext(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	traceID, _ := trace.TraceIDFromHex("0af7651916cd43dd8448eb211c80319c")
	spanID, _ := trace.SpanIDFromHex("b7ad6b7169203331")
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled}))
	const own, brought = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	err := s.Do(ctx, func(tx store.Tx) error {
		mine, theirs := event("evt-1", "pay-1"), event("evt-2", "pay-1")
		theirs.TraceParent = brought
		_, err := tx.Append(ctx, mine)
		_, err2 := tx.Append(ctx, theirs)
		return errors.Join(err, err2, tx.AddJob(ctx, store.Job{Kind: "mine", RunAt: time.Unix(1, 0)}), tx.AddJob(ctx, store.Job{Kind: "theirs", RunAt: time.Unix(2, 0), TraceParent: brought}))
	})
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), store.Query{Stream: store.Payments, Limit: 10})
	if err != nil || len(events) != 2 || events[0].TraceParent != own || events[1].TraceParent != brought {
		t.Errorf("events %+v, error %v", events, err)
	}
	jobs, err := s.Jobs(t.Context(), "", "", 10)
	if err != nil || len(jobs) != 2 || jobs[0].TraceParent != own || jobs[1].TraceParent != brought {
		t.Errorf("jobs %+v, error %v", jobs, err)
	}
}
