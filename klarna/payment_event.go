package klarna

import (
	"encoding/json"
	"log/slog"
	"strings"
)

// Event types of payments on the Network. Klarna also sends payment.request.state-change.* with every state of a request,
// see RequestStateOf; and of disputes payment.dispute.*, whose names differ by release.
const (
	EventPaymentRequestUpdated = "payment.request.updated"
	EventTransactionCaptured   = "payment.transaction.captured"
	EventTransactionRefunded   = "payment.transaction.refunded"
	EventTransactionChargeback = "payment.transaction.chargeback"
	EventFundingFunded         = "payment.funding.state-change.funded"
	EventFundingExpired        = "payment.funding.state-change.expired"
)

// Beginnings of event types.
const (
	requestStateEvents     = "payment.request.state-change."
	transactionStateEvents = "payment.transaction.state-change."
	disputeStateEvents     = "payment.dispute.state-change."
	disputeEvents          = "payment.dispute."
)

// PaymentPayload is what payment.* events may say. Of transactions Klarna documents little: every field may be empty, and
// for anything that matters the resource is to be read. Its token is a credential.
type PaymentPayload struct {
	PaymentRequestID            string `json:"payment_request_id"`
	PaymentRequestReference     string `json:"payment_request_reference"`
	PaymentTransactionID        string `json:"payment_transaction_id"`
	PaymentTransactionReference string `json:"payment_transaction_reference"`
	PurchaseReference           string `json:"purchase_reference"`
	PaymentCaptureID            string `json:"payment_capture_id"`
	PaymentCaptureReference     string `json:"payment_capture_reference"`
	PaymentRefundID             string `json:"payment_refund_id"`
	PaymentRefundReference      string `json:"payment_refund_reference"`
	PaymentChargebackID         string `json:"payment_chargeback_id"`
	PaymentDisputeID            string `json:"payment_dispute_id"`
	DisputeReason               string `json:"dispute_reason"`
	State                       string `json:"state"`
	PreviousState               string `json:"previous_state"`
	StateReason                 string `json:"state_reason"`
	Currency                    string `json:"currency"`
	Amount                      int64  `json:"amount"`
	CaptureAmount               int64  `json:"capture_amount"`
	RefundAmount                int64  `json:"refund_amount"`
	ChargebackAmount            int64  `json:"chargeback_amount"`

	RequestContext                // Klarna's events have the tokens here,
	StateContext   RequestContext `json:"state_context"` // its resources there
}

// PaymentPayload reads the payload of a payment.* event as far as it can be read.
func (n NetworkNotification) PaymentPayload() PaymentPayload {
	var p PaymentPayload
	_ = json.Unmarshal(n.Payload, &p) // a member of the wrong type leaves the others filled
	return p
}

// SessionToken is what a completed request's transaction is authorized with, wherever Klarna put it; empty if nowhere.
func (p PaymentPayload) SessionToken() Secret {
	if token := p.RequestContext.SessionToken(); token != "" {
		return token
	}
	return p.StateContext.SessionToken()
}

// LogValue keeps tokens out of logs.
func (p PaymentPayload) LogValue() slog.Value {
	return slog.GroupValue(slog.String("payment_request_id", p.PaymentRequestID),
		slog.String("payment_transaction_id", p.PaymentTransactionID), slog.String("state", p.State))
}

// RequestStateOf is the state of a payment request that an event type tells, empty if it tells none.
func RequestStateOf(eventType string) PaymentRequestState {
	return PaymentRequestState(stateOf(eventType, requestStateEvents))
}

// TransactionStateOf is the state of a transaction that an event type tells, empty if it tells none.
func TransactionStateOf(eventType string) TransactionState {
	return TransactionState(stateOf(eventType, transactionStateEvents))
}

// DisputeStateOf is the state of a dispute that an event type tells, empty if it tells none.
func DisputeStateOf(eventType string) string { return stateOf(eventType, disputeStateEvents) }

// IsDispute tells whether an event is about a dispute.
func IsDispute(eventType string) bool { return strings.HasPrefix(eventType, disputeEvents) }

// stateOf is the word at the end of an event type as resources spell it: in-progress is IN_PROGRESS.
func stateOf(eventType, beginning string) string {
	word, found := strings.CutPrefix(eventType, beginning)
	if !found {
		return ""
	}
	return strings.ToUpper(strings.ReplaceAll(word, "-", "_"))
}
