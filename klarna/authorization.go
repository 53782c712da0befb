package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

// FraudStatus is Klarna's risk decision on an order, in Klarna's word.
type FraudStatus string

// Klarna: pending is possible in the US and UK only, for at most 24 hours.
const (
	FraudAccepted FraudStatus = "ACCEPTED"
	FraudPending  FraudStatus = "PENDING"
	FraudRejected FraudStatus = "REJECTED"
)

// PlaceOrderRequest turns an authorization into an order. Klarna: addresses and lines have to equal what was
// authorized, else 409. It holds personal data.
type PlaceOrderRequest struct {
	PurchaseCountry  string      `json:"purchase_country"`
	PurchaseCurrency string      `json:"purchase_currency"`
	Locale           string      `json:"locale,omitempty"`
	OrderAmount      int64       `json:"order_amount"`     // minor units
	OrderTaxAmount   int64       `json:"order_tax_amount"` // minor units
	OrderLines       []OrderLine `json:"order_lines"`
	AutoCapture      bool        `json:"auto_capture,omitempty"` // Klarna: by contract only

	MerchantURLs           *MerchantURLs    `json:"merchant_urls,omitempty"`
	BillingAddress         *CustomerAddress `json:"billing_address,omitempty"`
	ShippingAddress        *CustomerAddress `json:"shipping_address,omitempty"`
	Customer               *Customer        `json:"customer,omitempty"`
	MerchantReference1     string           `json:"merchant_reference1,omitempty"`
	MerchantReference2     string           `json:"merchant_reference2,omitempty"`
	MerchantData           string           `json:"merchant_data,omitempty"`
	CustomPaymentMethodIDs []string         `json:"custom_payment_method_ids,omitempty"`
}

// PlacedOrder is Klarna's answer to a placed order.
type PlacedOrder struct {
	OrderID                 string                   `json:"order_id"`
	FraudStatus             FraudStatus              `json:"fraud_status,omitempty"`
	RedirectURL             string                   `json:"redirect_url,omitempty"` // where to send the customer; optional
	AuthorizedPaymentMethod *AuthorizedPaymentMethod `json:"authorized_payment_method,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// AuthorizedPaymentMethod is how the customer chose to pay.
type AuthorizedPaymentMethod struct {
	Type                 string `json:"type"` // invoice, direct_bank_transfer and others
	NumberOfDays         int    `json:"number_of_days,omitempty"`
	NumberOfInstallments int    `json:"number_of_installments,omitempty"`
}

// UnmarshalJSON takes the object of Klarna's schema and the bare string of its samples. Anything else is left out: it
// must not cost us a placed order.
func (m *AuthorizedPaymentMethod) UnmarshalJSON(data []byte) error {
	type object AuthorizedPaymentMethod
	var asObject object
	var asText string
	switch {
	case json.Unmarshal(data, &asText) == nil:
		*m = AuthorizedPaymentMethod{Type: asText}
	case json.Unmarshal(data, &asObject) == nil:
		*m = AuthorizedPaymentMethod(asObject)
	}
	return nil
}

// CancelAuthorization gives up an authorization that will not become an order. A second call is refused with 404.
func (c *Client) CancelAuthorization(ctx context.Context, token string) error {
	return c.do(ctx, call{
		operation: "cancelAuthorization", family: Payments, method: http.MethodDelete,
		path: "/payments/v1/authorizations/{authorization_token}", ids: []string{token}, oncePerToken: true,
	})
}

// PlaceOrder makes the order. Klarna takes no idempotency key here: one token makes one order, and a repeat gets the
// first outcome again, the first error too; another body under the same token is refused with 409.
func (c *Client) PlaceOrder(ctx context.Context, token string, place PlaceOrderRequest) (PlacedOrder, error) {
	var placed PlacedOrder
	err := c.do(ctx, call{
		operation: "createOrder", family: Payments, method: http.MethodPost,
		path: "/payments/v1/authorizations/{authorization_token}/order", ids: []string{token}, oncePerToken: true, body: place, country: place.PurchaseCountry,
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

// LogValue keeps personal data out of logs.
func (r PlaceOrderRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("merchant_reference1", r.MerchantReference1), slog.Int64("order_amount", r.OrderAmount))
}
