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

// Held lists what Hold keeps back, oldest first.
func (s *Server) Held() (held []Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.hooks.held {
		held = append(held, Delivery{Kind: m.kind, URL: m.url, EventID: m.eventID, Type: m.eventType, Subject: m.subject, Attempt: m.attempt, At: s.now()})
	}
	return held
}

// ReleaseOne sends one of what Hold keeps back, by its place in Held. All else is held on, and so is what follows if it is
// not taken.
func (s *Server) ReleaseOne(i int) error {
	return s.takeHeld(i, func(m *message) {
		m.released = true
		s.schedule(entry{at: s.now(), msg: m})
	})
}

// DropOne loses one of what Hold keeps back for good, by its place in Held. Resend can bring it back.
func (s *Server) DropOne(i int) error {
	return s.takeHeld(i, func(m *message) { s.record(m, s.now(), 0, true) })
}

func (s *Server) takeHeld(i int, f func(*message)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i < 0 || i >= len(s.hooks.held) {
		return fmt.Errorf("held message %d of %d: %w", i, len(s.hooks.held), errUnknown)
	}
	m := s.hooks.held[i]
	s.hooks.held = slices.Delete(s.hooks.held, i, i+1)
	f(m)
	return nil
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
