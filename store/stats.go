package store

import (
	"context"
	"time"
)

// Stats is what an engine holds at one moment, for those who watch over it.
type Stats struct {
	Head, Trimmed Position
	Jobs          []JobCount // in no order
	Reservations  int64      // of requests that are open or in doubt
	Quarantined   int64
	Bytes         int64 // that it takes on disk; others that share the database do not count
}

// JobState says where a job stands.
type JobState string

// The states of a job.
const (
	JobDue     JobState = "due"     // its time has come, or its lease ran out
	JobLeased  JobState = "leased"  // somebody works on it
	JobFailing JobState = "failing" // it failed, and waits for another attempt
	JobWaiting JobState = "waiting" // its time is still to come
)

// JobCount counts the jobs of a kind in a state.
type JobCount struct {
	Kind  string
	State JobState
	Count int64
	Since time.Time // of due ones: since when the oldest of them is; else without meaning
}

// Stats tells what the engine holds: see Engine.Stats.
func (s *Store) Stats(ctx context.Context) (Stats, error) { return s.engine.Stats(ctx, s.Now()) }

// CountKeys counts the subjects that have a key: see Engine.CountKeys.
func (s *Store) CountKeys(ctx context.Context, stream Stream, kind string) (map[string]int64, error) {
	return s.engine.CountKeys(ctx, stream, kind)
}
