package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

const (
	transactionPath    = networkPaymentPath + "/transactions/{payment_transaction_id}"
	networkCapturePath = networkPaymentPath + "/captures/{payment_capture_id}"
)

// TransactionState is the state of a payment transaction, in Klarna's word.
type TransactionState string

// Klarna: AUTHORIZED has something left to capture; COMPLETED has not; EXPIRED may be authorized again for 7 days, then
// it is CLOSED; in CLOSED nothing more is possible, not even refunds.
const (
	TransactionAuthorized TransactionState = "AUTHORIZED"
	TransactionCompleted  TransactionState = "COMPLETED"
	TransactionExpired    TransactionState = "EXPIRED"
	TransactionClosed     TransactionState = "CLOSED"
)

// AuthorizationResult is what became of an authorization, in Klarna's word.
type AuthorizationResult string

// Klarna: STEP_UP_REQUIRED comes with a payment request that asks the customer.
const (
	AuthorizationApproved AuthorizationResult = "APPROVED"
	AuthorizationDeclined AuthorizationResult = "DECLINED"
	AuthorizationStepUp   AuthorizationResult = "STEP_UP_REQUIRED"
)

// When a transaction is captured.
const (
	CaptureNow   = "NOW"
	CaptureLater = "LATER" // Klarna's default
)

// FundingNonGuaranteed is the type of a funding whose risk is the partner's: only there the state of the funding counts.
const FundingNonGuaranteed = "NON_GUARANTEED"

// States of a funding, in Klarna's word.
const (
	FundingPending = "PENDING"
	FundingFunded  = "FUNDED"
	FundingExpired = "EXPIRED"
)

// AuthorizeTokens are a customer's tokens that an authorization may go by. At most one is set.
type AuthorizeTokens struct {
	Session  Secret // of a completed payment request, good for an hour and for one transaction
	Customer Secret // of a customer who is known
}

// AuthorizeRequest asks for a transaction. It may hold personal data.
type AuthorizeRequest struct {
	Currency                  string           `json:"currency"`
	RequestPaymentTransaction NewTransaction   `json:"request_payment_transaction"`
	SupplementaryPurchaseData *PurchaseData    `json:"supplementary_purchase_data,omitempty"`
	StepUpConfig              *StepUpConfig    `json:"step_up_config,omitempty"` // Klarna: without it nobody can be asked
	AcquiringConfig           *AcquiringConfig `json:"acquiring_config,omitempty"`
	ShippingConfig            json.RawMessage  `json:"shipping_config,omitempty"`
	PointOfCheckout           *PointOfCheckout `json:"point_of_checkout,omitempty"`
}

// NewTransaction is the transaction that is wanted.
type NewTransaction struct {
	Amount                      int64  `json:"amount"` // minor units
	PaymentTransactionReference string `json:"payment_transaction_reference,omitempty"`
	Capture                     string `json:"capture,omitempty"` // CaptureLater or CaptureNow
	PaymentOptionID             string `json:"payment_option_id,omitempty"`
}

// StepUpConfig is for the payment request that Klarna opens if the customer has to be asked.
type StepUpConfig struct {
	PaymentRequestReference   string               `json:"payment_request_reference,omitempty"`
	CustomerInteractionConfig *CustomerInteraction `json:"customer_interaction_config,omitempty"`
}

