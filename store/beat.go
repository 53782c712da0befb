package store

import (
	"sync"
	"time"
)

// beats rings subscribers in intervals. Those of one interval come due in the order in which they were last rung, so a
// list and one timer serve any number of them.
type beats struct {
	began time.Time

	mu     sync.Mutex
	rounds map[time.Duration]*round
}

// round is the subscribers of one interval, the next one due first.
type round struct {
	first, last *subscriber
	timer       *time.Timer
}

func (b *beats) add(s *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rounds[s.interval]
	if r == nil {
		r = &round{}
		r.timer = time.AfterFunc(s.interval, func() { b.ring(s.interval) })
		b.rounds[s.interval] = r
	}
	s.due = time.Since(b.began) + s.interval
	r.push(s)
}

func (b *beats) remove(s *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rounds[s.interval]
	r.unlink(s)
	if r.first == nil {
		r.timer.Stop()
		delete(b.rounds, s.interval)
	}
}

// ring rings those who are due.
func (b *beats) ring(interval time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rounds[interval]
	if r == nil {
		return
	}
	now := time.Since(b.began)
	for s := r.first; s != nil && s.due <= now; s = r.first {
		s.beat.Store(true)
		s.wake()
		r.unlink(s)
		s.due = now + interval
		r.push(s)
	}
	r.timer.Reset(r.first.due - now)
}

func (r *round) push(s *subscriber) {
	s.before, s.behind = r.last, nil
	if r.last == nil {
		r.first = s
	} else {
		r.last.behind = s
	}
	r.last = s
}

func (r *round) unlink(s *subscriber) {
	if s.before == nil {
		r.first = s.behind
	} else {
		s.before.behind = s.behind
	}
	if s.behind == nil {
		r.last = s.before
	} else {
		s.behind.before = s.before
	}
}
