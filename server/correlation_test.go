package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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

// An answer that is lost or makes no sense still leaves the caller with Klarna's id of the call, over gRPC and REST.
func TestErrors_NameTheCallWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  klarnatest.Fault
		reason string
		began  bool // the answer, so that Klarna's own id is known
	}{
		"a write without an answer": {klarnatest.Fault{Operation: "onboard", Cut: true}, "OUTCOME_UNKNOWN", false},
		"a write, cut off":          {klarnatest.Fault{Operation: "onboard", Truncate: true}, "OUTCOME_UNKNOWN", true},
		"a read, cut off":           {klarnatest.Fault{Operation: "readAccount", Truncate: true}, "KLARNA_UNAVAILABLE", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			var req proto.Message = onboardRequest(t, "mrc-1")
			if c.fault.Operation == "readAccount" {
				req = &gatewayv1.GetPartnerRequest{PartnerAccountId: s.onboarded("mrc-1").id}
			}
			c.fault.Times = 6 // both calls, with their repeats
			must(t, s.klarna.Fail(c.fault))
			_, overGRPC := s.overGRPC(req)
			_, _, overREST := s.overREST(req, nil)
			for over, st := range map[string]*status.Status{"gRPC": overGRPC, "REST": overREST} {
				metadata := takeApart(t, st.Err()).info.GetMetadata()
				if reasonOf(st.Err()) != c.reason || metadata["klarna_correlation_id"] == "" || metadata["klarna_operation"] == "" {
					t.Errorf("over %s: %v with %v", over, st, metadata)
				}
				known := slices.ContainsFunc(s.klarna.Calls(), func(call klarnatest.Call) bool { return call.CorrelationID == metadata["klarna_correlation_id"] })
				if known != c.began {
					t.Errorf("over %s: the id is Klarna's: %v", over, known)
				}
			}
		})
	}
}
