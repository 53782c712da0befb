package server

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Why a watch ends before its client wants it to.
var (
	errRevoked = errors.New("the grant of the watch is gone")
	errExpired = errors.New("the credentials of the watch have run out")
)

// credentialCheck is how often the clock is asked whether credentials have run out: a clock that is set, or a machine
// that was asleep, delays the end of a watch by no more.
const credentialCheck = 5 * time.Second

// whileGranted ends a watch when its caller's credentials run out or are taken back, or when a new policy no longer has all
// of what the watch was opened with: going on with less would hide what is missing.
func (s *Server) whileGranted(ctx context.Context, end func(error)) (release func()) {
	d := decisionOf(ctx)
	if d == nil {
		return func() {}
	}
	expiring := s.whileValid(d.caller.Expires, end)
	revoking := s.whilePermitted(d, end)
	holding := s.callers.WhileHeld(d.caller, func() { end(errRevoked) })
	return func() { expiring(); revoking(); holding() }
}

func (s *Server) whileValid(expires time.Time, end func(error)) (release func()) {
	if expires.IsZero() {
		return func() {}
	}
	var mu sync.Mutex
	var next *time.Timer
	released := false
	var check func()
	check = func() {
		mu.Lock()
		defer mu.Unlock()
		left := expires.Sub(s.now())
		switch {
		case released:
		case left <= 0:
			end(errExpired)
		default:
			next = time.AfterFunc(min(left, s.credentialCheck), check)
		}
	}
	check()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		released = true
		if next != nil {
			next.Stop()
		}
	}
}

func (s *Server) whilePermitted(d *decision, end func(error)) (release func()) {
	if s.policy == nil {
		return func() {}
	}
	var mu sync.Mutex
	var stop func() bool
	released := false
	var check func()
	check = func() {
		mu.Lock()
		defer mu.Unlock()
		if released {
			return
		}
		policy := s.policy.Current()
		if !policy.Grant(d.caller, d.rpc).Covers(d.grant) {
			end(errRevoked)
			return
		}
		stop = policy.OnReplaced(check)
	}
	check()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		released = true
		if stop != nil {
			stop()
		}
	}
}
