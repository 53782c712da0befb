package postgres

import (
	"errors"
	"sync"

	"payments.internal/klarna-gateway/store"
)

// errStale ends a unit that ran ahead on what is not so any more. Nobody sees it: the unit is run again.
var errStale = errors.New("unit ran ahead of another")

// errEnded is the error of a unit that ended its goroutine instead of returning.
var errEnded = errors.New("unit ended its goroutine")

// crew runs functions at the same time, on goroutines that stay for those to come: one that has just begun has to grow its
// stack for every unit. A unit that ends its goroutine takes it along.
type crew chan func()

func (c crew) run(do func()) {
	select {
	case c <- do:
	default: // all are at work
		go c.stay(do)
	}
}

func (c crew) stay(do func()) {
	for ; do != nil; do = <-c { // nil once it is closed
		do()
	}
}

// rounds lets units run ahead of their turn, each on a goroutine of its own. Whenever all of them wait, what they ask is
// sent in one round trip.
type rounds struct {
	w       *transaction
	runners []*runner

	mu    sync.Mutex
	going int // runners that neither wait nor are through
	asked []*question
	quiet chan struct{} // holds one when going has come down to 0
}

// runner is a unit that runs ahead.
type runner struct {
	rounds  *rounds
	tx      *tx
	turn    chan error    // its turn has come, or is never to come
	through chan struct{} // closed at its end, with refused set
	refused error
}

type question struct {
	readings []*reading
	answered chan error
}

// runAhead starts the units.
func (w *transaction) runAhead(units []func(store.Tx) error) *rounds {
	r := &rounds{w: w, going: len(units), quiet: make(chan struct{}, 1)}
	for range units {
		one := &runner{rounds: r, turn: make(chan error), through: make(chan struct{}), refused: errEnded}
		one.tx = &tx{w: w, runner: one}
		r.runners = append(r.runners, one)
	}
	for i, unit := range units {
		w.crew.run(func() { r.runners[i].run(unit) })
	}
	return r
}

func (one *runner) run(unit func(store.Tx) error) {
	defer close(one.through)
	defer one.pause(nil)
	one.refused = attempt(unit, one.tx)
}

// pause counts a runner out, with what it asks.
func (one *runner) pause(asks *question) {
	r := one.rounds
	r.mu.Lock()
	defer r.mu.Unlock()
	if asks != nil {
		r.asked = append(r.asked, asks)
	}
	if r.going--; r.going == 0 {
		select {
		case r.quiet <- struct{}{}:
		default: // nobody looks any more
		}
	}
}

// ask waits for the answer of the next round.
func (one *runner) ask(asked ...*reading) error {
	q := &question{asked, make(chan error, 1)}
	one.pause(q)
	return <-q.answered
}

// ask goes round until every unit waits for its turn or is through.
func (r *rounds) ask() error {
	for {
		<-r.quiet
		r.mu.Lock()
		asked := r.asked
		r.asked, r.going = nil, len(asked)
		r.mu.Unlock()
		var readings []*reading
		for _, q := range asked {
			readings = append(readings, q.readings...)
		}
		err := r.w.send(readings...)
		for _, q := range asked {
			q.answered <- err
		}
		if len(asked) == 0 || err != nil {
			return err
		}
	}
}

// await waits for the unit's turn. If that is not to come, the unit has failed.
func (t *tx) await() {
	if t.turn || t.failed != nil {
		return
	}
	t.runner.pause(nil)
	if t.failed = <-t.runner.turn; t.failed == nil {
		t.turn = true
	}
	t.runner.rounds.mu.Lock()
	t.runner.rounds.going++ // its end counts it out
	t.runner.rounds.mu.Unlock()
}

// resume lets a unit that waits for its turn have it, or gives it up, and waits for its end.
func (one *runner) resume(turn bool) {
	var err error
	if !turn {
		err = errStale
	}
	select {
	case one.turn <- err:
		<-one.through
	case <-one.through:
	}
}

// stale tells whether a unit has read what another one has written since.
func (one *runner) stale() bool {
	stale := one.tx.read.meet(one.rounds.w.wrote)
	if stale {
		one.resume(false)
	}
	return stale
}

// end waits for the end of all units; those whose turn has not come give up.
func (r *rounds) end() {
	for _, one := range r.runners {
		one.resume(false)
	}
}
