package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

var killCycles = flag.Int("kill-cycles", 24, "how often the gateway is killed under load")

// A webhook that was answered 2xx reaches the watchers whatever becomes of the gateway: once for each event id, in the
// order in which Klarna was answered, behind the token at which a watcher was cut off. The gateway is killed again and
// again, at the very moment an answer arrives and at any other, with watchers that follow, hang or are away.
func TestKill_WebhooksThatWereAnsweredReachResumedWatchersOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, 10*time.Second)
	var atAnswer countdown
	lanes := make([]*lane, 4)
	for i := range lanes {
		l := &lane{name: fmt.Sprintf("acquirer-%d", i+1)}
		l.sim = s.acquirer(l.name, &witness{next: s.posts, lane: l, answered: &atAnswer})
		lanes[i] = l
	}
	p := s.start()
	for _, l := range lanes {
		l.onboard(t, p)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range *killCycles {
		round(t, p, lanes, &atAnswer, random)
		p = s.start()
	}
	finish(t, p, lanes)
	webhooks, unheard := 0, 0
	for _, l := range lanes {
		l.check(t)
		l.checkLog(t, p)
		webhooks += len(l.watcher.seen)
		unheard += l.unheard()
	}
	p.terminate(t)
	t.Logf("killed %d times; %d events came once each; the answers to %d of them were lost after they were recorded", *killCycles, webhooks, unheard)
}

// round puts a gateway under load until it is killed.
func round(t *testing.T, p *process, lanes []*lane, atAnswer *countdown, random *rand.Rand) {
	t.Helper()
	mood := watcherMood(random.IntN(3))
	var watching, loading sync.WaitGroup
	for _, l := range lanes {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		l.watcher.hang.Store(false)
		watching.Go(func() { l.watch(ctx, p) })
		until(t, "what was answered before to come to "+l.name, l.complete)
		switch mood {
		case hanging:
			l.watcher.hang.Store(true)
		case away:
			leave()
		}
	}
	if random.IntN(2) == 0 {
		atAnswer.start(1+random.IntN(80), p.kill)
	} else {
		time.AfterFunc(time.Duration(random.IntN(150))*time.Millisecond, p.kill)
	}
	for _, l := range lanes {
		loading.Go(func() { l.load(t, p) })
	}
	<-p.ended
	loading.Wait()
	watching.Wait()
}

// watcherMood is what watchers do while the gateway is killed.
type watcherMood int

const (
	following watcherMood = iota
	hanging
	away
)

// finish has Klarna repeat all that was not answered, until watchers have everything.
func finish(t *testing.T, p *process, lanes []*lane) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	for _, l := range lanes {
		l.watcher.hang.Store(false)
		watching.Go(func() { l.watch(ctx, p) })
		l.sim.Advance(24 * time.Hour)
		if open := l.unanswered(); len(open) > 0 {
			t.Errorf("%s: %d webhooks were never answered 200", l.name, len(open))
		}
		until(t, "everything to come to "+l.name, l.complete)
	}
	leave()
	watching.Wait()
}

// countdown does something at one of the answers to come, before anybody else hears of it.
type countdown struct {
	mu   sync.Mutex
	left int
	then func()
}

func (c *countdown) start(n int, then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.then = n, then
}

func (c *countdown) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		c.then()
	}
}
