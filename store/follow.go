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
	q.Heartbeat = cmp.Or(q.Heartbeat, s.heartbeat)
	f := &follower{store: s, query: q}
	return func(yield func(*Event, error) bool) { f.run(ctx, yield) }
}

// run is where a follower waits, so it keeps little on the stack, and waits for one bell that rings for everything.
func (f *follower) run(ctx context.Context, yield func(*Event, error) bool) {
	hub := f.store.hub
	sub := hub.subscribe(&f.query) // before the first read, or a commit falls between
	f.sub = sub
	defer hub.unsubscribe(sub, &f.query)
	defer context.AfterFunc(ctx, sub.end)()
	f.query.End.rings(sub)
	more, err := f.begin(ctx, yield)
	for beat := true; more; {
		if err == nil && sub.over.Load() || err != nil && ctx.Err() != nil {
			err = f.ended(ctx)
		}
		if err != nil {
			yield(&Event{}, err)
			return
		}
		if beat && !yield(&Event{Position: f.query.After}, nil) {
			return
		}
		beat = false
		<-sub.bell
		if sub.over.Load() {
			continue
		}
		var quiet Position
		var news bool
		quiet, news, beat = hub.take(sub)
		f.query.After = max(f.query.After, quiet)
		if news {
			more, err = f.catchUp(ctx, yield, 0)
		}
	}
}

// follower is at query.After: everything up to there has been yielded.
type follower struct {
	store *Store
	query Query
	sub   *subscriber
}

// begin yields everything up to the head, also what others committed and this Store has not heard of yet.
func (f *follower) begin(ctx context.Context, yield func(*Event, error) bool) (more bool, err error) {
	head := f.query.Head
	if head == 0 || ctx.Err() != nil {
		if head, err = f.head(ctx); err != nil {
			return true, err
		}
	}
	return f.catchUp(ctx, yield, head)
}

// catchUp yields everything up to where the tail ends, or to atLeast if that is further. more is false once the consumer
// has had enough.
func (f *follower) catchUp(ctx context.Context, yield func(*Event, error) bool, atLeast Position) (more bool, err error) {
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
			read, more, err := f.block(ctx, yield, &upTo, &size)
			if !read && err == nil {
				more, err = f.page(ctx, yield, upTo, &size)
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
		if !yield(ev, nil) {
			return false, nil
		}
	}
}

// ended tells why the follower shall end, nil if it goes on.
func (f *follower) ended(ctx context.Context) error {
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
func (f *follower) page(ctx context.Context, yield func(*Event, error) bool, upTo Position, size *int) (more bool, err error) {
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
		if !yield(&page[i], nil) {
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
func (f *follower) head(ctx context.Context) (Position, error) {
	head, trimmed, err := f.store.Head(ctx)
	if err != nil {
		return 0, err
	}
	if f.query.After < trimmed {
		return 0, &TrimmedError{After: f.query.After, UpTo: trimmed}
	}
	return head, nil
}
