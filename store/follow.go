package store

import (
	"cmp"
	"context"
	"iter"
	"time"
)

// Follow yields the events after q.After that match q, in order and for ever; q.Limit, q.UpTo and q.Descending are
// ignored, and Raw is left out. Others are given the same event: it must not be changed. Once it has caught up, and from then on every Config.Heartbeat, it yields a bookmark: an
// Event without ID whose Position says that everything that matches up to there has been yielded. Whoever follows again
// after the Position of anything yielded misses nothing and gets nothing twice.
//
// It ends with an error: ErrTrimmed if the log no longer reaches back to where the follower is, context.Cause(ctx) when
// ctx ends, what comes from q.End, or what went wrong with reading. The log is pulled: who is slow only reads later. What was committed of late
// is read from memory, one copy for all; who lags behind that reads from the engine.
func (s *Store) Follow(ctx context.Context, q Query) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		news := make(bell, 1)
		f := s.Follower(q, news.ring, yield)
		defer f.Close()
		defer context.AfterFunc(ctx, f.sub.end)()
		for f.Go(ctx) {
			<-news
		}
	}
}

// Follower is a Follow that keeps no goroutine waiting. It is at query.After: everything up to there has been yielded.
type Follower struct {
	store *Store
	query Query
	sub   subscriber
	yield func(*Event, error) bool
	begun bool
}

// Follower returns a follower whose Go is to be called once to begin with, and whenever it called wake. It calls that from
// wherever news come to pass: wake must return at once, and call nothing of the Store. Who has it closes it, and uses
// q.End when the context of Go ends.
func (s *Store) Follower(q Query, wake func(), yield func(*Event, error) bool) *Follower {
	q.Heartbeat = cmp.Or(q.Heartbeat, s.heartbeat)
	f := &Follower{store: s, query: q, sub: subscriber{wake: wake}, yield: yield}
	s.hub.subscribe(&f.sub, &f.query) // before the first read, or a commit falls between
	f.query.End.rings(&f.sub)
	return f
}

// Close ends the follower. wake may be called for a moment longer.
func (f *Follower) Close() { f.store.hub.unsubscribe(&f.sub, &f.query) }

// Go yields what there is; more is false once there will be nothing any more. Only one Go runs at a time.
func (f *Follower) Go(ctx context.Context) (more bool) {
	beat, err := !f.begun, error(nil)
	switch more = true; {
	case !f.begun:
		f.begun = true
		more, err = f.begin(ctx)
	case !f.sub.over.Load():
		more, beat, err = f.goOn(ctx)
	}
	if !more {
		return false
	}
	if err == nil && f.sub.over.Load() || err != nil && ctx.Err() != nil {
		err = f.ended(ctx)
	}
	if err != nil {
		f.yield(&Event{}, err)
		return false
	}
	return !beat || f.yield(&Event{Position: f.query.After}, nil)
}

// goOn yields what came since.
func (f *Follower) goOn(ctx context.Context) (more, beat bool, err error) {
	quiet, news, beat := f.store.hub.take(&f.sub)
	f.query.After = max(f.query.After, quiet)
	if !news {
		return true, beat, nil
	}
	more, err = f.catchUp(ctx, 0)
	return more, beat, err
}

// begin yields everything up to the head, also what others committed and this Store has not heard of yet.
func (f *Follower) begin(ctx context.Context) (more bool, err error) {
	head := f.query.Head
	if head == 0 || ctx.Err() != nil {
		if head, err = f.head(ctx); err != nil {
			return true, err
		}
	}
	return f.catchUp(ctx, head)
}

// catchUp yields everything up to where the tail ends, or to atLeast if that is further. more is false once the consumer
// has had enough.
func (f *Follower) catchUp(ctx context.Context, atLeast Position) (more bool, err error) {
	size := firstPage
	for {
		tail := f.store.recent.tail.Load()
		upTo := max(tail.upTo, atLeast)
		if f.query.After >= upTo {
			return true, nil
		}
		if f.sub.over.Load() {
			return true, f.ended(ctx)
		}
		if starts := tail.starts(f.query.Stream); f.query.After < starts || f.query.After >= tail.upTo {
			if f.query.After < starts {
				upTo = starts
			}
			read, more, err := f.block(ctx, &upTo, &size)
			if !read && err == nil {
				more, err = f.page(ctx, upTo, &size)
			}
			if !more || err != nil {
				return more, err
			}
			continue
		}
		ev := tail.next(&f.query, f.query.After)
		if ev == nil {
			f.query.After = tail.upTo
			continue
		}
		tail = nil // yield may take long, and the tail may grow meanwhile
		f.query.After = ev.Position
		if !f.yield(ev, nil) {
			return false, nil
		}
	}
}

// ended tells why the follower shall end, nil if it goes on.
func (f *Follower) ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.query.End.Why()
}

const (
	firstPage = 8
	briskly   = 100 * time.Millisecond
)

// page yields one page from the engine, of at most size events. What is visible up to upTo is complete, what lies above
// may still lack its predecessors. Pages grow while they are taken briskly, so that a slow consumer holds few events in
// memory and a fast one asks the engine seldom.
func (f *Follower) page(ctx context.Context, upTo Position, size *int) (more bool, err error) {
	began := time.Now()
	q := f.query
	q.UpTo, q.Limit, q.Descending = upTo, min(*size, f.store.pageSize), false
	page, err := f.store.events(ctx, q, false)
	if err != nil {
		return true, err
	}
	if _, err := f.head(ctx); err != nil { // a page read while the log was trimmed may have holes
		return true, err
	}
	for i := range page {
		if err := f.ended(ctx); err != nil {
			return true, err
		}
		f.query.After = page[i].Position
		if !f.yield(&page[i], nil) {
			return false, nil
		}
	}
	if len(page) < q.Limit {
		f.query.After = upTo
	}
	if *size = firstPage; time.Since(began) < briskly {
		*size = min(4*q.Limit, f.store.pageSize)
	}
	return true, nil
}

// head returns the newest position, or ErrTrimmed if events after query.After are gone.
func (f *Follower) head(ctx context.Context) (Position, error) {
	head, trimmed, err := f.store.Head(ctx)
	if err != nil {
		return 0, err
	}
	if f.query.After < trimmed {
		return 0, &TrimmedError{After: f.query.After, UpTo: trimmed}
	}
	return head, nil
}
