package klarnatest

import (
	"testing"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest/contract"
)

// Klarna's documents describe payment requests; transactions are in none of them.
func TestContract_PaymentRequests(t *testing.T) {
	t.Parallel()
	event := contract.Open(t).Schema(t, "kn-notifications.yaml", "Event")
	w, payment := buyer(t)
	c := underContract(t, w)
	id := w.requested(payment)
	path := payment + "/requests/" + id
	w.want(200, "GET", path, nil)
	w.want(200, "PATCH", path, doc{"payment_request_reference": "pr-2"}, key, key1)
	w.want(400, "PATCH", path, doc{"amount": 0}, key, key2)
	w.want(200, "DELETE", w.pathOf(payment), nil)
	w.want(403, "DELETE", w.completed(path, id), nil)
	w.want(200, "GET", path, nil)
	w.want(403, "PATCH", path, doc{"payment_request_reference": "pr-3"})
	w.want(404, "GET", payment+"/requests/krn:payment:none", nil)
	w.want(404, "DELETE", payment+"/requests/krn:payment:none", nil)
	w.want(401, "GET", path, nil, "Authorization", "Basic wrong")
	w.want(400, "POST", payment+"/requests", doc{})
	w.must(w.klarna.Fail(Fault{Operation: "createPaymentRequest", Status: 429}))
	w.want(429, "POST", payment+"/requests", tent(t))
	c.saw("createPaymentRequest 201", "createPaymentRequest 400", "createPaymentRequest 429", "readPaymentRequest 200",
		"readPaymentRequest 401", "readPaymentRequest 404", "updatePaymentRequest 200", "updatePaymentRequest 400", "updatePaymentRequest 403",
		"cancelPaymentRequest 200", "cancelPaymentRequest 403", "cancelPaymentRequest 404")
	w.settle()
	for _, p := range w.inbox.received() {
		if err := event.VisitJSON(map[string]any(p.json)); err != nil {
			t.Errorf("notification against its document: %v\n%s", err, p.body)
		}
	}
}

func (w *world) pathOf(payment string) string { return payment + "/requests/" + w.requested(payment) }

func (w *world) completed(path, id string) string {
	_, err := w.klarna.CompleteRequest(id)
	w.must(err)
	return path
}

// clientPayments makes payments of a partner by the klarna package's client: what it sends about requests goes through
// Klarna's documents, and each side reads the other.
func TestContract_ClientOfPayments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := w.onboarded()
	connect := func() *klarna.Client {
		client, err := klarna.New(klarna.Config{APIKey: apiKey, BaseURL: w.api.URL, HTTPClient: w.api.Client(), Retries: -1})
		w.must(err)
		return client
	}
	unchecked := connect() // its transport is that of now
	c := underContract(t, w)
	client, ctx := connect(), t.Context()
	made, err := client.CreatePaymentRequest(ctx, key1, account, "", klarna.PaymentRequestInput{
		Currency: "EUR", Amount: 12900, PaymentRequestReference: "pr-1",
		SupplementaryPurchaseData: &klarna.PurchaseData{
			PurchaseReference: "N-1", LineItems: []klarna.LineItem{{Name: "Tent", Quantity: 1, TotalAmount: 12900}},
			Customer: []byte(`{"given_name":"Ida"}`),
		},
		CustomerInteractionConfig: &klarna.CustomerInteraction{Method: "HANDOVER", ReturnURL: "https://gw.acme.example/r"},
	})
	w.must(err)
	amount := int64(12900)
	_, err = client.UpdatePaymentRequest(ctx, key2, account, made.PaymentRequestID, klarna.PaymentRequestUpdate{Amount: &amount, PaymentRequestReference: "pr-2"})
	w.must(err)
	_, err = w.klarna.CompleteRequest(made.PaymentRequestID)
	w.must(err)
	read, err := client.PaymentRequest(ctx, account, made.PaymentRequestID)
	w.must(err)
	other, err := client.CreatePaymentRequest(ctx, "", account, read.StateContext.KlarnaCustomer.CustomerToken, klarna.PaymentRequestInput{Currency: "EUR", Amount: 1})
	w.must(err)
	if other.State != klarna.RequestCompleted || other.StateContext.SessionToken() == "" {
		t.Errorf("a known customer's request is %s", other.State)
	}
	unwanted, err := client.CreatePaymentRequest(ctx, "", account, "", klarna.PaymentRequestInput{Currency: "EUR", Amount: 1})
	w.must(err)
	canceled, err := client.CancelPaymentRequest(ctx, account, unwanted.PaymentRequestID)
	w.must(err)
	if canceled.State != klarna.RequestCanceled || canceled.StateReason == "" {
		t.Errorf("canceled request is %+v", canceled)
	}
	c.saw("createPaymentRequest 201", "updatePaymentRequest 200", "readPaymentRequest 200", "cancelPaymentRequest 200")
	clientTransaction(w, unchecked, account, read.StateContext.SessionToken())
	w.must(unchecked.CancelPaymentToken(ctx, account, other.StateContext.SessionToken()))
}

