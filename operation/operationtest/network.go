package operationtest

import (
	"fmt"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
)

// Onboarded is a partner account that may transact.
func (w *World) Onboarded() (partnerID string) {
	w.T.Helper()
	made, err := w.Operations.Onboard(w.T.Context(), AcquirerRequest("onboard", "mrc-000482"), Onboarding("mrc-000482"))
	w.Must(err)
	return made.AccountID
}

// Ask is a payment request to be opened.
func Ask() klarna.PaymentRequestInput {
	return klarna.PaymentRequestInput{
		Currency: "EUR", Amount: Amount,
		SupplementaryPurchaseData: &klarna.PurchaseData{
			PurchaseReference: "SO-88001", LineItems: []klarna.LineItem{{Name: "Zelt", Quantity: 1, TotalAmount: Amount}},
		},
		CustomerInteractionConfig: &klarna.CustomerInteraction{Method: "HANDOVER", ReturnURL: "https://nordlicht.example/back"},
	}
}

// Asked opens a payment request of a partner.
func (w *World) Asked(partnerID string) (requestID string) {
	w.T.Helper()
	made, err := w.Operations.CreatePaymentRequest(w.T.Context(), AcquirerRequest("ask", "ask"), partnerID, "", Ask())
	w.Must(err)
	return made.PaymentRequestID
}

// Complete plays the customer of a payment request.
func (w *World) Complete(requestID string) (token string) {
	w.T.Helper()
	token, err := w.Klarna.CompleteRequest(requestID)
	w.Must(err)
	return token
}

// ByRequest authorises what a payment request asked for.
func ByRequest(partnerID, requestID string) operation.NewAuthorization {
	return operation.NewAuthorization{PartnerID: partnerID, RequestID: requestID}
}

// Transacted is a transaction of a partner, authorised and not captured.
func (w *World) Transacted(partnerID string) (transactionID string) {
	w.T.Helper()
	id := w.Asked(partnerID)
	w.Complete(id)
	made, err := w.Operations.Authorize(w.T.Context(), AcquirerRequest("authorize", id), ByRequest(partnerID, id))
	w.Must(err)
	return made.Transaction.PaymentTransactionID
}

// Take captures part of a transaction.
func (w *World) Take(id, partnerID, transactionID string, amount int64) error {
	_, err := w.Operations.CaptureTransaction(w.T.Context(), AcquirerRequest(id, fmt.Sprint(amount)), partnerID, transactionID, "EUR", klarna.NetworkCaptureRequest{CaptureAmount: amount})
	return err
}

// Return refunds part of a transaction.
func (w *World) Return(id, partnerID, transactionID string, amount int64) error {
	_, err := w.Operations.RefundTransaction(w.T.Context(), AcquirerRequest(id, fmt.Sprint(amount)), partnerID, transactionID, "", "EUR", klarna.NetworkRefundRequest{RefundAmount: amount})
	return err
}

// NetworkPayment is what is on record under a key of a payment on the Network.
func (w *World) NetworkPayment(kind, value string) journal.Payment {
	w.T.Helper()
	payment, err := w.Journal.PaymentBy(w.T.Context(), Acquirer, kind, value)
	w.Must(err)
	return payment
}

// Transaction is a transaction as Klarna has it.
func (w *World) Transaction(id string) klarnatest.Transaction {
	w.T.Helper()
	transaction, ok := w.Klarna.Transaction(id)
	if !ok {
		w.T.Fatalf("Klarna has no transaction %q", id)
	}
	return transaction
}
