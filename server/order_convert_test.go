package server

import (
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

func TestOrderFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	order := orderFromKlarna("shop", *fixture(t, "order.json", &klarna.Order{}))
	complete(t, order)
	complete(t, order.GetCaptures()[0])
	complete(t, order.GetCaptures()[0].GetShippingInfo()[0])
	complete(t, order.GetRefunds()[0])
	checkGolden(t, "order.json.golden", order)
}

func TestOrderFromKlarna_KeepsUnknownWordsAsText(t *testing.T) {
	t.Parallel()
	o := orderFromKlarna("shop", klarna.Order{Status: "PARKED", FraudStatus: "ODD"})
	if o.GetStatus() != 0 || o.GetStatusText() != "PARKED" || o.GetFraudStatus() != 0 || o.GetFraudStatusText() != "ODD" {
		t.Errorf("%v", o)
	}
	if o.GetOrderAmount() != nil || o.GetCreateTime() != nil || o.GetExpireTime() != nil {
		t.Errorf("made up: %v", o)
	}
}

func TestCaptureToKlarna_Golden(t *testing.T) {
	t.Parallel()
	checkGolden(t, "capture.json.golden", captureToKlarna(fixture(t, "capture.json", &gatewayv1.CaptureOrderRequest{})))
}

func TestRefundToKlarna_Golden(t *testing.T) {
	t.Parallel()
	checkGolden(t, "refund.json.golden", refundToKlarna(fixture(t, "refund.json", &gatewayv1.RefundOrderRequest{})))
}

func TestMovementsToKlarna_AreReferredToByTheirRequest(t *testing.T) {
	t.Parallel()
	if got := captureToKlarna(&gatewayv1.CaptureOrderRequest{RequestId: "r-1"}); got.Reference != "r-1" {
		t.Errorf("%+v", got)
	}
	if got := refundToKlarna(&gatewayv1.RefundOrderRequest{RequestId: "r-1"}); got.Reference != "r-1" {
		t.Errorf("%+v", got)
	}
}

func TestMovementsMade_ShowWhatWasAsked(t *testing.T) {
	t.Parallel()
	made := operation.MovementAnswer{ID: "m-1", Currency: "EUR", Made: journal.Movement{
		ID: "m-1", Reference: "r-1", Amount: 5000, At: time.Date(2026, 2, 2, 8, 0, 0, 0, time.UTC),
	}}
	capture := captureMade(made, fixture(t, "capture.json", &gatewayv1.CaptureOrderRequest{}))
	complete(t, capture, "klarna_reference")
	if capture.GetCaptureId() != "m-1" || capture.GetReference() != "r-1" || capture.GetAmount().GetAmountMinor() != 5000 {
		t.Errorf("%v", capture)
	}
	refund := refundMade(made, fixture(t, "refund.json", &gatewayv1.RefundOrderRequest{}))
	complete(t, refund)
	if refund.GetRefundId() != "m-1" || refund.GetReference() != "r-1" || refund.GetAmount().GetAmountMinor() != 5000 {
		t.Errorf("%v", refund)
	}
}

func TestNewOrderFromRequest_KeepsAnExpectedAmountOfZero(t *testing.T) {
	t.Parallel()
	order := newOrderFromRequest(&gatewayv1.CreateOrderRequest{
		SessionId: "s", AuthorizationToken: "t", AutoCapture: true, MerchantReference1: "1", MerchantReference2: "2",
		ExpectedAmount: &gatewayv1.Money{CurrencyCode: "EUR"},
	})
	if order.ExpectedAmount == nil || *order.ExpectedAmount != 0 {
		t.Errorf("expected amount %v", order.ExpectedAmount)
	}
	order.ExpectedAmount = nil
	want := operation.NewOrder{SessionID: "s", Token: "t", Currency: "EUR", AutoCapture: true, Reference1: "1", Reference2: "2"}
	if order != want {
		t.Errorf("%+v", order)
	}
	if without := newOrderFromRequest(&gatewayv1.CreateOrderRequest{}); without != (operation.NewOrder{}) {
		t.Errorf("%+v", without)
	}
}
