package store

import (
	"context"
	"sort"
	"time"
)

// Retention says how long what is kept. Zero fields keep for ever.
type Retention struct {
	// Events trims events that were recorded longer ago; the newest event of each subject stays.
	Events time.Duration
	// EventCount trims the oldest events where there are more.
	EventCount int64
	// Raw drops the bytes that Klarna sent from events that were recorded longer ago.
	Raw time.Duration
	// Final forgets subjects that nothing more can come to, with their last event, once that was recorded longer ago and
	// is trimmed.
	Final time.Duration
	// FinalStates are the states in which nothing more can come to a subject, by stream.
	FinalStates map[Stream][]string
	// Behind hears of checkpoints that the log is about to leave behind, or has left; nil for nobody. They are logged, too.
	Behind func(c Checkpoint, left bool)
}

// Retained is what Retain has done.
type Retained struct {
	TrimmedUpTo Position
	Forgotten   int // subjects
}

// forgetChunk is how many subjects are forgotten in one transaction.
const forgetChunk = 200

// Retain removes what has been kept for long enough.
func (s *Store) Retain(ctx context.Context, r Retention) (done Retained, err error) {
	head, trimmed, err := s.Head(ctx)
	if err != nil {
		return done, err
	}
	now := s.Now()
	if r.Raw > 0 {
		upTo, err := s.recordedBefore(ctx, now.Add(-r.Raw), head)
		if err != nil {
			return done, err
		}
		if err := s.engine.DropRaw(ctx, upTo); err != nil {
			return done, err
		}
	}
	upTo, err := s.trimmable(ctx, r, now, head, 1)
	if err != nil {
		return done, err
	}
	if err := s.warn(ctx, r, now, head, upTo); err != nil {
		return done, err
	}
	if upTo > trimmed {
		if err := s.Trim(ctx, upTo); err != nil {
			return done, err
		}
		done.TrimmedUpTo = upTo
	}
	if r.Final > 0 {
		done.Forgotten, err = s.forget(ctx, r, now, head)
	}
	return done, err
}

// trimmable is up to where events have been kept for a share of their time.
func (s *Store) trimmable(ctx context.Context, r Retention, now time.Time, head Position, share float64) (upTo Position, err error) {
	if r.Events > 0 {
		if upTo, err = s.recordedBefore(ctx, now.Add(-time.Duration(share*float64(r.Events))), head); err != nil {
			return 0, err
		}
	}
	if r.EventCount > 0 {
		upTo = max(upTo, head-Position(share*float64(r.EventCount)))
	}
	return upTo, nil
}

// Checkpoints are warned of when nine tenths of the time have passed after which events behind them are trimmed.
const (
	warnShare = 0.9
	mostWarns = 100
)

// warn tells of checkpoints that the log is about to leave behind, or now does.
func (s *Store) warn(ctx context.Context, r Retention, now time.Time, head, upTo Position) error {
	soon, err := s.trimmable(ctx, r, now, head, warnShare)
	if err != nil {
		return err
	}
	behind, err := s.engine.CheckpointsBefore(ctx, max(soon, upTo), mostWarns)
	if err != nil {
		return err
	}
	for _, c := range behind {
		text := "a checkpoint is about to be left behind by the log"
		if c.Position < upTo {
			text = "a checkpoint was left behind by the log: its watcher has to begin with a snapshot"
		}
		s.logger.WarnContext(ctx, text, "checkpoint", c.Name, "caller", c.Caller, "watch", c.Watch, "position", int64(c.Position),
			"updated_at", c.UpdatedAt, "trimmed_up_to", int64(upTo))
		if r.Behind != nil {
			r.Behind(c, c.Position < upTo)
		}
	}
	return nil
}

func (s *Store) forget(ctx context.Context, r Retention, now time.Time, head Position) (count int, err error) {
	upTo, err := s.recordedBefore(ctx, now.Add(-r.Final), head)
	if err != nil {
		return 0, err
	}
	for stream, states := range r.FinalStates {
		for more := true; more; {
			n, err := s.engine.Forget(ctx, stream, states, upTo, forgetChunk)
			if err != nil {
				return count, err
			}
			count, more = count+n, n > 0
		}
	}
	return count, nil
}

// RecordedBefore is the last position whose event, and all before it, were recorded before a time; 0 if there is none. Of
// what was trimmed nothing is known but the newest event of each subject.
func (s *Store) RecordedBefore(ctx context.Context, before time.Time) (Position, error) {
	head, _, err := s.engine.Head(ctx)
	if err != nil {
		return 0, err
	}
	return s.recordedBefore(ctx, before, head)
}

// recordedBefore is the last position whose event, and all before it, were recorded before a time. Events are recorded in
// the order of their positions, so it is found by halves: that takes some dozen reads of one event, and no index.
func (s *Store) recordedBefore(ctx context.Context, before time.Time, head Position) (Position, error) {
	var failed error
	first := sort.Search(int(head), func(p int) bool { // is the next event behind p too young?
		if failed != nil {
			return true
		}
		next, found, err := s.nextRecorded(ctx, Position(p))
		failed = err
		return !found || !next.Before(before)
	})
	return Position(first), failed
}

// nextRecorded is when the first event behind a position was recorded.
func (s *Store) nextRecorded(ctx context.Context, after Position) (at time.Time, found bool, err error) {
	var position Position
	for _, stream := range streams {
		events, err := s.engine.Events(ctx, Query{Stream: stream, After: after, Limit: 1})
		if err != nil {
			return at, false, err
		}
		if len(events) == 1 && (!found || events[0].Position < position) {
			at, position, found = events[0].RecordedAt, events[0].Position, true
		}
	}
	return at, found, nil
}
