package main

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// till is where orders are captured and refunded in part. Whatever happens to the gateway, each call is repeated under its
// request_id until it is answered.
type till struct {
	t    *testing.T
	sim  *klarnatest.Server
	pick func() *process // who is called next; nil if nobody is there

	selling sync.WaitGroup
	ctx     context.Context
	close   context.CancelFunc // nothing is repeated any more

	mu            sync.Mutex
	sales         []*sale
	calls, closed int // sales that are closed have all their answers
	failures      map[codes.Code]int
}

// sale is an order of 5000 of which 2000 are captured and 700 refunded.
type sale struct {
	order, captured, refunded string // ids; "" until they are answered
}

// slowToAnswer is a Klarna that has done what it was asked a moment before it says so: whoever dies then does not know it.
func slowToAnswer(klarna http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			klarna.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		klarna.ServeHTTP(answer, r)
		select {
		case <-time.After(time.Duration(rand.IntN(60)) * time.Millisecond):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

func newTill(t *testing.T, sim *klarnatest.Server, pick func() *process) *till {
	c := &till{t: t, sim: sim, pick: pick, failures: map[codes.Code]int{}}
	c.ctx, c.close = context.WithCancel(t.Context())
	t.Cleanup(func() { c.close(); c.selling.Wait() })
	return c
}

// sell makes a few sales one after the other. One that is held up is finished beside the next.
func (c *till) sell(n int) {
	for range n {
		order, err := c.sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 5000, Currency: "EUR", Country: "DE", Reference: "KCO-7001"})
		if err != nil {
			c.t.Error(err)
			return
		}
		s := &sale{order: order}
		c.mu.Lock()
		c.sales = append(c.sales, s)
		c.mu.Unlock()
		done := make(chan struct{})
		c.selling.Go(func() { defer close(done); c.finish(s) })
		select {
		case <-done:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// finish makes both calls of a sale until each has its answer.
func (c *till) finish(s *sale) {
	capture := &gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), OrderId: s.order, Amount: eur(2000)}
	captured := c.insist(s, func(ctx context.Context, orders gatewayv1.OrderServiceClient) (string, error) {
		made, err := orders.CaptureOrder(ctx, capture)
		return made.GetCapture().GetCaptureId(), err
	})
	c.mu.Lock()
	s.captured = captured
	c.mu.Unlock()
	if captured == "" {
		return
	}
	refund := &gatewayv1.RefundOrderRequest{RequestId: newRequestID(), OrderId: s.order, Amount: eur(700)}
	refunded := c.insist(s, func(ctx context.Context, orders gatewayv1.OrderServiceClient) (string, error) {
		made, err := orders.RefundOrder(ctx, refund)
		return made.GetRefund().GetRefundId(), err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.refunded = refunded; refunded != "" {
		c.closed++
	}
}

// insist repeats a call, at whoever is there, until it was answered twice and alike; "" if there is no time left, or when
// it is refused, which it must not be.
func (c *till) insist(s *sale, call func(context.Context, gatewayv1.OrderServiceClient) (string, error)) (first string) {
	for c.ctx.Err() == nil {
		id, err := c.call(call)
		switch {
		case c.ctx.Err() != nil:
			return ""
		case err == nil && first == "":
			first = id
			continue
		case err == nil && id != first:
			c.t.Errorf("order %s: the same request was answered with %s, then with %s", s.order, first, id)
			return ""
		case err == nil:
			return first
		case !slices.Contains([]codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted}, status.Code(err)):
			c.t.Errorf("order %s: %v", s.order, err)
			return ""
		}
		select {
		case <-c.ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return ""
}

func (c *till) call(call func(context.Context, gatewayv1.OrderServiceClient) (string, error)) (id string, err error) {
	p := c.pick()
	if p == nil {
		return "", status.Error(codes.Unavailable, "no gateway is there")
	}
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	conn := p.connect()
	defer conn.Close()
	id, err = call(ctx, gatewayv1.NewOrderServiceClient(conn))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls++; err != nil {
		c.failures[status.Code(err)]++
	}
	return id, err
}

// open counts the sales that lack an answer.
func (c *till) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sales) - c.closed
}

// check holds what Klarna did, and what watchers were told, against what was asked: each capture and refund once.
func (c *till) check(t *testing.T, watchers []*watcher) (effects, doubled int) {
	t.Helper()
	type fact struct {
		order string
		kind  gatewayv1.PaymentEventKind
	}
	times := make([]map[fact]int, len(watchers))
	for i, w := range watchers {
		times[i] = map[fact]int{}
		for _, ev := range w.events {
			times[i][fact{ev.order, ev.kind}]++
		}
	}
	for _, s := range c.sales {
		at, _ := c.sim.Order(s.order)
		effects += at.Captures + at.Refunds
		if at.Captures > 1 || at.Refunds > 1 {
			doubled++
		}
		for _, movement := range []struct {
			answered string
			count    int
			kind     gatewayv1.PaymentEventKind
		}{
			{s.captured, at.Captures, gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_CAPTURED},
			{s.refunded, at.Refunds, gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_REFUNDED},
		} {
			if movement.count > 1 || movement.answered != "" && movement.count != 1 {
				t.Errorf("order %s: %v at Klarna %d times", s.order, movement.kind, movement.count)
			}
			for i := range watchers {
				if n := times[i][fact{s.order, movement.kind}]; n > 1 || movement.answered != "" && n != 1 {
					t.Errorf("order %s: watcher %d was told %d times of %v", s.order, i, n, movement.kind)
				}
			}
		}
	}
	return effects, doubled
}

// told tells whether a watcher was told of every answered refund, which comes last.
func (c *till) told(w *watcher) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	refunded := map[string]bool{}
	for _, ev := range w.events {
		if ev.kind == gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_REFUNDED {
			refunded[ev.order] = true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(c.sales, func(s *sale) bool { return s.refunded != "" && !refunded[s.order] })
}
