package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

var (
	killCycles    = flag.Int("kill-cycles", 12, "how often the gateway on SQLite is killed under load")
	replicaCycles = flag.Int("replica-cycles", 5, "how often something befalls the gateways on PostgreSQL, or PostgreSQL, under load")
	leases        = flag.Bool("leases", false, "wait until calls that a replica left behind are answered by another one, which takes 90 s")
	figuresFile   = flag.String("figures", "", "add what was counted to this file, as rows of a table")
)

// What was answered reaches the watchers whatever becomes of the gateway: once for each event id, in the order in which
// Klarna was answered, behind the token at which a watcher was cut off. And what was asked for is done once, whoever died
// over it. The gateway is killed again and again, at the very moment an answer arrives and at any other, with watchers
// over gRPC and SSE that follow, hang or are away.
func TestKill_WebhooksThatWereAnsweredReachResumedWatchersOnce(t *testing.T) {
	t.Parallel()
	c := newChaos(t, newFleet(t, 1, "", nil))
	for range *killCycles {
		c.round(trouble{"killed", c.killOne})
	}
	c.finish("SQLite, one process", true)
}

// Replicas go on whatever happens to one of them, and keep the same promises together: one is killed, one loses its way to
// the database, or its connections; the database dies, or is restarted.
func TestReplicas_LoseNothingWhateverBecomesOfThem(t *testing.T) {
	t.Parallel()
	server := postgrestest.Private(t)
	ways, wires := map[int]string{}, []*wire{}
	for i := range 3 {
		wires = append(wires, newWire(t, server.Address()))
		ways[i] = wires[i].address()
	}
	c := newChaos(t, newFleet(t, len(wires), server.Schema(t), ways))
	one := func() *wire { return wires[c.random.IntN(len(wires))] }
	again := func() {
		c.failed.await(t, "a webhook that is not answered", 1)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	troubles := []trouble{
		{"killed", c.killOne},
		{"cut off from PostgreSQL", func() { w := one(); w.cut(); c.failed.await(t, "a webhook that is not answered", 1); w.mend() }},
		{"PostgreSQL killed", func() { server.Kill(); again() }},
		{"connections broken", func() { one().hangUp() }},
		{"PostgreSQL restarted", func() { server.Shut(); again() }},
	}
	for i := range *replicaCycles {
		c.round(troubles[i%len(troubles)])
	}
	c.finish("PostgreSQL, three processes", *leases)
}

// chaos is gateways under load, to which things happen again and again: webhooks over several connections, captures and
// refunds, and watchers of all of it at each gateway.
type chaos struct {
	*fleet
	random           *rand.Rand
	lanes            []*lane
	till             *till
	watchers         [][]*watcher // by member; of each lane in turn, and last of the shop
	answered, failed countdown    // webhooks

	began    time.Time
	befell   map[string]int // troubles by name
	troubles []string       // their names, as they first came
	effects  int            // of calls, at Klarna
}

// trouble is something that happens to gateways under load, and passes.
type trouble struct {
	name   string
	befall func()
}

func newChaos(t *testing.T, f *fleet) *chaos {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &chaos{fleet: f, random: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), befell: map[string]int{}}
	for i := range 4 {
		l := &lane{name: fmt.Sprintf("acquirer-%d", i+1)}
		l.sim = f.acquirer(l.name, &witness{next: f.posts, lane: l, answered: &c.answered, failed: &c.failed})
		c.lanes = append(c.lanes, l)
	}
	c.till = newTill(t, f.shop(slowToAnswer), f.living)
	f.manAll()
	for m := range f.members {
		var watchers []*watcher
		for i, l := range c.lanes {
			watchers = append(watchers, &watcher{account: l.name, sse: (m+i)%2 == 1})
		}
		c.watchers = append(c.watchers, append(watchers, &watcher{account: localShop, sse: m%2 == 1}))
	}
	if len(f.members) == 1 { // the other half
		c.watchers = append(c.watchers, []*watcher{})
		for _, w := range c.watchers[0] {
			c.watchers[1] = append(c.watchers[1], &watcher{account: w.account, sse: !w.sse})
		}
	}
	for _, l := range c.lanes {
		l.onboard(t, f.living())
	}
	return c
}

// gather has all watchers there, with everything that was answered.
func (c *chaos) gather() {
	c.t.Helper()
	c.each(func(m int, w *watcher, _ *lane) {
		if w.goOn(); w.leave == nil {
			w.follow(c.t.Context(), func() *process { return c.members[m%len(c.members)].Load() })
		}
	})
	c.each(func(m int, w *watcher, l *lane) {
		if l != nil {
			until(c.t, fmt.Sprintf("what was answered to come to %s at member %d", w.account, m), func() bool { return w.complete(l) })
		}
	})
}

// each does something for each watcher, with the lane that it watches; nil for the shop.
func (c *chaos) each(do func(m int, w *watcher, l *lane)) {
	for m := range c.watchers {
		for i, w := range c.watchers[m] {
			if i < len(c.lanes) {
				do(m, w, c.lanes[i])
			} else {
				do(m, w, nil)
			}
		}
	}
}

