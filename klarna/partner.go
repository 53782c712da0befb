package klarna

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// AccountState is the state of a partner account, in Klarna's word. Only Klarna moves it.
type AccountState string

// Klarna: a partially operational account may transact but not be managed; a disabled one may do neither.
const (
	AccountPartiallyOperational AccountState = "PARTIALLY_OPERATIONAL"
	AccountOperational          AccountState = "OPERATIONAL"
	AccountDisabled             AccountState = "DISABLED"
)

// ProductState is the state of a payment product, in Klarna's word.
type ProductState string

// Klarna: a disabled product takes no new payments, yet refunds still work; only Klarna undoes a termination.
const (
	ProductEnabled    ProductState = "ENABLED"
	ProductDisabled   ProductState = "DISABLED"
	ProductTerminated ProductState = "TERMINATED"
)

// Parts of a partner account that a read shows on request.
const (
	ExpandProducts         = "products"
	ExpandBrands           = "brands"
	ExpandStoreGroups      = "store_groups"
	ExpandBusinessEntities = "partner_business_entities"
)

// OnboardRequest creates a partner account, or adds to the one that has its reference. Klarna: never an update; an item
// whose reference is known has to equal what is stored, else the whole request is refused with 409.
// All strings are at most 255 characters unless stated. It holds personal data.
type OnboardRequest struct {
	PartnerAccountReference  string                    `json:"partner_account_reference"` // ours; unique for ever
	PartnerAccountName       string                    `json:"partner_account_name"`      // not shown to shoppers
	PartnerAccountContact    Contact                   `json:"partner_account_contact"`
	Products                 []Product                 `json:"products"`     // Klarna: one item today
	Brands                   []Brand                   `json:"brands"`       // at least one
	StoreGroups              []StoreGroup              `json:"store_groups"` // at least one
	PartnerBusinessEntities  []BusinessEntity          `json:"partner_business_entities"`
	SupplementaryAccountData *SupplementaryAccountData `json:"supplementary_account_data,omitempty"`
	// PartnerAccountRelationships is a JSON array passed on as it is; its items are not documented.
	PartnerAccountRelationships json.RawMessage `json:"partner_account_relationships,omitempty"`
}

// PartnerAccount is a merchant at Klarna. Of Klarna's answer only the id is certain: the rest may be absent, and the
// lists are there on expansion alone.
type PartnerAccount struct {
	PartnerAccountID        string           `json:"partner_account_id"`
	PartnerAccountReference string           `json:"partner_account_reference,omitempty"`
	PartnerAccountName      string           `json:"partner_account_name,omitempty"`
	PartnerAccountContact   *Contact         `json:"partner_account_contact,omitempty"`
	State                   AccountState     `json:"state,omitempty"`
	Products                []Product        `json:"products,omitempty"`
	Brands                  []Brand          `json:"brands,omitempty"`
	StoreGroups             []StoreGroup     `json:"store_groups,omitempty"`
	PartnerBusinessEntities []BusinessEntity `json:"partner_business_entities,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// PartnerAccountUpdate changes what is set and keeps the rest.
type PartnerAccountUpdate struct {
	PartnerAccountReference string   `json:"partner_account_reference,omitempty"`
	PartnerAccountName      string   `json:"partner_account_name,omitempty"`
	PartnerAccountContact   *Contact `json:"partner_account_contact,omitempty"` // sent whole
}

// Contact is the person Klarna talks to about an account.
type Contact struct {
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	Email      string `json:"email"`
	Phone      string `json:"phone,omitempty"` // E.164
}

// Product is the payment product of an account.
type Product struct {
	ProductID        string           `json:"product_id,omitempty"` // set by Klarna
	Type             string           `json:"type"`                 // PAYMENT
	State            ProductState     `json:"state,omitempty"`      // set by Klarna
	StateReason      string           `json:"state_reason,omitempty"`
	PaymentProfileID string           `json:"payment_profile_id,omitempty"` // KRN of our price and program profile
	PaymentAccounts  []PaymentAccount `json:"payment_accounts,omitempty"`   // at least one

	Raw json.RawMessage `json:"-"` // the bytes as received, where it was asked for by itself or in a list
}

// PaymentAccount ties a merchant's entity to one of our acquiring accounts. The acquiring account's id and the reference
// together address it in payment calls. Requests name entity and store group by reference, answers by id.
type PaymentAccount struct {
	PaymentAccountID               string `json:"payment_account_id,omitempty"` // set by Klarna
	PaymentAccountReference        string `json:"payment_account_reference,omitempty"`
	PaymentAcquiringAccountID      string `json:"payment_acquiring_account_id,omitempty"`
	DefaultMerchantCategoryCode    string `json:"default_merchant_category_code,omitempty"` // four digits
	PartnerBusinessEntityReference string `json:"partner_business_entity_reference,omitempty"`
	PartnerBusinessEntityID        string `json:"partner_business_entity_id,omitempty"` // set by Klarna
	DefaultStoreGroupReference     string `json:"default_store_group_reference,omitempty"`
	DefaultStoreGroupID            string `json:"default_store_group_id,omitempty"` // set by Klarna

	Raw json.RawMessage `json:"-"` // the bytes as received, where it was asked for by itself or in a list
}

// Brand is what shoppers see.
type Brand struct {
	BrandID        string        `json:"brand_id,omitempty"` // set by Klarna
	BrandReference string        `json:"brand_reference,omitempty"`
	DisplayName    string        `json:"display_name,omitempty"`
	Element        *BrandElement `json:"element,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received, where it was asked for by itself or in a list
}

