package server

import (
	"testing"

	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

// Each conversion with every field set.
func TestNetworkConversions_ToKlarnaGolden(t *testing.T) {
	t.Parallel()
	create := fixture(t, "network_request.json", &gatewayv1.CreatePaymentRequestRequest{})
	update := fixture(t, "network_request_update.json", &gatewayv1.UpdatePaymentRequestRequest{})
	authorize := fixture(t, "network_authorize.json", &gatewayv1.AuthorizePaymentRequest{})
	change := fixture(t, "transaction_update.json", &gatewayv1.UpdateTransactionRequest{})
	capture := fixture(t, "transaction_capture.json", &gatewayv1.CaptureTransactionRequest{})
	for _, m := range []proto.Message{create, update, change, capture, create.GetLineItems()[0], create.GetCustomerInteraction(), create.GetPaymentAccount()} {
		complete(t, m)
	}
	complete(t, authorize, "session_token", "customer_token") // one of three
	checkGolden(t, "network_request.json.golden", paymentRequestToKlarna(create))
	checkGolden(t, "network_request_update.json.golden", paymentRequestUpdateToKlarna(update))
	checkGolden(t, "network_authorize.json.golden", paymentToAuthorize(authorize).Request)
	checkGolden(t, "transaction_update.json.golden", transactionUpdateToKlarna(change))
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

func TestNetworkConversions_FromKlarnaGolden(t *testing.T) {
	t.Parallel()
	const partner = "krn:partner:global:account:test:PQ7XK2MD"
	request := paymentRequestFromKlarna(partner, *fixture(t, "payment_request.json", &klarna.PaymentRequest{}))
	transaction := transactionFromKlarna(partner, *fixture(t, "transaction.json", &klarna.Transaction{}))
	chargeback := chargebackFromKlarna(*fixture(t, "chargeback.json", &klarna.Chargeback{}))
	for _, m := range []proto.Message{request, transaction, transaction.GetCaptures()[0], transaction.GetRefunds()[0], chargeback} {
		complete(t, m)
	}
	checkGolden(t, "payment_request.json.golden", request) // without the session token
	checkGolden(t, "transaction.json.golden", transaction)
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
