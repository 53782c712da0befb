package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// A caller whose gateway was killed during a capture repeats it under the same request_id and gets the one capture that
// Klarna made, whether Klarna had made it by then or made it afterwards.
func TestKill_ACaptureIsMadeOnceHoweverOftenTheGatewayDies(t *testing.T) {
	t.Parallel()
	s := newStage(t, 10*time.Second)
	trap := &captureTrap{}
	sim := s.shop(trap.before)
	p := s.start()
	for _, tc := range []struct {
		name   string
		deaths []death
	}{
		{"after Klarna captured", []death{afterEffect}},
		{"before Klarna captured", []death{beforeEffect}},
		{"again during the repeat", []death{beforeEffect, afterEffect, afterEffect}},
	} {
		order, err := sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 5000, Currency: "EUR", Country: "DE", Reference: "KCO-7001"})
		if err != nil {
			t.Fatal(err)
		}
		request := &gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), OrderId: order, Amount: eur(2000)}
		for _, when := range tc.deaths {
			trap.arm(when, p.kill)
			if _, err := gatewayv1.NewOrderServiceClient(p.dial(t)).CaptureOrder(t.Context(), request); status.Code(err) != codes.Unavailable {
				t.Fatalf("%s: the gateway died, and the caller gets: %v", tc.name, err)
			}
			<-p.ended
			p = s.start()
		}
		orders := gatewayv1.NewOrderServiceClient(p.dial(t))
		made := must[*gatewayv1.CaptureOrderResponse](t)(orders.CaptureOrder(t.Context(), request))
		again := must[*gatewayv1.CaptureOrderResponse](t)(orders.CaptureOrder(t.Context(), request))
		if !proto.Equal(made.GetCapture(), again.GetCapture()) || made.GetCapture().GetCaptureId() == "" {
			t.Errorf("%s: got %v, and then %v", tc.name, made.GetCapture(), again.GetCapture())
		}
		if at, _ := sim.Order(order); at.Captures != 1 || at.Captured != 2000 {
			t.Errorf("%s: Klarna made %d captures over %d", tc.name, at.Captures, at.Captured)
		}
		if got := capturedEvents(t, p, order); len(got) != 1 || got[0].GetPayment().GetCapturedAmount().GetAmountMinor() != 2000 {
			t.Errorf("%s: watchers are told of captures %d times: %v", tc.name, len(got), got)
		}
	}
	if keys := captureKeys(sim); len(keys) != 3 {
		t.Errorf("three requests went to Klarna under %d idempotency keys", len(keys))
	}
	p.terminate(t)
}

// capturedEvents are the events of an order that tell of a capture.
func capturedEvents(t *testing.T, p *process, order string) []*gatewayv1.PaymentEvent {
	t.Helper()
	res := must[*gatewayv1.ListPaymentEventsResponse](t)(gatewayv1.NewPaymentServiceClient(p.dial(t)).ListPaymentEvents(t.Context(),
		&gatewayv1.ListPaymentEventsRequest{OrderId: order}))
	return slices.DeleteFunc(res.GetEvents(), func(ev *gatewayv1.PaymentEvent) bool {
		return ev.GetKind() != gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_CAPTURED
	})
}

// death is when the gateway dies during a capture.
type death int

const (
	beforeEffect death = iota + 1 // Klarna has the request and captures when nobody waits for its answer
	afterEffect                   // Klarna has captured and its answer never comes
)

// captureTrap stands in front of Klarna and ends the gateway during the next capture.
type captureTrap struct {
	mu   sync.Mutex
	when death
	kill func()
}

func (c *captureTrap) arm(when death, kill func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.when, c.kill = when, kill
}

func (c *captureTrap) take() (when death, kill func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	when, c.when = c.when, 0
	return when, c.kill
}

func (c *captureTrap) before(klarna http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/captures") {
			klarna.ServeHTTP(w, r)
			return
		}
		when, kill := c.take()
		if when == 0 {
			klarna.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body) // what does not come, Klarna refuses
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))
		if when == beforeEffect {
			kill()
		}
		klarna.ServeHTTP(httptest.NewRecorder(), r)
		if when == afterEffect {
			kill()
		}
		panic(http.ErrAbortHandler)
	})
}

// captureKeys are the idempotency keys that captures came under.
func captureKeys(sim *klarnatest.Server) map[string]bool {
	keys := map[string]bool{}
	for _, call := range sim.Calls() {
		if call.Operation == "capture" {
			keys[call.IdempotencyKey] = true
		}
	}
	return keys
}
