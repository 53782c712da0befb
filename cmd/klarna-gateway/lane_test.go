package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// lane is a merchant account with its own Klarna, which sends one webhook after the other. Lanes send beside one another,
// so commits are shared.
type lane struct {
	name    string
	sim     *klarnatest.Server
	account string

	mu       sync.Mutex
	attempts []attempted
}

// attempted is one webhook as Klarna saw it.
type attempted struct {
	event        string
	began, ended time.Time
	ok           bool // answered 200
}

// onboard makes the account that the webhooks are about.
func (l *lane) onboard(t *testing.T, p *process) {
	t.Helper()
	request := onboardRequest("mrc-"+l.name, "https://cdn.nordlicht.example/logo.png")
	request.MerchantAccount = l.name
	made, err := gatewayv1.NewPartnerServiceClient(p.dial(t)).OnboardPartner(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	l.account = made.GetPartner().GetPartnerAccountId()
	if err := errors.Join(l.sim.Operational(l.account), l.sim.Idle(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// load has Klarna send webhooks until it is over, those first that it has to repeat. It goes on after one that is not
// answered, which comes again with the next load.
func (l *lane) load(t *testing.T, over <-chan struct{}) {
	l.sim.Advance(2 * time.Minute)
	for {
		select {
		case <-over:
			return
		default:
		}
		if answered := l.post(t); answered {
			continue
		}
		select {
		case <-over:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// post has Klarna send one webhook, and tells whether it was answered 200.
func (l *lane) post(t *testing.T) (answered bool) {
	turn := l.sim.DisableProduct
	if state, _ := l.sim.Account(l.account); state.ProductState == "DISABLED" {
		turn = l.sim.EnableProduct
	}
	if err := errors.Join(turn(l.account), l.sim.Idle(t.Context())); err != nil {
		t.Error(err)
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.attempts[len(l.attempts)-1].ok
}

// unanswered are the webhooks that never got their 200.
func (l *lane) unanswered() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := map[string]bool{}
	for _, a := range l.attempts {
		open[a.event] = true
	}
	for _, a := range l.attempts {
		if a.ok {
			delete(open, a.event)
		}
	}
	return open
}

// unheard counts the webhooks that were on record before the attempt began that got its answer: whoever should have
// answered was gone between the two.
func (l *lane) unheard(w *watcher) (n int) {
	answered := map[string]time.Time{}
	for _, a := range l.attempts {
		if a.ok {
			answered[a.event] = a.began
		}
	}
	for _, ev := range w.events {
		if began, ok := answered[ev.klarnaID()]; ok && ev.recorded.Before(began) {
			n++
		}
	}
	return n
}

// check holds what came to a watcher against what Klarna sent.
func (l *lane) check(t *testing.T, w *watcher) flaws {
	t.Helper()
	f := w.check(t)
	began, answered := map[string]time.Time{}, map[string]time.Time{}
	for _, a := range l.attempts {
		if _, again := began[a.event]; !again {
			began[a.event] = a.began
		}
		if a.ok {
			answered[a.event] = a.ended
		}
	}
	var newest time.Time // when the sending of anything that came so far began
	for _, ev := range w.events {
		sent, notification := began[ev.klarnaID()]
		if !notification {
			continue
		}
		if answered[ev.klarnaID()].Before(newest) {
			t.Errorf("%s: event %s was answered before another was sent that came before it", l.name, ev.id)
			f.disordered++
		}
		if sent.After(newest) {
			newest = sent
		}
	}
	for id := range began {
		switch n := w.seen[id]; {
		case n == 0:
			t.Errorf("%s: webhook %s did not come", l.name, id)
			f.missing++
		case n > 1:
			t.Errorf("%s: webhook %s came %d times", l.name, id, n)
			f.twice++
		}
	}
	return f
}

// witness notes what Klarna posts and what it is answered.
type witness struct {
	next             http.RoundTripper
	lane             *lane
	answered, failed *countdown
}

func (w *witness) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Body = io.NopCloser(bytes.NewReader(body))
	n, err := klarna.ParseNetwork(body)
	if err != nil {
		return nil, err
	}
	a := attempted{event: n.Metadata.EventID, began: time.Now()}
	res, err := w.next.RoundTrip(req)
	a.ended, a.ok = time.Now(), err == nil && res.StatusCode == http.StatusOK
	w.lane.mu.Lock()
	w.lane.attempts = append(w.lane.attempts, a)
	w.lane.mu.Unlock()
	if a.ok {
		w.answered.count()
	} else {
		w.failed.count()
	}
	return res, err
}

// countdown does something at one of the occasions to come, before anybody else hears of it.
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

// await waits for the nth occasion from now on.
func (c *countdown) await(t *testing.T, what string, n int) {
	t.Helper()
	came := make(chan struct{})
	c.start(n, func() { close(came) })
	select {
	case <-came:
	case <-time.After(patience):
		t.Fatalf("still waiting for %s", what)
	}
}
