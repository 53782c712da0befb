package klarna

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// EventPaymentStatusUpdated is the event type of every PaymentStatusNotification known today.
const EventPaymentStatusUpdated = "non_guaranteed_payment.updated"

// PaymentStatus says whether the money of a Pay Now Standalone order is there, in Klarna's word.
type PaymentStatus string

// Klarna: unpaid becomes paid or closed, both for good. Notifications may come in any order.
const (
	PaymentUnpaid PaymentStatus = "UNPAID"
	PaymentPaid   PaymentStatus = "PAID"
	PaymentClosed PaymentStatus = "CLOSED" // Klarna cancels or refunds the order
)

// PaymentStatusNotification is the signed post of Pay Now Standalone (also named Klarna Debit Risk and Non-Guaranteed
// Payments). Verify the bytes before parsing them. It holds personal data.
type PaymentStatusNotification struct {
	EventID    string               `json:"event_id"` // the same on every repeat
	EventType  string               `json:"event_type"`
	OccurredAt Instant              `json:"occurred_at"`
	Payload    PaymentStatusPayload `json:"payload"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// PaymentStatusPayload is an order's payment status. Amounts are in minor units.
type PaymentStatusPayload struct {
	OrderID            string            `json:"order_id"`
	CreatedAt          Instant           `json:"created_at,omitzero"`
	PurchaseCurrency   string            `json:"purchase_currency,omitempty"`
	OrderAmount        int64             `json:"order_amount"`
	MerchantID         string            `json:"merchant_id,omitempty"`
	MerchantReference1 string            `json:"merchant_reference1,omitempty"`
	MerchantReference2 string            `json:"merchant_reference2,omitempty"`
	PaymentStatus      PaymentStatus     `json:"payment_status"`
	ExpectedPayments   []ExpectedPayment `json:"expected_payments"`
	Payments           []ReceivedPayment `json:"payments"` // Klarna: empty until PAID; may differ from what was expected
}

// ExpectedPayment is a transfer that Klarna waits for.
type ExpectedPayment struct {
	PaymentAmount int64  `json:"payment_amount"`
	Debtor        Debtor `json:"debtor"`
}

// ReceivedPayment is a transfer that arrived.
type ReceivedPayment struct {
	PaymentAmount     int64   `json:"payment_amount"`
	PaymentReceivedAt Instant `json:"payment_received_at,omitzero"`
	Debtor            Debtor  `json:"debtor"`
}

// Debtor is who pays, and from where: an IBAN, or account number and bank code where there are no IBANs.
type Debtor struct {
	AccountHolderName string `json:"account_holder_name,omitempty"`
	IBAN              string `json:"iban,omitempty"`
	AccountNumber     string `json:"account_number,omitempty"`
	BankCode          string `json:"bank_code,omitempty"`
	BIC               string `json:"bic,omitempty"`
	BankName          string `json:"bank_name,omitempty"`
}

// ParsePaymentStatus reads a notification's body. Event types it does not know are fine; event_id, event_type and
// order_id have to be there, and the error names the one that is missing.
func ParsePaymentStatus(body []byte) (PaymentStatusNotification, error) {
	var n PaymentStatusNotification
	if err := json.Unmarshal(body, &n); err != nil {
		return PaymentStatusNotification{}, fmt.Errorf("payment status notification: %w", err)
	}
	err := demand("event_id", n.EventID, "event_type", n.EventType, "payload.order_id", n.Payload.OrderID)
	if err != nil {
		return PaymentStatusNotification{}, fmt.Errorf("payment status notification: %w", err)
	}
	n.Raw = body
	return n, nil
}

// LogValue keeps personal data out of logs.
func (n PaymentStatusNotification) LogValue() slog.Value {
	return slog.GroupValue(slog.String("event_id", n.EventID), slog.String("event_type", n.EventType),
		slog.String("payment_status", string(n.Payload.PaymentStatus)))
}

// AuthorizationCallback is the unsigned post to MerchantURLs.Authorization: a hint to read the session. It may come
// twice, late, or never.
type AuthorizationCallback struct {
	AuthorizationToken string `json:"authorization_token"`
	SessionID          string `json:"session_id"`
	MerchantReference1 string `json:"merchant_reference1,omitempty"`
	MerchantReference2 string `json:"merchant_reference2,omitempty"`
}

// ParseAuthorizationCallback reads a callback's body. The error names the field that is missing.
func ParseAuthorizationCallback(body []byte) (AuthorizationCallback, error) {
	var callback AuthorizationCallback
	if err := json.Unmarshal(body, &callback); err != nil {
		return AuthorizationCallback{}, fmt.Errorf("authorization callback: %w", err)
	}
	err := demand("session_id", callback.SessionID, "authorization_token", callback.AuthorizationToken)
	if err != nil {
		return AuthorizationCallback{}, fmt.Errorf("authorization callback: %w", err)
	}
	return callback, nil
}

// LogValue keeps the token out of logs.
func (c AuthorizationCallback) LogValue() slog.Value {
	return slog.GroupValue(slog.String("session_id", c.SessionID))
}

// demand takes names and values in turn and names all that are empty.
func demand(pairs ...string) error {
	var missing []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			missing = append(missing, pairs[i])
		}
	}
	if len(missing) > 0 {
		return errors.New("missing " + strings.Join(missing, ", "))
	}
	return nil
}

// timestamp reads ISO 8601 with a zone and any number of sub-second digits. What it cannot read is zero: an event
// that moves money is not lost over its clock.
type timestamp time.Time

func (t *timestamp) UnmarshalJSON(data []byte) error {
	*t = timestamp{}
	text := string(bytes.Trim(data, `"`))
	if bytes.IndexByte(data, 0x5c) >= 0 && json.Unmarshal(data, &text) != nil { // 0x5c begins an escape
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			*t = timestamp(at)
			return nil
		}
	}
	return nil
}

// Instant is a time that Klarna tells. One that cannot be read is zero.
type Instant struct{ time.Time }

// UnmarshalJSON forgives a timestamp that cannot be read.
func (i *Instant) UnmarshalJSON(data []byte) error {
	var at timestamp
	err := at.UnmarshalJSON(data)
	i.Time = time.Time(at)
	return err
}
