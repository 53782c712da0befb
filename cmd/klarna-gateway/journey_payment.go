package main

import (
	"context"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// What the journeys wait for on a payment watch.
func kindIs(kind gatewayv1.PaymentEventKind) func(*gatewayv1.PaymentEvent) bool {
	return func(ev *gatewayv1.PaymentEvent) bool { return ev.GetKind() == kind }
}

func stateIs(state gatewayv1.Payment_State) func(*gatewayv1.PaymentEvent) bool {
	return func(ev *gatewayv1.PaymentEvent) bool { return ev.GetPayment().GetState() == state }
}

func statusIs(status gatewayv1.PaymentStatus) func(*gatewayv1.PaymentEvent) bool {
	return func(ev *gatewayv1.PaymentEvent) bool { return ev.GetPayment().GetPaymentStatus() == status }
}

// payNow is the second journey: a customer pays by bank, the money is captured and refunded.
func (t *traveller) payNow(ctx context.Context) error {
	session, watch, err := t.openSession(ctx, "SO-88001", gatewayv1.OrderPolicy_ORDER_POLICY_AUTOMATIC)
	if err != nil {
		return err
	}
	defer watch.cancel()
	placed := t.local.sim.CallCount("placeOrder")
	t.play("the customer authorises")
	if _, err := t.local.sim.Authorize(session); err != nil {
		return err
	}
	ev, err := watch.reach("the order", stateIs(gatewayv1.Payment_STATE_ORDERED))
	if err != nil {
		return err
	}
	order := ev.GetPayment().GetOrderId()
	t.you("CreateOrder for the same session, although the gateway has placed it")
	made, err := t.orders.CreateOrder(ctx, &gatewayv1.CreateOrderRequest{RequestId: newRequestID(), SessionId: session})
	if err := firstError(err, expected(made.GetOrderId() == order, "want the same order"), t.called("placeOrder", placed, 1)); err != nil {
		return err
	}
	if _, err := watch.reach("UNPAID", statusIs(gatewayv1.PaymentStatus_PAYMENT_STATUS_UNPAID)); err != nil {
		return err
	}
	t.play("the customer's money arrives")
	if err := t.local.sim.Pay(order); err != nil {
		return err
	}
	if ev, err = watch.reach("PAID", statusIs(gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID)); err != nil {
		return err
	}
	if err := expected(ev.GetPayment().GetReceivedPayments()[0].GetDebtor() == nil, "want no debtor data that was not asked for"); err != nil {
		return err
	}
	return firstError(t.captureAndRefund(ctx, watch, order), watch.endsWith(gatewayv1.StreamEnd_REASON_FINAL))
}

// captureAndRefund moves the money forth and back, each step twice under one request_id.
func (t *traveller) captureAndRefund(ctx context.Context, watch *watched[*gatewayv1.PaymentEvent], order string) error {
	captures := t.local.sim.CallCount("capture")
	capture := &gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), OrderId: order, Amount: eur(12995)}
	t.you("CaptureOrder, twice with one request_id")
	first, err := t.orders.CaptureOrder(ctx, capture)
	if err != nil {
		return err
	}
	second, err := t.orders.CaptureOrder(ctx, capture)
	if err := firstError(err, expected(first.GetCapture().GetCaptureId() == second.GetCapture().GetCaptureId(), "want the same capture"), t.called("capture", captures, 1)); err != nil {
		return err
	}
	if _, err := watch.reach("the capture", stateIs(gatewayv1.Payment_STATE_CAPTURED)); err != nil {
		return err
	}
	t.you("RefundOrder, more than was captured")
	_, err = t.orders.RefundOrder(ctx, &gatewayv1.RefundOrderRequest{RequestId: newRequestID(), OrderId: order, Amount: eur(13000)})
	if err := refusedWith(err, "REFUND_NOT_ALLOWED"); err != nil {
		return err
	}
	t.you("RefundOrder")
	refunds := t.local.sim.CallCount("refund")
	if _, err := t.orders.RefundOrder(ctx, &gatewayv1.RefundOrderRequest{RequestId: newRequestID(), OrderId: order, Amount: eur(12995)}); err != nil {
		return err
	}
	ev, err := watch.reach("the refund", stateIs(gatewayv1.Payment_STATE_REFUNDED))
	return firstError(err, t.called("refund", refunds, 1), expected(ev.GetPayment().GetFinal(), "want a final state after the full refund"))
}

