package store

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"
)

// Follow yields the events after q.After that match q, in order and for ever; q.Limit, q.UpTo and q.Descending are
// ignored. Once it has caught up, and from then on every Config.Heartbeat, it yields a bookmark: an Event without ID
// whose Position says that everything that matches up to there has been yielded. Whoever follows again after the
// Position of anything yielded misses nothing and gets nothing twice.
//
// It ends with an error: ErrTrimmed if the log no longer reaches back to where the follower is, context.Cause(ctx) when
// ctx ends, or what went wrong with reading. The log is pulled: who is slow only reads later.
func (s *Store) Follow(ctx context.Context, q Query) iter.Seq2[Event, error] {
	q.Limit, q.Descending = s.pageSize, false
	return func(yield func(Event, error) bool) {
		bell := s.hub.subscribe(q) // before the first read, or a commit falls between
		defer s.hub.unsubscribe(q, bell)
		heartbeat := time.NewTicker(cmp.Or(q.Heartbeat, s.heartbeat))
		defer heartbeat.Stop()
		f := follower{store: s, query: q}
		for bookmark := true; ; {
			more, err := f.catchUp(ctx, yield)
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if !more {
				return
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			if bookmark && !yield(Event{Position: f.query.After}, nil) {
				return
			}
			bookmark = false
			select {
			case <-bell:
			case <-heartbeat.C:
				bookmark = true
			case <-ctx.Done():
				yield(Event{}, context.Cause(ctx))
				return
			}
		}
	}
}

// follower is at query.After: everything up to there has been yielded.
type follower struct {
	store *Store
	query Query
}

// catchUp yields everything up to the head as it is now. Events that come meanwhile stay for the next round: what is
// visible below the head is complete, what lies above it may still lack its predecessors. more is false once the
// consumer has had enough.
func (f *follower) catchUp(ctx context.Context, yield func(Event, error) bool) (more bool, err error) {
	if f.query.UpTo, err = f.head(ctx); err != nil {
		return true, err
	}
	for f.query.After < f.query.UpTo {
		page, err := f.store.Events(ctx, f.query)
		if err != nil {
			return true, err
		}
		// Asked again after reading: a page read while the log was trimmed may have holes.
		if _, err := f.head(ctx); err != nil {
			return true, err
		}
		for _, ev := range page {
			if ctx.Err() != nil {
				return true, context.Cause(ctx)
			}
			if !yield(ev, nil) {
				return false, nil
			}
			f.query.After = ev.Position
		}
		if len(page) < f.query.Limit {
			f.query.After = f.query.UpTo
		}
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
		return 0, fmt.Errorf("follow after %d, trimmed up to %d: %w", f.query.After, trimmed, ErrTrimmed)
	}
	return head, nil
}