// Authorization is what became of an authorization.
type Authorization struct {
	Response       AuthorizationResponse `json:"payment_transaction_response"`
	PaymentRequest *PaymentRequest       `json:"payment_request,omitempty"` // with AuthorizationStepUp

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// AuthorizationResponse holds the result and, if it was approved, the transaction.
type AuthorizationResponse struct {
	Result             AuthorizationResult `json:"result"`
	ResultReason       string              `json:"result_reason,omitempty"`
	PaymentTransaction *Transaction        `json:"payment_transaction,omitempty"`
}

// Transaction is a payment transaction. Klarna documents its ids, amount, currency, state, funding and captures; what
// else it may tell is read where it is there. Amounts are in minor units.
type Transaction struct {
	PaymentTransactionID        string           `json:"payment_transaction_id"`
	PaymentTransactionReference string           `json:"payment_transaction_reference,omitempty"`
	PaymentRequestID            string           `json:"payment_request_id,omitempty"`
	PaymentAccountID            string           `json:"payment_account_id,omitempty"`
	PurchaseReference           string           `json:"purchase_reference,omitempty"`
	State                       TransactionState `json:"state,omitempty"`
	Currency                    string           `json:"currency,omitempty"`
	Amount                      int64            `json:"amount,omitempty"`
	ToldCaptured                *int64           `json:"captured_amount,omitempty"`
	ToldRefunded                *int64           `json:"refunded_amount,omitempty"`
	ToldRemaining               *int64           `json:"remaining_authorized_amount,omitempty"`
	Funding                     *Funding         `json:"payment_funding,omitempty"`
	Captures                    []NetworkCapture `json:"payment_captures,omitempty"`
	Refunds                     []NetworkRefund  `json:"payment_refunds,omitempty"`
	CreatedAt                   Instant          `json:"created_at,omitzero"` // zero if it is not told
	ExpiresAt                   Instant          `json:"expires_at,omitzero"` // zero if it is not told

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// Funding says whether the customer's money is there.
type Funding struct {
	Type  string `json:"type,omitempty"` // GUARANTEED or FundingNonGuaranteed
	State string `json:"state,omitempty"`
}

// CapturedAmount is what is captured: as told, or the sum of the captures.
func (t Transaction) CapturedAmount() int64 {
	if t.ToldCaptured != nil {
		return *t.ToldCaptured
	}
	total := int64(0)
	for _, c := range t.Captures {
		total += c.CapturedAmount()
	}
	return total
}

// RefundedAmount is what is refunded: as told, or the sum of the refunds.
func (t Transaction) RefundedAmount() int64 {
	if t.ToldRefunded != nil {
		return *t.ToldRefunded
	}
	total := int64(0)
	for _, r := range t.Refunds {
		total += r.RefundedAmount()
	}
	return total
}

// RemainingAmount is what can still be captured: as told, or what follows from the state.
func (t Transaction) RemainingAmount() int64 {
	switch {
	case t.ToldRemaining != nil:
		return *t.ToldRemaining
	case t.State == TransactionCompleted || t.State == TransactionExpired || t.State == TransactionClosed:
		return 0
	}
	return max(t.Amount-t.CapturedAmount(), 0)
}

// TransactionUpdate changes what is set and keeps the rest. Klarna: while AUTHORIZED.
type TransactionUpdate struct {
	Amount                      *int64        `json:"amount,omitempty"`
	PaymentTransactionReference string        `json:"payment_transaction_reference,omitempty"`
	SupplementaryPurchaseData   *PurchaseData `json:"supplementary_purchase_data,omitempty"`
}

// ExtendRequest authorizes a transaction again. What is zero keeps its value.
type ExtendRequest struct {
	Amount        *int64 `json:"amount,omitempty"` // minor units
	ExtensionDays int32  `json:"extension_days,omitempty"`
}

// Authorize asks for a transaction. Klarna: a second one by the same session token is refused with 409.
func (c *Client) Authorize(ctx context.Context, key, partnerAccountID string, by AuthorizeTokens, in AuthorizeRequest) (Authorization, error) {
	var made Authorization
	err := c.do(ctx, call{
		operation: "authorizePayment", family: Network, method: http.MethodPost, path: networkPaymentPath + "/authorize",
		ids: []string{partnerAccountID}, key: key, body: in,
		tokens: map[string]Secret{headerSessionToken: by.Session, headerCustomerToken: by.Customer},
		read: func(a answer) error {
			if err := into(&made, &made.Raw)(a); err != nil {
				return err
			}
			if t := made.Response.PaymentTransaction; made.Response.Result == AuthorizationApproved && (t == nil || t.PaymentTransactionID == "") {
				return errors.New("approved without a payment_transaction_id")
			}
			return nil
		},
	})
	if err != nil {
		return Authorization{}, err
	}
	return made, nil
}

// Transaction reads a transaction.
func (c *Client) Transaction(ctx context.Context, partnerAccountID, id string) (Transaction, error) {
	k := call{operation: "readPaymentTransaction", path: transactionPath, ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, rawOfTransaction)
}

// UpdateTransaction changes a transaction.
func (c *Client) UpdateTransaction(ctx context.Context, key, partnerAccountID, id string, update TransactionUpdate) (Transaction, error) {
	k := call{operation: "updatePaymentTransaction", method: http.MethodPatch, path: transactionPath, body: update}
	return c.changeTransaction(ctx, k, key, partnerAccountID, id)
}

// VoidTransaction gives back what is not captured.
func (c *Client) VoidTransaction(ctx context.Context, key, partnerAccountID, id string) (Transaction, error) {
	k := call{operation: "voidPaymentTransaction", method: http.MethodPost, path: transactionPath + "/void"}
	return c.changeTransaction(ctx, k, key, partnerAccountID, id)
}

// ExtendTransaction authorizes a transaction again: for longer, or for another amount.
func (c *Client) ExtendTransaction(ctx context.Context, key, partnerAccountID, id string, in ExtendRequest) (Transaction, error) {
	k := call{operation: "extendPaymentTransaction", method: http.MethodPost, path: transactionPath + "/authorize", body: in}
	return c.changeTransaction(ctx, k, key, partnerAccountID, id)
}

func (c *Client) changeTransaction(ctx context.Context, k call, key, partnerAccountID, id string) (Transaction, error) {
	k.key, k.ids = key, []string{partnerAccountID, id}
	return changePart(ctx, c, k, Transaction{PaymentTransactionID: id}, rawOfTransaction)
}

func rawOfTransaction(t *Transaction) *json.RawMessage { return &t.Raw }

// LogValue keeps people out of logs.
func (in AuthorizeRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("payment_transaction_reference", in.RequestPaymentTransaction.PaymentTransactionReference))
}

// LogValue keeps people out of logs.
func (u TransactionUpdate) LogValue() slog.Value {
	return slog.GroupValue(slog.String("payment_transaction_reference", u.PaymentTransactionReference))
}

// LogValue keeps people out of logs.
func (t Transaction) LogValue() slog.Value {
	return slog.GroupValue(slog.String("payment_transaction_id", t.PaymentTransactionID), slog.String("state", string(t.State)))
}

// LogValue keeps tokens out of logs.
func (a Authorization) LogValue() slog.Value {
	return slog.GroupValue(slog.String("result", string(a.Response.Result)))
}
