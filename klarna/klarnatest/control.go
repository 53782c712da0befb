package klarnatest

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
)

// errUnknown means that what a caller of the admin side named does not exist.
var errUnknown = errors.New("not known")

// Hold keeps back everything that becomes due, until Release.
func (s *Server) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.hold = true
}

// Release sends what Hold kept back, in its order.
func (s *Server) Release() { s.release(false) }

// ReleaseReversed sends what Hold kept back, the newest first.
func (s *Server) ReleaseReversed() { s.release(true) }

func (s *Server) release(reversed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages := append(s.hooks.held, s.dueMessages()...)
	s.hooks.hold, s.hooks.held = false, nil
	if reversed {
		slices.Reverse(messages)
	}
	for _, m := range messages {
		s.schedule(entry{at: s.now(), msg: m})
	}
}

// dueMessages takes the messages off the agenda that are due but were not yet come to, oldest first. Callers hold mu.
func (s *Server) dueMessages() []*message {
	var messages []*message
	var others []*entry
	for e := s.due(s.now()); e != nil; e = s.due(s.now()) {
		heap.Pop(&s.agenda)
		if e.msg != nil {
			messages = append(messages, e.msg)
		} else {
			others = append(others, e)
		}
	}
	for _, e := range others {
		heap.Push(&s.agenda, e)
	}
	return messages
}

// DuplicateNext makes the next n messages go out twice. Klarna: at least once, the same event may come again.
func (s *Server) DuplicateNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.duplicate = n
}

// DropNext loses the next n messages of any kind for good: they are not repeated, but Resend can bring them back.
func (s *Server) DropNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.drop = n
}

// DropCallbacks loses the next n authorization callbacks. Klarna: a callback is best effort and may never arrive.
func (s *Server) DropCallbacks(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.dropCallbacks = n
}

// Resend sends an earlier message once more, with the same body and a fresh schedule, whatever became of it.
func (s *Server) Resend(eventID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := false
	for _, m := range s.hooks.sent {
		if m.eventID == eventID {
			again := *m
			s.schedule(entry{at: s.now(), msg: &again})
			known = true
		}
	}
	if !known {
		return fmt.Errorf("resend %s: %w", eventID, errUnknown)
	}
	return nil
}

// Deliveries lists all attempts and dropped messages so far, in their order.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Delivery{}, s.hooks.log...)
}
