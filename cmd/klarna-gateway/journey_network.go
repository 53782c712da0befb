package main

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// networkPayment is the journey over the Klarna Network: a partner is onboarded, its customer pays, the payment is
// authorised, and the money is captured and refunded.
func (t *traveller) networkPayment(ctx context.Context) error {
	t.you("OnboardPartner mrc-000517")
	made, err := t.partners.OnboardPartner(ctx, onboardRequest("mrc-000517", "https://cdn.nordlicht.example/logo.png"))
	if err != nil {
		return err
	}
	partner := made.GetPartner().GetPartnerAccountId()
	t.you("CreatePaymentRequest over 129.95 EUR")
	asked, err := t.network.CreatePaymentRequest(ctx, &gatewayv1.CreatePaymentRequestRequest{
		RequestId: newRequestID(), PartnerAccountId: partner, Amount: eur(12995), PaymentRequestReference: "pr-2026-1180",
		LineItems:           []*gatewayv1.LineItem{{Name: "Zelt", Quantity: 1, TotalAmountMinor: 12995}},
		CustomerInteraction: &gatewayv1.CustomerInteraction{Method: "HANDOVER", ReturnUrl: "https://nordlicht.example/back"},
	})
	if err != nil {
		return err
	}
	request := asked.GetPaymentRequest()
	if err := expected(request.GetPaymentRequestUrl() != "", "want a page to send the customer to"); err != nil {
		return err
	}
	watch, err := t.watchPayments(ctx, &gatewayv1.WatchPaymentStatusRequest{
		From:              &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST},
		PaymentRequestIds: []string{request.GetPaymentRequestId()}, UntilFinal: true,
	})
	if err != nil {
		return err
	}
	defer watch.cancel()
	transaction, err := t.authorized(ctx, watch, partner, request.GetPaymentRequestId())
	return firstError(err, t.transacted(ctx, watch, partner, transaction), watch.endsWith(gatewayv1.StreamEnd_REASON_FINAL), t.settled(ctx))
}

// authorized has the customer pay, which Klarna tells by webhook, and authorises what was paid.
func (t *traveller) authorized(ctx context.Context, watch *watched[*gatewayv1.PaymentEvent], partner, request string) (transaction string, err error) {
	t.play("the customer opens Klarna's page")
	if err := t.local.sim.OpenRequest(request); err != nil {
		return "", err
	}
	if _, err := watch.reach("the customer", kindIs(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_IN_PROGRESS)); err != nil {
		return "", err
	}
	t.play("the customer agrees")
	if _, err := t.local.sim.CompleteRequest(request); err != nil {
		return "", err
	}
	if _, err := watch.reach("the customer's consent", stateIs(gatewayv1.Payment_STATE_AUTHORIZED)); err != nil {
		return "", err
	}
	before := t.local.sim.CallCount("authorizePayment")
	authorize := &gatewayv1.AuthorizePaymentRequest{
		RequestId: newRequestID(), PartnerAccountId: partner, By: &gatewayv1.AuthorizePaymentRequest_PaymentRequestId{PaymentRequestId: request},
	}
	t.you("AuthorizePayment, twice with one request_id")
	first, err := t.network.AuthorizePayment(ctx, authorize)
	if err != nil {
		return "", err
	}
	second, err := t.network.AuthorizePayment(ctx, authorize)
	transaction = first.GetTransaction().GetPaymentTransactionId()
	if err := firstError(err, t.called("authorizePayment", before, 1),
		expected(first.GetResult() == gatewayv1.AuthorizePaymentResponse_RESULT_APPROVED, "want APPROVED, got %v", first.GetResult()),
		expected(second.GetTransaction().GetPaymentTransactionId() == transaction, "want the same transaction"),
	); err != nil {
		return "", err
	}
	_, err = watch.reach("the transaction", stateIs(gatewayv1.Payment_STATE_ORDERED))
	return transaction, err
}

// transacted moves the money of a transaction forth and back.
func (t *traveller) transacted(ctx context.Context, watch *watched[*gatewayv1.PaymentEvent], partner, transaction string) error {
	captures := t.local.sim.CallCount("captureTransaction")
	capture := &gatewayv1.CaptureTransactionRequest{RequestId: newRequestID(), PartnerAccountId: partner, PaymentTransactionId: transaction, Amount: eur(12995)}
	t.you("CaptureTransaction, twice with one request_id")
	first, err := t.network.CaptureTransaction(ctx, capture)
	if err != nil {
		return err
	}
	second, err := t.network.CaptureTransaction(ctx, capture)
	id := first.GetCapture().GetPaymentCaptureId()
	if err := firstError(err, expected(id != "" && second.GetCapture().GetPaymentCaptureId() == id, "want the same capture"), t.called("captureTransaction", captures, 1)); err != nil {
		return err
	}
	if _, err := watch.reach("the capture", stateIs(gatewayv1.Payment_STATE_CAPTURED)); err != nil {
		return err
	}
	refund := func(amount int64) *gatewayv1.RefundTransactionRequest {
		return &gatewayv1.RefundTransactionRequest{RequestId: newRequestID(), PartnerAccountId: partner, PaymentTransactionId: transaction, Amount: eur(amount)}
	}
	t.you("RefundTransaction, more than was captured")
	_, err = t.network.RefundTransaction(ctx, refund(13000))
	if err := refusedWith(err, "REFUND_NOT_ALLOWED"); err != nil {
		return err
	}
	t.you("RefundTransaction")
	if _, err := t.network.RefundTransaction(ctx, refund(12995)); err != nil {
		return err
	}
	ev, err := watch.reach("the refund", stateIs(gatewayv1.Payment_STATE_REFUNDED))
	return firstError(err, expected(ev.GetPayment().GetFinal(), "want a final state after the full refund"))
}