// payNowClosed is the other branch: Klarna's callback is lost, the session is read instead, and no money comes.
func (t *traveller) payNowClosed(ctx context.Context) error {
	session, watch, err := t.openSession(ctx, "SO-88002", gatewayv1.OrderPolicy_ORDER_POLICY_AUTOMATIC)
	if err != nil {
		return err
	}
	defer watch.cancel()
	t.play("the customer authorises, but Klarna's callback is lost")
	t.local.sim.DropCallbacks(1)
	if _, err := t.local.sim.Authorize(session); err != nil {
		return err
	}
	t.advance(2*time.Minute + time.Second)
	ev, err := watch.reach("UNPAID", statusIs(gatewayv1.PaymentStatus_PAYMENT_STATUS_UNPAID))
	if err != nil {
		return err
	}
	t.play("no money comes in time")
	if err := t.local.sim.Lapse(ev.GetPayment().GetOrderId()); err != nil {
		return err
	}
	_, err = watch.reach("CLOSED", stateIs(gatewayv1.Payment_STATE_CLOSED))
	return firstError(err, watch.endsWith(gatewayv1.StreamEnd_REASON_FINAL))
}

// payNowDisorder has Klarna tell PAID before UNPAID, and PAID twice: no state goes back.
func (t *traveller) payNowDisorder(ctx context.Context) error {
	session, watch, err := t.openSession(ctx, "SO-88003", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)
	if err != nil {
		return err
	}
	defer watch.cancel()
	t.play("the customer authorises")
	if _, err := t.local.sim.Authorize(session); err != nil {
		return err
	}
	if _, err := watch.reach("the authorisation", stateIs(gatewayv1.Payment_STATE_AUTHORIZED)); err != nil {
		return err
	}
	t.play("Klarna's notifications are held back")
	t.local.sim.Hold()
	t.you("CreateOrder")
	made, err := t.orders.CreateOrder(ctx, &gatewayv1.CreateOrderRequest{RequestId: newRequestID(), SessionId: session, ExpectedAmount: eur(12995)})
	if err != nil {
		return err
	}
	if err := t.local.sim.Pay(made.GetOrderId()); err != nil {
		return err
	}
	t.play("… and come in the wrong order, one of them twice")
	t.local.sim.DuplicateNext(1)
	t.local.sim.ReleaseReversed()
	ev, err := watch.reach("UNPAID", kindIs(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_UNPAID))
	return firstError(err, t.settled(ctx),
		expected(ev.GetSuperseded(), "want the late UNPAID marked as superseded"),
		expected(ev.GetPayment().GetPaymentStatus() == gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID, "want the payment to stay PAID"))
}

// push is the third journey: an order of Klarna Checkout, told by an unsigned push and acknowledged by its owner.
func (t *traveller) push(ctx context.Context) error {
	const reference = "KCO-5001"
	watch, err := t.watchPayments(ctx, &gatewayv1.WatchPaymentStatusRequest{
		From:               &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW},
		MerchantReferences: []string{reference, "KCO-5002"},
	})
	if err != nil {
		return err
	}
	defer watch.cancel()
	acknowledged := t.local.sim.CallCount("acknowledge")
	t.play("a customer completes a Klarna Checkout")
	order, err := t.local.sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 5000, Currency: "EUR", Country: "DE", Reference: reference})
	if err != nil {
		return err
	}
	t.advance(2*time.Minute + time.Second)
	ev, err := watch.reach("the order", kindIs(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ORDER_CREATED))
	if err := firstError(err,
		expected(ev.GetCause() == gatewayv1.EventCause_EVENT_CAUSE_PUSH, "want the push as cause, got %v", ev.GetCause()),
		expected(!ev.GetPayment().GetAcknowledged(), "want the order to wait for its owner")); err != nil {
		return err
	}
	t.advance(20 * time.Minute) // two more pushes
	t.you("AcknowledgeOrder: our own order exists")
	ack, err := t.orders.AcknowledgeOrder(ctx, &gatewayv1.AcknowledgeOrderRequest{RequestId: newRequestID(), OrderId: order})
	if err := firstError(err, expected(ack.GetConfirmed(), "want Klarna's confirmation")); err != nil {
		return err
	}
	_, err = watch.reach("Klarna's confirmation", kindIs(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ACKNOWLEDGED))
	if err != nil {
		return err
	}
	t.advance(3 * time.Hour)
	return firstError(t.called("acknowledge", acknowledged, 1), t.pushForgotten(ctx, watch))
}

