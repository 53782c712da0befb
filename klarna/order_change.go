package klarna

import (
	"context"
	"net/http"
)

// AuthorizationUpdate is what an order shall be from now on. Klarna: the lines given replace all there are, so none
// given deletes them; a higher amount is a new risk check.
type AuthorizationUpdate struct {
	OrderAmount int64       `json:"order_amount"` // minor units, at least what is captured
	OrderLines  []OrderLine `json:"order_lines,omitempty"`
	Description string      `json:"description,omitempty"`
}

// MerchantReferences are references to be changed. Nil keeps one, an empty text clears it.
type MerchantReferences struct {
	MerchantReference1 *string `json:"merchant_reference1,omitempty"`
	MerchantReference2 *string `json:"merchant_reference2,omitempty"`
}

// UpdateAuthorization changes an order's amount and lines. Klarna: not once it is fully captured, cancelled or expired.
func (c *Client) UpdateAuthorization(ctx context.Context, key, orderID string, update AuthorizationUpdate) error {
	return c.changeOrder(ctx, key, orderID, "updateAuthorization", http.MethodPatch, "/authorization", update)
}

// UpdateMerchantReferences changes an order's references. Klarna: not on a cancelled order.
func (c *Client) UpdateMerchantReferences(ctx context.Context, key, orderID string, references MerchantReferences) error {
	return c.changeOrder(ctx, key, orderID, "updateMerchantReferences", http.MethodPatch, "/merchant-references", references)
}

// UpdateShippingAddress replaces an order's shipping address. Klarna: the purchase is checked anew; the billing address
// can no longer change.
func (c *Client) UpdateShippingAddress(ctx context.Context, key, orderID string, address CustomerAddress) error {
	body := struct {
		ShippingAddress CustomerAddress `json:"shipping_address"`
	}{address}
	return c.changeOrder(ctx, key, orderID, "updateConsumerDetails", http.MethodPatch, "/customer-details", body)
}

// ExtendAuthorizationTime moves the end of an authorization to today plus the account's period; the order tells the
// new one. Klarna: before it has expired, within 180 days of the order's creation.
func (c *Client) ExtendAuthorizationTime(ctx context.Context, key, orderID string) error {
	return c.changeOrder(ctx, key, orderID, "extendAuthorizationTime", http.MethodPost, "/extend-authorization-time", nil)
}

// ReleaseRemainingAuthorization gives back what is not captured. Klarna: needs a capture and a remainder.
func (c *Client) ReleaseRemainingAuthorization(ctx context.Context, key, orderID string) error {
	return c.changeOrder(ctx, key, orderID, "releaseRemainingAuthorization", http.MethodPost, "/release-remaining-authorization", nil)
}

// AppendOrderShippingInfo adds 1 to 500 parcels to an order; nothing is replaced.
func (c *Client) AppendOrderShippingInfo(ctx context.Context, key, orderID string, parcels []ShippingInfo) error {
	return c.changeOrder(ctx, key, orderID, "appendOrderShippingInfo", http.MethodPost, "/shipping-info", shippingInfoBody{parcels})
}

type shippingInfoBody struct {
	ShippingInfo []ShippingInfo `json:"shipping_info"`
}

// changeOrder is a write below an order that is answered with its status alone.
func (c *Client) changeOrder(ctx context.Context, key, orderID, operation, method, suffix string, body any) error {
	return c.do(ctx, call{
		operation: operation, family: OrderManagement, method: method,
		path: orderPath + suffix, ids: []string{orderID}, key: key, body: body,
	})
}
