package server

import (
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

// checkoutRequest is a checkout order without a flaw.
func checkoutRequest(reference string) *gatewayv1.CreateCheckoutOrderRequest {
	session := sessionRequest(reference)
	return &gatewayv1.CreateCheckoutOrderRequest{
		RequestId: uuid.NewString(), PurchaseCountry: "DE", Locale: "de-DE", MerchantReference1: reference,
		OrderAmount: session.GetOrderAmount(), OrderTaxAmountMinor: session.GetOrderTaxAmountMinor(), OrderLines: session.GetOrderLines(),
		TermsUrl: "https://shop.example/terms", CheckoutUrl: "https://shop.example/checkout?o={checkout.order.id}", ConfirmationUrl: "https://shop.example/thanks",
	}
}

func checkoutUpdate(orderID string) *gatewayv1.UpdateCheckoutOrderRequest {
	return &gatewayv1.UpdateCheckoutOrderRequest{
		RequestId: uuid.NewString(), OrderId: orderID, OrderAmount: eur(5000), MerchantReference2: "till-7",
		OrderLines: []*gatewayv1.OrderLine{{Name: "Voucher", Quantity: 1, UnitPriceMinor: 5000, TotalAmountMinor: 5000}},
	}
}

func (s *stack) checkedOut(reference string) *gatewayv1.CheckoutOrder {
	s.t.Helper()
	made, err := s.orders.CreateCheckoutOrder(s.t.Context(), checkoutRequest(reference))
	must(s.t, err)
	return made.GetCheckoutOrder()
}

func TestCheckoutOrder_GoesFromTheBasketToThePushedPayment(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	made := s.checkedOut("SO-9")
	req := checkoutRequest("SO-9")
	want := &gatewayv1.CheckoutOrder{
		OrderId: made.GetOrderId(), Status: "checkout_incomplete", HtmlSnippet: made.GetHtmlSnippet(), PurchaseCountry: "DE", Locale: "de-DE",
		OrderAmount: req.GetOrderAmount(), OrderTaxAmountMinor: req.GetOrderTaxAmountMinor(), OrderLines: req.GetOrderLines(), MerchantReference1: "SO-9",
	}
	if diff := cmp.Diff(want, made, protocmp.Transform()); diff != "" || made.GetHtmlSnippet() == "" {
		t.Errorf("opened %v: %s", made, diff)
	}
	updated, err := s.orders.UpdateCheckoutOrder(t.Context(), checkoutUpdate(made.GetOrderId()))
	must(t, err)
	if got := updated.GetCheckoutOrder(); got.GetOrderAmount().GetAmountMinor() != 5000 || got.GetMerchantReference1() != "SO-9" || got.GetMerchantReference2() != "till-7" {
		t.Errorf("updated %v", got)
	}
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{MerchantReferences: []string{"SO-9"}, From: fromStart(gatewayv1.WatchStart_WATCH_START_EARLIEST)})
	_, err = s.klarna.CompleteCheckout(klarnatest.CheckoutOrder{OrderID: made.GetOrderId()})
	must(t, err)
	s.klarna.Advance(3 * time.Minute)
	seen := watch.event().event.(*gatewayv1.PaymentEvent)
	if p := seen.GetPayment(); seen.GetCause() != gatewayv1.EventCause_EVENT_CAUSE_PUSH || p.GetOrderId() != made.GetOrderId() || p.GetAcknowledgeByTime() == nil || p.GetOrderAmount().GetAmountMinor() != 5000 {
		t.Errorf("told as %v", seen)
	}
	read, err := s.orders.GetCheckoutOrder(t.Context(), &gatewayv1.GetCheckoutOrderRequest{OrderId: made.GetOrderId()})
	must(t, err)
	if got := read.GetCheckoutOrder().GetStatus(); got != "checkout_complete" {
		t.Errorf("status %s", got)
	}
	s.refused(checkoutUpdate(made.GetOrderId()), codes.FailedPrecondition, 400, gatewayv1.ErrorReason_ERROR_REASON_SESSION_COMPLETED, nil)
	s.refused(&gatewayv1.AbortCheckoutOrderRequest{RequestId: uuid.NewString(), OrderId: made.GetOrderId()},
		codes.FailedPrecondition, 400, gatewayv1.ErrorReason_ERROR_REASON_SESSION_COMPLETED, nil)
}