// pushForgotten is an order nobody acknowledges: attention before Klarna stops telling of it, and then it is cancelled.
func (t *traveller) pushForgotten(ctx context.Context, watch *watched[*gatewayv1.PaymentEvent]) error {
	t.play("another customer completes a Klarna Checkout, and nobody acknowledges the order")
	order, err := t.local.sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 7000, Currency: "EUR", Country: "DE", Reference: "KCO-5002"})
	if err != nil {
		return err
	}
	t.advance(2*time.Minute + time.Second)
	if _, err := watch.reach("the order", kindIs(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ORDER_CREATED)); err != nil {
		return err
	}
	t.advance(40*time.Hour + time.Minute)
	ev, err := watch.reach("attention", kindIs(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ATTENTION))
	if err := firstError(err, expected(ev.GetAttentionReason() == gatewayv1.AttentionReason_ATTENTION_REASON_ACKNOWLEDGE_OVERDUE, "want ACKNOWLEDGE_OVERDUE")); err != nil {
		return err
	}
	t.you("CancelOrder: it will not be delivered")
	if _, err := t.orders.CancelOrder(ctx, &gatewayv1.CancelOrderRequest{RequestId: newRequestID(), OrderId: order}); err != nil {
		return err
	}
	_, err = watch.reach("the cancellation", stateIs(gatewayv1.Payment_STATE_CANCELLED))
	return firstError(err, t.settled(ctx))
}

// openSession opens a session and a watch that knows nothing but its id.
func (t *traveller) openSession(ctx context.Context, reference string, policy gatewayv1.OrderPolicy) (string, *watched[*gatewayv1.PaymentEvent], error) {
	t.you("CreatePaymentSession %s over 129.95 EUR", reference)
	made, err := t.payments.CreatePaymentSession(ctx, sessionRequest(reference, policy))
	if err != nil {
		return "", nil, err
	}
	session := made.GetSession().GetSessionId()
	watch, err := t.watchPayments(ctx, &gatewayv1.WatchPaymentStatusRequest{
		From:       &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_SNAPSHOT},
		SessionIds: []string{session}, UntilFinal: true,
	})
	if err != nil {
		return "", nil, err
	}
	_, err = watch.reach("the session", stateIs(gatewayv1.Payment_STATE_SESSION_CREATED))
	return session, watch, err
}

func eur(minor int64) *gatewayv1.Money {
	return &gatewayv1.Money{AmountMinor: minor, CurrencyCode: "EUR"}
}

func sessionRequest(reference string, policy gatewayv1.OrderPolicy) *gatewayv1.CreatePaymentSessionRequest {
	return &gatewayv1.CreatePaymentSessionRequest{
		RequestId: newRequestID(), PurchaseCountry: "DE", Locale: "de-DE", Intent: "buy", OrderPolicy: policy,
		OrderAmount: eur(12995), OrderTaxAmountMinor: 2075, MerchantReference1: reference,
		ConfirmationUrl: "https://shop.example/thanks?session={session.id}",
		OrderLines: []*gatewayv1.OrderLine{{
			Reference: "L-1", Name: "Lamp", Quantity: 1, UnitPriceMinor: 12995, TaxRateBasisPoints: 1900, TotalAmountMinor: 12995, TotalTaxAmountMinor: 2075,
		}},
	}
}
