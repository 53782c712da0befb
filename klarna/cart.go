package klarna

// Types of OrderLine.
const (
	LinePhysical    = "physical" // Klarna's default
	LineDiscount    = "discount"
	LineShippingFee = "shipping_fee"
	LineSalesTax    = "sales_tax" // US only: the tax, as a line of its own
	LineDigital     = "digital"
	LineGiftCard    = "gift_card"
	LineStoreCredit = "store_credit"
	LineSurcharge   = "surcharge"
	LineReturnFee   = "return_fee" // refunds only, negative
)

// OrderLine is one line of a cart, capture or refund. All amounts are in minor units and include tax, except in the US.
// Klarna: total_amount = quantity × unit_price − total_discount_amount; CheckOrder knows the rules.
type OrderLine struct {
	Type                string              `json:"type,omitempty"`
	Reference           string              `json:"reference,omitempty"` // Klarna matches refunds to captures by it
	Name                string              `json:"name"`                // 1 to 255
	Quantity            int64               `json:"quantity"`
	QuantityUnit        string              `json:"quantity_unit,omitempty"`
	UnitPrice           int64               `json:"unit_price"`
	TaxRate             int64               `json:"tax_rate,omitempty"` // percent with two decimals: 2500 is 25 %
	TotalAmount         int64               `json:"total_amount"`
	TotalDiscountAmount int64               `json:"total_discount_amount,omitempty"` // positive
	TotalTaxAmount      int64               `json:"total_tax_amount,omitempty"`
	MerchantData        string              `json:"merchant_data,omitempty"`
	ProductURL          string              `json:"product_url,omitempty"`
	ImageURL            string              `json:"image_url,omitempty"`
	ProductIdentifiers  *ProductIdentifiers `json:"product_identifiers,omitempty"`
	Subscription        *Subscription       `json:"subscription,omitempty"`
}

// ProductIdentifiers say which article a line sells.
type ProductIdentifiers struct {
	Brand                  string `json:"brand,omitempty"`
	CategoryPath           string `json:"category_path,omitempty"`
	GlobalTradeItemNumber  string `json:"global_trade_item_number,omitempty"`
	ManufacturerPartNumber string `json:"manufacturer_part_number,omitempty"`
	Color                  string `json:"color,omitempty"`
	Size                   string `json:"size,omitempty"`
}

// Subscription is the rhythm of a line that recurs.
type Subscription struct {
	Name          string `json:"name"`
	Interval      string `json:"interval"` // DAY, WEEK, MONTH, YEAR
	IntervalCount int64  `json:"interval_count"`
}

// CustomerAddress is a billing or shipping address of the classic APIs.
type CustomerAddress struct {
	GivenName        string `json:"given_name,omitempty"`
	FamilyName       string `json:"family_name,omitempty"`
	Email            string `json:"email,omitempty"`
	Title            string `json:"title,omitempty"`
	Phone            string `json:"phone,omitempty"`
	StreetAddress    string `json:"street_address,omitempty"`
	StreetAddress2   string `json:"street_address2,omitempty"`
	PostalCode       string `json:"postal_code,omitempty"`
	City             string `json:"city,omitempty"`
	Region           string `json:"region,omitempty"`
	Country          string `json:"country,omitempty"` // ISO 3166-1 alpha-2; overrides purchase_country
	OrganizationName string `json:"organization_name,omitempty"`
	Attention        string `json:"attention,omitempty"`
}

// Customer is who buys. Klarna shows it in reads only after authorization, and then in part.
type Customer struct {
	DateOfBirth                  string `json:"date_of_birth,omitempty"` // YYYY-MM-DD
	Gender                       string `json:"gender,omitempty"`
	Title                        string `json:"title,omitempty"`
	Type                         string `json:"type,omitempty"` // person, organization
	LastFourSSN                  string `json:"last_four_ssn,omitempty"`
	NationalIdentificationNumber string `json:"national_identification_number,omitempty"`
	VATID                        string `json:"vat_id,omitempty"`
	OrganizationRegistrationID   string `json:"organization_registration_id,omitempty"`
	OrganizationEntityType       string `json:"organization_entity_type,omitempty"`
	CustomerToken                string `json:"customer_token,omitempty"`
}