func TestCheckoutOrder_WritesHaveOneEffectThoughTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	for fault, req := range map[string]func(id string) proto.Message{
		"createCheckoutOrder": func(string) proto.Message { return checkoutRequest("SO-9") },
		"updateCheckoutOrder": func(id string) proto.Message { return checkoutUpdate(id) },
		"abortCheckoutOrder": func(id string) proto.Message {
			return &gatewayv1.AbortCheckoutOrderRequest{RequestId: uuid.NewString(), OrderId: id}
		},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			req := req(s.checkedOut("SO-9").GetOrderId())
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: fault, LoseAnswer: true}))
			if _, st := s.overGRPC(req); reasonOf(st.Err()) != "OUTCOME_UNKNOWN" {
				t.Fatalf("with a lost answer: %v", st)
			}
			first, st := s.overGRPC(req)
			must(t, st.Err())
			asked := s.klarna.CallCount(fault)
			again, st := s.overGRPC(req)
			must(t, st.Err())
			if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" || s.klarna.CallCount(fault) != asked {
				t.Errorf("asked %d times more: %s", s.klarna.CallCount(fault)-asked, diff)
			}
		})
	}
}

func TestCheckoutOrders_AreRefusedWithWhatToDoAboutIt(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	open := s.checkedOut("SO-9").GetOrderId()
	const notFound = gatewayv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND
	basket := func(flaw func(*gatewayv1.CreateCheckoutOrderRequest)) proto.Message {
		return with(checkoutRequest("SO-1"), flaw)
	}
	for name, c := range map[string]struct {
		req    proto.Message
		code   codes.Code
		http   int
		reason gatewayv1.ErrorReason
		fields map[string]string
	}{
		"no push is configured": {
			basket(func(r *gatewayv1.CreateCheckoutOrderRequest) { r.MerchantAccount = outlet }), codes.FailedPrecondition, 400,
			gatewayv1.ErrorReason_ERROR_REASON_MERCHANT_ACCOUNT_UNSUITABLE, nil,
		},
		"amounts off": {
			basket(func(r *gatewayv1.CreateCheckoutOrderRequest) { r.OrderTaxAmountMinor = 0 }), codes.InvalidArgument, 400,
			gatewayv1.ErrorReason_ERROR_REASON_AMOUNTS_DO_NOT_MATCH, map[string]string{"order_tax_amount_minor": "must be 2075"},
		},
		"amounts off in an update": {
			with(checkoutUpdate(open), func(r *gatewayv1.UpdateCheckoutOrderRequest) { r.OrderAmount.AmountMinor = 4999 }), codes.InvalidArgument, 400,
			gatewayv1.ErrorReason_ERROR_REASON_AMOUNTS_DO_NOT_MATCH, map[string]string{"order_amount.amount_minor": "must be 5000"},
		},
		"currency of another country": {
			basket(func(r *gatewayv1.CreateCheckoutOrderRequest) { r.OrderAmount.CurrencyCode = "SEK" }), codes.InvalidArgument, 400,
			gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA, map[string]string{"order_amount.currency_code": "refused"},
		},
		"plain http": {
			basket(func(r *gatewayv1.CreateCheckoutOrderRequest) { r.TermsUrl = "http://shop.example/terms" }), codes.InvalidArgument, 400,
			gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"terms_url": ""},
		},
		"unknown order read":    {&gatewayv1.GetCheckoutOrderRequest{OrderId: "none"}, codes.NotFound, 404, notFound, nil},
		"unknown order updated": {checkoutUpdate("none"), codes.NotFound, 404, notFound, nil},
		"unknown order aborted": {
			&gatewayv1.AbortCheckoutOrderRequest{RequestId: uuid.NewString(), OrderId: "none"}, codes.NotFound, 404, notFound, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.on(t).refused(c.req, c.code, c.http, c.reason, c.fields)
		})
	}
}
