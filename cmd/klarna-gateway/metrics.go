package main

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc/codes"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/server"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/webhook"
)

// measures counts and times what happens, as the parts of the gateway tell of it. docs/metrics.md has the question that
// each of them answers; labels are words of the API, of the configuration and of small sets, never what somebody sent.
type measures struct {
	off bool // nobody listens

	received, answered, stored, signed metric.Int64Counter
	calls, ours, klarnas               metric.Float64Histogram
	attempts                           metric.Float64Histogram
	failures, klarnaCalls              metric.Int64Counter
	watchLag                           metric.Float64Histogram
	commitUnits                        metric.Int64Histogram
	commitTime                         metric.Float64Histogram
	commitFailures, checkpointsBehind  metric.Int64Counter

	ofAnswer  labels[answeredCall]
	ofMethod  labels[string]
	ofAttempt labels[klarnaAttempt]
	ofOutcome labels[klarnaOutcome]
}

// Bounds of histograms, in seconds. A call to Klarna takes up to a minute, a commit some milliseconds.
var (
	callSeconds   = metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)
	shortSeconds  = metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5)
	lagSeconds    = metric.WithExplicitBucketBoundaries(.001, .005, .01, .05, .1, .5, 1, 5, 15, 60, 300)
	unitsInCommit = metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128, 256)
)

func newMeasures(meter metric.Meter) (*measures, error) {
	_, off := meter.(noop.Meter)
	m, make := &measures{off: off}, &maker{meter: meter}
	m.received = make.counter("klarna_gateway.webhook.received", "{delivery}", "Deliveries that came in at a door.")
	m.answered = make.counter("klarna_gateway.webhook.answered", "{delivery}", "Deliveries by what became of them; the outcomes of a door add up to what it received.")
	m.stored = make.counter("klarna_gateway.webhook.stored", "{delivery}", "Deliveries that are kept, by effect; the effects of a door add up to its outcome stored.")
	m.signed = make.counter("klarna_gateway.webhook.signing_key.used", "{delivery}", "Deliveries with a good signature, by key.")
	m.calls = make.histogram("rpc.server.call.duration", "Time from a call's arrival to its answer.", callSeconds)
	m.failures = make.counter("klarna_gateway.rpc.failures", "{call}", "Calls that failed by our own fault: INTERNAL and UNKNOWN.")
	m.ours = make.histogram("klarna_gateway.rpc.own.duration", "Part of unary calls that the gateway itself took: all but what was at Klarna.", callSeconds)
	m.klarnas = make.histogram("klarna_gateway.rpc.klarna.duration", "Part of unary calls during which a call to Klarna was under way.", callSeconds)
	m.attempts = make.histogram("http.client.request.duration", "Time of an attempt at a call to Klarna, from sending to the whole answer.", callSeconds)
	m.klarnaCalls = make.counter("klarna_gateway.klarna.calls", "{attempt}", "Attempts at calls to Klarna and calls that were not sent, by merchant account and outcome.")
	m.watchLag = make.histogram("klarna_gateway.watch.lag", "Time from an event's commit until it was handed to a watch's client.", lagSeconds)
	m.commitTime = make.histogram("klarna_gateway.commit.duration", "Time of a commit, the wait for the disk included.", shortSeconds)
	m.commitFailures = make.counter("klarna_gateway.commit.failures", "{commit}", "Commits that the engine did not take.")
	m.checkpointsBehind = make.counter("klarna_gateway.checkpoint.behind", "{checkpoint}", "Checkpoints found at a look at retention whose events are about to be trimmed, or are gone.")
	if make.err == nil {
		m.commitUnits, make.err = meter.Int64Histogram("klarna_gateway.commit.units", metric.WithUnit("{unit}"),
			metric.WithDescription("Units of work that were committed together."), unitsInCommit)
	}
	return m, make.err
}

// maker makes instruments and keeps the first error.
type maker struct {
	meter metric.Meter
	err   error
}

func (m *maker) counter(name, unit, description string) metric.Int64Counter {
	c, err := m.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.err = errors.Join(m.err, err)
	return c
}

func (m *maker) histogram(name, description string, bounds metric.HistogramOption) metric.Float64Histogram {
	h, err := m.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), bounds)
	m.err = errors.Join(m.err, err)
	return h
}

func (m *measures) webhookReceived(ctx context.Context, door webhook.Door) {
	if m.off {
		return
	}
	m.received.Add(ctx, 1, with(text("door", door)))
}

func (m *measures) webhookAnswered(ctx context.Context, seen webhook.Seen) {
	if m.off {
		return
	}
	outcome := seen.Outcome
	if outcome == webhook.Quarantined { // kept as well
		outcome = webhook.Stored
	}
	m.answered.Add(ctx, 1, with(text("door", seen.Door), text("outcome", outcome)))
	if seen.Effect != "" {
		m.stored.Add(ctx, 1, with(text("door", seen.Door), text("effect", seen.Effect)))
	}
	if seen.Key.ID != "" {
		m.signed.Add(ctx, 1, with(text("scheme", seen.Key.Scheme), text("merchant_account", seen.Key.MerchantAccount), text("signing_key_id", seen.Key.ID)))
	}
}

