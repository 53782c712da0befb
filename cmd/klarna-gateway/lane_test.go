package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// lane is a merchant account with its own Klarna, which sends one webhook after the other, and its own watcher. Lanes
// send beside one another, so commits are shared.
type lane struct {
	name    string
	sim     *klarnatest.Server
	account string
	watcher watcher

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

// load has Klarna send webhooks until one is not answered or the gateway is gone, those first that it has to repeat.
func (l *lane) load(t *testing.T, p *process) {
	l.sim.Advance(2 * time.Minute)
	for started := time.Now(); !p.gone() && !l.failedSince(started); {
		turn := l.sim.DisableProduct
		if state, _ := l.sim.Account(l.account); state.ProductState == "DISABLED" {
			turn = l.sim.EnableProduct
		}
		if err := errors.Join(turn(l.account), l.sim.Idle(t.Context())); err != nil {
			t.Error(err)
			return
		}
	}
}

// failedSince tells whether the newest webhook began later and was not answered 200.
func (l *lane) failedSince(started time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	newest := l.attempts[len(l.attempts)-1]
	return !newest.ok && newest.began.After(started)
}

// watch follows from where the watcher left off until the gateway is gone or the watcher leaves.
func (l *lane) watch(ctx context.Context, p *process) {
	conn := p.connect()
	defer conn.Close()
	request := &gatewayv1.WatchAccountStateRequest{
		MerchantAccount: l.name, From: &gatewayv1.WatchAccountStateRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST},
	}
	if token := l.watcher.token; token != "" {
		request.From = &gatewayv1.WatchAccountStateRequest_ResumeToken{ResumeToken: token}
	}
	stream, err := gatewayv1.NewPartnerServiceClient(conn).WatchAccountState(ctx, request)
	for err == nil {
		var res *gatewayv1.WatchAccountStateResponse
		if res, err = stream.Recv(); err == nil {
			l.watcher.take(res)
		}
		for l.watcher.hang.Load() && !p.gone() {
			<-p.ended // and then reads what had come
		}
	}
	l.watcher.ended = err
}

// watcher is a caller who keeps what came and the token behind it.
type watcher struct {
	// For the one who watches.
	token string                     // of the last response taken
	why   gatewayv1.StreamEnd_Reason // what the last response said of the end
	ended error                      // io.EOF if the watch was not cut off
	hang  atomic.Bool

	mu     sync.Mutex
	events []*gatewayv1.AccountEvent
	seen   map[string]int // notifications by Klarna's event id
}

func (w *watcher) take(res *gatewayv1.WatchAccountStateResponse) {
	w.token, w.why = res.GetResumeToken(), res.GetStreamEnd().GetReason()
	ev := res.GetEvent()
	if ev == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = map[string]int{}
	}
	w.events = append(w.events, ev)
	w.seen[klarnaID(ev)]++
}

// klarnaID is the last part of an event's id; for a notification it is Klarna's.
func klarnaID(ev *gatewayv1.AccountEvent) string {
	return ev.GetEventId()[strings.LastIndexByte(ev.GetEventId(), ':')+1:]
}

// complete tells whether everything that was answered 200 has come to the watcher.
func (l *lane) complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watcher.mu.Lock()
	defer l.watcher.mu.Unlock()
	return !slices.ContainsFunc(l.attempts, func(a attempted) bool { return a.ok && l.watcher.seen[a.event] == 0 })
}

// unanswered are the webhooks that never got their 200.
func (l *lane) unanswered() map[string]bool {
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

// unheard counts the webhooks that were on record before the attempt began that got its answer: the gateway was killed
// between the two.
func (l *lane) unheard() (n int) {
	answered := map[string]time.Time{}
	for _, a := range l.attempts {
		if a.ok {
			answered[a.event] = a.began
		}
	}
	for _, ev := range l.watcher.events {
		if began, ok := answered[klarnaID(ev)]; ok && ev.GetRecordTime().AsTime().Before(began) {
			n++
		}
	}
	return n
}

// check holds what came against what Klarna sent.
func (l *lane) check(t *testing.T) {
	t.Helper()
	began, answered := map[string]time.Time{}, map[string]time.Time{}
	for _, a := range l.attempts {
		if _, again := began[a.event]; !again {
			began[a.event] = a.began
		}
		if a.ok {
			answered[a.event] = a.ended
		}
	}
	ids := map[string]bool{}
	var last int64
	var newest time.Time // when the sending of anything that came so far began
	for _, ev := range l.watcher.events {
		if ids[ev.GetEventId()] {
			t.Errorf("%s: event %s came twice", l.name, ev.GetEventId())
		}
		ids[ev.GetEventId()] = true
		if ev.GetPosition() <= last {
			t.Errorf("%s: position %d came behind %d", l.name, ev.GetPosition(), last)
		}
		last = ev.GetPosition()
		sent, notification := began[klarnaID(ev)]
		if !notification {
			continue
		}
		if answered[klarnaID(ev)].Before(newest) {
			t.Errorf("%s: event %s was answered before another was sent that came before it", l.name, ev.GetEventId())
		}
		if sent.After(newest) {
			newest = sent
		}
	}
	for id := range began {
		if n := l.watcher.seen[id]; n != 1 {
			t.Errorf("%s: webhook %s came %d times", l.name, id, n)
		}
	}
}

// checkLog compares what came bit by bit with the log read in one go.
func (l *lane) checkLog(t *testing.T, p *process) {
	t.Helper()
	whole := &lane{name: l.name}
	ctx, leave := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { whole.watch(ctx, p) })
	until(t, "the whole log", func() bool {
		whole.watcher.mu.Lock()
		defer whole.watcher.mu.Unlock()
		return len(whole.watcher.events) >= len(l.watcher.events)
	})
	leave()
	watching.Wait()
	same := func(a, b *gatewayv1.AccountEvent) int {
		return cmp.Or(cmp.Compare(a.GetPosition(), b.GetPosition()), cmp.Compare(a.GetEventId(), b.GetEventId()))
	}
	if slices.CompareFunc(whole.watcher.events, l.watcher.events, same) != 0 {
		t.Errorf("%s: the log holds other events, or in another order, than came to the watcher", l.name)
	}
}

// witness notes what Klarna posts and what it is answered.
type witness struct {
	next     http.RoundTripper
	lane     *lane
	answered *countdown
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
	}
	return res, err
}
