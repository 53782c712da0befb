package webhook

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
)

// requestKinds names what the state of a payment request means, transactionKinds that of a transaction. States that are
// not listed are kept and streamed as they are.
var (
	requestKinds = map[klarna.PaymentRequestState]journal.PaymentKind{
		klarna.RequestSubmitted: journal.KindSessionUpdated, klarna.RequestInProgress: journal.KindInProgress,
		klarna.RequestCompleted: journal.KindAuthorized, klarna.RequestDeclined: journal.KindDeclined,
		klarna.RequestExpired: journal.KindExpired, klarna.RequestCanceled: journal.KindCancelled,
	}
	transactionKinds = map[klarna.TransactionState]journal.PaymentKind{
		klarna.TransactionAuthorized: journal.KindOrderCreated, klarna.TransactionCompleted: journal.KindOrderChanged,
		klarna.TransactionExpired: journal.KindExpired, klarna.TransactionClosed: journal.KindOrderChanged,
	}
)

// paymentFact is what a notification about a payment tells; about is false if it is about none. Klarna documents little of
// what payment.* notifications hold beside their type and ids, so whatever they tell of a transaction, it is read as well.
func (r *Receiver) paymentFact(account string, n klarna.NetworkNotification) (fact journal.PaymentFact, about bool, flaw string) {
	meta, payload := n.Metadata, n.PaymentPayload()
	fact = journal.PaymentFact{
		EventID: fmt.Sprintf("network:%s:%s", account, meta.EventID), MerchantAccount: account,
		Cause: journal.Notification, At: r.at(meta.OccurredAt.Time), Type: meta.EventType,
	}
	facts := &journal.NetworkFacts{
		PartnerAccountID: meta.SubjectAccountID,
		Network: journal.Network{
			RequestID: payload.PaymentRequestID, RequestReference: payload.PaymentRequestReference,
			TransactionID: payload.PaymentTransactionID, TransactionReference: payload.PaymentTransactionReference,
		},
	}
	fact.Network = facts
	ofRequest := tellRequest(facts, meta.EventType, payload)
	if !ofRequest {
		tellTransaction(&fact, meta.EventType, payload)
	}
	other := meta.Live != nil && *meta.Live != r.live[account]
	missing := ofRequest && facts.RequestID == "" || !ofRequest && facts.TransactionID == ""
	about = facts.Kind != "" || facts.RequestID != "" || facts.TransactionID != ""
	switch {
	case about && other:
		flaw = otherEnvironment
	case facts.Kind != "" && missing:
		flaw = "names no payment"
	case about && facts.PartnerAccountID == "":
		flaw = "names no account"
	}
	return fact, about, flaw
}

// paid records a notification about a payment.
func (r *Receiver) paid(ctx context.Context, fact journal.PaymentFact, flaw, eventID string, d delivery) answer {
	if flaw != "" {
		return r.quarantine(ctx, fact.MerchantAccount, eventID, flaw, nil, d.body)
	}
	fact.Raw, fact.TraceParent = d.body, d.trace
	record, err := r.journal.RecordPayment(ctx, fact)
	return recorded(http.StatusOK, fact.MerchantAccount, eventID, record.Outcome, err).after(record.Trail())
}

// tellRequest takes what is about a payment request, and tells whether it was.
func tellRequest(facts *journal.NetworkFacts, eventType string, payload klarna.PaymentPayload) bool {
	state := klarna.RequestStateOf(eventType)
	kind, known := requestKinds[state]
	switch {
	case eventType == klarna.EventPaymentRequestUpdated:
		facts.Kind, facts.Reread = journal.KindSessionUpdated, true
		return true
	case !known:
		return false
	case state == klarna.RequestSubmitted && payload.PreviousState == "":
		kind = journal.KindSessionCreated
	}
	facts.Kind, facts.RequestState, facts.RequestStateReason = kind, string(state), payload.StateReason
	facts.Request = &journal.RequestFacts{
		Currency: payload.Currency, Amount: payload.Amount, PurchaseReference: payload.PurchaseReference,
		Token: payload.SessionToken().Reveal(),
	}
	return true
}

// tellTransaction takes what is about a transaction.
func tellTransaction(fact *journal.PaymentFact, eventType string, payload klarna.PaymentPayload) {
	facts := fact.Network
	state := klarna.TransactionStateOf(eventType)
	switch {
	case transactionKinds[state] != "":
		facts.Kind, facts.Transaction = transactionKinds[state], &journal.OrderFacts{Status: string(state)}
	case eventType == klarna.EventTransactionCaptured:
		facts.Kind = journal.KindCaptured
		fact.Capture = moved(payload.PaymentCaptureID, payload.PaymentCaptureReference, payload.CaptureAmount, *fact)
	case eventType == klarna.EventTransactionRefunded:
		facts.Kind = journal.KindRefunded
		fact.Refund = moved(payload.PaymentRefundID, payload.PaymentRefundReference, payload.RefundAmount, *fact)
	case eventType == klarna.EventTransactionChargeback:
		facts.Kind = journal.KindChargedBack
		if taken := moved(payload.PaymentChargebackID, "", payload.ChargebackAmount, *fact); taken != nil {
			facts.Chargebacks = []journal.Movement{*taken}
		}
	case eventType == klarna.EventFundingFunded:
		facts.Kind, facts.Funding = journal.KindPaid, journal.StatusPaid
	case eventType == klarna.EventFundingExpired:
		facts.Kind, facts.Funding = journal.KindClosed, journal.StatusClosed
	case klarna.IsDispute(eventType) && payload.PaymentDisputeID != "" && cmp.Or(klarna.DisputeStateOf(eventType), payload.State) != "":
		facts.Kind = journal.KindDisputed
		facts.Disputes = []journal.Dispute{{
			ID: payload.PaymentDisputeID, State: cmp.Or(klarna.DisputeStateOf(eventType), payload.State), Reason: payload.DisputeReason, At: fact.At,
		}}
	default:
		return
	}
	facts.Reread = true
}

// moved is a movement as far as it was told; nil if its id or its amount was not, which reading the transaction will tell.
func moved(id, reference string, amount int64, fact journal.PaymentFact) *journal.Movement {
	if id == "" || amount == 0 {
		return nil
	}
	return &journal.Movement{ID: id, Reference: reference, Amount: amount, At: fact.At}
}
