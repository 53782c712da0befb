package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// SessionStatus is the status of a payment session, in Klarna's word.
type SessionStatus string

// Klarna: a session is complete once an order was placed.
const (
	SessionIncomplete SessionStatus = "incomplete"
	SessionComplete   SessionStatus = "complete"
)

// IntentBuy is the session intent that Pay Now Standalone demands.
const IntentBuy = "buy"

// Session is a Klarna Payments session: a cart, a customer, and where Klarna calls back. Klarna: it lives 48 hours, or
// until an order is placed. It holds personal data and tokens.
type Session struct {
	PurchaseCountry  string      `json:"purchase_country,omitempty"`  // ISO 3166-1 alpha-2
	PurchaseCurrency string      `json:"purchase_currency,omitempty"` // ISO 4217; Klarna: the country's own
	Locale           string      `json:"locale,omitempty"`            // such as de-DE; Klarna's default is en-US
	Intent           string      `json:"intent,omitempty"`            // buy, tokenize, buy_and_tokenize and others
	AcquiringChannel string      `json:"acquiring_channel,omitempty"` // ECOMMERCE, IN_STORE, TELESALES
	OrderAmount      int64       `json:"order_amount"`                // minor units
	OrderTaxAmount   int64       `json:"order_tax_amount"`            // minor units
	OrderLines       []OrderLine `json:"order_lines,omitempty"`       // 1 to 1000

	MerchantURLs           *MerchantURLs    `json:"merchant_urls,omitempty"`
	BillingAddress         *CustomerAddress `json:"billing_address,omitempty"` // Klarna: better given at authorize
	ShippingAddress        *CustomerAddress `json:"shipping_address,omitempty"`
	Customer               *Customer        `json:"customer,omitempty"`
	Attachment             *Attachment      `json:"attachment,omitempty"`
	MerchantReference1     string           `json:"merchant_reference1,omitempty"`
	MerchantReference2     string           `json:"merchant_reference2,omitempty"`
	MerchantData           string           `json:"merchant_data,omitempty"`
	CustomPaymentMethodIDs []string         `json:"custom_payment_method_ids,omitempty"`
	Design                 string           `json:"design,omitempty"`
	Options                *Options         `json:"options,omitempty"`
	StepUpID               string           `json:"step_up_id,omitempty"` // create only, after a failed token charge

	// Set by Klarna; not sent.
	SessionID               string                  `json:"session_id,omitempty"`
	ClientToken             string                  `json:"client_token,omitempty"`        // for the customer's device
	AuthorizationToken      string                  `json:"authorization_token,omitempty"` // good for 60 minutes and one order
	ExpiresAt               time.Time               `json:"expires_at,omitzero"`
	Status                  SessionStatus           `json:"status,omitempty"`
	PaymentMethodCategories []PaymentMethodCategory `json:"payment_method_categories,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// MerchantURLs are where Klarna sends the customer and its own calls, all https. Klarna fills {session.id} and
// {order.id} in Confirmation, Notification and Push.
type MerchantURLs struct {
	Confirmation  string `json:"confirmation,omitempty"`
	Notification  string `json:"notification,omitempty"`
	Push          string `json:"push,omitempty"`
	Authorization string `json:"authorization,omitempty"`  // Klarna: mandatory for Pay Now Standalone
	AppReturnURL  string `json:"app_return_url,omitempty"` // custom scheme
}

// Attachment carries extra merchant data: JSON in a string.
type Attachment struct {
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
}

// Options are the colours of Klarna's widget.
type Options struct {
	ColorBorder         string `json:"color_border,omitempty"`
	ColorBorderSelected string `json:"color_border_selected,omitempty"`
	ColorDetails        string `json:"color_details,omitempty"`
	ColorText           string `json:"color_text,omitempty"`
	RadiusBorder        string `json:"radius_border,omitempty"`
}

// PaymentMethodCategory is a way to pay that Klarna offers in a session.
type PaymentMethodCategory struct {
	Identifier string    `json:"identifier"` // klarna, pay_now, pay_later and others
	Name       string    `json:"name,omitempty"`
	AssetURLs  AssetURLs `json:"asset_urls,omitzero"`
}

// AssetURLs are a category's badges.
type AssetURLs struct {
	Descriptive string `json:"descriptive,omitempty"`
	Standard    string `json:"standard,omitempty"`
}

// writable returns s without what Klarna sets.
func (s Session) writable() Session {
	s.SessionID, s.ClientToken, s.AuthorizationToken, s.Status = "", "", "", ""
	s.ExpiresAt, s.PaymentMethodCategories = time.Time{}, nil
	return s
}

// CreateSession opens a session. The result is Klarna's answer alone: id, client token, categories. Klarna takes no
// idempotency key here: every call makes a session, and one that is not used just expires.
func (c *Client) CreateSession(ctx context.Context, session Session) (Session, error) {
	var created Session
	err := c.do(ctx, call{
		operation: "createCreditSession", family: Payments, method: http.MethodPost,
		path: "/payments/v1/sessions", body: session.writable(), country: session.PurchaseCountry,
		read: func(a answer) error {
			if err := into(&created, &created.Raw)(a); err != nil {
				return err
			}
			if created.SessionID == "" {
				return errors.New("no session_id")
			}
			return nil
		},
	})
	if err != nil {
		return Session{}, err
	}
	return created, nil
}

// UpdateSession changes what is set in session and keeps the rest. The cart goes as a whole: amounts are sent with
// OrderLines, and without lines the cart stays as it is.
func (c *Client) UpdateSession(ctx context.Context, id string, session Session) error {
	update := struct {
		Session
		OrderAmount    *int64 `json:"order_amount,omitempty"` // these two hide the session's
		OrderTaxAmount *int64 `json:"order_tax_amount,omitempty"`
	}{Session: session.writable()}
	if len(session.OrderLines) > 0 {
		update.OrderAmount, update.OrderTaxAmount = &session.OrderAmount, &session.OrderTaxAmount
	}
	return c.do(ctx, call{
		operation: "updateCreditSession", family: Payments, method: http.MethodPost,
		path: "/payments/v1/sessions/{session_id}", ids: []string{id}, body: update, country: session.PurchaseCountry,
	})
}

// ReadSession reads a session. Its AuthorizationToken is how a lost authorization callback is made good.
func (c *Client) ReadSession(ctx context.Context, id string) (Session, error) {
	session := Session{SessionID: id} // Klarna: not part of the answer
	err := c.do(ctx, call{
		operation: "readCreditSession", family: Payments, method: http.MethodGet,
		path: "/payments/v1/sessions/{session_id}", ids: []string{id},
		read: into(&session, &session.Raw),
	})
	if err != nil {
		return Session{}, err
	}
	return session, nil
}

// LogValue keeps tokens and personal data out of logs.
func (s Session) LogValue() slog.Value {
	return slog.GroupValue(slog.String("session_id", s.SessionID), slog.String("status", string(s.Status)))
}
