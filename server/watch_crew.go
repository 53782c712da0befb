package server

import (
	"runtime"
	"sync"
)

// crew does the work of watches. A watch that waits has no goroutine but the one that gRPC gives its stream, which waits in a
// shallow frame and so keeps a small stack; when there is something to do for the watch, one of the crew takes a turn.
//
// As many are at work as the processors have time for: whoever takes up work while there is more has one come to help. A
// client that does not read holds up one of the crew, and another comes in its place.
type crew struct {
	mu          sync.Mutex
	first, last *shift // of those that have something to do
	coming      bool   // somebody is on the way to them; always so while there are any
	idle        int    // of the crew
	called      sync.Cond
	leaving     bool // nobody waits idle any more
}

// shift is what one of the crew does at a time for a watch.
type shift struct {
	turn func() (more bool) // there are never two at a time, and none once there is no more

	next    *shift // in the queue
	wanted  bool   // there is something to do
	working bool
	over    bool
}

func newCrew() *crew {
	c := &crew{}
	c.called.L = &c.mu
	return c
}

// call has the crew take a turn, soon. It does not wait.
func (c *crew) call(s *shift) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.wanted || s.over {
		return
	}
	s.wanted = true
	if !s.working {
		c.queue(s)
	}
}

// queue puts a shift behind the others; mu is held.
func (c *crew) queue(s *shift) {
	if c.last == nil {
		c.first = s
	} else {
		c.last.next = s
	}
	c.last = s
	c.summon()
}

// summon has somebody come, unless somebody does already; mu is held.
func (c *crew) summon() {
	switch {
	case c.coming:
		return
	case c.idle > 0:
		c.called.Signal()
	default:
		go c.work()
	}
	c.coming = true
}

// work is the life of one of the crew.
func (c *crew) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for c.coming = false; c.first != nil; {
			c.turn()
		}
		if c.leaving || c.idle >= runtime.GOMAXPROCS(0) {
			return
		}
		c.idle++
		c.called.Wait()
		c.idle--
	}
}

// turn is one turn of the first shift; mu is held before and after.
func (c *crew) turn() {
	s := c.first
	if c.first = s.next; c.first == nil {
		c.last = nil
	} else {
		c.summon()
	}
	s.next, s.wanted, s.working = nil, false, true
	c.mu.Unlock()
	more := s.turn()
	c.mu.Lock()
	s.working, s.over = false, !more
	if s.wanted && more {
		c.queue(s)
	}
}

// leave sends home who is idle. Work is done still.
func (c *crew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	c.called.Broadcast()
}

// aside runs what needs a deep stack on one that is gone when it is done.
func aside(do func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if panicked := recover(); panicked != nil {
				err = errPanic(panicked)
			}
		}()
		err = do()
	}()
	<-done
	return err
}
