package klarna

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// NetworkCapture claims part or all of a transaction. Klarna: at most 200 a transaction. One place of its documents calls
// the amount capture_amount, as the request does, the others amount.
type NetworkCapture struct {
	PaymentCaptureID        string  `json:"payment_capture_id"`
	PaymentCaptureReference string  `json:"payment_capture_reference,omitempty"`
	PaymentTransactionID    string  `json:"payment_transaction_id,omitempty"`
	CaptureAmount           int64   `json:"capture_amount,omitempty"`
	Amount                  int64   `json:"amount,omitempty"`
	Currency                string  `json:"currency,omitempty"`
	ToldRefunded            int64   `json:"refunded_amount,omitempty"`
	CapturedAt              Instant `json:"captured_at,omitzero"`
	CreatedAt               Instant `json:"created_at,omitzero"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// CapturedAmount is the capture's amount, whatever Klarna calls it.
func (c NetworkCapture) CapturedAmount() int64 { return cmp.Or(c.CaptureAmount, c.Amount) }

// At is when it was made, zero if that is not told.
func (c NetworkCapture) At() time.Time {
	if !c.CapturedAt.IsZero() {
		return c.CapturedAt.Time
	}
	return c.CreatedAt.Time
}

// NetworkRefund returns money to the customer. Klarna's names differ by where it comes from.
type NetworkRefund struct {
	PaymentRefundID        string  `json:"payment_refund_id"`
	PaymentRefundReference string  `json:"payment_refund_reference,omitempty"`
	PlainReference         string  `json:"refund_reference,omitempty"`
	PaymentTransactionID   string  `json:"payment_transaction_id,omitempty"`
	PaymentCaptureID       string  `json:"payment_capture_id,omitempty"`
	RefundAmount           int64   `json:"refund_amount,omitempty"`
	Amount                 int64   `json:"amount,omitempty"`
	Currency               string  `json:"currency,omitempty"`
	RefundedAt             Instant `json:"refunded_at,omitzero"`
	CreatedAt              Instant `json:"created_at,omitzero"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// RefundedAmount is the refund's amount, whatever Klarna calls it.
func (r NetworkRefund) RefundedAmount() int64 { return cmp.Or(r.RefundAmount, r.Amount) }

// Reference is the refund's reference, whatever Klarna calls it.
func (r NetworkRefund) Reference() string {
	return cmp.Or(r.PaymentRefundReference, r.PlainReference)
}

// At is when it was made, zero if that is not told.
func (r NetworkRefund) At() time.Time {
	if !r.RefundedAt.IsZero() {
		return r.RefundedAt.Time
	}
	return r.CreatedAt.Time
}

// Chargeback is money that Klarna took back for the customer. Klarna documents that it can be read, and little more.
type Chargeback struct {
	PaymentChargebackID  string  `json:"payment_chargeback_id"`
	PaymentTransactionID string  `json:"payment_transaction_id,omitempty"`
	PaymentCaptureID     string  `json:"payment_capture_id,omitempty"`
	PaymentDisputeID     string  `json:"payment_dispute_id,omitempty"`
	ChargebackAmount     int64   `json:"chargeback_amount,omitempty"`
	Amount               int64   `json:"amount,omitempty"`
	Currency             string  `json:"currency,omitempty"`
	Reason               string  `json:"reason,omitempty"`
	CreatedAt            Instant `json:"created_at,omitzero"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// ChargedBackAmount is the chargeback's amount, whatever Klarna calls it.
func (c Chargeback) ChargedBackAmount() int64 { return cmp.Or(c.ChargebackAmount, c.Amount) }

// NetworkCaptureRequest claims part or all of a transaction.
type NetworkCaptureRequest struct {
	CaptureAmount            int64           `json:"capture_amount"` // minor units
	PaymentCaptureReference  string          `json:"payment_capture_reference,omitempty"`
	RemainingAuthorization   string          `json:"remaining_authorization,omitempty"` // ReleaseRemaining, or empty to keep it
	SupplementaryCaptureData json.RawMessage `json:"supplementary_capture_data,omitempty"`
}

// LogValue keeps people out of logs, to whom shipments may go.
func (in NetworkCaptureRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("payment_capture_reference", in.PaymentCaptureReference), slog.Int64("capture_amount", in.CaptureAmount))
}

// ReleaseRemaining gives back with a capture what it leaves.
const ReleaseRemaining = "RELEASE"

// NetworkRefundRequest returns money of a transaction, or of one capture of it. Klarna: the reference is called
// refund_reference there, and payment_refund_reference here.
type NetworkRefundRequest struct {
	RefundAmount int64 // minor units
	Reference    string
}

// CaptureTransaction claims part or all of a transaction. Klarna does not document its answer: it is read as the capture,
// or as the transaction that has it by its reference.
func (c *Client) CaptureTransaction(ctx context.Context, key, partnerAccountID, id string, in NetworkCaptureRequest) (NetworkCapture, error) {
	var made struct {
		NetworkCapture
		All []NetworkCapture `json:"payment_captures"`
	}
	err := c.do(ctx, call{
		operation: "capturePaymentTransaction", family: Network, method: http.MethodPost, path: transactionPath + "/capture",
		ids: []string{partnerAccountID, id}, key: key, body: in,
		read: func(a answer) error {
			if err := into(&made, &made.Raw)(a); err != nil {
				return err
			}
			for _, one := range made.All {
				if made.PaymentCaptureID == "" && one.PaymentCaptureReference == in.PaymentCaptureReference {
					one.Raw, made.NetworkCapture = made.Raw, one
				}
			}
			return named("payment_capture_id", made.PaymentCaptureID)
		},
	})
	if err != nil {
		return NetworkCapture{}, err
	}
	return made.NetworkCapture, nil
}

// RefundTransaction returns money of a transaction.
func (c *Client) RefundTransaction(ctx context.Context, key, partnerAccountID, id string, in NetworkRefundRequest) (NetworkRefund, error) {
	return c.refundNetwork(ctx, in, call{
		operation: "refundPaymentTransaction", path: transactionPath + "/refund", ids: []string{partnerAccountID, id}, key: key,
		body: struct {
			RefundAmount int64  `json:"refund_amount"`
			Reference    string `json:"refund_reference,omitempty"`
		}(in),
	})
}

// RefundCapture returns money of one capture.
func (c *Client) RefundCapture(ctx context.Context, key, partnerAccountID, captureID string, in NetworkRefundRequest) (NetworkRefund, error) {
	return c.refundNetwork(ctx, in, call{
		operation: "refundPaymentCapture", path: networkCapturePath + "/refund", ids: []string{partnerAccountID, captureID}, key: key,
		body: struct {
			RefundAmount int64  `json:"refund_amount"`
			Reference    string `json:"payment_refund_reference,omitempty"`
		}(in),
	})
}

// refundNetwork reads the answer as the refund, or as what has it by its reference.
func (c *Client) refundNetwork(ctx context.Context, in NetworkRefundRequest, k call) (NetworkRefund, error) {
	var made struct {
		NetworkRefund
		All []NetworkRefund `json:"payment_refunds"`
	}
	k.family, k.method = Network, http.MethodPost
	k.read = func(a answer) error {
		if err := into(&made, &made.Raw)(a); err != nil {
			return err
		}
		for _, one := range made.All {
			if made.PaymentRefundID == "" && one.Reference() == in.Reference {
				one.Raw, made.NetworkRefund = made.Raw, one
			}
		}
		return named("payment_refund_id", made.PaymentRefundID)
	}
	if err := c.do(ctx, k); err != nil {
		return NetworkRefund{}, err
	}
	return made.NetworkRefund, nil
}

func named(name, id string) error {
	if id == "" {
		return fmt.Errorf("no %s", name)
	}
	return nil
}

// NetworkCapture reads a capture.
func (c *Client) NetworkCapture(ctx context.Context, partnerAccountID, id string) (NetworkCapture, error) {
	k := call{operation: "readPaymentCapture", path: networkCapturePath, ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, func(r *NetworkCapture) *json.RawMessage { return &r.Raw })
}

// NetworkRefund reads a refund.
func (c *Client) NetworkRefund(ctx context.Context, partnerAccountID, id string) (NetworkRefund, error) {
	k := call{operation: "readPaymentRefund", path: networkPaymentPath + "/refunds/{payment_refund_id}", ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, func(r *NetworkRefund) *json.RawMessage { return &r.Raw })
}

// Chargeback reads a chargeback.
func (c *Client) Chargeback(ctx context.Context, partnerAccountID, id string) (Chargeback, error) {
	k := call{operation: "readPaymentChargeback", path: networkPaymentPath + "/chargebacks/{payment_chargeback_id}", ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, func(r *Chargeback) *json.RawMessage { return &r.Raw })
}

// CancelPaymentToken ends a token that nobody will pay by. It takes no idempotency key, and needs none.
func (c *Client) CancelPaymentToken(ctx context.Context, partnerAccountID string, token Secret) error {
	return c.do(ctx, call{
		operation: "cancelPaymentToken", family: Network, method: http.MethodDelete, path: networkPaymentPath + "/tokens/{payment_token}",
		ids: []string{partnerAccountID, token.Reveal()}, oncePerToken: true,
	})
}
