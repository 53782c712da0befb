package klarna

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Event types of the Klarna Network that we act upon. Klarna sends others, and will invent more.
const (
	EventAccountOperational        = "partner.account.state-change.operational"
	EventAccountChangeCreated      = "partner.account.change.created"
	EventBrandDataIncomplete       = "partner.account.brand.data-incomplete" // informs, blocks nothing
	EventProductDisabled           = "partner.account.product.payment.state-change.disabled"
	EventProductEnabled            = "partner.account.product.payment.state-change.enabled"
	EventComplianceDecisionCreated = "partner.compliance.decision.created"
)

// NetworkNotification is the signed post of the Klarna Network. Verify the bytes before parsing them.
type NetworkNotification struct {
	Metadata NetworkMetadata `json:"metadata"`
	Payload  json.RawMessage `json:"payload"` // as received; its form depends on the event type

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// NetworkMetadata says what a notification is about.
type NetworkMetadata struct {
	EventID            string  `json:"event_id"` // the same on every repeat
	EventType          string  `json:"event_type"`
	EventVersion       string  `json:"event_version,omitempty"` // v1 or v2, as subscribed
	OccurredAt         Instant `json:"occurred_at"`
	SubjectAccountID   string  `json:"subject_account_id,omitempty"`   // the merchant
	RecipientAccountID string  `json:"recipient_account_id,omitempty"` // we
	WebhookID          string  `json:"webhook_id,omitempty"`           // the subscription that fired
	Live               *bool   `json:"live,omitempty"`                 // production or not; nil if Klarna does not say
	ProductInstanceID  string  `json:"product_instance_id,omitempty"`  // absent for events of the account itself
	CorrelationID      string  `json:"correlation_id,omitempty"`
	MerchantID         string  `json:"merchant_id,omitempty"`
}

// ParseNetwork reads a notification's body. Event types it does not know are fine; event_id and event_type have to be
// there, and the error names the one that is missing. Klarna: some events repeat them at top level; the metadata wins.
func ParseNetwork(body []byte) (NetworkNotification, error) {
	var n struct {
		NetworkNotification
		EventID    string  `json:"event_id"`
		EventType  string  `json:"event_type"`
		OccurredAt Instant `json:"occurred_at"`
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return NetworkNotification{}, fmt.Errorf("network notification: %w", err)
	}
	meta := &n.Metadata
	if meta.EventID == "" {
		meta.EventID = n.EventID
	}
	if meta.EventType == "" {
		meta.EventType = n.EventType
	}
	if meta.OccurredAt.IsZero() {
		meta.OccurredAt = n.OccurredAt
	}
	if err := demand("metadata.event_id", meta.EventID, "metadata.event_type", meta.EventType); err != nil {
		return NetworkNotification{}, fmt.Errorf("network notification: %w", err)
	}
	n.Raw = body
	return n.NetworkNotification, nil
}

// PartnerPayload is what partner.* events may say. Klarna documents their metadata alone: every field may be empty,
// and for anything that matters the account is to be read.
type PartnerPayload struct {
	PartnerAccountID string            `json:"partner_account_id"` // else the metadata's subject
	State            string            `json:"state"`              // an AccountState or a ProductState, by event type
	PreviousState    string            `json:"previous_state"`
	StateReason      string            `json:"state_reason"`
	ProductID        string            `json:"product_id"` // else the metadata's product instance
	BrandID          string            `json:"brand_id"`
	BrandReference   string            `json:"brand_reference"`
	IncompleteFields []IncompleteField `json:"incomplete_fields"`
}

// IncompleteField is a brand field that Klarna could not use.
type IncompleteField struct {
	Field  string `json:"field"` // such as "element.logo_url"
	Reason string `json:"reason"`
}

// UnmarshalJSON takes an object or a bare field name.
func (f *IncompleteField) UnmarshalJSON(data []byte) error {
	type object IncompleteField
	var name string
	if json.Unmarshal(data, &name) == nil {
		*f = IncompleteField{Field: name}
		return nil
	}
	return json.Unmarshal(data, (*object)(f))
}

// PartnerPayload reads the payload of a partner.* event as far as it can be read.
func (n NetworkNotification) PartnerPayload() PartnerPayload {
	var p PartnerPayload
	_ = json.Unmarshal(n.Payload, &p) // a member of the wrong type leaves the others filled
	if p.PartnerAccountID == "" {
		p.PartnerAccountID = n.Metadata.SubjectAccountID
	}
	if p.ProductID == "" {
		p.ProductID = n.Metadata.ProductInstanceID
	}
	return p
}

// LogValue keeps the payload out of logs.
func (n NetworkNotification) LogValue() slog.Value {
	return slog.GroupValue(slog.String("event_id", n.Metadata.EventID), slog.String("event_type", n.Metadata.EventType))
}