func clientTransaction(w *world, client *klarna.Client, account string, token klarna.Secret) {
	w.t.Helper()
	ctx := w.t.Context()
	done, err := client.Authorize(ctx, "", account, klarna.AuthorizeTokens{Session: token}, klarna.AuthorizeRequest{
		Currency: "EUR", RequestPaymentTransaction: klarna.NewTransaction{Amount: 12900, PaymentTransactionReference: "t-1", Capture: klarna.CaptureLater},
	})
	w.must(err)
	id := done.Response.PaymentTransaction.PaymentTransactionID
	_, err = client.UpdateTransaction(ctx, "", account, id, klarna.TransactionUpdate{PaymentTransactionReference: "t-2"})
	w.must(err)
	_, err = client.ExtendTransaction(ctx, "", account, id, klarna.ExtendRequest{ExtensionDays: 10})
	w.must(err)
	capture, err := client.CaptureTransaction(ctx, "", account, id, klarna.NetworkCaptureRequest{CaptureAmount: 900, PaymentCaptureReference: "c-1"})
	w.must(err)
	_, err = client.RefundCapture(ctx, "", account, capture.PaymentCaptureID, klarna.NetworkRefundRequest{RefundAmount: 100, Reference: "r-1"})
	w.must(err)
	refund, err := client.RefundTransaction(ctx, "", account, id, klarna.NetworkRefundRequest{RefundAmount: 50, Reference: "r-2"})
	w.must(err)
	voided, err := client.VoidTransaction(ctx, "", account, id)
	w.must(err)
	if voided.State != klarna.TransactionCompleted || voided.CapturedAmount() != 900 || voided.RefundedAmount() != 150 || voided.RemainingAmount() != 0 ||
		voided.PaymentTransactionReference != "t-2" || voided.PurchaseReference != "N-1" || voided.ExpiresAt.IsZero() {
		w.t.Errorf("voided %+v", voided)
	}
	readCapture, err := client.NetworkCapture(ctx, account, capture.PaymentCaptureID)
	w.must(err)
	readRefund, err := client.NetworkRefund(ctx, account, refund.PaymentRefundID)
	w.must(err)
	if readCapture.CapturedAmount() != 900 || readRefund.RefundedAmount() != 50 || readRefund.Reference() != "r-2" {
		w.t.Errorf("read %+v and %+v", readCapture, readRefund)
	}
	chargedBack, err := w.klarna.ChargeBack(id, 10)
	w.must(err)
	chargeback, err := client.Chargeback(ctx, account, chargedBack)
	w.must(err)
	if chargeback.ChargedBackAmount() != 10 {
		w.t.Errorf("chargeback %+v", chargeback)
	}
}
