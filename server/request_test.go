package server

import (
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestOnce_AUUIDIsTheSameInUpperAndLowerCase(t *testing.T) {
	t.Parallel()
	const id = "0b6a4c1e-1d2f-4d7b-9a51-8f6a0f3f1a11"
	lower, err := once(t.Context(), "shop", &gatewayv1.CancelOrderRequest{RequestId: id, OrderId: "o"})
	if err != nil {
		t.Fatal(err)
	}
	upper, err := once(t.Context(), "shop", &gatewayv1.CancelOrderRequest{RequestId: strings.ToUpper(id), OrderId: "o", MerchantAccount: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if upper.ID != id || lower.ID != id || string(upper.Content) != string(lower.Content) {
		t.Errorf("%+v and %+v are two requests", lower, upper)
	}
}

func TestOnce_ARepeatWithOtherContentIsToldWhereItDiffers(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, _ := s.capturedOrder(t)
	first := &gatewayv1.CaptureOrderRequest{
		RequestId: id("differs"), OrderId: order, Amount: &gatewayv1.Money{AmountMinor: 100, CurrencyCode: "EUR"}, Reference: "delivery-1",
		ShippingInfo: []*gatewayv1.ShippingInfo{{TrackingNumber: "TRACK-1"}, {TrackingNumber: "TRACK-2"}},
	}
	if _, st := s.overGRPC(first); st.Code() != codes.OK {
		t.Fatal(st)
	}
	other := proto.CloneOf(first)
	other.Amount.AmountMinor, other.Description = 101, "unpaid secret"
	other.ShippingInfo[1].TrackingNumber = "TRACK-3"
	_, st := s.overGRPC(other)
	a := wantStatus(t, st.Err(), codes.FailedPrecondition, "REQUEST_ID_REUSED")
	if got, want := a.info.GetMetadata()["differing_fields"], "amount.amount_minor,description,shipping_info[1]"; got != want {
		t.Errorf("differs in %q, want %q", got, want)
	}
	if a.info.GetMetadata()["operation"] != "captureOrder" || !strings.Contains(a.message, "amount.amount_minor") || strings.Contains(st.String(), "secret") || strings.Contains(st.String(), "TRACK") {
		t.Errorf("%s %v", a.message, a.info.GetMetadata())
	}
}

func TestOnce_FiftyCallersWithOneRequestIDGetOneAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, _ := s.capturedOrder(t)
	before := s.klarna.CallCount("capture")
	request := &gatewayv1.CaptureOrderRequest{RequestId: id("fifty"), OrderId: order, Amount: eur(100)}
	answers := make([]*gatewayv1.CaptureOrderResponse, 50)
	var calling sync.WaitGroup
	for i := range answers {
		calling.Go(func() {
			var err error
			if answers[i], err = s.orders.CaptureOrder(t.Context(), request); err != nil {
				t.Error(err)
			}
		})
	}
	calling.Wait()
	for _, a := range answers {
		if !proto.Equal(a, answers[0]) || a.GetCapture().GetCaptureId() == "" {
			t.Fatalf("answers %v and %v", answers[0], a)
		}
	}
	if calls := s.klarna.CallCount("capture") - before; calls != 1 {
		t.Errorf("Klarna was called %d times", calls)
	}
}
