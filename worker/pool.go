// Package worker does the work that follows from facts: it leases jobs, asks Klarna or acts there, and finishes or
// postpones them. A crash costs nothing but the lease: the job comes up again.
package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// Config of a Pool. Zero fields have the defaults that are named.
type Config struct {
	Journal    *journal.Journal
	Operations *operation.Operations
	// Parallel is how many jobs are worked at a time; 0 means 8.
	Parallel int
	// Lease is how long a job is held before it comes up again; 0 means 2 minutes. Three quarters of it are for the work,
	// longer than any call to Klarna, the rest for putting down how it ended.
	Lease time.Duration
	// Poll is how often due jobs are looked for without a bell; 0 means 1 s.
	Poll time.Duration
	// Jitter makes the wait before a failed job's next attempt out of the longest one; nil: its upper half, at random, so
	// that jobs do not march in step.
	Jitter func(longest time.Duration) time.Duration
	// Retention is how long what is kept; the zero value keeps everything.
	Retention store.Retention
	// RetainEvery is about how often that is looked after; 0 means an hour.
	RetainEvery time.Duration
	// FailingAfter is how long the attempts at a job may fail in a row before that needs attention; 0 means 6 hours.
	FailingAfter time.Duration
	Reconcile    Reconcile
	Logger       *slog.Logger
	// Tracer makes a span of every attempt at a job, linked to what added the job; nil means none.
	Tracer trace.Tracer
}

// Pool works jobs until it is stopped.
type Pool struct {
	journal     *journal.Journal
	store       *store.Store
	operations  *operation.Operations
	parallel    int
	lease       time.Duration
	poll        time.Duration
	jitter      func(time.Duration) time.Duration
	retention   store.Retention
	retainEvery time.Duration
	failing     time.Duration
	reconcile   Reconcile
	log         *slog.Logger
	tracer      trace.Tracer
}

// New returns a Pool.
func New(cfg Config) *Pool {
	p := &Pool{
		journal: cfg.Journal, store: cfg.Journal.Store(), operations: cfg.Operations,
		parallel: cfg.Parallel, lease: cfg.Lease, poll: cfg.Poll, jitter: cfg.Jitter, log: cfg.Logger, tracer: cfg.Tracer,
		retention: cfg.Retention, retainEvery: cmp.Or(cfg.RetainEvery, time.Hour),
		failing: cmp.Or(cfg.FailingAfter, 6*time.Hour), reconcile: cfg.Reconcile.orDefault(),
	}
	if p.parallel == 0 {
		p.parallel = 8
	}
	if p.lease == 0 {
		p.lease = 2 * time.Minute
	}
	if p.poll == 0 {
		p.poll = time.Second
	}
	if p.jitter == nil {
		p.jitter = func(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	return p
}

// Run works jobs until ctx ends, then waits for the work in hand.
func (p *Pool) Run(ctx context.Context) error {
	var working sync.WaitGroup
	defer working.Wait()
	slots := make(chan struct{}, p.parallel)
	freed := make(chan struct{}, 1)
	tick, sweep := time.NewTicker(p.poll), time.NewTicker(sweepEvery)
	defer tick.Stop()
	defer sweep.Stop()
	working.Go(func() { p.retain(ctx) })
	p.sweep(ctx)
	for {
		if err := p.start(ctx, &working, slots, freed); err != nil && ctx.Err() == nil {
			p.log.ErrorContext(ctx, "lease jobs", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.store.JobBell():
		case <-freed:
		case <-tick.C:
		case <-sweep.C:
			p.sweep(ctx)
		}
	}
}

// sweepEvery is how often requests are looked for that a crash left behind, here or on another replica.
const sweepEvery = 30 * time.Second

func (p *Pool) sweep(ctx context.Context) {
	err := func() (err error) {
		defer caught("sweep", &err)
		return p.operations.Sweep(ctx)
	}()
	if err != nil && ctx.Err() == nil {
		p.log.ErrorContext(ctx, "sweep requests", "error", err)
	}
}

// caught turns a panic into the error of the function that defers it.
func caught(what string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s panicked: %v\n%s", what, r, debug.Stack())
	}
}

// start leases as many due jobs as there are free slots and sets to work on them.
func (p *Pool) start(ctx context.Context, working *sync.WaitGroup, slots, freed chan struct{}) error {
	free := cap(slots) - len(slots)
	if free == 0 || ctx.Err() != nil {
		return nil
	}
	jobs, err := p.Lease(ctx, free)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		slots <- struct{}{}
		working.Go(func() {
			p.Work(context.WithoutCancel(ctx), job)
			<-slots
			select {
			case freed <- struct{}{}:
			default:
			}
		})
	}
	return nil
}

// Lease takes up to n due jobs to be worked. A job that is not comes up again when its lease ends. Run leases and works
// jobs by itself; Lease and Work are for those who choose the order.
func (p *Pool) Lease(ctx context.Context, n int) ([]store.Job, error) {
	now := p.store.Now()
	return p.store.Lease(ctx, now, now.Add(p.lease), n)
}

// Work does one leased job and puts down how it ended.
func (p *Pool) Work(ctx context.Context, job store.Job) {
	var failed error
	ctx, end := p.span(ctx, job)
	defer func() { end(failed) }()
	log := p.log.With("job", job.Kind, "job_id", job.ID, "merchant_account", job.MerchantAccount, "attempt", job.Attempt)
	again, err := p.try(klarna.Correlated(ctx), job)
	failed = err
	switch {
	case err != nil && p.late(job):
		log.ErrorContext(ctx, "job is past its deadline", "error", err)
		err = p.giveUp(ctx, job, short(err))
	case err != nil:
		wait := p.jitter(longestWait(job.Attempt))
		log.WarnContext(ctx, "job postponed", "error", err, "retry_in", wait)
		err = p.postpone(ctx, job, wait, short(err))
	default:
		err = p.store.Do(ctx, func(tx store.Tx) error {
			if err := p.worked(ctx, tx, job); err != nil {
				return err
			}
			if !again.IsZero() {
				return tx.RetryJob(ctx, job.ID, again, "")
			}
			return tx.FinishJob(ctx, job.ID)
		})
	}
	if err != nil {
		log.ErrorContext(ctx, "put down job; it comes up again when its lease ends", "error", err)
	}
}

// try runs the job's handler; a panic is an error like any other.
func (p *Pool) try(ctx context.Context, job store.Job) (again time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.lease*3/4)
	defer cancel()
	defer caught("job "+job.Kind, &err)
	return p.handle(ctx, job)
}

func (p *Pool) late(job store.Job) bool {
	return !job.Deadline.IsZero() && p.store.Now().After(job.Deadline)
}

// longestWait doubles from 1 s to 10 min.
func longestWait(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt-1, 0), 10), 10*time.Minute)
}

// short keeps an error readable in a table.
func short(err error) string {
	const most = 300
	if s := err.Error(); len(s) > most {
		return s[:most] + "…"
	}
	return err.Error()
}
