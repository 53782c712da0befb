package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// state is what is looked at when somebody asks for metrics, rather than counted as it happens.
type state struct {
	g    *gatewayProcess
	kept time.Duration // see statsKept

	mu    sync.Mutex
	held  held
	until time.Time // when the store is asked again
}

// held is what the store holds.
type held struct {
	store.Stats
	attention map[string]int64 // open matters by reason
}

// statsKept is how long the store is not asked again: it reads every job for it, and there may be several who scrape.
const statsKept = 10 * time.Second

// gauges are observed together.
type gauges struct {
	watches, jobs, reservations, attention, quarantined, head, trimmed, size, circuit, waiting, refused, build metric.Int64ObservableGauge
	undelivered, oldestJob, left                                                                               metric.Float64ObservableGauge
}

// observeState registers the gauges, until stop is called.
func observeState(meter metric.Meter, s *state) (stop func() error, _ error) {
	var o gauges
	var made []metric.Observable
	var err error
	integer := func(g *metric.Int64ObservableGauge, name, unit, description string) {
		if err == nil {
			*g, err = meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
			made = append(made, *g)
		}
	}
	seconds := func(g *metric.Float64ObservableGauge, name, unit, description string) {
		if err == nil {
			*g, err = meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
			made = append(made, *g)
		}
	}
	integer(&o.watches, "klarna_gateway.watch.open", "{watch}", "Watches that are open on this replica.")
	seconds(&o.undelivered, "klarna_gateway.watch.undelivered.age", "s", "Age of the oldest event that the client of a watch is not taking.")
	integer(&o.jobs, "klarna_gateway.job.count", "{job}", "Jobs on record.")
	seconds(&o.oldestJob, "klarna_gateway.job.due.age", "s", "For how long the job that is due longest is.")
	integer(&o.reservations, "klarna_gateway.reservation.open", "{reservation}", "Money that requests of unknown or coming outcome hold, in reservations.")
	integer(&o.attention, "klarna_gateway.attention.open", "{matter}", "Matters that wait for a person.")
	integer(&o.quarantined, "klarna_gateway.quarantine.size", "{notification}", "Notifications that are kept aside.")
	integer(&o.head, "klarna_gateway.log.head", "{position}", "Newest position of the log.")
	integer(&o.trimmed, "klarna_gateway.log.trimmed", "{position}", "Newest position that was trimmed away.")
	integer(&o.size, "klarna_gateway.log.size", "By", "What the database takes on disk.")
	integer(&o.circuit, "klarna_gateway.klarna.circuit.open", "{circuit}", "1 while nothing is sent to a host of Klarna's, but for a probe now and then.")
	seconds(&o.left, "klarna_gateway.klarna.rate.left", "1", "Part of a rate budget that is left, from 0 to 1.")
	integer(&o.waiting, "klarna_gateway.klarna.rate.waiting", "{call}", "Calls that wait for their turn within a rate budget.")
	integer(&o.refused, "klarna_gateway.file.refused", "{file}", "1 while a file as it is now is not taken, and what it said before holds.")
	integer(&o.build, "klarna_gateway.build.info", "{build}", "1, with what was built.")
	if err != nil {
		return nil, err
	}
	observing, err := meter.RegisterCallback(func(ctx context.Context, to metric.Observer) error {
		s.observeProcess(to, &o)
		return s.observeStore(ctx, to, &o)
	}, made...)
	if err != nil {
		return nil, err
	}
	return observing.Unregister, nil
}

// observeProcess observes what this replica has in memory.
func (s *state) observeProcess(to metric.Observer, o *gauges) {
	to.ObserveInt64(o.build, 1, with(text("version", version()), text("go_version", runtime.Version())))
	for kind, refused := range s.g.refusedFiles() {
		var value int64
		if refused {
			value = 1
		}
		to.ObserveInt64(o.refused, value, with(text("kind", kind)))
	}
	for stream, seen := range s.g.api.Watches() {
		to.ObserveInt64(o.watches, int64(seen.Open), with(text("stream", stream)))
		to.ObserveFloat64(o.undelivered, max(seen.Undelivered, 0).Seconds(), with(text("stream", stream)))
	}
	for host, open := range s.g.circuits.Open() {
		var value int64
		if open {
			value = 1
		}
		to.ObserveInt64(o.circuit, value, with(text("server.address", host)))
	}
	type budget struct {
		account  string
		category klarna.Category
	}
	left, waiting := map[budget]float64{}, map[budget]int{}
	for _, level := range s.g.budgets.Levels() { // of an account's hosts, the one that is worst off
		of := budget{level.Owner, level.Category}
		part := min(level.Left/level.Most, 1)
		if before, known := left[of]; known {
			part = min(part, before)
		}
		left[of] = part
		waiting[of] += level.Waiting
	}
	for of, part := range left {
		at := with(text("merchant_account", of.account), text("category", of.category))
		to.ObserveFloat64(o.left, part, at)
		to.ObserveInt64(o.waiting, int64(waiting[of]), at)
	}
}

// observeStore observes what is on record, for all replicas.
func (s *state) observeStore(ctx context.Context, to metric.Observer, o *gauges) error {
	held, err := s.ask(ctx)
	if err != nil {
		return err
	}
	now, oldest := s.g.store.Now(), time.Duration(0)
	for _, c := range held.Jobs {
		to.ObserveInt64(o.jobs, c.Count, with(text("kind", c.Kind), text("state", c.State)))
		if c.State == store.JobDue {
			oldest = max(oldest, now.Sub(c.Since))
		}
	}
	to.ObserveFloat64(o.oldestJob, oldest.Seconds())
	to.ObserveInt64(o.reservations, held.Reservations)
	to.ObserveInt64(o.quarantined, held.Quarantined)
	to.ObserveInt64(o.head, int64(held.Head))
	to.ObserveInt64(o.trimmed, int64(held.Trimmed))
	to.ObserveInt64(o.size, held.Bytes)
	for reason, n := range held.attention {
		to.ObserveInt64(o.attention, n, with(attribute.String("kind", reason)))
	}
	return nil
}

// ask asks the store, or tells what it said a moment ago.
func (s *state) ask(ctx context.Context) (held, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return s.held, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stats, err := s.g.store.Stats(ctx)
	if err != nil {
		return held{}, err
	}
	attention, err := s.g.store.CountKeys(ctx, store.Attentions, journal.KeyOpenReason)
	if err != nil {
		return held{}, err
	}
	s.held, s.until = held{stats, attention}, time.Now().Add(s.kept)
	return s.held, nil
}
