package klarna

import (
	"encoding/json"
	"time"
)

// BusinessEntity is a legal entity of a merchant.
type BusinessEntity struct {
	PartnerBusinessEntityID        string                     `json:"partner_business_entity_id,omitempty"` // set by Klarna
	PartnerBusinessEntityReference string                     `json:"partner_business_entity_reference,omitempty"`
	LegalRegisteredEntityName      string                     `json:"legal_registered_entity_name,omitempty"`
	LegalRegistrationCountry       string                     `json:"legal_registration_country,omitempty"`      // ISO 3166-1 alpha-2, upper case
	EnabledMerchantCategoryCodes   []string                   `json:"enabled_merchant_category_codes,omitempty"` // older releases only
	SupplementaryBusinessData      *SupplementaryBusinessData `json:"supplementary_business_data,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received, where it was asked for by itself or in a list
}

// SupplementaryBusinessData is what the contract with Klarna asks for about an entity.
type SupplementaryBusinessData struct {
	LegalRegistration   *LegalRegistration   `json:"legal_registration,omitempty"`
	OperatingAddresses  []Address            `json:"operating_addresses,omitempty"`
	Stakeholders        []Stakeholder        `json:"stakeholders,omitempty"` // Klarna: always to be sent
	PartnerPayoutsState *PartnerPayoutsState `json:"partner_payouts_state,omitempty"`
}

// LegalRegistration is how an entity is registered.
type LegalRegistration struct {
	LegalRegistrationNumber         string   `json:"legal_registration_number,omitempty"` // form depends on the country
	LegalRegistrationAuthority      string   `json:"legal_registration_authority,omitempty"`
	LegalRegistrationEntityType     string   `json:"legal_registration_entity_type,omitempty"` // free text in practice
	TaxRegistrationNumber           string   `json:"tax_registration_number,omitempty"`
	FinancialConductAuthorityNumber string   `json:"financial_conduct_authority_number,omitempty"`
	LegalRegistrationAddress        *Address `json:"legal_registration_address,omitempty"`
}

// Stakeholder is a person behind an entity; for sole traders the main identity.
type Stakeholder struct {
	GivenName              string                  `json:"given_name,omitempty"`
	FamilyName             string                  `json:"family_name,omitempty"`
	DateOfBirth            string                  `json:"date_of_birth,omitempty"` // YYYY-MM-DD
	Address                *Address                `json:"address,omitempty"`
	NationalIdentification *NationalIdentification `json:"national_identification,omitempty"`
	Roles                  []string                `json:"roles,omitempty"` // OWNER and others
}

// NationalIdentification is a person's number and the country that gave it.
type NationalIdentification struct {
	Number  string `json:"number"`
	Country string `json:"country"`
}

// PartnerPayoutsState is how we pay the merchant out.
type PartnerPayoutsState struct {
	PayoutsStatus    string        `json:"payouts_status,omitempty"` // ENABLED and others
	PayoutsEnabledAt time.Time     `json:"payouts_enabled_at,omitzero"`
	PayoutsDelayDays *int          `json:"payouts_delay_days,omitempty"` // 0 is a delay too; nil says nothing
	BankAccounts     []BankAccount `json:"bank_accounts,omitempty"`
}

// BankAccount is where payouts go. Klarna: by contract the number may be sent as an Argon2id hash.
type BankAccount struct {
	BankAccountType string `json:"bank_account_type"` // IBAN and others
	AccountHolder   string `json:"account_holder,omitempty"`
	BIC             string `json:"bic,omitempty"`
	IBAN            string `json:"iban,omitempty"`
}

// StoreGroup is one brand's stores.
type StoreGroup struct {
	StoreGroupID        string            `json:"store_group_id,omitempty"` // set by Klarna
	StoreGroupReference string            `json:"store_group_reference,omitempty"`
	BrandID             string            `json:"brand_id,omitempty"` // set by Klarna
	BrandReference      string            `json:"brand_reference,omitempty"`
	SupportContact      *SupportContact   `json:"support_contact,omitempty"`
	SocialMediaLinks    []SocialMediaLink `json:"social_media_links,omitempty"`
	Stores              []Store           `json:"stores,omitempty"` // at least one

	Raw json.RawMessage `json:"-"` // the bytes as received, where it was asked for by itself or in a list
}

// SupportContact is where shoppers get help.
type SupportContact struct {
	Email       string `json:"email,omitempty"`
	Phone       string `json:"phone,omitempty"`        // E.164
	ContactForm string `json:"contact_form,omitempty"` // URL
}

// SocialMediaLink is a store group's page at a provider such as INSTAGRAM.
type SocialMediaLink struct {
	Provider string `json:"provider"`
	URL      string `json:"url"`
}

// Types of Store.
const (
	StoreWebsite  = "WEBSITE"        // needs URL
	StorePhysical = "PHYSICAL_STORE" // needs Address
	StoreApp      = "MOBILE_APP"     // needs Platform and BundleNames
)

// Store is a place where shoppers buy.
type Store struct {
	StoreID        string   `json:"store_id,omitempty"`       // set by Klarna
	StoreGroupID   string   `json:"store_group_id,omitempty"` // set by Klarna
	StoreReference string   `json:"store_reference,omitempty"`
	Type           string   `json:"type,omitempty"`
	URL            string   `json:"url,omitempty"`
	Address        *Address `json:"address,omitempty"`
	Platform       string   `json:"platform,omitempty"` // IOS, ANDROID
	BundleNames    []string `json:"bundle_names,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received, where it was asked for by itself or in a list
}

// Address is a place on the Klarna Network. Klarna: region comes both as OH and as US-OH; it is passed on as given.
type Address struct {
	StreetAddress  string `json:"street_address,omitempty"`
	StreetAddress2 string `json:"street_address2,omitempty"`
	PostalCode     string `json:"postal_code,omitempty"`
	City           string `json:"city,omitempty"`
	Region         string `json:"region,omitempty"`
	Country        string `json:"country,omitempty"` // ISO 3166-1 alpha-2, upper case
}
