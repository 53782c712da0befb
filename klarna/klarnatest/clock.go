package klarnatest

import (
	"container/heap"
	"context"
	"errors"
	"time"
)

// entry is something that happens at a time of the simulated clock: a message to deliver, or anything else to do.
// Entries of the same time happen in the order they were made.
type entry struct {
	at  time.Time
	seq int
	msg *message // to deliver, or nil
	do  func()   // called with mu held when msg is nil
}

// agenda is a heap of entries, the next one first.
type agenda struct {
	entries []*entry
	seq     int
}

func (a *agenda) Len() int { return len(a.entries) }
func (a *agenda) Less(i, j int) bool {
	x, y := a.entries[i], a.entries[j]
	if x.at.Equal(y.at) {
		return x.seq < y.seq
	}
	return x.at.Before(y.at)
}
func (a *agenda) Swap(i, j int) { a.entries[i], a.entries[j] = a.entries[j], a.entries[i] }
func (a *agenda) Push(x any)    { a.entries = append(a.entries, x.(*entry)) }
func (a *agenda) Pop() any {
	last := a.entries[len(a.entries)-1]
	a.entries = a.entries[:len(a.entries)-1]
	return last
}

// now is the simulated time, in UTC. Callers hold mu.
func (s *Server) now() time.Time { return s.cfg.Now().Add(s.offset).UTC() }

// schedule puts e on the agenda and wakes the delivery goroutine. Callers hold mu.
func (s *Server) schedule(e entry) {
	s.agenda.seq++
	e.seq = s.agenda.seq
	heap.Push(&s.agenda, &e)
	s.ring()
}

func (s *Server) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// due is the next entry that is due by t, or nil. Callers hold mu.
func (s *Server) due(t time.Time) *entry {
	if s.agenda.Len() == 0 || s.agenda.entries[0].at.After(t) {
		return nil
	}
	return s.agenda.entries[0]
}

// run works the agenda, one entry after the other, until Close.
func (s *Server) run() {
	defer close(s.done)
	for s.ctx.Err() == nil {
		e, wait := s.take()
		if e != nil {
			s.work(e)
			continue
		}
		s.sleep(wait)
	}
}

// take removes the entry that is due, or says how long until the next is; below zero means there is none.
func (s *Server) take() (*entry, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if e := s.due(now); e != nil {
		heap.Pop(&s.agenda)
		s.busy = true
		return e, 0
	}
	if s.agenda.Len() == 0 {
		return nil, -1
	}
	return nil, s.agenda.entries[0].at.Sub(now)
}

// sleep waits for a ring, for Close, or for wait to pass. A base clock that is not time.Now may jump, so it is looked
// at often.
func (s *Server) sleep(wait time.Duration) {
	var alarm <-chan time.Time
	if wait >= 0 {
		if s.jumpy {
			wait = min(wait, 5*time.Millisecond)
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-s.ctx.Done():
	case <-s.wake:
	case <-alarm:
	}
}

// work does what e says and tells who waits for it.
func (s *Server) work(e *entry) {
	if e.msg != nil {
		s.deliver(e.msg)
	} else {
		s.mu.Lock()
		e.do()
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	close(s.settled)
	s.settled = make(chan struct{})
}

// Advance moves the clock by d and returns when all that became due has happened, each thing at its own time. A receiver
// must not call it while it is being delivered to: the two would wait for each other.
func (s *Server) Advance(d time.Duration) {
	s.advancing.Lock()
	defer s.advancing.Unlock()
	s.mu.Lock()
	target := s.offset + d
	s.mu.Unlock()
	for s.Idle(s.ctx) == nil && s.step(target) {
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset = target
	s.ring()
}

// step moves the clock to the next entry that comes before target; false means there is none.
func (s *Server) step(target time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.due(s.cfg.Now().Add(target))
	if next == nil {
		return false
	}
	if ahead := next.at.Sub(s.now()); ahead > 0 {
		s.offset += ahead
		s.ring()
	}
	return true
}

// errClosed is what waiting ends with after Close.
var errClosed = errors.New("klarnatest: closed")

// Idle waits until nothing that is due is undelivered. What Hold keeps back does not count, nor do retries to come.
func (s *Server) Idle(ctx context.Context) error {
	for {
		s.mu.Lock()
		idle, settled := !s.busy && s.due(s.now()) == nil, s.settled
		s.mu.Unlock()
		if idle {
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return errClosed
		}
	}
}

// Now is the simulated time. A gateway under test may run on it, so that Advance moves both sides.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}
