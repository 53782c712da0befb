package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// orderWrites are writes about an order of 5000.
func orderWrites() []crashingWrite {
	ordered := func(t *testing.T, _ *grpc.ClientConn, sim *klarnatest.Server) string {
		return must[string](t)(sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 5000, Currency: "EUR", Country: "DE", Reference: "KCO-7001"}))
	}
	capture := func(ctx context.Context, conn *grpc.ClientConn, id, order string, amount int64) (proto.Message, error) {
		res, err := gatewayv1.NewOrderServiceClient(conn).CaptureOrder(ctx, &gatewayv1.CaptureOrderRequest{RequestId: id, OrderId: order, Amount: eur(amount)})
		return res.GetCapture(), err
	}
	book := func(show func(klarnatest.Order) string) func(*klarnatest.Server, string) string {
		return func(sim *klarnatest.Server, order string) string { return show(must2(sim.Order(order))) }
	}
	return []crashingWrite{
		{name: "capture", path: "/captures", operation: "captureOrder", prepare: ordered,
			call: func(ctx context.Context, conn *grpc.ClientConn, id, order string) (proto.Message, error) {
				return capture(ctx, conn, id, order, 2000)
			},
			effect: book(func(o klarnatest.Order) string { return fmt.Sprint(o.Captures, " of ", o.Captured) }), once: "1 of 2000",
			about: ofOrder, tells: eventOf(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_CAPTURED),
			capture: func(ctx context.Context, conn *grpc.ClientConn, order string, amount int64) error {
				_, err := capture(ctx, conn, newRequestID(), order, amount)
				return err
			}, left: 3000},
		{name: "refund", path: "/refunds", operation: "refundOrder",
			prepare: func(t *testing.T, conn *grpc.ClientConn, sim *klarnatest.Server) string {
				order := ordered(t, conn, sim)
				must[proto.Message](t)(capture(t.Context(), conn, newRequestID(), order, 2000))
				return order
			},
			call: func(ctx context.Context, conn *grpc.ClientConn, id, order string) (proto.Message, error) {
				res, err := gatewayv1.NewOrderServiceClient(conn).RefundOrder(ctx, &gatewayv1.RefundOrderRequest{RequestId: id, OrderId: order, Amount: eur(700)})
				return res.GetRefund(), err
			},
			effect: book(func(o klarnatest.Order) string { return fmt.Sprint(o.Refunds, " of ", o.Refunded) }), once: "1 of 700",
			about: ofOrder, tells: eventOf(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_REFUNDED)},
		{name: "cancellation", path: "/cancel", operation: "cancelOrder", prepare: ordered,
			call: func(ctx context.Context, conn *grpc.ClientConn, id, order string) (proto.Message, error) {
				res, err := gatewayv1.NewOrderServiceClient(conn).CancelOrder(ctx, &gatewayv1.CancelOrderRequest{RequestId: id, OrderId: order})
				return &gatewayv1.CancelOrderRequest{OrderId: res.GetPayment().GetOrderId()}, err
			},
			effect: book(func(o klarnatest.Order) string { return o.Status }), once: "CANCELLED",
			about: ofOrder, tells: eventOf(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_CANCELLED)},
	}
}

// networkWrites are writes about a payment of 5000 of a partner on the Klarna Network. What they are about is named by the
// partner and Klarna's id.
func networkWrites() []crashingWrite {
	return []crashingWrite{
		{name: "authorisation", path: "/payment/authorize", operation: "authorizePayment", prepare: agreed,
			call: func(ctx context.Context, conn *grpc.ClientConn, id, subject string) (proto.Message, error) {
				res, err := authorizing(ctx, conn, id, subject)
				return &gatewayv1.GetTransactionRequest{PaymentTransactionId: res.GetTransaction().GetPaymentTransactionId()}, err
			},
			effect: func(sim *klarnatest.Server, subject string) string {
				partner, _ := ofPartner(subject)
				return fmt.Sprint(len(sim.Transactions(partner)))
			}, once: "1",
			// Where Klarna's notification of the transaction comes first, the call's answer links the request with it.
			tells: newsOf(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ORDER_CREATED, gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_LINKED),
			about: func(subject string) *gatewayv1.ListPaymentEventsRequest {
				_, request := ofPartner(subject)
				return &gatewayv1.ListPaymentEventsRequest{MerchantAccount: localAcquirer, PaymentRequestId: request}
			}},
		{name: "capture", path: "/capture", operation: "captureTransaction", prepare: transacted,
			call: func(ctx context.Context, conn *grpc.ClientConn, id, subject string) (proto.Message, error) {
				return taking(ctx, conn, id, subject, 2000)
			},
			effect: func(sim *klarnatest.Server, subject string) string {
				_, id := ofPartner(subject)
				made := must2(sim.Transaction(id))
				return fmt.Sprint(made.Captures, " of ", made.Captured)
			}, once: "1 of 2000",
			about: ofTransaction, tells: newsOf(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_CAPTURED),
			capture: func(ctx context.Context, conn *grpc.ClientConn, subject string, amount int64) error {
				_, err := taking(ctx, conn, newRequestID(), subject, amount)
				return err
			}, left: 3000},
		{name: "refund", path: "/refund", operation: "refundTransaction",
			prepare: func(t *testing.T, conn *grpc.ClientConn, sim *klarnatest.Server) string {
				subject := transacted(t, conn, sim)
				must[proto.Message](t)(taking(t.Context(), conn, newRequestID(), subject, 2000))
				return subject
			},
			call: func(ctx context.Context, conn *grpc.ClientConn, id, subject string) (proto.Message, error) {
				partner, transaction := ofPartner(subject)
				res, err := gatewayv1.NewNetworkPaymentServiceClient(conn).RefundTransaction(ctx, &gatewayv1.RefundTransactionRequest{
					MerchantAccount: localAcquirer, RequestId: id, PartnerAccountId: partner, PaymentTransactionId: transaction, Amount: eur(700),
				})
				return res.GetRefund(), err
			},
			effect: func(sim *klarnatest.Server, subject string) string {
				_, id := ofPartner(subject)
				made := must2(sim.Transaction(id))
				return fmt.Sprint(made.Refunds, " of ", made.Refunded)
			}, once: "1 of 700",
			about: ofTransaction, tells: newsOf(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_REFUNDED)},
	}
}

