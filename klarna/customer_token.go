package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

// CustomerTokens is the family of charging a customer by a token. Unlike Klarna Payments it takes idempotency keys.
const CustomerTokens Family = "customer_token"

// IntentTokenize is the session intent whose authorization becomes a customer token and no order.
const IntentTokenize = "tokenize"

// UseSubscription is the one use of a customer token that Klarna knows. One page of its documents writes it in lower
// case; the schema counts.
const UseSubscription = "SUBSCRIPTION"

// CustomerTokenRequest says what a token shall be good for. It holds personal data.
type CustomerTokenRequest struct {
	Description      string           `json:"description"`  // what the customer agreed to, 1 to 255
	IntendedUse      string           `json:"intended_use"` // UseSubscription
	Locale           string           `json:"locale"`
	PurchaseCountry  string           `json:"purchase_country"`
	PurchaseCurrency string           `json:"purchase_currency"`
	BillingAddress   *CustomerAddress `json:"billing_address,omitempty"`
	Customer         *Customer        `json:"customer,omitempty"`
}

// NewCustomerToken is a token that was made. TokenID is a credential; the rest may hold personal data.
type NewCustomerToken struct {
	TokenID                string           `json:"token_id"`
	PaymentMethodReference string           `json:"payment_method_reference,omitempty"`
	RedirectURL            string           `json:"redirect_url,omitempty"` // where to send the customer; optional
	BillingAddress         *CustomerAddress `json:"billing_address,omitempty"`
	Customer               *Customer        `json:"customer,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// CustomerTokenStatus is the status of a customer token, in Klarna's word.
type CustomerTokenStatus string

// Klarna: a cancelled token stays cancelled.
const (
	TokenActive    CustomerTokenStatus = "ACTIVE"
	TokenCancelled CustomerTokenStatus = "CANCELLED"
	TokenSuspended CustomerTokenStatus = "SUSPENDED"
)

// CustomerToken is what Klarna tells of a token.
type CustomerToken struct {
	Status            CustomerTokenStatus `json:"status"`
	PaymentMethodType string              `json:"payment_method_type,omitempty"` // INVOICE, CARD and others
	Card              *TokenCard          `json:"card,omitempty"`
	DirectDebit       *TokenDirectDebit   `json:"direct_debit,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// TokenCard is the card behind a token, with most of its number masked.
type TokenCard struct {
	Brand        string `json:"brand,omitempty"`
	ExpiryDate   string `json:"expiry_date,omitempty"` // such as 12/2030
	MaskedNumber string `json:"masked_number,omitempty"`
}

// TokenDirectDebit is the bank account behind a token, with most of its number masked.
type TokenDirectDebit struct {
	MaskedNumber string `json:"masked_number,omitempty"`
}

// StepUpSupported asks Klarna for a step_up_id if a charge fails. Its default is not to.
const StepUpSupported = "SUPPORTED"

// TokenOrderRequest is a purchase without the customer. Klarna: lines may be half as large as in Klarna Payments.
type TokenOrderRequest struct {
	PurchaseCurrency   string           `json:"purchase_currency"`
	OrderAmount        int64            `json:"order_amount"`     // minor units, at least 1
	OrderTaxAmount     int64            `json:"order_tax_amount"` // minor units
	OrderLines         []OrderLine      `json:"order_lines"`
	AutoCapture        bool             `json:"auto_capture,omitempty"` // Klarna: by contract only
	MerchantReference1 string           `json:"merchant_reference1,omitempty"`
	MerchantReference2 string           `json:"merchant_reference2,omitempty"`
	MerchantData       string           `json:"merchant_data,omitempty"`
	MerchantURLs       *MerchantURLs    `json:"merchant_urls,omitempty"` // Klarna: with a confirmation or not at all
	ShippingAddress    *CustomerAddress `json:"shipping_address,omitempty"`
	StepUp             string           `json:"step_up,omitempty"`
}

const customerTokenPath = "/customer-token/v1/tokens/{customer_token}"

// CreateCustomerToken makes a token of an authorization. Klarna takes no idempotency key here and does not say what a
// repeat brings.
func (c *Client) CreateCustomerToken(ctx context.Context, authorization string, token CustomerTokenRequest) (NewCustomerToken, error) {
	var made NewCustomerToken
	err := c.do(ctx, call{
		operation: "purchaseToken", family: Payments, method: http.MethodPost,
		path: "/payments/v1/authorizations/{authorization_token}/customer-token", ids: []string{authorization}, body: token, country: token.PurchaseCountry,
		read: func(a answer) error {
			if err := into(&made, &made.Raw)(a); err != nil {
				return err
			}
			if made.TokenID == "" {
				return errors.New("no token_id")
			}
			return nil
		},
	})
	if err != nil {
		return NewCustomerToken{}, err
	}
	return made, nil
}

// CustomerToken reads a token.
func (c *Client) CustomerToken(ctx context.Context, token string) (CustomerToken, error) {
	var read CustomerToken
	err := c.do(ctx, call{
		operation: "readCustomerToken", family: CustomerTokens, method: http.MethodGet,
		path: customerTokenPath, ids: []string{token},
		read: into(&read, &read.Raw),
	})
	if err != nil {
		return CustomerToken{}, err
	}
	return read, nil
}

// ChargeCustomerToken makes an order by a token. Klarna: without a key a repeat charges again; with one a repeat within
// 24 hours gets the first result, whatever its body says. A refusal may carry [Error].StepUpID.
func (c *Client) ChargeCustomerToken(ctx context.Context, key, token string, order TokenOrderRequest) (PlacedOrder, error) {
	var placed PlacedOrder
	err := c.do(ctx, call{
		operation: "createOrder", family: CustomerTokens, method: http.MethodPost,
		path: customerTokenPath + "/order", ids: []string{token}, key: key, body: order,
		read: func(a answer) error {
			if err := into(&placed, &placed.Raw)(a); err != nil {
				return err
			}
			if placed.OrderID == "" {
				return errors.New("no order_id")
			}
			return nil
		},
	})
	if err != nil {
		return PlacedOrder{}, err
	}
	return placed, nil
}

// CancelCustomerToken ends a token for good. Klarna does it a little later, and takes no idempotency key.
func (c *Client) CancelCustomerToken(ctx context.Context, token string) error {
	return c.do(ctx, call{
		operation: "patchCustomerToken", family: CustomerTokens, method: http.MethodPatch,
		path: customerTokenPath + "/status", ids: []string{token},
		body: struct {
			Status CustomerTokenStatus `json:"status"`
		}{TokenCancelled},
	})
}

// LogValue keeps personal data out of logs.
func (r CustomerTokenRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("intended_use", r.IntendedUse), slog.String("purchase_currency", r.PurchaseCurrency))
}

// LogValue keeps the token and personal data out of logs.
func (t NewCustomerToken) LogValue() slog.Value {
	return slog.GroupValue(slog.String("payment_method_reference", t.PaymentMethodReference))
}

// LogValue keeps personal data out of logs.
func (r TokenOrderRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("merchant_reference1", r.MerchantReference1), slog.Int64("order_amount", r.OrderAmount))
}
