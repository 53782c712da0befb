package main

import (
	"io"
	"net"
	"sync"
	"testing"
)

// wire is a way to a server that can be cut: nothing comes through then, and nobody is told.
type wire struct {
	listener net.Listener
	to       string
	working  sync.WaitGroup

	mu     sync.Mutex
	mended chan struct{} // closed unless it is cut
	ends   map[net.Conn]struct{}
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	w := &wire{listener: must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")), to: to, mended: make(chan struct{}), ends: map[net.Conn]struct{}{}}
	close(w.mended)
	w.working.Go(w.serve)
	t.Cleanup(func() {
		_ = w.listener.Close()
		w.mend()
		w.hangUp()
		w.working.Wait()
	})
	return w
}

func (w *wire) address() string { return w.listener.Addr().String() }

// cut lets nothing through from now on.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mended = make(chan struct{})
}

// mend lets new connections through. Those from before are broken: what was sent meanwhile is lost.
func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.mended:
	default:
		close(w.mended)
	}
}

func (w *wire) state() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mended
}

func (w *wire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for end := range w.ends {
		_ = end.Close()
	}
}

func (w *wire) keep(end net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[end] = struct{}{}
}

func (w *wire) serve() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.keep(near)
		w.working.Go(func() {
			defer near.Close()
			if mended := w.state(); !closed(mended) { // nobody answers
				<-mended
				return
			}
			far, err := net.Dial("tcp", w.to)
			if err != nil {
				return
			}
			w.keep(far)
			w.working.Go(func() { w.carry(near, far) })
			w.carry(far, near)
		})
	}
}

// carry brings across what comes, until one end closes or something was lost.
func (w *wire) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if mended := w.state(); !closed(mended) {
			<-mended
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err == io.EOF || err != nil {
			return
		}
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
