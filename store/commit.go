package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errAborted is what the callers of a batch get whose commit neither succeeded nor failed, because a unit ended the
// goroutine it ran on.
var errAborted = errors.New("commit was aborted")

// batcher commits units in groups: a commit costs one wait for the disk, whatever it holds. There is no goroutine and
// no timer. Every caller puts its unit into the queue and tries to get the turn; who gets it commits all that wait,
// and those who come meanwhile are the next batch. A lone caller gets the turn at once.
type batcher struct {
	turn  chan struct{} // full while a caller commits
	limit int           // units per commit

	mu    sync.Mutex
	queue []*call
}

// call is one unit on its way.
type call struct {
	unit func(Tx) error
	err  error         // set before done is closed
	done chan struct{} // closed when err is the result
}

// Commit is one write transaction as metrics see it.
type Commit struct {
	Units    int           // that waited together
	Failed   int           // of them, though they returned no error themselves
	Duration time.Duration // of the engine's part: running the units and waiting for the disk
}

// Do runs the unit in a write transaction and returns once what it wrote is durable, or why it is not. Units that wait
// together are committed together, each with its own result: one that returns an error or panics leaves no trace.
//
// A unit may run more than once, and on another caller's goroutine: it must have no effect but through its Tx, and set
// its results anew each time. If ctx ends while the unit waits in the queue, it is not run; once taken, Do returns its
// result whatever becomes of ctx.
func (s *Store) Do(ctx context.Context, unit func(Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c := &call{unit: unit, done: make(chan struct{})}
	s.batch.enqueue(c)
	select {
	case <-c.done:
	case s.batch.turn <- struct{}{}:
		s.lead(ctx, c)
	case <-ctx.Done():
		if s.batch.withdraw(c) {
			return context.Cause(ctx)
		}
		<-c.done
	}
	return c.err
}

// do is Do for units that look behind the seals.
func (s *Store) do(ctx context.Context, unit func(*sealedTx) error) error {
	return s.Do(ctx, func(tx Tx) error { return unit(tx.(*sealedTx)) })
}

// lead commits batches until the leader's own unit has its result.
func (s *Store) lead(ctx context.Context, c *call) {
	defer func() { <-s.batch.turn }()
	for {
		select {
		case <-c.done:
			return
		default:
			s.commit(context.WithoutCancel(ctx), s.batch.take())
		}
	}
}

// commit gives every call of a batch its result, and wakes those who wait for what was written.
func (s *Store) commit(ctx context.Context, batch []*call) {
	results := slices.Repeat([]error{errAborted}, len(batch))
	defer func() {
		for i, c := range batch {
			c.err = results[i]
			close(c.done)
		}
	}()
	wrote := make([]written, len(batch))
	refused := make([]bool, len(batch))
	units := make([]func(Tx) error, len(batch))
	for i, c := range batch {
		units[i] = func(tx Tx) error {
			sealed := &sealedTx{Tx: tx, keys: s.keys, now: s.Now}
			err := c.unit(sealed)
			wrote[i], refused[i] = sealed.wrote, err != nil
			return err
		}
	}
	s.ring(func() (all written) {
		began := time.Now()
		results = s.engine.Commit(ctx, units)
		seen := Commit{Units: len(units), Duration: time.Since(began)}
		defer func() { s.observe(ctx, seen) }()
		for i, err := range results {
			if err != nil && !refused[i] {
				seen.Failed++
				all.unsure = true
			}
			if err == nil {
				all.events = append(all.events, wrote[i].events...)
				all.jobs = all.jobs || wrote[i].jobs
			}
		}
		return all
	})
}

func (b *batcher) enqueue(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, c)
}

// take removes the next batch from the queue, oldest first.
func (b *batcher) take() []*call {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(b.limit, len(b.queue))
	batch := slices.Clone(b.queue[:n])
	b.queue = slices.Delete(b.queue, 0, n)
	return batch
}

// withdraw removes a call that was not taken yet.
func (b *batcher) withdraw(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, c)
	if i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
	return i >= 0
}
