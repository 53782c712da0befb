package klarna

import (
	"encoding/json"
	"testing"
)

func TestOnboardRequest_KnowsThePayload(t *testing.T) {
	t.Parallel()
	checkRoundTrip(t, "onboard_request.json", &OnboardRequest{})
}

func TestOnboardRequest_KeepsTheRareMembers(t *testing.T) {
	t.Parallel()
	zero := 0
	got, err := json.Marshal(OnboardRequest{
		PartnerAccountRelationships: json.RawMessage(`[{"kind":"GROUP"}]`),
		PartnerBusinessEntities: []BusinessEntity{{
			EnabledMerchantCategoryCodes: []string{"0744"},
			SupplementaryBusinessData: &SupplementaryBusinessData{
				LegalRegistration:   &LegalRegistration{FinancialConductAuthorityNumber: "1"},
				PartnerPayoutsState: &PartnerPayoutsState{PayoutsDelayDays: &zero},
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	checkJSON(t, got, `{
		"partner_account_reference":"","partner_account_name":"","partner_account_contact":{"email":""},"products":null,"brands":null,"store_groups":null,
		"partner_business_entities":[{"enabled_merchant_category_codes":["0744"],"supplementary_business_data":{
			"legal_registration":{"financial_conduct_authority_number":"1"},"partner_payouts_state":{"payouts_delay_days":0}}}],
		"partner_account_relationships":[{"kind":"GROUP"}]}`)
}

func TestOnboard_ReturnsTheAccount(t *testing.T) {
	t.Parallel()
	answer := fixture(t, "partner_account.json")
	klarna := answering(t, 201, string(answer))
	var onboard OnboardRequest
	if err := json.Unmarshal(fixture(t, "onboard_request.json"), &onboard); err != nil {
		t.Fatal(err)
	}
	account, err := klarna.client(t).Onboard(t.Context(), testKey, onboard)
	if err != nil {
		t.Fatal(err)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/v2/distribution/onboard")
	checkJSON(t, s.body, string(fixture(t, "onboard_request.json")))
	if account.PartnerAccountID != "krn:partner:global:account:test:PQ7XK2MD" || account.State != AccountPartiallyOperational ||
		account.Products[0].State != ProductEnabled || account.Products[0].PaymentAccounts[0].DefaultStoreGroupID == "" {
		t.Errorf("got %+v", account)
	}
	if string(account.Raw) != string(answer) {
		t.Error("raw bytes differ")
	}
}

func TestOnboard_TakesTheIdAlone(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"partner_account_id":"krn:a","state":"HIBERNATING","novelty":{"x":1}}`)
	account, err := klarna.client(t).Onboard(t.Context(), testKey, OnboardRequest{})
	if err != nil || account.PartnerAccountID != "krn:a" || account.State != "HIBERNATING" {
		t.Errorf("got %+v, %v", account, err)
	}
}

func TestOnboard_WithoutAnIdIsOutcomeUnknown(t *testing.T) {
	t.Parallel()
	_, err := answering(t, 201, `{}`).client(t).Onboard(t.Context(), testKey, OnboardRequest{})
	check(t, "onboard", err, ErrOutcomeUnknown, ErrUnavailable)
}

func TestPartnerAccount_AsksForParts(t *testing.T) {
	t.Parallel()
	checkRoundTrip(t, "partner_account.json", &PartnerAccount{})
	klarna := answering(t, 200, `{"partner_account_id":"krn:a:b","brands":[{"brand_id":"krn:b","element":{"logo_url":"https://x.example/l.png"}}]}`)
	account, err := klarna.client(t).PartnerAccount(t.Context(), "krn:a:b", ExpandProducts, ExpandBrands)
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/v2/accounts/krn:a:b?expand=products&expand=brands")
	if account.Brands[0].Element.LogoURL != "https://x.example/l.png" {
		t.Errorf("got %+v", account)
	}
}

func TestUpdates_SendOnlyWhatIsSet(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"partner_account_id":"krn:a","partner_account_name":"Neu"}`)
	account, err := klarna.client(t).UpdatePartnerAccount(t.Context(), testKey, "krn:a", PartnerAccountUpdate{PartnerAccountName: "Neu"})
	if err != nil || account.PartnerAccountName != "Neu" || account.Raw == nil {
		t.Errorf("got %+v, %v", account, err)
	}
	s := klarna.only(t)
	s.want(t, "PATCH", "/v2/accounts/krn:a")
	checkJSON(t, s.body, `{"partner_account_name":"Neu"}`)

	klarna = answering(t, 200, `{"brand_id":"krn:b","display_name":"Neu"}`)
	brand, err := klarna.client(t).UpdateBrand(t.Context(), testKey, "krn:a", "krn:b", BrandUpdate{DisplayName: "Neu"})
	if err != nil || brand.DisplayName != "Neu" {
		t.Errorf("got %+v, %v", brand, err)
	}
	s = klarna.only(t)
	s.want(t, "PATCH", "/v2/accounts/krn:a/brands/krn:b")
	checkJSON(t, s.body, `{"display_name":"Neu"}`)
	if s.header.Get("Klarna-Idempotency-Key") != testKey {
		t.Error("no idempotency key")
	}
}

func TestUpdates_AcceptAnAnswerWithoutBody(t *testing.T) {
	t.Parallel()
	c := answering(t, 204, "").client(t)
	if account, err := c.UpdatePartnerAccount(t.Context(), testKey, "krn:a", PartnerAccountUpdate{}); err != nil || account.PartnerAccountID != "krn:a" {
		t.Errorf("got %+v, %v", account, err)
	}
	if brand, err := c.UpdateBrand(t.Context(), testKey, "krn:a", "krn:b", BrandUpdate{}); err != nil || brand.BrandID != "krn:b" {
		t.Errorf("got %+v, %v", brand, err)
	}
}
