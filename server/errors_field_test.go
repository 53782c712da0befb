package server

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

func TestOurField_NamesFieldsOfOurRequests(t *testing.T) {
	t.Parallel()
	var (
		onboard = &gatewayv1.OnboardPartnerRequest{}
		session = &gatewayv1.CreatePaymentSessionRequest{}
		capture = &gatewayv1.CaptureOrderRequest{}
		ask     = &gatewayv1.CreatePaymentRequestRequest{}
		pay     = &gatewayv1.AuthorizePaymentRequest{}
		take    = &gatewayv1.CaptureTransactionRequest{}
		giveUp  = &gatewayv1.RefundTransactionRequest{}
	)
	for _, c := range []struct {
		request         proto.Message
		parameter, want string
	}{
		{onboard, "partner_account_reference", "partner_account_reference"},
		{onboard, "$.partner_account_name", "partner_account_name"},
		{onboard, "partner_account_contact", "contact"},
		{onboard, "partner_account_contact.email", "contact.email"},
		{onboard, "products[0].payment_accounts[0].default_merchant_category_code", "products[0].payment_accounts[0].default_merchant_category_code"},
		{onboard, "brands[1].element.logo_url", "brands[1].element.logo_url"},
		{onboard, "store_groups[0].stores[2].bundle_names[0]", "store_groups[0].stores[2].bundle_names[0]"},
		{onboard, "partner_business_entities[0].legal_registration_country", "business_entities[0].legal_registration_country"},
		{
			onboard, "partner_business_entities[0].supplementary_business_data.partner_payouts_state.payouts_enabled_at",
			"business_entities[0].supplementary_business_data.partner_payouts_state.payouts_enabled_time",
		},
		{onboard, "supplementary_account_data", "account_creation"},
		{onboard, "supplementary_account_data.account_creation.account_created_from_ip", "account_creation.created_from_ip"},
		{onboard, "supplementary_account_data.account_creation.account_created_at", "account_creation.create_time"},

		{session, "purchase_country", "purchase_country"},
		{session, "purchase_currency", "order_amount.currency_code"},
		{session, "order_amount", "order_amount.amount_minor"},
		{session, "order_tax_amount", "order_tax_amount_minor"},
		{session, "order_lines[0].name", "order_lines[0].name"},
		{session, "order_lines[0].tax_rate", "order_lines[0].tax_rate_basis_points"},
		{session, "order_lines[12].unit_price", "order_lines[12].unit_price_minor"},
		{session, "order_lines[0].total_amount", "order_lines[0].total_amount_minor"},
		{session, "order_lines[0].total_discount_amount", "order_lines[0].total_discount_amount_minor"},
		{session, "order_lines[0].total_tax_amount", "order_lines[0].total_tax_amount_minor"},
		{session, "billing_address.email", "billing_address.email"},
		{session, "merchant_urls.confirmation", "confirmation_url"},

		{ask, "currency", "amount.currency_code"},
		{ask, "amount", "amount.amount_minor"},
		{ask, "payment_request_reference", "payment_request_reference"},
		{ask, "supplementary_purchase_data.purchase_reference", "purchase_reference"},
		{ask, "supplementary_purchase_data.line_items[1].total_amount", "line_items[1].total_amount_minor"},
		{ask, "supplementary_purchase_data.customer", "customer"},
		{ask, "supplementary_purchase_data.shipping[0]", "shipping[0]"},
		{ask, "customer_interaction_config.return_url", "customer_interaction.return_url"},
		{ask, "acquiring_config.payment_account_id", "payment_account.payment_account_id"},
		{ask, "point_of_checkout.store_id", "store_id"},
		{pay, "request_payment_transaction.amount", "amount.amount_minor"},
		{pay, "request_payment_transaction.capture", "capture_now"},
		{pay, "request_payment_transaction.payment_transaction_reference", "payment_transaction_reference"},
		{pay, "request_payment_transaction.payment_option_id", "payment_option_id"},
		{pay, "step_up_config.customer_interaction_config.method", "customer_interaction.method"},
		{take, "capture_amount", "amount.amount_minor"},
		{take, "remaining_authorization", "release_remaining"},
		{giveUp, "refund_amount", "amount.amount_minor"},
		{giveUp, "refund_reference", "payment_refund_reference"},
		{capture, "captured_amount", "amount.amount_minor"},
		{capture, "refunded_amount", "amount.amount_minor"},
		{capture, "shipping_info[0].tracking_uri", "shipping_info[0].tracking_uri"},
	} {
		got := ourField(c.parameter)
		if got != c.want {
			t.Errorf("%s is %q, want %q", c.parameter, got, c.want)
		}
		if !hasField(c.request.ProtoReflect().Descriptor(), got) {
			t.Errorf("%s: %s has no %q", c.parameter, c.request.ProtoReflect().Descriptor().Name(), got)
		}
	}
}

