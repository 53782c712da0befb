package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// capturedOrder is an order that is paid later, with a capture of 50.00.
func (s *stack) capturedOrder(t *testing.T) (orderID, captureID string) {
	t.Helper()
	session, err := s.payments.CreatePaymentSession(t.Context(), with(sessionRequest("SO-1"), func(r *gatewayv1.CreatePaymentSessionRequest) {
		r.Intent = "buy_and_tokenize" // with buy it would be Pay Now
	}))
	must(t, err)
	token, err := s.klarna.Authorize(session.GetSession().GetSessionId())
	must(t, err)
	order, err := s.orders.CreateOrder(t.Context(), &gatewayv1.CreateOrderRequest{
		RequestId: uuid.NewString(), SessionId: session.GetSession().GetSessionId(), AuthorizationToken: token,
	})
	must(t, err)
	orderID = order.GetOrderId()
	made, err := s.orders.CaptureOrder(t.Context(), &gatewayv1.CaptureOrderRequest{
		RequestId: uuid.NewString(), OrderId: orderID, Amount: eur(5000), Reference: "C-1", Description: "erste",
		ShippingInfo: []*gatewayv1.ShippingInfo{{ShippingCompany: "DHL", TrackingNumber: "00340434"}},
	})
	must(t, err)
	return orderID, made.GetCapture().GetCaptureId()
}

func TestCapturesAndRefunds_AreReadWithTheOrdersCurrency(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, capture := s.capturedOrder(t)
	made, err := s.orders.RefundOrder(t.Context(), &gatewayv1.RefundOrderRequest{
		RequestId: uuid.NewString(), OrderId: order, Amount: eur(1000), Reference: "R-1",
	})
	must(t, err)
	// Under the other merchant account, which has the same credential, the order is not on record yet.
	for _, account := range []string{"", outlet} {
		one, err := s.orders.GetCapture(t.Context(), &gatewayv1.GetCaptureRequest{MerchantAccount: account, OrderId: order, CaptureId: capture})
		must(t, err)
		want := &gatewayv1.Capture{
			CaptureId: capture, Reference: "C-1", Description: "erste", Amount: eur(5000), RefundedAmount: eur(1000),
			KlarnaReference: one.GetCapture().GetKlarnaReference(), CaptureTime: one.GetCapture().GetCaptureTime(),
			ShippingInfo: []*gatewayv1.ShippingInfo{{ShippingCompany: "DHL", TrackingNumber: "00340434"}},
		}
		if diff := cmp.Diff(want, one.GetCapture(), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		all, err := s.orders.ListCaptures(t.Context(), &gatewayv1.ListCapturesRequest{MerchantAccount: account, OrderId: order})
		must(t, err)
		if diff := cmp.Diff([]*gatewayv1.Capture{want}, all.GetCaptures(), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		refund, err := s.orders.GetRefund(t.Context(), &gatewayv1.GetRefundRequest{
			MerchantAccount: account, OrderId: order, RefundId: made.GetRefund().GetRefundId(),
		})
		must(t, err)
		if r := refund.GetRefund(); r.GetReference() != "R-1" || !proto.Equal(r.GetAmount(), eur(1000)) || r.GetRefundTime() == nil {
			t.Errorf("refund %v", r)
		}
	}
}

func TestGetCapture_MadeElsewhereReachesWatchers(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, _ := s.capturedOrder(t)
	elsewhere, err := s.orders.CaptureOrder(t.Context(), &gatewayv1.CaptureOrderRequest{
		MerchantAccount: outlet, RequestId: uuid.NewString(), OrderId: order, Amount: eur(7995),
	})
	must(t, err)
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{MerchantAccount: shop, From: fromStart(gatewayv1.WatchStart_WATCH_START_NOW)})
	watch.next() // it has begun
	_, err = s.orders.GetCapture(t.Context(), &gatewayv1.GetCaptureRequest{OrderId: order, CaptureId: elsewhere.GetCapture().GetCaptureId()})
	must(t, err)
	s.klarna.Advance(6 * time.Second)
	if p := watch.event().payment(); p.GetState() != gatewayv1.Payment_STATE_CAPTURED || p.GetCapturedAmount().GetAmountMinor() != 12995 {
		t.Errorf("%v", p)
	}
}

func TestListDueDateOptions_ShowsWhatAnExtensionCosts(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, capture := s.capturedOrder(t)
	res, err := s.orders.ListDueDateOptions(t.Context(), &gatewayv1.ListDueDateOptionsRequest{OrderId: order, CaptureId: capture})
	must(t, err)
	want := []*gatewayv1.DueDateOption{{NumberOfDays: 10, Fee: eur(100)}, {NumberOfDays: 30, Fee: eur(250)}}
	if diff := cmp.Diff(want, res.GetOptions(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestCaptures_ThatAreNotThereAreNamed(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, _ := s.capturedOrder(t)
	none, parcels := id("capture"), []*gatewayv1.ShippingInfo{{TrackingNumber: "1"}}
	for _, req := range []proto.Message{
		&gatewayv1.GetCaptureRequest{OrderId: order, CaptureId: none},
		&gatewayv1.AddCaptureShippingInfoRequest{RequestId: uuid.NewString(), OrderId: order, CaptureId: none, ShippingInfo: parcels},
		&gatewayv1.ListDueDateOptionsRequest{OrderId: order, CaptureId: none},
		&gatewayv1.ExtendDueDateRequest{RequestId: uuid.NewString(), OrderId: order, CaptureId: none, NumberOfDays: 10},
		&gatewayv1.TriggerSendOutRequest{RequestId: uuid.NewString(), OrderId: order, CaptureId: none},
	} {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_CAPTURE_NOT_FOUND, nil)
	}
	refund := &gatewayv1.GetRefundRequest{OrderId: order, RefundId: none}
	s.refused(refund, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_FOUND, nil)
	must(t, s.klarna.Fail(klarnatest.Fault{Operation: "readRefund", Status: 400, Code: "NOT_FOUND", Times: 2})) // Klarna has both
	s.refused(refund, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_FOUND, nil)
}

func TestChangesOfCaptures_CheckTheirForm(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	invalid := func(req proto.Message, want map[string]string) {
		t.Helper()
		s.refused(req, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, want)
	}
	order, capture := id("order"), id("capture")
	invalid(&gatewayv1.ExtendDueDateRequest{RequestId: uuid.NewString(), OrderId: order, CaptureId: capture}, map[string]string{"number_of_days": "0"})
	invalid(&gatewayv1.AddCaptureShippingInfoRequest{RequestId: uuid.NewString(), OrderId: order, CaptureId: capture}, map[string]string{"shipping_info": "1"})
	invalid(&gatewayv1.AddOrderShippingInfoRequest{
		RequestId: uuid.NewString(), OrderId: order, ShippingInfo: []*gatewayv1.ShippingInfo{{ShippingCompany: strings.Repeat("x", 101)}},
	}, map[string]string{"shipping_info[0].shipping_company": "100"})
	invalid(&gatewayv1.TriggerSendOutRequest{RequestId: "7", OrderId: "7", CaptureId: capture}, map[string]string{"request_id": "UUID", "order_id": "UUID"})
	if calls := s.klarna.Calls(); len(calls) > 0 {
		t.Errorf("Klarna was called: %v", calls)
	}
}
