package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// Checkout is the family of Klarna Checkout v3, now Kustom's. A completed order goes on in Order Management.
const Checkout Family = "checkout"

// CheckoutStatus is the status of a checkout order, in Klarna's word and in lower case: documents write it both ways.
type CheckoutStatus string

// Klarna: only an incomplete order can be changed.
const (
	CheckoutIncomplete CheckoutStatus = "checkout_incomplete"
	CheckoutComplete   CheckoutStatus = "checkout_complete"
	CheckoutCreated    CheckoutStatus = "created"
)

// CheckoutOrder is a purchase in Klarna Checkout. It holds personal data.
type CheckoutOrder struct {
	PurchaseCountry    string           `json:"purchase_country,omitempty"`
	PurchaseCurrency   string           `json:"purchase_currency,omitempty"`
	Locale             string           `json:"locale,omitempty"`
	OrderAmount        int64            `json:"order_amount"`     // minor units
	OrderTaxAmount     int64            `json:"order_tax_amount"` // minor units
	OrderLines         []OrderLine      `json:"order_lines"`
	MerchantURLs       *CheckoutURLs    `json:"merchant_urls,omitempty"`
	BillingAddress     *CustomerAddress `json:"billing_address,omitempty"`
	ShippingAddress    *CustomerAddress `json:"shipping_address,omitempty"`
	MerchantReference1 string           `json:"merchant_reference1,omitempty"`
	MerchantReference2 string           `json:"merchant_reference2,omitempty"`
	MerchantData       string           `json:"merchant_data,omitempty"`

	// Set by Klarna; not sent.
	OrderID     string         `json:"order_id,omitempty"` // the order's at Order Management too, once it is complete
	Status      CheckoutStatus `json:"status,omitempty"`
	HTMLSnippet string         `json:"html_snippet,omitempty"` // for the customer's page

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// CheckoutURLs are the pages of a purchase and where Klarna tells of it. Klarna fills {checkout.order.id} in Checkout,
// Confirmation and Push. All four are required.
type CheckoutURLs struct {
	Terms        string `json:"terms,omitempty"`
	Checkout     string `json:"checkout,omitempty"`
	Confirmation string `json:"confirmation,omitempty"`
	Push         string `json:"push,omitempty"`
}

// checkoutBody is a checkout order as it is sent. Unlike the other classic APIs this one demands tax_rate and
// total_tax_amount of every line, 0 or not.
type checkoutBody struct {
	CheckoutOrder
	OrderLines []checkoutLine `json:"order_lines"` // hides the order's
}

type checkoutLine struct {
	OrderLine
	TaxRate        int64 `json:"tax_rate"` // these two hide the line's
	TotalTaxAmount int64 `json:"total_tax_amount"`
}

func (o CheckoutOrder) body() checkoutBody {
	o.OrderID, o.Status, o.HTMLSnippet = "", "", ""
	lines := make([]checkoutLine, len(o.OrderLines))
	for i, line := range o.OrderLines {
		lines[i] = checkoutLine{OrderLine: line, TaxRate: line.TaxRate, TotalTaxAmount: line.TotalTaxAmount}
	}
	return checkoutBody{CheckoutOrder: o, OrderLines: lines}
}

const checkoutPath = "/checkout/v3/orders/{order_id}"

// CreateCheckoutOrder opens a checkout order. Klarna takes no idempotency key here: every call makes an order, and one
// that is not completed just expires 48 hours after its last change.
func (c *Client) CreateCheckoutOrder(ctx context.Context, order CheckoutOrder) (CheckoutOrder, error) {
	return c.checkout(ctx, call{
		operation: "createOrderMerchant", method: http.MethodPost, path: "/checkout/v3/orders", body: order.body(), country: order.PurchaseCountry,
	})
}

// CheckoutOrder reads a checkout order.
func (c *Client) CheckoutOrder(ctx context.Context, id string) (CheckoutOrder, error) {
	return c.checkout(ctx, call{
		operation: "readOrderMerchant", method: http.MethodGet, path: checkoutPath, ids: []string{id},
	})
}

// UpdateCheckoutOrder replaces the cart and changes what else is set; the rest stays. Klarna refuses a complete order
// with 403 READ_ONLY_ORDER.
func (c *Client) UpdateCheckoutOrder(ctx context.Context, id string, order CheckoutOrder) (CheckoutOrder, error) {
	return c.checkout(ctx, call{
		operation: "updateOrderMerchant", method: http.MethodPost, path: checkoutPath, ids: []string{id}, body: order.body(), country: order.PurchaseCountry,
	})
}

// AbortCheckoutOrder gives an incomplete order up.
func (c *Client) AbortCheckoutOrder(ctx context.Context, id string) error {
	return c.do(ctx, call{
		operation: "abortOrder", family: Checkout, method: http.MethodPost, path: checkoutPath + "/abort", ids: []string{id},
	})
}

// checkout makes a call that is answered with the order.
func (c *Client) checkout(ctx context.Context, k call) (CheckoutOrder, error) {
	var order CheckoutOrder
	k.family = Checkout
	k.read = func(a answer) error {
		if err := into(&order, &order.Raw)(a); err != nil {
			return err
		}
		if order.OrderID == "" {
			return errors.New("no order_id")
		}
		return nil
	}
	if err := c.do(ctx, k); err != nil {
		return CheckoutOrder{}, err
	}
	order.Status = CheckoutStatus(strings.ToLower(string(order.Status)))
	return order, nil
}

// LogValue keeps personal data and the snippet out of logs.
func (o CheckoutOrder) LogValue() slog.Value {
	return slog.GroupValue(slog.String("order_id", o.OrderID), slog.String("status", string(o.Status)))
}

// LogValue keeps the secret in Push out of logs.
func (CheckoutURLs) LogValue() slog.Value { return slog.StringValue(masked) }