// agreed is a payment request of a partner that its customer has agreed to.
func agreed(t *testing.T, conn *grpc.ClientConn, sim *klarnatest.Server) string {
	t.Helper()
	merchant := onboardRequest("mrc-"+newRequestID(), "https://cdn.nordlicht.example/logo.png")
	merchant.MerchantAccount = localAcquirer
	partner := must[*gatewayv1.OnboardPartnerResponse](t)(gatewayv1.NewPartnerServiceClient(conn).OnboardPartner(t.Context(), merchant)).GetPartner().GetPartnerAccountId()
	request := must[*gatewayv1.CreatePaymentRequestResponse](t)(gatewayv1.NewNetworkPaymentServiceClient(conn).CreatePaymentRequest(t.Context(),
		&gatewayv1.CreatePaymentRequestRequest{
			MerchantAccount: localAcquirer, RequestId: newRequestID(), PartnerAccountId: partner, Amount: eur(5000),
			CustomerInteraction: &gatewayv1.CustomerInteraction{Method: "HANDOVER", ReturnUrl: "https://nordlicht.example/back"},
		})).GetPaymentRequest().GetPaymentRequestId()
	must[string](t)(sim.CompleteRequest(request))
	return partner + " " + request
}

// transacted is a transaction of a partner.
func transacted(t *testing.T, conn *grpc.ClientConn, sim *klarnatest.Server) string {
	t.Helper()
	subject := agreed(t, conn, sim)
	made := must[*gatewayv1.AuthorizePaymentResponse](t)(authorizing(t.Context(), conn, newRequestID(), subject))
	partner, _ := ofPartner(subject)
	return partner + " " + made.GetTransaction().GetPaymentTransactionId()
}

func authorizing(ctx context.Context, conn *grpc.ClientConn, id, subject string) (*gatewayv1.AuthorizePaymentResponse, error) {
	partner, request := ofPartner(subject)
	return gatewayv1.NewNetworkPaymentServiceClient(conn).AuthorizePayment(ctx, &gatewayv1.AuthorizePaymentRequest{
		MerchantAccount: localAcquirer, RequestId: id, PartnerAccountId: partner, By: &gatewayv1.AuthorizePaymentRequest_PaymentRequestId{PaymentRequestId: request},
	})
}

func taking(ctx context.Context, conn *grpc.ClientConn, id, subject string, amount int64) (proto.Message, error) {
	partner, transaction := ofPartner(subject)
	res, err := gatewayv1.NewNetworkPaymentServiceClient(conn).CaptureTransaction(ctx, &gatewayv1.CaptureTransactionRequest{
		MerchantAccount: localAcquirer, RequestId: id, PartnerAccountId: partner, PaymentTransactionId: transaction, Amount: eur(amount),
	})
	return res.GetCapture(), err
}

// ofPartner parts what a write is about into partner and id.
func ofPartner(subject string) (partner, id string) {
	partner, id, _ = strings.Cut(subject, " ")
	return partner, id
}

func ofTransaction(subject string) *gatewayv1.ListPaymentEventsRequest {
	_, id := ofPartner(subject)
	return &gatewayv1.ListPaymentEventsRequest{MerchantAccount: localAcquirer, PaymentTransactionId: id}
}

// newsOf are events of these kinds that tell something new: what a call has told Klarna tells too.
func newsOf(kinds ...gatewayv1.PaymentEventKind) func(*gatewayv1.PaymentEvent) bool {
	return func(ev *gatewayv1.PaymentEvent) bool {
		return slices.Contains(kinds, ev.GetKind()) && !ev.GetSuperseded()
	}
}
