package modeltest

import (
	"context"
	"net/http"
	"slices"
	"sync"
)

// faultKind is something that goes wrong in a step.
type faultKind string

const (
	refusedConnection faultKind = "connection refused"
	cutBefore         faultKind = "cut before effect"
	answerLost        faultKind = "answer lost"
	garbled           faultKind = "answer cut in half"
	timedOut          faultKind = "timeout, late effect"
	busy              faultKind = "429"
	down              faultKind = "503"
	outage            faultKind = "503 throughout"
	locked            faultKind = "401"
	blocked           faultKind = "403 of a shield before Klarna"
	missing           faultKind = "404 on a reading"
	killBeforeSend    faultKind = "killed before send"
	killAfterSend     faultKind = "killed after send"
	killAfterAnswer   faultKind = "killed after answer"
	killAfterCommit   faultKind = "killed after commit"
	diskFull          faultKind = "disk full"
	killBeforeWrite   faultKind = "killed before a write"
	killAfterWrite    faultKind = "killed after a write"
)

// What meets calls to Klarna, what meets commits.
var (
	callFaults   = []faultKind{refusedConnection, cutBefore, answerLost, garbled, timedOut, busy, down, outage, locked, blocked, killBeforeSend, killAfterSend}
	pointFaults  = []faultKind{killAfterAnswer, killAfterCommit}
	commitFaults = []faultKind{diskFull, killBeforeWrite, killAfterWrite}
)

// fault is armed for one step: it meets the call or commit that comes after so many others. The zero value is none.
type fault struct {
	mu    *sync.Mutex
	kind  faultKind
	after int
	reads bool // it meets readings too
	spent bool
}

func (f *fault) meets(r *http.Request) faultKind {
	if f.mu == nil || !slices.Contains(callFaults, f.kind) && f.kind != missing {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.kind == outage:
		return f.kind
	case f.spent, f.kind == missing && isWrite(r), !f.reads && !isWrite(r):
		return ""
	case f.after > 0:
		f.after--
		return ""
	}
	f.spent = f.kind != missing // which lasts for the step
	if f.kind == timedOut && !isWrite(r) {
		return cutBefore
	}
	return f.kind
}

func (f *fault) meetsCommit() faultKind {
	if f.mu == nil || !slices.Contains(commitFaults, f.kind) {
		return ""
	}
	return f.next()
}

func (f *fault) meetsPoint(kind faultKind) bool {
	return f.mu != nil && f.kind == kind && f.next() == kind
}

func (f *fault) next() faultKind {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spent {
		return ""
	}
	if f.after > 0 {
		f.after--
		return ""
	}
	f.spent = true
	return f.kind
}

// arm picks what goes wrong in the next step; mostly nothing.
func (w *world) arm(kinds []faultKind) {
	w.fault = fault{}
	kind := w.aim.fault
	switch {
	case w.acting == w.aim.action && w.chance(75):
	case len(kinds) > 0 && w.chance(w.rate):
		kind = kinds[w.rng.IntN(len(kinds))]
	default:
		return
	}
	after := max(w.rng.IntN(4)-1, 0) // the first one half of the time
	w.fault = fault{mu: new(sync.Mutex), kind: kind, after: after, reads: kind == missing || w.chance(25)}
	switch {
	case slices.Contains(commitFaults, kind):
		w.fault.after = w.rng.IntN(4)
	case slices.Contains(pointFaults, kind):
		w.fault.after = 0 // mostly there is one
	}
}

// pair is an action and what went wrong in it.
type pair struct {
	action string
	fault  faultKind
}

// reached counts that a fault has met an action.
func (w *world) reached(ctx context.Context, kind faultKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pairs[pair{w.acting, kind}]++
}
