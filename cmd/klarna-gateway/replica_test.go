package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// A request has one effect whichever replica it comes to, and requests that come to several replicas at once do not spend
// the same money twice.
func TestReplicas_DoThingsOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, postgrestest.URL(t), nil)
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
