package modeltest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// action is something that somebody may do.
type action struct {
	name   string
	weight int
	faults []faultKind
	of     field
	alone  bool   // never at the same time as another
	after  string // the action that leads to it, if it takes one
	// plan makes all choices. It returns nil if there is nothing to do now; run may not choose any more, since others may
	// act at the same time.
	plan func(w *world) (label string, run func(ctx context.Context))
}

// field is where an action belongs; zero is everywhere.
type field int

const (
	theShop field = iota + 1
	theNetwork
)

// A seed works towards its aim in so many of a hundred steps, until it has met it so often; then all is left to chance.
const (
	towards = 30
	hits    = 2
)

const onboarding = "caller onboards a partner"

// actorKey marks a context with who acts under it.
type actorKey struct{}

// step has somebody do something, or two or three at the same time, and looks whether all still holds.
func (w *world) step() {
	w.stepped++
	if w.chance(w.crowd) {
		w.several()
	} else if a, label, run := w.next(); run != nil {
		w.acting = a.name
		w.arm(a.faults)
		w.say(label)
		run(w.ctx)
	}
	w.fault = fault{}
	_ = w.sim.Idle(w.ctx) // what Klarna has to tell by now comes before what follows, however fast either is
	w.pairs[pair{w.acting, ""}]++
	w.meet()
	w.check()
}

// next makes a plan of what leads to the seed's aim, now and then, or else of any action.
func (w *world) next() (a action, label string, run func(context.Context)) {
	if w.pairs[w.aim] < hits && w.chance(towards) {
		for name := w.aim.action; name != "" && run == nil; name = a.after {
			a = actions[slices.IndexFunc(actions, func(a action) bool { return a.name == name })]
			label, run = a.plan(w)
		}
	}
	if run == nil {
		return w.pick(false)
	}
	return a, label, run
}

// pick makes a plan of a random action that can be done.
func (w *world) pick(crowd bool) (a action, label string, run func(context.Context)) {
	for range 50 {
		a = w.choose(crowd)
		if label, run = a.plan(w); run != nil {
			return a, label, run
		}
	}
	return a, "", nil
}

func (w *world) choose(crowd bool) action {
	total := 0
	fits := func(a action) bool { return !crowd || !a.alone }
	for _, a := range actions {
		if fits(a) {
			total += w.weight(a)
		}
	}
	n := w.rng.IntN(total)
	for _, a := range actions {
		if !fits(a) {
			continue
		}
		if n -= w.weight(a); n < 0 {
			return a
		}
	}
	panic("no action")
}

// weight makes one action more frequent in each seed, so that rare pairs are reached too, and has a partner first.
func (w *world) weight(a action) int {
	switch {
	case a.of == theShop && !w.shop || a.of == theNetwork && !w.network:
		return 0
	case a.name == onboarding && w.partner == "":
		return 30
	case a.name == w.focus:
		return a.weight + 8
	}
	return a.weight
}

func (w *world) say(label string) {
	armed := ""
	if w.fault.kind != "" {
		armed = fmt.Sprintf("  [%s, after %d]", w.fault.kind, w.fault.after)
	}
	w.note("%3d  %s  %s%s", w.stepped, w.sim.Now().Format("01-02 15:04:05"), label, armed)
}

// several has two or three act at the same time. Each call to Klarna waits for its turn, which goes round at random.
func (w *world) several() {
	type planned struct {
		label string
		run   func(context.Context)
	}
	var all []planned
	for range 2 + w.rng.IntN(2) {
		if _, label, run := w.pick(true); run != nil {
			all = append(all, planned{label, run})
			if w.chance(30) { // the very same twice
				all = append(all, planned{label, run})
			}
		}
	}
	if len(all) == 0 {
		return
	}
	w.acting = "several at once"
	w.arm(everyFault)
	w.say(fmt.Sprintf("%d at once", len(all)))
	w.indent = "   "
	for i, one := range all {
		w.note("%c: %s", 'A'+i, one.label)
	}
	w.gate.open()
	left := len(all)
	var mu sync.Mutex
	for i, one := range all {
		go func() {
			one.run(context.WithValue(w.ctx, actorKey{}, string(rune('A'+i))))
			mu.Lock()
			left--
			mu.Unlock()
		}()
		synctest.Wait() // it stands at its first call, so that plans begin in their order
	}
	for waited := 0; ; {
		synctest.Wait()
		mu.Lock()
		done := left == 0
		mu.Unlock()
		if done {
			break
		}
		if !w.gate.next(w.rng.IntN) { // they wait for time to pass
			if waited++; waited > 2000 {
				w.wrong("those who act at once wait for one another")
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	w.gate.close()
	w.indent = ""
}

// gate lets those who act at the same time go on one by one.
type gate struct {
	mu      sync.Mutex
	on      bool
	waiting []*turn
}

type turn struct {
	who  string
	come chan struct{}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on = true
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on = false
	for _, t := range g.waiting {
		close(t.come)
	}
	g.waiting = nil
}

// pass waits for one's turn, if others act at the same time.
func (g *gate) pass(ctx context.Context) {
	who, _ := ctx.Value(actorKey{}).(string)
	g.mu.Lock()
	if !g.on || who == "" {
		g.mu.Unlock()
		return
	}
	t := &turn{who, make(chan struct{})}
	g.waiting = append(g.waiting, t)
	g.mu.Unlock()
	<-t.come
}

// next lets one of those who wait go on; false if nobody waits.
func (g *gate) next(pick func(int) int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		return false
	}
	i := pick(len(g.waiting))
	close(g.waiting[i].come)
	g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
	return true
}

var longID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|K[0-9A-F]{6}|\b[0-9a-f]{32}\b|test:[0-9A-Z]{8}|[A-Za-z0-9_-]{40,}`)

// readable gives ids short names in the order in which they come up, which are the same each time a seed is played.
func readable(text string) string {
	names := map[string]string{}
	return longID.ReplaceAllStringFunc(text, func(id string) string {
		if strings.HasPrefix(id, "00000000-") { // one of the test's own
			return "r" + strings.TrimLeft(strings.ReplaceAll(id, "-", ""), "0")
		}
		if names[id] == "" {
			names[id] = fmt.Sprintf("#%d", len(names)+1)
		}
		return names[id]
	})
}
