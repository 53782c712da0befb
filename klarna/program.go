package klarna

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

const (
	distributionPath = "/v2/distribution/products/payment"
	enablementsPath  = productsPath + "/payment-programs/payment-program-enablements"
)

// PricePlan is what payments of a profile cost. Klarna documents where it is, not what it says.
type PricePlan struct {
	PricePlanID string `json:"price_plan_id"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// ProgramPlan is a set of payment programs. Klarna documents where it is, not what it says.
type ProgramPlan struct {
	PaymentProgramPlanID string `json:"payment_program_plan_id"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// PaymentProgram is a way to pay. Klarna documents where it is, not what it says.
type PaymentProgram struct {
	PaymentProgramID string `json:"payment_program_id"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// ProgramFilter narrows a list of program plans; what is empty matches all.
type ProgramFilter struct {
	MerchantCategoryCode string
	Country              string // ISO 3166-1 alpha-2
	Currency             string // ISO 4217
	Version              string
	EnablementType       string
}

func (f ProgramFilter) query() url.Values {
	query := url.Values{}
	set(query, "merchant_category_code", f.MerchantCategoryCode)
	set(query, "country", f.Country)
	set(query, "currency", f.Currency)
	set(query, "version", f.Version)
	set(query, "enablement_type", f.EnablementType)
	return query
}

// ProgramEnablement says for whom a program is enabled at a partner.
type ProgramEnablement struct {
	PaymentProgramEnablementID string             `json:"payment_program_enablement_id,omitempty"`
	PaymentProgramID           string             `json:"payment_program_id"`
	EnablementCriteria         EnablementCriteria `json:"enablement_criteria"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// EnablementCriteria narrow an enablement; what is empty matches all.
type EnablementCriteria struct {
	CustomerCountries     []string `json:"customer_countries,omitempty"`
	MerchantCategoryCodes []string `json:"merchant_category_codes,omitempty"`
}

// PricePlans lists the price plans that Klarna has made for us.
func (c *Client) PricePlans(ctx context.Context) ([]PricePlan, error) {
	k := call{operation: "listPricePlans", path: distributionPath + "/price-plans"}
	plans, _, err := readParts(ctx, c, k, "price_plans", Cursor{}, rawOfPricePlan)
	return plans, err
}

// PricePlan reads a price plan.
func (c *Client) PricePlan(ctx context.Context, id string) (PricePlan, error) {
	k := call{operation: "readPricePlan", path: distributionPath + "/price-plans/{price_plan_id}", ids: []string{id}}
	return readPart(ctx, c, k, rawOfPricePlan)
}

// ProgramPlans lists the program plans that Klarna has made for us.
func (c *Client) ProgramPlans(ctx context.Context, filter ProgramFilter) ([]ProgramPlan, error) {
	k := call{operation: "listPaymentProgramPlans", path: distributionPath + "/payment-program-plans", query: filter.query()}
	plans, _, err := readParts(ctx, c, k, "payment_program_plans", Cursor{}, rawOfProgramPlan)
	return plans, err
}

// ProgramPlan reads a program plan.
func (c *Client) ProgramPlan(ctx context.Context, id string) (ProgramPlan, error) {
	k := call{operation: "readPaymentProgramPlan", path: distributionPath + "/payment-program-plans/{payment_program_plan_id}", ids: []string{id}}
	return readPart(ctx, c, k, rawOfProgramPlan)
}

// PaymentProgram reads a payment program.
func (c *Client) PaymentProgram(ctx context.Context, id string) (PaymentProgram, error) {
	k := call{operation: "readPaymentProgram", path: distributionPath + "/payment-programs/{payment_program_id}", ids: []string{id}}
	return readPart(ctx, c, k, func(p *PaymentProgram) *json.RawMessage { return &p.Raw })
}

// CreateProgramEnablement enables a program at a partner.
func (c *Client) CreateProgramEnablement(ctx context.Context, key, partnerAccountID string, in ProgramEnablement) (ProgramEnablement, error) {
	in.PaymentProgramEnablementID = ""
	k := call{operation: "createPaymentProgramEnablement", path: enablementsPath, ids: []string{partnerAccountID}, key: key}
	return createPart(ctx, c, k, in, rawOfEnablement)
}

// ProgramEnablements lists the programs that are enabled at a partner. next is the cursor of the next part, empty on the
// last one.
func (c *Client) ProgramEnablements(ctx context.Context, partnerAccountID string, part Cursor) (enablements []ProgramEnablement, next string, err error) {
	k := call{operation: "listPaymentProgramEnablements", path: enablementsPath, ids: []string{partnerAccountID}, query: part.query()}
	return readParts(ctx, c, k, "payment_program_enablements", part, rawOfEnablement)
}

// ProgramEnablement reads one.
func (c *Client) ProgramEnablement(ctx context.Context, partnerAccountID, id string) (ProgramEnablement, error) {
	k := call{operation: "readPaymentProgramEnablement", path: enablementsPath + "/{enablement_id}", ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, rawOfEnablement)
}

// DeleteProgramEnablement ends one.
func (c *Client) DeleteProgramEnablement(ctx context.Context, partnerAccountID, id string) error {
	return c.do(ctx, call{
		operation: "deletePaymentProgramEnablement", family: Network, method: http.MethodDelete,
		path: enablementsPath + "/{enablement_id}", ids: []string{partnerAccountID, id},
	})
}

func rawOfPricePlan(p *PricePlan) *json.RawMessage          { return &p.Raw }
func rawOfProgramPlan(p *ProgramPlan) *json.RawMessage      { return &p.Raw }
func rawOfEnablement(e *ProgramEnablement) *json.RawMessage { return &e.Raw }
