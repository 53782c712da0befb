package store

import "sync/atomic"

// End is a means to end a Follow with an error of one's own.
type End struct {
	why      atomic.Pointer[error]
	follower atomic.Pointer[subscriber] // who waits
}

// Now ends the Follow; the first error counts.
func (e *End) Now(why error) {
	if !e.why.CompareAndSwap(nil, &why) {
		return
	}
	if waiting := e.follower.Load(); waiting != nil {
		waiting.end()
	}
}

// Why is the error that was given, nil before that.
func (e *End) Why() error {
	if e == nil {
		return nil
	}
	if why := e.why.Load(); why != nil {
		return *why
	}
	return nil
}

// rings has a subscriber hear of the end, also if it has come before.
func (e *End) rings(s *subscriber) {
	if e == nil {
		return
	}
	e.follower.Store(s)
	if e.why.Load() != nil {
		s.end()
	}
}

// end rings for a subscriber that is to go on no further.
func (s *subscriber) end() {
	s.over.Store(true)
	s.wake()
}
