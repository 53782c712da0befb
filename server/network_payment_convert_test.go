package server

import (
	"testing"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

func TestPaymentRequestToKlarna_Golden(t *testing.T) {
	t.Parallel()
	req := fixture(t, "network_request.json", &gatewayv1.CreatePaymentRequestRequest{})
	complete(t, req)
	complete(t, req.GetLineItems()[0])
	complete(t, req.GetCustomerInteraction())
	complete(t, req.GetPaymentAccount())
	checkGolden(t, "network_request.json.golden", paymentRequestToKlarna(req))
}

func TestPaymentRequestUpdateToKlarna_Golden(t *testing.T) {
	t.Parallel()
	req := fixture(t, "network_request_update.json", &gatewayv1.UpdatePaymentRequestRequest{})
	complete(t, req)
	checkGolden(t, "network_request_update.json.golden", paymentRequestUpdateToKlarna(req))
}

func TestPaymentToAuthorize_Golden(t *testing.T) {
	t.Parallel()
	req := fixture(t, "network_authorize.json", &gatewayv1.AuthorizePaymentRequest{})
	complete(t, req, "session_token", "customer_token") // one of three
	checkGolden(t, "network_authorize.json.golden", paymentToAuthorize(req).Request)
}

func TestPaymentToAuthorize_KeepsTokensSecret(t *testing.T) {
	t.Parallel()
	by := paymentToAuthorize(&gatewayv1.AuthorizePaymentRequest{By: &gatewayv1.AuthorizePaymentRequest_SessionToken{SessionToken: "s-1"}}).By
	if by.Session.Reveal() != "s-1" || by.Customer != "" || by.Session.String() == "s-1" {
		t.Errorf("%v", by)
	}
	by = paymentToAuthorize(&gatewayv1.AuthorizePaymentRequest{By: &gatewayv1.AuthorizePaymentRequest_CustomerToken{CustomerToken: "c-1"}}).By
	if by.Customer.Reveal() != "c-1" || by.Session != "" || by.Customer.String() == "c-1" {
		t.Errorf("%v", by)
	}
}

func TestTransactionUpdateToKlarna_Golden(t *testing.T) {
	t.Parallel()
	req := fixture(t, "transaction_update.json", &gatewayv1.UpdateTransactionRequest{})
	complete(t, req)
	checkGolden(t, "transaction_update.json.golden", transactionUpdateToKlarna(req))
}

func TestTransactionMovementsToKlarna_Golden(t *testing.T) {
	t.Parallel()
	capture := fixture(t, "transaction_capture.json", &gatewayv1.CaptureTransactionRequest{})
	complete(t, capture)
	checkGolden(t, "transaction_capture.json.golden", transactionCaptureToKlarna(capture))
	refund := transactionRefundToKlarna(&gatewayv1.RefundTransactionRequest{Amount: eur(1000), PaymentRefundReference: "rf-1"})
	if refund != (klarna.NetworkRefundRequest{RefundAmount: 1000, Reference: "rf-1"}) {
		t.Errorf("%+v", refund)
	}
	extension := extensionToKlarna(&gatewayv1.ExtendTransactionRequest{Amount: eur(1000), ExtensionDays: 60})
	if *extension.Amount != 1000 || extension.ExtensionDays != 60 {
		t.Errorf("%+v", extension)
	}
}

func TestPaymentRequestFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	request := paymentRequestFromKlarna("krn:partner:global:account:test:PQ7XK2MD", *fixture(t, "payment_request.json", &klarna.PaymentRequest{}))
	complete(t, request)
	checkGolden(t, "payment_request.json.golden", request) // without the session token
}

func TestTransactionFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	transaction := transactionFromKlarna("krn:partner:global:account:test:PQ7XK2MD", *fixture(t, "transaction.json", &klarna.Transaction{}))
	complete(t, transaction)
	complete(t, transaction.GetCaptures()[0])
	complete(t, transaction.GetRefunds()[0])
	checkGolden(t, "transaction.json.golden", transaction)
}

func TestChargebackFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	chargeback := chargebackFromKlarna(*fixture(t, "chargeback.json", &klarna.Chargeback{}))
	complete(t, chargeback)
	checkGolden(t, "chargeback.json.golden", chargeback)
}

func TestNetworkConversions_KeepUnknownWordsAsText(t *testing.T) {
	t.Parallel()
	if r := paymentRequestFromKlarna("a", klarna.PaymentRequest{State: "PARKED"}); r.GetState() != 0 || r.GetStateText() != "PARKED" || r.GetAmount() != nil || r.GetExpireTime() != nil {
		t.Errorf("%v", r)
	}
	if tr := transactionFromKlarna("a", klarna.Transaction{State: "PARKED"}); tr.GetState() != 0 || tr.GetStateText() != "PARKED" || tr.GetAmount() != nil || tr.GetCreateTime() != nil {
		t.Errorf("%v", tr)
	}
	if a := authorizationFromKlarna("a", operation.AuthorizationAnswer{Result: "PARKED", Reason: "ODD"}); a.GetResult() != 0 || a.GetResultText() != "PARKED" || a.GetResultReason() != "ODD" {
		t.Errorf("%v", a)
	}
}
