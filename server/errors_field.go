package server

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// ourBeginnings are Klarna's parameters, or the beginnings of their paths, that this API names or places differently.
// Hardly a name means two things in different requests of Klarna's, so one table serves all; see klarnaViolations.
var ourBeginnings = []struct{ klarna, ours string }{
	{"partner_account_contact", "contact"},
	{"partner_business_entities", "business_entities"},
	{"supplementary_account_data.account_creation", "account_creation"},
	{"supplementary_account_data", "account_creation"},
	{"request_payment_transaction.amount", "amount.amount_minor"},
	{"request_payment_transaction.capture", "capture_now"},
	{"request_payment_transaction.payment_transaction_reference", "payment_transaction_reference"},
	{"request_payment_transaction.payment_option_id", "payment_option_id"},
	{"supplementary_purchase_data.purchase_reference", "purchase_reference"},
	{"supplementary_purchase_data.line_items", "line_items"},
	{"supplementary_purchase_data.shipping", "shipping"},
	{"supplementary_purchase_data.customer", "customer"},
	{"step_up_config.customer_interaction_config", "customer_interaction"},
	{"customer_interaction_config", "customer_interaction"},
	{"acquiring_config", "payment_account"},
	{"point_of_checkout.store_id", "store_id"},
	{"capture_amount", "amount.amount_minor"},
	{"refund_amount", "amount.amount_minor"},
	{"refund_reference", "payment_refund_reference"},
	{"remaining_authorization", "release_remaining"},
	{"currency", "amount.currency_code"},
	{"amount", "amount.amount_minor"},
	{"purchase_currency", "order_amount.currency_code"},
	{"order_amount", "order_amount.amount_minor"},
	{"order_tax_amount", "order_tax_amount_minor"},
	{"captured_amount", "amount.amount_minor"},
	{"refunded_amount", "amount.amount_minor"},
	{"merchant_urls.confirmation", "confirmation_url"},
	{"merchant_urls.terms", "terms_url"},
	{"merchant_urls.checkout", "checkout_url"},
	{"merchant_urls.success", "success_url"},
	{"merchant_urls.cancel", "cancel_url"},
	{"merchant_urls.back", "back_url"},
	{"merchant_urls.failure", "failure_url"},
	{"merchant_urls.error", "error_url"},
	{"payment_session_url", "session_id"},
	{"options.payment_method_category", "payment_method_category"},
	{"options.page_title", "page_title"},
	{"options.logo_url", "logo_url"},
	{"contact_information.email", "email"},
	{"contact_information.phone", "phone"},
	{"contact_information.phone_country", "phone_country"},
}

// ourNames are members that this API names differently wherever they stand in a path.
var ourNames = map[string]string{
	"unit_price":              "unit_price_minor",
	"tax_rate":                "tax_rate_basis_points",
	"total_amount":            "total_amount_minor",
	"total_discount_amount":   "total_discount_amount_minor",
	"total_tax_amount":        "total_tax_amount_minor",
	"account_created_from_ip": "created_from_ip",
	"account_created_at":      "create_time",
	"payouts_enabled_at":      "payouts_enabled_time",
	"start_date":              "start_time",
	"end_date":                "end_time",
}

var (
	parameterPath = regexp.MustCompile(`^[a-z][a-z0-9_]*(\[[0-9]+\]|\.[a-z][a-z0-9_]*)*$`)
	memberName    = regexp.MustCompile(`[a-z][a-z0-9_]*`)
)

// ourField is the field of our request that became a parameter of Klarna's: "order_lines[0].tax_rate" is
// "order_lines[0].tax_rate_basis_points". It is empty for what is no path, since that could be text.
func ourField(parameter string) string {
	path := strings.TrimPrefix(parameter, "$.")
	if !parameterPath.MatchString(path) {
		return ""
	}
	for _, b := range ourBeginnings {
		if rest, found := strings.CutPrefix(path, b.klarna); found && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			path = b.ours + rest
			break
		}
	}
	return memberName.ReplaceAllStringFunc(path, func(name string) string {
		if ours, renamed := ourNames[name]; renamed {
			return ours
		}
		return name
	})
}

// amountRules are the rules of klarna.CheckOrder and its kin, in this API's words.
var amountRules = map[string]string{
	klarna.RuleLineTotal:  "quantity × unit_price_minor − total_discount_amount_minor",
	klarna.RuleLineTax:    "the tax contained in total_amount_minor at tax_rate_basis_points",
	klarna.RuleOrderTotal: "the sum of the lines' total_amount_minor",
	klarna.RuleOrderTax:   "the sum of the lines' total_tax_amount_minor; in the US that of the sales_tax lines",
	klarna.RuleUSLineTax:  "in the US tax goes into a sales_tax line",
	klarna.RuleFeeSign:    "return fees are negative",
}

// amountFlaws is INVALID_ARGUMENT with a violation for each amount that does not add up; nil without one. The prefix
// is put before each field path.
func amountFlaws(flaws []klarna.AmountFlaw, prefix string) error {
	if len(flaws) == 0 {
		return nil
	}
	violations := make([]*errdetails.BadRequest_FieldViolation, len(flaws))
	for i, flaw := range flaws {
		violations[i] = &errdetails.BadRequest_FieldViolation{
			Field: prefix + ourField(flaw.Parameter), Description: describeFlaw(flaw), Reason: strings.ToUpper(flaw.Rule),
		}
	}
	r := gatewayv1.ErrorReason_ERROR_REASON_AMOUNTS_DO_NOT_MATCH
	return reason(verdicts[r].code, r, verdicts[r].message, badRequest(violations))
}

func describeFlaw(flaw klarna.AmountFlaw) string {
	switch flaw.Rule {
	case klarna.RuleNotNegative:
		return fmt.Sprintf("is %d, must not be negative", flaw.Got)
	case klarna.RuleReturnFee:
		return "return_fee lines are for refunds"
	}
	unit := "minor units"
	if strings.HasSuffix(flaw.Parameter, "tax_rate") {
		unit = "basis points"
	}
	off := new(big.Int).Sub(big.NewInt(flaw.Got), big.NewInt(flaw.Want)) // may be wider than 64 bits
	return fmt.Sprintf("is %d, must be %d (off by %+d %s): %s", flaw.Got, flaw.Want, off, unit, amountRules[flaw.Rule])
}
