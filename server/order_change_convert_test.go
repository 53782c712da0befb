package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

func TestAuthorizationToKlarna_Golden(t *testing.T) {
	t.Parallel()
	req := fixture(t, "update_authorization.json", &gatewayv1.UpdateAuthorizationRequest{})
	complete(t, req, "merchant_account", "remove_order_lines")
	checkGolden(t, "update_authorization.json.golden", authorizationToKlarna(req))
}

func TestReferencesToKlarna_KeepAbsentAndEmptyApart(t *testing.T) {
	t.Parallel()
	empty := ""
	got := referencesToKlarna(&gatewayv1.UpdateMerchantReferencesRequest{MerchantReference2: &empty})
	if diff := cmp.Diff(klarna.MerchantReferences{MerchantReference2: &empty}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDueDateOptionsFromKlarna_SpellTheCurrencyAsEverywhere(t *testing.T) {
	t.Parallel()
	got := dueDateOptionsFromKlarna(klarna.DueDateOptions{Currency: "eur", Options: []klarna.DueDateOption{{NumberOfDays: 30, Amount: 250}, {}}})
	want := []*gatewayv1.DueDateOption{{NumberOfDays: 30, Fee: eur(250)}, {Fee: eur(0)}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if none := dueDateOptionsFromKlarna(klarna.DueDateOptions{Currency: "eur"}); len(none) != 0 {
		t.Errorf("%v", none)
	}
}
