package modeltest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/store"
)

// job has a process work one of the jobs that it holds.
func job(w *world) (string, func(context.Context)) {
	p := w.process()
	if len(p.leased) < 4 {
		leased, err := p.pool.Lease(w.ctx, 4-len(p.leased))
		if err != nil {
			w.wrong("lease: %v", err)
		}
		p.leased = append(p.leased, leased...)
	}
	if len(p.leased) == 0 {
		return "", nil
	}
	i := w.rng.IntN(len(p.leased))
	one := p.leased[i]
	p.leased = slices.Delete(p.leased, i, i+1)
	return fmt.Sprintf("process %d works %s %s, attempt %d", p.n, one.Kind, one.Key, one.Attempt), func(ctx context.Context) { p.pool.Work(ctx, one) }
}

func sweep(w *world) (string, func(context.Context)) {
	p := w.process()
	return fmt.Sprintf("process %d sweeps", p.n), func(ctx context.Context) {
		if err := p.ops.Sweep(ctx); err != nil {
			w.note("   %v", err)
		}
	}
}

// deliver sends one of what Klarna has to tell, whichever: so it is late, and overtaken by others.
func deliver(w *world) (string, func(context.Context)) {
	_ = w.sim.Idle(w.ctx)
	held := w.sim.Held()
	if len(held) == 0 {
		return "", nil
	}
	i := w.rng.IntN(len(held))
	m := held[i]
	twice := w.chance(20)
	return fmt.Sprintf("klarna tells: %s about %s, twice %t", m.Type, m.Subject, twice), func(context.Context) {
		w.post(i)
		if twice {
			if err := w.sim.Resend(m.EventID); err != nil {
				w.wrong("%v", err)
			}
			_ = w.sim.Idle(w.ctx)
			again := slices.IndexFunc(w.sim.Held(), func(d klarnatest.Delivery) bool { return d.EventID == m.EventID })
			if again >= 0 { // else there is nothing to tell any more
				w.post(again)
			}
		}
	}
}

func (w *world) post(i int) {
	if err := w.sim.ReleaseOne(i); err != nil {
		w.wrong("%v", err)
	}
	_ = w.sim.Idle(w.ctx)
}

// drop loses one of what Klarna has to tell.
func drop(w *world) (string, func(context.Context)) {
	_ = w.sim.Idle(w.ctx)
	held := w.sim.Held()
	if len(held) == 0 {
		return "", nil
	}
	i := w.rng.IntN(len(held))
	return fmt.Sprintf("a %s about %s is lost", held[i].Type, held[i].Subject), func(context.Context) {
		for _, s := range w.sales {
			if s.order != "" && s.order == held[i].Subject {
				s.untold = true
			}
		}
		if err := w.sim.DropOne(i); err != nil {
			w.wrong("%v", err)
		}
	}
}

// tardy has a call arrive at Klarna that the gateway gave up.
func tardy(w *world) (string, func(context.Context)) {
	if len(w.late) == 0 {
		return "", nil
	}
	i := w.rng.IntN(len(w.late))
	return "a call that was given up arrives", func(context.Context) { w.arrive(i) }
}

func restart(w *world) (string, func(context.Context)) {
	p := w.process()
	return fmt.Sprintf("process %d starts again", p.n), func(context.Context) {
		if err := w.start(p.n); err != nil {
			w.wrong("%v", err)
		}
	}
}

func clock(w *world) (string, func(context.Context)) {
	const day = 24 * time.Hour
	all := []time.Duration{
		time.Second, 10 * time.Second, 10 * time.Second, 10 * time.Second, time.Minute, time.Minute, 5 * time.Minute, 5 * time.Minute, 15 * time.Minute,
		15 * time.Minute, time.Hour, time.Hour, 3 * time.Hour, day, day, 9 * day, 30 * day,
	}
	most := all[w.rng.IntN(len(all))]
	d := time.Duration(1+w.rng.Int64N(int64(most/time.Second))) * time.Second
	return fmt.Sprintf("%v pass", d), func(context.Context) { w.advance(d) }
}

// watcher follows a stream, drops, and resumes where it was.
type watcher struct {
	stream store.Stream
	at     store.Position
	seen   []string
}

func watch(w *world) (string, func(context.Context)) {
	f, p, most := w.watchers[w.rng.IntN(len(w.watchers))], w.process(), 1+w.rng.IntN(8)
	return fmt.Sprintf("a watcher resumes %s at process %d", f.stream, p.n), func(ctx context.Context) { w.follow(ctx, p, f, most) }
}

// follow reads up to so many events, at most to where nothing is new.
func (w *world) follow(ctx context.Context, p *process, f *watcher, most int) {
	for ev, err := range p.store.Follow(ctx, store.Query{Stream: f.stream, After: f.at}) {
		switch {
		case err != nil:
			w.wrong("follow: %v", err)
			return
		case ev.Position < f.at || ev.ID != "" && ev.Position == f.at:
			w.wrong("a watcher at %d is told of %d", f.at, ev.Position)
		}
		f.at = ev.Position
		if ev.ID == "" {
			return
		}
		f.seen = append(f.seen, ev.ID)
		if most--; most == 0 {
			return
		}
	}
}
