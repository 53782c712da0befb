package server

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// Events tell under which id Klarna knows the call behind them, be it a caller's write, a caller's read, or a job's.
func TestWatch_TellsKlarnasCorrelationID(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order := s.order("SO-1")
	_, err := s.orders.CaptureOrder(t.Context(), &gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(12995)})
	must(t, err)
	checkout, err := s.klarna.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 500, Currency: "EUR", Country: "DE", Reference: "SO-2"})
	must(t, err)
	_, err = s.orders.GetOrder(t.Context(), &gatewayv1.GetOrderRequest{OrderId: checkout})
	must(t, err)
	_, err = s.klarna.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 500, Currency: "EUR", Country: "DE", Reference: "SO-3"})
	must(t, err)
	s.klarna.Advance(2 * time.Minute) // then Klarna pushes
	byID := map[string]string{}
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(gatewayv1.WatchStart_WATCH_START_EARLIEST)})
	want := map[string]string{"CAPTURED SO-1": "capture", "ORDER_CREATED SO-2": "readOrder", "ORDER_CREATED SO-3": "readOrder"}
	for left := len(want); left > 0; {
		ev := watch.event().event.(*gatewayv1.PaymentEvent)
		name := strings.TrimPrefix(ev.GetKind().String(), "PAYMENT_EVENT_KIND_") + " " + ev.GetPayment().GetMerchantReference1()
		if _, wanted := want[name]; wanted {
			byID[ev.GetKlarnaCorrelationId()] = name
			left--
		}
	}
	for _, call := range s.klarna.Calls() {
		if name, told := byID[call.CorrelationID]; told && want[name] == call.Operation {
			delete(want, name)
		}
	}
	if len(want) > 0 {
		t.Errorf("Klarna does not know the ids of %v: told %v", want, byID)
	}
}