// BrandElement holds https URLs. Klarna checks them later and reports a bad one by EventBrandDataIncomplete.
type BrandElement struct {
	LogoURL         string `json:"logo_url,omitempty"`
	IconURL         string `json:"icon_url,omitempty"`
	FeatureImageURL string `json:"feature_image_url,omitempty"`
}

// BrandUpdate changes what is set and keeps the rest.
type BrandUpdate struct {
	BrandReference string        `json:"brand_reference,omitempty"`
	DisplayName    string        `json:"display_name,omitempty"`
	Element        *BrandElement `json:"element,omitempty"` // sent whole
}

// SupplementaryAccountData says how the merchant came to us.
type SupplementaryAccountData struct {
	AccountCreation *AccountCreation `json:"account_creation,omitempty"`
}

// AccountCreation is when and from where the merchant signed up with us.
type AccountCreation struct {
	AccountCreatedFromIP string    `json:"account_created_from_ip,omitempty"`
	AccountCreatedAt     time.Time `json:"account_created_at,omitzero"`
}

// Onboard creates or extends a partner account; key is the same on every retry of one onboarding. The account may
// transact at once and be managed from EventAccountOperational on.
func (c *Client) Onboard(ctx context.Context, key string, onboard OnboardRequest) (PartnerAccount, error) {
	var account PartnerAccount
	err := c.do(ctx, call{
		operation: "onboard", family: Network, method: http.MethodPost,
		path: "/v2/distribution/onboard", key: key, body: onboard,
		read: func(a answer) error {
			if err := into(&account, &account.Raw)(a); err != nil {
				return err
			}
			if account.PartnerAccountID == "" {
				return errors.New("no partner_account_id")
			}
			return nil
		},
	})
	if err != nil {
		return PartnerAccount{}, err
	}
	return account, nil
}

// PartnerAccount reads an account, with the parts named by expand (ExpandProducts and its like).
func (c *Client) PartnerAccount(ctx context.Context, id string, expand ...string) (PartnerAccount, error) {
	var account PartnerAccount
	err := c.do(ctx, call{
		operation: "readPartnerAccount", family: Network, method: http.MethodGet,
		path: "/v2/accounts/{partner_account_id}", ids: []string{id}, query: url.Values{"expand": expand},
		read: into(&account, &account.Raw),
	})
	if err != nil {
		return PartnerAccount{}, err
	}
	return account, nil
}

// UpdatePartnerAccount changes an account. Klarna: only once it is operational. Should Klarna answer without a body,
// the account returned holds its id alone.
func (c *Client) UpdatePartnerAccount(ctx context.Context, key, id string, update PartnerAccountUpdate) (PartnerAccount, error) {
	account := PartnerAccount{PartnerAccountID: id}
	err := c.do(ctx, call{
		operation: "updatePartnerAccount", family: Network, method: http.MethodPatch,
		path: "/v2/accounts/{partner_account_id}", ids: []string{id}, key: key, body: update,
		read: intoIfAny(&account, &account.Raw),
	})
	if err != nil {
		return PartnerAccount{}, err
	}
	return account, nil
}

// UpdateBrand changes a brand. Klarna: only once the account is operational. Should Klarna answer without a body,
// the brand returned holds its id alone.
func (c *Client) UpdateBrand(ctx context.Context, key, partnerAccountID, brandID string, update BrandUpdate) (Brand, error) {
	brand := Brand{BrandID: brandID}
	err := c.do(ctx, call{
		operation: "updateBrand", family: Network, method: http.MethodPatch,
		path: "/v2/accounts/{partner_account_id}/brands/{brand_id}", ids: []string{partnerAccountID, brandID},
		key: key, body: update,
		read: intoIfAny(&brand, &brand.Raw),
	})
	if err != nil {
		return Brand{}, err
	}
	return brand, nil
}

// intoIfAny is into for answers whose body is not certain.
func intoIfAny(v any, raw *json.RawMessage) func(answer) error {
	return func(a answer) error {
		if a.cut == nil && len(bytes.TrimSpace(a.body)) == 0 {
			return nil
		}
		return into(v, raw)(a)
	}
}

// LogValue keeps personal data out of logs.
func (r OnboardRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("partner_account_reference", r.PartnerAccountReference))
}

// LogValue keeps personal data out of logs.
func (a PartnerAccount) LogValue() slog.Value {
	return slog.GroupValue(slog.String("partner_account_id", a.PartnerAccountID), slog.String("state", string(a.State)))
}