func TestOurField_IsEmptyForWhatIsNoPath(t *testing.T) {
	t.Parallel()
	for _, parameter := range []string{"", "Incorrect number of items", "a b", "a[", "a[x]", ".a", "a.", "a\n", "order_lines[0]x"} {
		if field := ourField(parameter); field != "" {
			t.Errorf("%q is %q", parameter, field)
		}
	}
	if field := ourField("order_amount_limit"); field != "order_amount_limit" {
		t.Errorf("a longer name is taken for its beginning: %s", field)
	}
}

func TestAmountFlaws_SayWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	flaws := klarna.CheckOrder("DE", 3000, 0, []klarna.OrderLine{
		{Name: "Zelt", Quantity: 2, UnitPrice: 600, TotalAmount: 1000},
		{Name: "Heringe", Quantity: 1, UnitPrice: 1190, TotalAmount: 1190, TaxRate: 1900, TotalTaxAmount: 220},
		{Name: "Plane", Quantity: -1, TotalAmount: 0},
	})
	a := takeApart(t, amountFlaws(flaws, "cart."))
	if a.code != codes.InvalidArgument || a.info.GetReason() != "AMOUNTS_DO_NOT_MATCH" {
		t.Errorf("%s %s", a.code, a.info.GetReason())
	}
	want := []*errdetails.BadRequest_FieldViolation{
		{
			Field: "cart.order_lines[0].total_amount_minor", Reason: "LINE_TOTAL",
			Description: "is 1000, must be 1200 (off by -200 minor units): quantity × unit_price_minor − total_discount_amount_minor",
		},
		{
			Field: "cart.order_lines[1].total_tax_amount_minor", Reason: "LINE_TAX",
			Description: "is 220, must be 190 (off by +30 minor units): the tax contained in total_amount_minor at tax_rate_basis_points",
		},
		{Field: "cart.order_lines[2].quantity", Reason: "NOT_NEGATIVE", Description: "is -1, must not be negative"},
		{
			Field: "cart.order_amount.amount_minor", Reason: "ORDER_TOTAL",
			Description: "is 3000, must be 2190 (off by +810 minor units): the sum of the lines' total_amount_minor",
		},
		{
			Field: "cart.order_tax_amount_minor", Reason: "ORDER_TAX",
			Description: "is 0, must be 220 (off by -220 minor units): the sum of the lines' total_tax_amount_minor; in the US that of the sales_tax lines",
		},
	}
	if diff := cmp.Diff(want, a.violations, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestAmountFlaws_NameTheirUnitAndSurviveExtremes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flaw klarna.AmountFlaw
		want string
	}{
		{
			klarna.AmountFlaw{Parameter: "order_lines[0].tax_rate", Rule: klarna.RuleUSLineTax, Got: 1900},
			"is 1900, must be 0 (off by +1900 basis points): in the US tax goes into a sales_tax line",
		},
		{
			klarna.AmountFlaw{Parameter: "order_amount", Rule: klarna.RuleOrderTotal, Got: math.MaxInt64, Want: math.MinInt64},
			"is 9223372036854775807, must be -9223372036854775808 (off by +18446744073709551615 minor units): the sum of the lines' total_amount_minor",
		},
		{klarna.AmountFlaw{Parameter: "order_lines[0].type", Rule: klarna.RuleReturnFee, Got: -5}, "return_fee lines are for refunds"},
	} {
		if got := describeFlaw(c.flaw); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	if err := amountFlaws(nil, ""); err != nil {
		t.Errorf("no flaws are %v", err)
	}
}
