// Package store keeps what was learned (the event log), what is still to do (jobs) and what was answered (requests).
//
// The log is ordered, unique, reliable, resumable and bookmarked. Positions come from one row that stays locked until
// the commit, so once a position is visible everything before it is. An Engine is a database; Store adds what all
// engines share: units that wait together commit together, contents are sealed before an engine sees them, and
// followers are woken when something they wait for was committed.
package store

import (
	"cmp"
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Config is what a Store is made of. Zero fields are defaults; Engine and Keys are needed.
type Config struct {
	Engine     Engine           // stays the caller's to close, after the Store
	Keys       *Keyring         // seals what the engine keeps
	Now        func() time.Time // default time.Now
	Heartbeat  time.Duration    // time between a follower's bookmarks, default 15 s
	BatchLimit int              // units per commit, default 256
	PageSize   int              // most events per read of a follower that reads from the engine, default 256
	TailCount  int              // newest events of each stream that are kept in memory for followers, default 4096
	TailBytes  int              // and their bytes, default 16 MiB
	Logger     *slog.Logger     // default slog.Default()
	// Lasting is what of a body of a stream outlives an erasure of its subject, nil if all of it does. It is for what stands
	// there from before bodies were kept apart so; nil: that stays as it is.
	Lasting func(stream Stream, body []byte) ([]byte, error)
	// Renderings say what watchers are sent of the events of a stream. Old events are kept in blocks as they are sent, of
	// PageSize events each: see Block. Of streams without one they are read one by one.
	Renderings map[Stream]Rendering
	// Observe is told of every commit, after it ended; nil: nobody is. It must not block.
	Observe func(ctx context.Context, c Commit)
}

// Store is the log, the jobs and the requests. Its methods may be called at the same time.
type Store struct {
	engine    Engine
	keys      *Keyring
	now       func() time.Time
	heartbeat time.Duration
	pageSize  int
	logger    *slog.Logger
	observe   func(context.Context, Commit)
	lasting   func(Stream, []byte) ([]byte, error)

	batch  batcher
	hub    *hub
	recent *recent
	packer *packer

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// New opens the log of an engine. It fails if the keyring does not open what the log holds: another one's file, or a
// lost one made anew. The Store listens to the engine until Close.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Engine == nil || cfg.Keys == nil {
		return nil, errors.New("open store: an engine and a keyring are needed")
	}
	s := &Store{
		engine:    cfg.Engine,
		keys:      cfg.Keys,
		now:       cfg.Now,
		heartbeat: cmp.Or(max(cfg.Heartbeat, 0), 15*time.Second),
		pageSize:  cmp.Or(max(cfg.PageSize, 0), 256),
		logger:    cmp.Or(cfg.Logger, slog.Default()),
		observe:   cfg.Observe,
		lasting:   cfg.Lasting,
		batch:     batcher{turn: make(chan struct{}, 1), limit: cmp.Or(max(cfg.BatchLimit, 0), 256)},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.observe == nil {
		s.observe = func(context.Context, Commit) {}
	}
	head, _, err := s.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	for _, stream := range streams {
		if _, err := s.Events(ctx, Query{Stream: stream, Descending: true, Limit: 1}); err != nil {
			return nil, fmt.Errorf("open store: try the keyring on the newest event: %w", err)
		}
	}
	if err := s.keyed(ctx); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.hub = newHub(head)
	s.recent = newRecent(head, tailLimit{cmp.Or(max(cfg.TailCount, 0), 4096), cmp.Or(max(cfg.TailBytes, 0), 16<<20)})
	s.packer = newPacker(cfg.Renderings)
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.stopped.Go(func() { s.listen(listening) })
	s.stopped.Go(func() { s.readOn(listening) })
	if len(cfg.Renderings) > 0 {
		s.stopped.Go(func() { s.packOn(listening) })
	}
	return s, nil
}

// keyed refuses a keyring other than the one that the log began with, also while there is nothing yet that it could fail
// to open: two replicas that each made one of their own would find out only when it is too late.
func (s *Store) keyed(ctx context.Context) error {
	id, _, err := s.Log(ctx)
	if err != nil {
		return err
	}
	digest := s.keys.DigestFor(id)
	first, err := s.engine.Keyring(ctx, digest)
	if err == nil && !hmac.Equal(first, digest) {
		err = ErrKeyring
	}
	return err
}

// Close stops listening and waits for that. Do calls and followers should have ended before; the engine is still open
// afterwards. A second Close does nothing.
func (s *Store) Close() {
	s.stop()
	s.stopped.Wait()
}

// Now is the time by the Store's clock, in UTC and to the microsecond that engines keep.
func (s *Store) Now() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Fingerprint is Keyring.Fingerprint.
func (s *Store) Fingerprint(parts ...[]byte) []byte { return s.keys.Fingerprint(parts...) }

// Derive is Keyring.Derive.
func (s *Store) Derive(purpose, name string) string { return s.keys.Derive(purpose, name) }

// JobBell rings after a commit that may have made a job due: one added that is, one given back or, as another
// may have waited for it, finished. It holds one ring and is for one worker pool.
func (s *Store) JobBell() <-chan struct{} { return s.hub.jobs }
