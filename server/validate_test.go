package server

import (
	"testing"

	"buf.build/go/protovalidate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func rules(t *testing.T) protovalidate.Validator {
	t.Helper()
	v, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValidate_PassesGoodRequests(t *testing.T) {
	t.Parallel()
	v := rules(t)
	for name, msg := range map[string]proto.Message{
		"onboard.json":        fixture(t, "onboard.json", &gatewayv1.OnboardPartnerRequest{}),
		"create_session.json": fixture(t, "create_session.json", &gatewayv1.CreatePaymentSessionRequest{}),
		"capture.json":        fixture(t, "capture.json", &gatewayv1.CaptureOrderRequest{}),
		"refund.json":         fixture(t, "refund.json", &gatewayv1.RefundOrderRequest{}),
	} {
		if err := validate(v, msg); err != nil {
			t.Errorf("%s: %v %v", name, err, takeApart(t, err).violations)
		}
	}
}

func TestValidate_NamesAllViolationsAtOnce(t *testing.T) {
	t.Parallel()
	req := fixture(t, "create_session.json", &gatewayv1.CreatePaymentSessionRequest{})
	req.RequestId = "no uuid"
	req.OrderLines[0].Quantity = -1
	req.OrderAmount = &gatewayv1.Money{AmountMinor: -5, CurrencyCode: "EUX"}
	a := takeApart(t, validate(rules(t), req))
	if a.code != codes.InvalidArgument || a.info.GetReason() != "INVALID_FIELD" {
		t.Errorf("%s %s", a.code, a.info.GetReason())
	}
	got := map[string]string{}
	for _, v := range a.violations {
		got[v.GetField()] = v.GetReason()
		if v.GetDescription() == "" {
			t.Errorf("%s is not described", v.GetField())
		}
	}
	want := map[string]string{
		"request_id":                 "string.uuid",
		"order_amount":               "order_amount.not_negative",
		"order_lines[0].quantity":    "int64.gte",
		"order_amount.currency_code": "currency.iso_4217",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(a.violations) != len(want) {
		t.Errorf("%d violations\n%s", len(a.violations), diff)
	}
}

func TestValidate_TellsOfAMalformedCurrencyOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"", "eur", "EURO", "E1R", "€€€"} {
		req := fixture(t, "capture.json", &gatewayv1.CaptureOrderRequest{})
		req.Amount.CurrencyCode = code
		a := takeApart(t, validate(rules(t), req))
		if len(a.violations) != 1 || a.violations[0].GetField() != "amount.currency_code" {
			t.Errorf("%q: %v", code, a.violations)
		}
	}
}

func TestCurrencyFlaws_KnowISO4217(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"EUR", "SEK", "NOK", "DKK", "CHF", "GBP", "USD", "CAD", "MXN", "AUD", "NZD", "PLN", "CZK", "RON", "HUF", "JPY"} {
		if flaws := currencyFlaws("amount", &gatewayv1.Money{CurrencyCode: code}); flaws != nil {
			t.Errorf("%s: %v", code, flaws)
		}
	}
	for _, code := range []string{"EUX", "ZZZ", "XXX"} {
		want := []*errdetails.BadRequest_FieldViolation{{
			Field: "amount.currency_code", Description: "is not a currency of ISO 4217", Reason: "currency.iso_4217",
		}}
		if diff := cmp.Diff(want, currencyFlaws("amount", &gatewayv1.Money{CurrencyCode: code}), protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", code, diff)
		}
	}
	if flaws := currencyFlaws("amount", nil); flaws != nil {
		t.Errorf("nil: %v", flaws)
	}
}

func TestUnknownCurrencies_AreFoundAtAnyDepth(t *testing.T) {
	t.Parallel()
	odd := &gatewayv1.Money{CurrencyCode: "ZZZ"}
	response := &gatewayv1.GetOrderResponse{Order: &gatewayv1.Order{
		OrderAmount: odd,
		Captures:    []*gatewayv1.Capture{{Amount: &gatewayv1.Money{CurrencyCode: "EUR"}}, {Amount: odd}},
	}}
	var fields []string
	for _, v := range unknownCurrencies(response) {
		fields = append(fields, v.GetField())
	}
	if diff := cmp.Diff([]string{"order.order_amount.currency_code", "order.captures[1].amount.currency_code"}, fields); diff != "" {
		t.Error(diff)
	}
	if flaws := unknownCurrencies(odd); len(flaws) != 1 || flaws[0].GetField() != "currency_code" {
		t.Errorf("on its own: %v", flaws)
	}
}

func TestUnknownCurrencies_PassesByFreeForm(t *testing.T) {
	t.Parallel()
	free, err := structpb.NewStruct(map[string]any{"amount": map[string]any{"currency_code": "ZZZ"}})
	if err != nil {
		t.Fatal(err)
	}
	req := &gatewayv1.OnboardPartnerRequest{PartnerAccountRelationships: []*structpb.Struct{free}}
	if flaws := unknownCurrencies(req); flaws != nil {
		t.Errorf("%v", flaws)
	}
}

func TestInvalid_WithoutViolationsIsNoError(t *testing.T) {
	t.Parallel()
	if err := invalid(); err != nil {
		t.Error(err)
	}
}
