package client_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"payments.internal/klarna-gateway/client"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// example stands in for a test where a gateway is needed in an example.
type example struct {
	testing.TB
	ends []func()
}

func (e *example) Helper()           {}
func (e *example) Cleanup(f func())  { e.ends = append(e.ends, f) }
func (e *example) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
func (e *example) TempDir() string {
	dir, err := os.MkdirTemp("", "example")
	must(e, err)
	e.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (e *example) end() {
	for i := len(e.ends) - 1; i >= 0; i-- {
		e.ends[i]()
	}
}

// A service that does something for every change of a payment, and keeps the token with what it did.
func ExampleClient_WatchPayments() {
	e := &example{}
	defer e.end()
	gateway := newGateway(e, nil)
	gateway.record("pay-1", 0)
	gateway.record("pay-1", 1)

	watcher := client.New(gateway.dial(), client.Options{})
	request := &gatewayv1.WatchPaymentStatusRequest{
		From:       &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST},
		SessionIds: []string{"pay-1"},
	}
	seen := 0
	for event, err := range watcher.WatchPayments(context.Background(), request) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.GetPayment().GetState(), event.GetPayment().GetOrderAmount().GetAmountMinor())
		if seen++; seen == 2 { // keep event.ResumeToken, in the transaction that keeps what was done
			break
		}
	}
	// Output:
	// STATE_SESSION_CREATED 1
	// STATE_SESSION_CREATED 2
}

// What was missed cannot be had again, but the state of everything can.
func ExampleOptions_snapshotIfTrimmed() {
	e := &example{}
	defer e.end()
	gateway := newGateway(e, nil)
	for n := range 5 {
		gateway.record("pay-1", n)
	}
	token := ""
	request := &gatewayv1.WatchPaymentStatusRequest{
		From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST},
	}
	for event := range client.New(gateway.dial(), client.Options{}).WatchPayments(context.Background(), request) {
		token = event.ResumeToken
		break
	}
	must(e, gateway.store.Trim(context.Background(), 4)) // long after

	request.From = &gatewayv1.WatchPaymentStatusRequest_ResumeToken{ResumeToken: token}
	for event, err := range client.New(gateway.dial(), client.Options{SnapshotIfTrimmed: true}).WatchPayments(context.Background(), request) {
		fmt.Println(event.GetEventId(), err)
		break
	}
	// Output:
	// pay-1-4 <nil>
}