func (m *measures) called(ctx context.Context, call server.Call) {
	if m.off {
		return
	}
	m.calls.Record(ctx, call.Duration.Seconds(), m.ofAnswer.of(answeredCall{call.Method, call.Code}, answeredCall.attrs))
	method := m.ofMethod.of(call.Method, ofMethod)
	if call.Code == codes.Internal || call.Code == codes.Unknown {
		m.failures.Add(ctx, 1, method)
	}
	if !call.Stream {
		m.klarnas.Record(ctx, call.AtKlarna.Seconds(), method)
		m.ours.Record(ctx, (call.Duration - call.AtKlarna).Seconds(), method)
	}
}

// sent runs for each event on each watch: its labels are made once, and no span is looked for in the context, which could
// only be that of the whole watch.
func (m *measures) sent(_ context.Context, stream store.Stream, after time.Duration) {
	if m.off {
		return
	}
	labels, known := streamLabels[stream]
	if !known {
		labels = with(text("stream", stream))
	}
	m.watchLag.Record(context.Background(), after.Seconds(), labels)
}

var streamLabels = map[store.Stream]metric.MeasurementOption{
	store.Payments: with(text("stream", store.Payments)), store.Accounts: with(text("stream", store.Accounts)),
}

// klarnaCalled counts what a merchant account's client does.
func (m *measures) klarnaCalled(account string) func(context.Context, klarna.Call) {
	if m.off {
		return nil
	}
	return func(ctx context.Context, call klarna.Call) {
		flaw := klarna.ErrorType(call)
		m.klarnaCalls.Add(ctx, 1, m.ofOutcome.of(klarnaOutcome{account, outcomeOf(call, flaw)}, klarnaOutcome.attrs))
		if call.Attempt > 0 {
			m.attempts.Record(ctx, call.Duration.Seconds(), m.ofAttempt.of(klarnaAttempt{call.Method, call.Path, flaw, call.Attempt, call.Status}, klarnaAttempt.attrs))
		}
	}
}

// klarnaOutcomes are all that outcomeOf returns.
var klarnaOutcomes = []string{
	"ok", "refused", "credential", "too_many", "failed", "unanswered", "unsent", "unsent_circuit_open", "unsent_rate_limited",
}

// outcomeOf is what an operator wants to tell apart.
func outcomeOf(call klarna.Call, flaw string) string {
	var refused *klarna.Error
	switch {
	case flaw == "":
		return "ok"
	case flaw == "circuit_open", flaw == "rate_limited":
		return "unsent_" + flaw
	case call.Attempt == 0:
		return "unsent"
	case call.Status == 401 || errors.As(call.Err, &refused) && (refused.Code == "FORBIDDEN" || refused.Code == "MERCHANT_INACTIVE"):
		return "credential"
	case call.Status == 429:
		return "too_many"
	case call.Status >= 500:
		return "failed"
	case call.Status >= 300:
		return "refused"
	}
	return "unanswered"
}

func (m *measures) committed(ctx context.Context, c store.Commit) {
	if m.off {
		return
	}
	m.commitUnits.Record(ctx, int64(c.Units))
	m.commitTime.Record(ctx, c.Duration.Seconds())
	if c.Failed > 0 {
		m.commitFailures.Add(ctx, 1)
	}
}

// behind hears of a checkpoint that the log is about to leave behind, or has left.
func (m *measures) behind(_ store.Checkpoint, left bool) {
	if m.off {
		return
	}
	events := "going"
	if left {
		events = "gone"
	}
	m.checkpointsBehind.Add(context.Background(), 1, with(text("events", events)))
}

// begin tells what counters there will be. One that first shows with its first increase has not increased, to Prometheus,
// and no alarm would be raised.
func (m *measures) begin(ctx context.Context, accounts []accountConfig) {
	m.commitFailures.Add(ctx, 0)
	for _, events := range []string{"going", "gone"} {
		m.checkpointsBehind.Add(ctx, 0, with(text("events", events)))
	}
	for _, rpc := range server.RPCs() {
		m.failures.Add(ctx, 0, with(text("rpc.method", "gateway.v1."+rpc)))
	}
	for _, door := range webhook.Doors() {
		m.received.Add(ctx, 0, with(text("door", door)))
		for _, outcome := range []webhook.Outcome{webhook.Stored, webhook.Duplicate, webhook.Rejected, webhook.Failed} {
			m.answered.Add(ctx, 0, with(text("door", door), text("outcome", outcome)))
		}
		for _, effect := range []webhook.Effect{webhook.EffectApplied, webhook.EffectSuperseded, webhook.EffectQuarantined} {
			m.stored.Add(ctx, 0, with(text("door", door), text("effect", effect)))
		}
	}
	for _, a := range accounts {
		for _, outcome := range klarnaOutcomes {
			m.klarnaCalls.Add(ctx, 0, with(text("merchant_account", a.Name), text("outcome", outcome)))
		}
	}
}
