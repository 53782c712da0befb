package access

import (
	"context"
	"sync"
)

// holder is a file that may prove a caller, and take that back.
type holder interface {
	// holds tells whether the file, as it was taken last, proves the caller; newer ends when it was taken anew.
	holds(who Caller) (proven bool, newer context.Context)
}

// WhileHeld calls gone, once, when what proved a caller is in no file any more, unless released before: the static token, the
// authority of the certificate, the key of the JWT. It never does where that is not a matter of files.
func (c Callers) WhileHeld(who Caller, gone func()) (release func()) {
	h := &holding{who: who, gone: gone}
	switch {
	case who.token != nil && !proves(c.Tokens, who):
		for _, f := range c.TokenFiles {
			h.files = append(h.files, f)
		}
	case who.chain != nil && len(c.Authorities) > 0:
		for _, f := range c.Authorities {
			h.files = append(h.files, f)
		}
	case who.issuer != nil && who.issuer.cfg.JWKSFile != "":
		h.files = append(h.files, who.issuer)
	default:
		return func() {}
	}
	h.check()
	return h.release
}

// holding is a caller who has to stay proven by one of the files.
type holding struct {
	files []holder
	who   Caller
	gone  func()

	mu    sync.Mutex
	over  bool
	stops []func() bool // of waiting for newer ones
}

func (h *holding) check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	h.stop()
	held := false
	for _, f := range h.files {
		proven, newer := f.holds(h.who)
		held = held || proven
		h.stops = append(h.stops, context.AfterFunc(newer, h.check))
	}
	if !held {
		h.over = true
		h.stop()
		h.gone()
	}
}

func (h *holding) stop() {
	for _, stop := range h.stops {
		stop()
	}
	h.stops = nil
}

func (h *holding) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	h.stop()
}