// round puts the gateways under load until a trouble has passed.
func (c *chaos) round(what trouble) {
	c.t.Helper()
	c.gather()
	c.each(func(_ int, w *watcher, _ *lane) {
		switch c.random.IntN(4) {
		case 0:
			w.hang()
		case 1:
			w.goAway()
		}
	})
	var loading sync.WaitGroup
	over := make(chan struct{})
	defer loading.Wait()
	defer close(over)
	for _, l := range c.lanes {
		loading.Go(func() { l.load(c.t, over) })
	}
	for range 2 {
		loading.Go(func() { c.till.sell(3) })
	}
	loading.Go(func() { c.till.sim.Advance(2 * time.Minute) }) // orders are pushed, and read
	c.answered.await(c.t, "webhooks to be answered", 1+c.random.IntN(20))
	what.befall()
	c.answered.await(c.t, "webhooks to be answered again", 1+c.random.IntN(20))
	if c.befell[what.name]++; c.befell[what.name] == 1 {
		c.troubles = append(c.troubles, what.name)
	}
}

// killOne kills a gateway, at an answer or at any time, and starts it again.
func (c *chaos) killOne() {
	i := c.random.IntN(len(c.members))
	p := c.members[i].Load()
	if c.random.IntN(2) == 0 {
		c.answered.start(1+c.random.IntN(80), p.kill)
	} else {
		time.AfterFunc(time.Duration(c.random.IntN(150))*time.Millisecond, p.kill)
	}
	<-p.ended
	c.man(i)
}

// finish has Klarna and callers repeat all that was not answered, until watchers have everything, and looks at it. Calls
// that wait for the lease of a gateway that died are waited for if settled says so.
func (c *chaos) finish(name string, settled bool) {
	c.t.Helper()
	for _, l := range c.lanes {
		until(c.t, "Klarna to have repeated what was not answered", func() bool {
			l.sim.Advance(6 * time.Hour)
			return len(l.unanswered()) == 0
		})
	}
	if settled {
		closing := time.Now().Add(2 * time.Minute)
		for c.till.open() > 0 && time.Now().Before(closing) && !c.t.Failed() {
			time.Sleep(20 * time.Millisecond)
		}
		if open := c.till.open(); open > 0 {
			c.t.Errorf("%d calls were never answered", open)
		}
	}
	c.till.close()
	c.till.selling.Wait()
	c.gather()
	c.each(func(m int, w *watcher, l *lane) {
		if l == nil {
			until(c.t, fmt.Sprintf("every refund to come to member %d", m), func() bool { return c.till.told(w) })
		}
	})
	c.report(name, c.look())
	c.dismiss()
}

// look compares what came to watchers with what was sent and done, and with one another.
func (c *chaos) look() (total flaws) {
	c.t.Helper()
	c.each(func(_ int, w *watcher, _ *lane) { w.goAway() })
	var tills []*watcher
	c.each(func(m int, w *watcher, l *lane) {
		f := flaws{}
		if l == nil {
			tills = append(tills, w)
			f = w.check(c.t)
		} else {
			f = l.check(c.t, w)
		}
		total.twice, total.missing, total.disordered = total.twice+f.twice, total.missing+f.missing, total.disordered+f.disordered
	})
	c.effects, total.doubled = c.till.check(c.t, tills)
	for m := range c.watchers {
		for i, w := range c.watchers[m] {
			if first := c.watchers[0][i]; !w.same(first) {
				c.t.Errorf("%s: watchers at member %d saw %d events, at member 0 %d, or in another order", w.account, m, len(w.events), len(first.events))
			}
		}
	}
	for _, w := range c.watchers[0] {
		w.checkLog(c.t, c.living())
	}
	return total
}

// report says what was counted.
func (c *chaos) report(name string, f flaws) {
	c.t.Helper()
	events, told, opened, posts, unheard := 0, 0, 0, 0, 0
	c.each(func(m int, w *watcher, l *lane) {
		if m == 0 {
			events += len(w.events)
		}
		if told, opened = told+len(w.events), opened+w.opened; m == 0 && l != nil {
			posts, unheard = posts+len(l.attempts), unheard+l.unheard(w)
		}
	})
	var troubles []string
	for _, what := range c.troubles {
		troubles = append(troubles, fmt.Sprint(c.befell[what], " ", what))
	}
	failed := 0
	for _, n := range c.till.failures {
		failed += n
	}
	row := fmt.Sprintf("| %s | %s | %d, %d, %d | %d of %d | %d, %d, %d | %d in %d | %d, %d, %d, %d | %d s |\n", name, strings.Join(troubles, ", "),
		posts, posts-c.webhooks(), unheard, c.till.closed, len(c.till.sales), c.till.calls, failed, c.effects,
		told, opened, f.missing, f.twice, f.disordered, f.doubled, int(time.Since(c.began).Seconds()))
	c.t.Logf("%d events; calls failed by code: %v\n%s", events, c.till.failures, row)
	if *figuresFile == "" {
		return
	}
	file := must[*os.File](c.t)(os.OpenFile(*figuresFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644))
	must[int](c.t)(file.WriteString(row))
	if err := file.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// webhooks counts those that were answered.
func (c *chaos) webhooks() (n int) {
	for _, l := range c.lanes {
		for _, a := range l.attempts {
			if a.ok {
				n++
			}
		}
	}
	return n
}
