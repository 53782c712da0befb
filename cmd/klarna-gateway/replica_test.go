package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// fleet is gateways on one PostgreSQL, each a process. Klarna's posts go to those that live in turn.
type fleet struct {
	*stage
	members [3]atomic.Pointer[process]
	urls    [3]string // by which each reaches the database
	turn    atomic.Int64
}

// newFleet prepares gateways over a database; ways are the addresses by which they reach it instead of its own.
func newFleet(t *testing.T, database string, ways map[int]string) *fleet {
	t.Helper()
	f := &fleet{stage: newStage(t, 10*time.Second)}
	f.posts.DisableKeepAlives = true // each post to another one
	f.pick = func() *process {
		for range len(f.members) {
			if p := f.members[f.turn.Add(1)%int64(len(f.members))].Load(); p != nil && !p.gone() {
				return p
			}
		}
		return nil
	}
	keys := filepath.Join(f.dir, "shared-keys.json")
	if err := makeKeyring(keys, &output{}); err != nil {
		t.Fatal(err)
	}
	f.env = append(f.env, "KLARNA_GATEWAY_KEY_FILE="+keys)
	for i := range f.urls {
		f.urls[i] = database
		if way := ways[i]; way != "" {
			u := must[*url.URL](t)(url.Parse(database))
			query := u.Query()
			query.Del("host")
			u.Host, u.RawQuery = way, query.Encode()
			f.urls[i] = u.String()
		}
	}
	return f
}

// man starts a member, or starts it again.
func (f *fleet) man(i int) *process {
	f.t.Helper()
	p := f.start("KLARNA_GATEWAY_DATABASE=" + f.urls[i])
	f.members[i].Store(p)
	return p
}

// post has Klarna send webhooks about a lane's account, one after the other. Some may not be answered.
func (f *fleet) post(l *lane, n int) {
	for range n {
		turn := l.sim.DisableProduct
		if state, _ := l.sim.Account(l.account); state.ProductState == "DISABLED" {
			turn = l.sim.EnableProduct
		}
		if err := errors.Join(turn(l.account), l.sim.Idle(f.t.Context())); err != nil {
			f.t.Error(err)
			return
		}
	}
}

// postAll has every lane post beside the others.
func (f *fleet) postAll(lanes []*lane, n int) {
	var posting sync.WaitGroup
	for _, l := range lanes {
		posting.Go(func() { f.post(l, n) })
	}
	posting.Wait()
}

