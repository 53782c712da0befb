package klarna

import (
	"context"
	"encoding/json"
	"net/http"
)

const (
	productsPath        = accountPath + "/products/payment"
	paymentAccountsPath = productsPath + "/{product_id}/payment-accounts"
	decisionsPath       = accountPath + "/compliance/decisions"
)

// DisableReason says why a product is disabled.
type DisableReason struct {
	Reason        string `json:"reason"` // VOLUNTARY and others
	ReasonDetails string `json:"reason_details,omitempty"`
}

// PaymentAccountUpdate changes what is set and keeps the rest.
type PaymentAccountUpdate struct {
	PaymentAccountReference     string `json:"payment_account_reference,omitempty"`
	DefaultMerchantCategoryCode string `json:"default_merchant_category_code,omitempty"`
}

// PaymentProfile is a price and its programs, which Klarna makes for us and onboarding names.
type PaymentProfile struct {
	PaymentProfileID string `json:"payment_profile_id"`
	Name             string `json:"name,omitempty"` // not documented

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// ComplianceDecision is a decision of Klarna's about an account. Klarna documents its id alone.
type ComplianceDecision struct {
	DecisionID string `json:"decision_id"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// PaymentProducts lists the payment products of an account with their payment accounts.
func (c *Client) PaymentProducts(ctx context.Context, partnerAccountID string) ([]Product, error) {
	k := call{operation: "listPaymentProducts", path: productsPath, ids: []string{partnerAccountID}}
	products, _, err := readParts(ctx, c, k, "products", Cursor{}, rawOfProduct)
	return products, err
}

// DisablePaymentProduct stops new payments. Klarna: it may take 10 minutes to act everywhere. Of the answer nothing is
// certain but the id.
func (c *Client) DisablePaymentProduct(ctx context.Context, key, partnerAccountID, productID string, why DisableReason) (Product, error) {
	k := call{operation: "disablePaymentProduct", path: productsPath + "/{product_id}/disable", body: why}
	return c.turnProduct(ctx, k, key, partnerAccountID, productID)
}

// EnablePaymentProduct lets new payments be made again. Klarna: what Klarna has terminated only Klarna enables; one page
// says the same of what it has disabled.
func (c *Client) EnablePaymentProduct(ctx context.Context, key, partnerAccountID, productID string) (Product, error) {
	k := call{operation: "enablePaymentProduct", path: productsPath + "/{product_id}/enable"}
	return c.turnProduct(ctx, k, key, partnerAccountID, productID)
}

func (c *Client) turnProduct(ctx context.Context, k call, key, partnerAccountID, productID string) (Product, error) {
	k.method, k.key, k.ids = http.MethodPost, key, []string{partnerAccountID, productID}
	return changePart(ctx, c, k, Product{ProductID: productID}, rawOfProduct)
}

// CreatePaymentAccount adds a payment account to a product.
func (c *Client) CreatePaymentAccount(ctx context.Context, key, partnerAccountID, productID string, in PaymentAccount) (PaymentAccount, error) {
	k := call{
		operation: "createPaymentAccount", path: paymentAccountsPath, ids: []string{partnerAccountID, productID}, key: key,
	}
	return createPart(ctx, c, k, in, rawOfPaymentAccount)
}

// PaymentAccount reads a payment account.
func (c *Client) PaymentAccount(ctx context.Context, partnerAccountID, productID, id string) (PaymentAccount, error) {
	k := call{
		operation: "readPaymentAccount", path: paymentAccountsPath + "/{payment_account_id}",
		ids: []string{partnerAccountID, productID, id},
	}
	return readPart(ctx, c, k, rawOfPaymentAccount)
}

// UpdatePaymentAccount changes a payment account.
func (c *Client) UpdatePaymentAccount(ctx context.Context, key, partnerAccountID, productID, id string, update PaymentAccountUpdate) (PaymentAccount, error) {
	k := call{
		operation: "updatePaymentAccount", method: http.MethodPatch, path: paymentAccountsPath + "/{payment_account_id}",
		ids: []string{partnerAccountID, productID, id}, key: key, body: update,
	}
	return changePart(ctx, c, k, PaymentAccount{PaymentAccountID: id}, rawOfPaymentAccount)
}

// PaymentProfiles lists the profiles that onboarding may name.
func (c *Client) PaymentProfiles(ctx context.Context) ([]PaymentProfile, error) {
	k := call{operation: "listPaymentProfiles", path: "/v2/distribution/products/payment/profiles"}
	profiles, _, err := readParts(ctx, c, k, "profiles", Cursor{}, func(p *PaymentProfile) *json.RawMessage { return &p.Raw })
	return profiles, err
}

// ComplianceDecisions lists the decisions about an account. next is the cursor of the next part, empty on the last one.
func (c *Client) ComplianceDecisions(ctx context.Context, partnerAccountID string, part Cursor) (decisions []ComplianceDecision, next string, err error) {
	k := call{operation: "listComplianceDecisions", path: decisionsPath, ids: []string{partnerAccountID}, query: part.query()}
	return readParts(ctx, c, k, "decisions", part, rawOfDecision)
}

// ComplianceDecision reads a decision.
func (c *Client) ComplianceDecision(ctx context.Context, partnerAccountID, id string) (ComplianceDecision, error) {
	k := call{operation: "readComplianceDecision", path: decisionsPath + "/{decision_id}", ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, rawOfDecision)
}

func rawOfProduct(p *Product) *json.RawMessage               { return &p.Raw }
func rawOfPaymentAccount(a *PaymentAccount) *json.RawMessage { return &a.Raw }
func rawOfDecision(d *ComplianceDecision) *json.RawMessage   { return &d.Raw }
