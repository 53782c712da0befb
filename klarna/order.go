package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"time"
)

// OrderStatus is the status of an order, in Klarna's word.
type OrderStatus string

// Klarna: a refund does not change the status; what CLOSED means is not documented.
const (
	OrderAuthorized   OrderStatus = "AUTHORIZED"
	OrderPartCaptured OrderStatus = "PART_CAPTURED"
	OrderCaptured     OrderStatus = "CAPTURED"
	OrderCancelled    OrderStatus = "CANCELLED"
	OrderExpired      OrderStatus = "EXPIRED"
	OrderClosed       OrderStatus = "CLOSED"
)

// Order is an order at Order Management. Amounts are in minor units. It holds personal data.
type Order struct {
	OrderID                   string      `json:"order_id"`
	Status                    OrderStatus `json:"status,omitempty"`
	FraudStatus               FraudStatus `json:"fraud_status,omitempty"`
	KlarnaReference           string      `json:"klarna_reference,omitempty"` // short, for talking to customers
	PurchaseCurrency          string      `json:"purchase_currency,omitempty"`
	PurchaseCountry           string      `json:"purchase_country,omitempty"`
	Locale                    string      `json:"locale,omitempty"`
	OrderAmount               int64       `json:"order_amount"`
	OriginalOrderAmount       int64       `json:"original_order_amount"`
	CapturedAmount            int64       `json:"captured_amount"`
	RefundedAmount            int64       `json:"refunded_amount"`
	RemainingAuthorizedAmount int64       `json:"remaining_authorized_amount"`
	CreatedAt                 time.Time   `json:"created_at,omitzero"`
	ExpiresAt                 time.Time   `json:"expires_at,omitzero"` // no capture after it

	MerchantReference1     string                `json:"merchant_reference1,omitempty"`
	MerchantReference2     string                `json:"merchant_reference2,omitempty"`
	MerchantData           string                `json:"merchant_data,omitempty"`
	OrderLines             []OrderLine           `json:"order_lines,omitempty"`
	Customer               *Customer             `json:"customer,omitempty"`
	BillingAddress         *CustomerAddress      `json:"billing_address,omitempty"`
	ShippingAddress        *CustomerAddress      `json:"shipping_address,omitempty"`
	Captures               []Capture             `json:"captures,omitempty"`
	Refunds                []Refund              `json:"refunds,omitempty"` // Klarna: listed nowhere else
	ShippingInfo           []ShippingInfo        `json:"shipping_info,omitempty"`
	InitialPaymentMethod   *InitialPaymentMethod `json:"initial_payment_method,omitempty"`
	SelectedShippingOption json.RawMessage       `json:"selected_shipping_option,omitempty"` // as received

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// InitialPaymentMethod is how the customer paid at first. Klarna: the types are not those of AuthorizedPaymentMethod.
type InitialPaymentMethod struct {
	Type                 string `json:"type,omitempty"`
	Description          string `json:"description,omitempty"`
	NumberOfInstallments int    `json:"number_of_installments,omitempty"`
}

// Capture is a part of an order that was claimed; each becomes an invoice of its own.
type Capture struct {
	CaptureID       string           `json:"capture_id"`
	KlarnaReference string           `json:"klarna_reference,omitempty"`
	CapturedAmount  int64            `json:"captured_amount"` // minor units
	CapturedAt      time.Time        `json:"captured_at,omitzero"`
	RefundedAmount  int64            `json:"refunded_amount"` // minor units
	Reference       string           `json:"reference,omitempty"`
	Description     string           `json:"description,omitempty"`
	OrderLines      []OrderLine      `json:"order_lines,omitempty"`
	BillingAddress  *CustomerAddress `json:"billing_address,omitempty"`
	ShippingAddress *CustomerAddress `json:"shipping_address,omitempty"`
	ShippingInfo    []ShippingInfo   `json:"shipping_info,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received; empty inside an Order
}

// Refund is money given back on captures.
type Refund struct {
	RefundID       string      `json:"refund_id"`
	RefundedAmount int64       `json:"refunded_amount"` // minor units
	RefundedAt     time.Time   `json:"refunded_at,omitzero"`
	Reference      string      `json:"reference,omitempty"`
	Description    string      `json:"description,omitempty"`
	OrderLines     []OrderLine `json:"order_lines,omitempty"`
	CreditInvoice  bool        `json:"credit_invoice,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received; empty inside an Order
}

// ShippingInfo is one parcel. Klarna: all fields are optional in the schema.
type ShippingInfo struct {
	ShippingCompany       string `json:"shipping_company,omitempty"`
	ShippingMethod        string `json:"shipping_method,omitempty"` // Home, PickUpStore and others
	TrackingNumber        string `json:"tracking_number,omitempty"`
	TrackingURI           string `json:"tracking_uri,omitempty"`
	ReturnShippingCompany string `json:"return_shipping_company,omitempty"`
	ReturnTrackingNumber  string `json:"return_tracking_number,omitempty"`
	ReturnTrackingURI     string `json:"return_tracking_uri,omitempty"`
}

// CaptureRequest claims a part of an order, at most what remains authorized.
type CaptureRequest struct {
	CapturedAmount int64          `json:"captured_amount"` // minor units
	Description    string         `json:"description,omitempty"`
	Reference      string         `json:"reference,omitempty"` // goes to settlement files
	OrderLines     []OrderLine    `json:"order_lines,omitempty"`
	ShippingInfo   []ShippingInfo `json:"shipping_info,omitempty"`
	ShippingDelay  int64          `json:"shipping_delay,omitempty"` // Klarna: above 0 by agreement only
}

// RefundRequest gives back at most what is captured and not yet refunded. Klarna: lines with the capture's references
// that sum up to the amount let it find the invoice.
type RefundRequest struct {
	RefundedAmount int64       `json:"refunded_amount"` // minor units
	Description    string      `json:"description,omitempty"`
	Reference      string      `json:"reference,omitempty"`
	OrderLines     []OrderLine `json:"order_lines,omitempty"`
}

const orderPath = "/ordermanagement/v1/orders/{order_id}"

// Order reads an order. It is the truth that unsigned pushes are checked against.
func (c *Client) Order(ctx context.Context, id string) (Order, error) {
	var order Order
	err := c.do(ctx, call{
		operation: "getOrder", family: OrderManagement, method: http.MethodGet,
		path: orderPath, ids: []string{id},
		read: into(&order, &order.Raw),
	})
	if err != nil {
		return Order{}, err
	}
	return order, nil
}

// Captures reads all captures of an order, in Klarna's order.
func (c *Client) Captures(ctx context.Context, orderID string) ([]Capture, error) {
	var captures []Capture
	err := c.do(ctx, call{
		operation: "getCaptures", family: OrderManagement, method: http.MethodGet,
		path: orderPath + "/captures", ids: []string{orderID},
		read: func(a answer) error {
			var items []json.RawMessage
			if err := a.decode(&items); err != nil {
				return err
			}
			captures = make([]Capture, len(items))
			for i, item := range items {
				if err := into(&captures[i], &captures[i].Raw)(answer{body: item}); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return captures, nil
}

// Refund reads one refund.
func (c *Client) Refund(ctx context.Context, orderID, refundID string) (Refund, error) {
	var refund Refund
	err := c.do(ctx, call{
		operation: "getRefund", family: OrderManagement, method: http.MethodGet,
		path: orderPath + "/refunds/{refund_id}", ids: []string{orderID, refundID},
		read: into(&refund, &refund.Raw),
	})
	if err != nil {
		return Refund{}, err
	}
	return refund, nil
}

// Acknowledge tells Klarna that the order has arrived, which stops its pushes. It may be repeated.
func (c *Client) Acknowledge(ctx context.Context, key, orderID string) error {
	return c.do(ctx, call{
		operation: "acknowledgeOrder", family: OrderManagement, method: http.MethodPost,
		path: orderPath + "/acknowledge", ids: []string{orderID}, key: key,
	})
}

// CancelOrder cancels an order. Klarna: only one without captures.
func (c *Client) CancelOrder(ctx context.Context, key, orderID string) error {
	return c.do(ctx, call{
		operation: "cancelOrder", family: OrderManagement, method: http.MethodPost,
		path: orderPath + "/cancel", ids: []string{orderID}, key: key,
	})
}

// CaptureOrder claims money and returns the id of the capture. Klarna: without a key a repeat captures again; with one
// a repeat within 24 hours gets the first result, whatever its body says.
func (c *Client) CaptureOrder(ctx context.Context, key, orderID string, capture CaptureRequest) (captureID string, err error) {
	err = c.do(ctx, call{
		operation: "captureOrder", family: OrderManagement, method: http.MethodPost,
		path: orderPath + "/captures", ids: []string{orderID}, key: key, body: capture,
		read: createdID("Capture-Id", "captures", &captureID),
	})
	return captureID, err
}

// RefundOrder gives money back and returns the id of the refund. Repeats are as with CaptureOrder.
func (c *Client) RefundOrder(ctx context.Context, key, orderID string, refund RefundRequest) (refundID string, err error) {
	err = c.do(ctx, call{
		operation: "refundOrder", family: OrderManagement, method: http.MethodPost,
		path: orderPath + "/refunds", ids: []string{orderID}, key: key, body: refund,
		read: createdID("Refund-Id", "refunds", &refundID),
	})
	return refundID, err
}

// createdID takes the id of what was made from its header, or from a Location that ends in collection/id. The body is
// not looked at.
func createdID(name, collection string, id *string) func(answer) error {
	return func(a answer) error {
		*id = a.header.Get(name)
		if *id != "" {
			return nil
		}
		location, err := url.Parse(a.header.Get("Location"))
		if err == nil {
			dir, last := path.Split(location.Path)
			if path.Base(dir) == collection {
				*id = last
			}
		}
		if *id == "" {
			return errors.New("no id in " + name + " or Location")
		}
		return nil
	}
}

// LogValue keeps personal data out of logs.
func (o Order) LogValue() slog.Value {
	return slog.GroupValue(slog.String("order_id", o.OrderID), slog.String("status", string(o.Status)))
}