// follow keeps a watch of a lane open at a member, whatever becomes of it.
func (f *fleet) follow(ctx context.Context, i int, l *lane) {
	for ctx.Err() == nil {
		l.watch(ctx, f.members[i].Load())
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Replicas go on whatever happens to one of them, and what was answered reaches the watchers of each, once and in the same
// order: one is killed, one loses its way to the database, the database itself dies.
func TestReplicas_LoseNothingWhateverBecomesOfThem(t *testing.T) {
	t.Parallel()
	server := postgrestest.Private(t)
	third := newWire(t, server.Address())
	f := newFleet(t, server.Schema(t), map[int]string{2: third.address()})
	var answers countdown
	lanes := make([]*lane, 3)
	for i := range lanes {
		lanes[i] = &lane{name: fmt.Sprintf("acquirer-%d", i+1)}
		lanes[i].sim = f.acquirer(lanes[i].name, &witness{next: f.posts, lane: lanes[i], answered: &answers})
	}
	var starting sync.WaitGroup
	for i := range f.members { // together, on an empty database
		starting.Go(func() { f.man(i) })
	}
	starting.Wait()
	for i, l := range lanes {
		l.onboard(t, f.members[i].Load())
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var following sync.WaitGroup
	watched := make([][]*lane, len(f.members)) // by member
	for i := range f.members {
		for _, l := range lanes {
			w := &lane{name: l.name}
			watched[i] = append(watched[i], w)
			following.Go(func() { f.follow(ctx, i, w) })
		}
	}
	f.postAll(lanes, 8)

	answers.start(5, f.members[0].Load().kill)
	f.postAll(lanes, 8)
	third.cut()
	f.postAll(lanes, 1) // two members are left, so one of these goes to the one that is cut off
	server.Kill()
	f.postAll(lanes, 1)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	third.mend()
	f.man(0)
	f.postAll(lanes, 4)

	for i, l := range lanes {
		until(t, "Klarna to have repeated what was not answered", func() bool {
			l.sim.Advance(time.Hour)
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.unanswered()) == 0
		})
		for m := range watched {
			w := watched[m][i]
			l.mu.Lock()
			w.attempts = slices.Clone(l.attempts)
			l.mu.Unlock()
			until(t, fmt.Sprintf("everything to come to %s at member %d", l.name, m), w.complete)
		}
	}
	leave()
	following.Wait()
	for m := range watched {
		for i, w := range watched[m] {
			w.check(t)
			if !sameEvents(w, watched[0][i]) {
				t.Errorf("%s: watchers at member %d saw %d events, at member 0 %d, or in another order", w.name, m, len(w.watcher.events), len(watched[0][i].watcher.events))
			}
		}
	}
	for i := range f.members {
		f.members[i].Load().terminate(t)
	}
}

func sameEvents(a, b *lane) bool {
	return slices.CompareFunc(a.watcher.events, b.watcher.events, func(a, b *gatewayv1.AccountEvent) int {
		return cmp.Or(cmp.Compare(a.GetPosition(), b.GetPosition()), strings.Compare(a.GetEventId(), b.GetEventId()))
	}) == 0
}

// A request has one effect whichever replica it comes to, and requests that come to several replicas at once do not spend
// the same money twice.
func TestReplicas_DoThingsOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, postgrestest.URL(t), nil)
	sim := f.shop((&captureTrap{}).before)
	orders := []gatewayv1.OrderServiceClient{
		gatewayv1.NewOrderServiceClient(f.man(0).dial(t)), gatewayv1.NewOrderServiceClient(f.man(1).dial(t)),
	}
	checkout := func() string {
		return must[string](t)(sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 5000, Currency: "EUR", Country: "DE", Reference: "KCO-7001"}))
	}
	capture := func(n int, request func(i int) *gatewayv1.CaptureOrderRequest) (captures []string, refused int) {
		var mu sync.Mutex
		var calling sync.WaitGroup
		for i := range n {
			calling.Go(func() {
				made, err := orders[i%len(orders)].CaptureOrder(t.Context(), request(i))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused++
					return
				}
				captures = append(captures, made.GetCapture().GetCaptureId())
			})
		}
		calling.Wait()
		return captures, refused
	}

	order := checkout()
	if err := sim.Fail(klarnatest.Fault{Operation: "capture", Delay: 500 * time.Millisecond}); err != nil { // the replicas' calls would overlap
		t.Fatal(err)
	}
	same := &gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), OrderId: order, Amount: eur(2000)}
	captures, refused := capture(20, func(int) *gatewayv1.CaptureOrderRequest { return same })
	if slices.Sort(captures); refused > 0 || len(slices.Compact(captures)) != 1 {
		t.Errorf("one request through two replicas gave captures %v, %d errors", captures, refused)
	}
	if at, _ := sim.Order(order); at.Captures != 1 || at.Captured != 2000 || sim.CallCount("capture") != 1 {
		t.Errorf("Klarna made %d captures over %d, of %d calls", at.Captures, at.Captured, sim.CallCount("capture"))
	}

	order = checkout()
	captures, refused = capture(8, func(int) *gatewayv1.CaptureOrderRequest {
		return &gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), OrderId: order, Amount: eur(2000)}
	})
	if at, _ := sim.Order(order); len(captures) != 2 || refused != 6 || at.Captured != 4000 {
		t.Errorf("8 requests over 2000 of 5000: %d captures, %d refused, %d captured at Klarna", len(captures), refused, at.Captured)
	}
}

// A replica with a key file of its own would seal what the others cannot open: it does not start, though the log is empty.
func TestReplicas_ShareTheirKeyFile(t *testing.T) {
	t.Parallel()
	cfg := config{Database: secret{klarna.Secret(postgrestest.URL(t))}, DataDir: t.TempDir(), LogLevel: "error"}
	cfg.defaults()
	for i, want := range []error{nil, store.ErrKeyring} {
		cfg.KeyFile = filepath.Join(t.TempDir(), fmt.Sprint(i, ".json"))
		if err := makeKeyring(cfg.KeyFile, &output{}); err != nil {
			t.Fatal(err)
		}
		g := &gatewayProcess{cfg: cfg, log: newLogger(&output{}, "error")}
		if err := g.open(t.Context(), parts{}); !errors.Is(err, want) {
			t.Errorf("replica %d: got %v, want %v", i, err, want)
		}
		g.close()
	}
}
