package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Log identifies the log: see Engine.Log.
func (s *Store) Log(ctx context.Context) (id string, epoch int64, err error) {
	return s.engine.Log(ctx)
}

// Head returns the newest position and the newest one trimmed away: see Engine.Head.
func (s *Store) Head(ctx context.Context) (head, trimmed Position, err error) {
	return s.engine.Head(ctx)
}

// Events returns matching events by position.
func (s *Store) Events(ctx context.Context, q Query) ([]Event, error) { return s.events(ctx, q, true) }

// events is Events; without Raw it is not opened either.
func (s *Store) events(ctx context.Context, q Query, withRaw bool) ([]Event, error) {
	found, err := s.engine.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if !withRaw {
			found[i].Raw = nil
		}
		if err := s.keys.openEvent(&found[i]); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
	}
	return found, nil
}

// Subjects returns matching subjects that are not merged away, by the position of their newest event. To page through
// a snapshot, set UpTo to the head and After to the last Latest seen: a subject that moves meanwhile leaves the
// snapshot, and its event lies behind UpTo.
func (s *Store) Subjects(ctx context.Context, q Query) ([]Subject, error) {
	found, err := s.engine.Subjects(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := openAll(found, s.keys.openSubject); err != nil {
		return nil, fmt.Errorf("read subjects: %w", err)
	}
	return found, nil
}

// Subject returns one subject by id, following merges. ErrNotFound if unknown.
func (s *Store) Subject(ctx context.Context, id string) (Subject, error) {
	found, err := s.engine.Subject(ctx, id)
	if err != nil {
		return Subject{}, err
	}
	if err := s.keys.openSubject(&found); err != nil {
		return Subject{}, fmt.Errorf("read subject %s: %w", id, err)
	}
	return found, nil
}

// Erasures returns subjects that were erased: see Engine.Erasures.
func (s *Store) Erasures(ctx context.Context, after string, limit int) ([]Erasure, error) {
	return s.engine.Erasures(ctx, after, limit)
}

// Request returns a recorded request. ErrNotFound if unknown.
func (s *Store) Request(ctx context.Context, id RequestID) (Request, error) {
	r, err := s.engine.Request(ctx, id)
	if err != nil {
		return Request{}, err
	}
	if err := s.keys.openRequest(&r); err != nil {
		return Request{}, fmt.Errorf("read request: %w", err)
	}
	return r, nil
}

// Abandoned returns open requests that whoever worked on them has left behind: see Engine.Abandoned.
func (s *Store) Abandoned(ctx context.Context, before time.Time, limit int) ([]Request, error) {
	found, err := s.engine.Abandoned(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	if err := openAll(found, s.keys.openRequest); err != nil {
		return nil, fmt.Errorf("read abandoned requests: %w", err)
	}
	return found, nil
}

// TrimRequests deletes requests that ended before the given time: see Engine.TrimRequests. A repeat of one that is gone is
// a new request.
func (s *Store) TrimRequests(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.engine.TrimRequests(ctx, before, limit)
}

// Secret returns a secret by its digest. ErrNotFound if unknown.
func (s *Store) Secret(ctx context.Context, hash []byte) (Secret, error) {
	return s.engine.Secret(ctx, hash)
}

// SigningKeys returns all signing keys by scheme, merchant account and id.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	found, err := s.engine.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	if err := openAll(found, s.keys.openSigningKey); err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return found, nil
}

// Probe returns a probe of a webhook by its event type. ErrNotFound if unknown.
func (s *Store) Probe(ctx context.Context, merchantAccount, webhook, eventType string) (Probe, error) {
	p, err := s.engine.Probe(ctx, merchantAccount, webhook, eventType)
	if err != nil {
		return Probe{}, err
	}
	if err := s.keys.openProbe(&p); err != nil {
		return Probe{}, fmt.Errorf("read probe: %w", err)
	}
	return p, nil
}

// Lease hands out up to n due jobs: see Engine.Lease. A job that cannot be opened is logged and stays leased, so that
// it holds up no other.
func (s *Store) Lease(ctx context.Context, now, until time.Time, n int) ([]Job, error) {
	found, err := s.engine.Lease(ctx, now, until, n)
	if err != nil {
		return nil, err
	}
	jobs := found[:0]
	for _, j := range found {
		if err := s.keys.openJob(&j); err != nil {
			s.logger.ErrorContext(ctx, "job cannot be opened", slog.Int64("job_id", j.ID), slog.String("job_kind", j.Kind), slog.Any("error", err))
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// Jobs returns jobs, waiting and leased, by RunAt; kind and merchant account restrict if not empty.
func (s *Store) Jobs(ctx context.Context, kind, merchantAccount string, limit int) ([]Job, error) {
	found, err := s.engine.Jobs(ctx, kind, merchantAccount, limit)
	if err != nil {
		return nil, err
	}
	if err := openAll(found, s.keys.openJob); err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return found, nil
}

// Quarantined returns what was quarantined, by id, with ids greater than after.
func (s *Store) Quarantined(ctx context.Context, after int64, limit int) ([]Quarantined, error) {
	found, err := s.engine.Quarantined(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	if err := openAll(found, s.keys.openQuarantined); err != nil {
		return nil, fmt.Errorf("read quarantine: %w", err)
	}
	return found, nil
}

// Trim deletes old events: see Engine.Trim. Followers that are not past upTo end with ErrTrimmed.
func (s *Store) Trim(ctx context.Context, upTo Position) error {
	_, err := s.engine.Trim(ctx, upTo)
	return err
}

// Share grants a replica parts of budgets: see Engine.Share.
func (s *Store) Share(ctx context.Context, replica string, demands map[string]float64, life time.Duration) (map[string]float64, error) {
	return s.engine.Share(ctx, replica, demands, life)
}
