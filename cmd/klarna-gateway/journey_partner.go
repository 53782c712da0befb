package main

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// onboarding is the first journey: a merchant is onboarded, may transact at once and be managed a little later.
func (t *traveller) onboarding(ctx context.Context) error {
	const reference = "mrc-000482"
	watch, err := t.watchAccounts(ctx, &gatewayv1.WatchAccountStateRequest{
		From:                     &gatewayv1.WatchAccountStateRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST},
		PartnerAccountReferences: []string{reference},
	})
	if err != nil {
		return err
	}
	defer watch.cancel()
	request := onboardRequest(reference, "https://cdn.nordlicht.example/404/logo.png")
	t.local.sim.Hold() // or what Klarna tells may overtake its answer, which has a test of its own
	t.you("OnboardPartner %s", reference)
	made, err := t.partners.OnboardPartner(ctx, request)
	if err != nil {
		return err
	}
	id, partner := made.GetPartner().GetPartnerAccountId(), made.GetPartner()
	t.timeline.add("gateway → you", "%s, can_transact %t, can_manage %t", short(partner.GetState(), "STATE_"), partner.GetCanTransact(), partner.GetCanManage())
	if err := firstError(
		expected(partner.GetState() == gatewayv1.Partner_STATE_PARTIALLY_OPERATIONAL, "want PARTIALLY_OPERATIONAL, got %v", partner.GetState()),
		expected(partner.GetCanTransact() && !partner.GetCanManage(), "want an account that may transact and not be managed"),
	); err != nil {
		return err
	}
	t.you("OnboardPartner again with the same request_id")
	again, err := t.partners.OnboardPartner(ctx, request)
	if err := firstError(err, expected(again.GetPartner().GetPartnerAccountId() == id, "want the same account"), t.called("onboard", 0, 1)); err != nil {
		return err
	}
	// Klarna could not load the logo: a warning that blocks nothing.
	t.local.sim.Release()
	_, err = watch.reach("a warning about the brand", func(ev *gatewayv1.AccountEvent) bool { return len(ev.GetPartner().GetWarnings()) > 0 })
	if err != nil {
		return err
	}
	name := "Nordlicht Outdoor und Wandern"
	update := &gatewayv1.UpdatePartnerRequest{RequestId: newRequestID(), PartnerAccountId: id, PartnerAccountName: &name}
	t.you("UpdatePartner before the account is operational")
	_, err = t.partners.UpdatePartner(ctx, update)
	if err := refusedWith(err, "ACCOUNT_NOT_OPERATIONAL"); err != nil {
		return err
	}
	t.timeline.add("gateway → you", "FAILED_PRECONDITION: wait for OPERATIONAL")
	t.play("set-up is finished")
	if err := t.local.sim.Operational(id); err != nil {
		return err
	}
	ev, err := watch.reach("OPERATIONAL", func(ev *gatewayv1.AccountEvent) bool {
		return ev.GetKind() == gatewayv1.AccountEventKind_ACCOUNT_EVENT_KIND_OPERATIONAL
	})
	if err := firstError(err, expected(ev.GetPartner().GetCanManage(), "want an account that may be managed")); err != nil {
		return err
	}
	return firstError(t.managed(ctx, watch, update, id), t.switched(watch, id), t.settled(ctx))
}

// managed changes the account and mends its brand.
func (t *traveller) managed(ctx context.Context, watch *watched[*gatewayv1.AccountEvent], update *gatewayv1.UpdatePartnerRequest, id string) error {
	t.you("UpdatePartner again")
	if _, err := t.partners.UpdatePartner(ctx, update); err != nil {
		return err
	}
	read, err := t.partners.GetPartner(ctx, &gatewayv1.GetPartnerRequest{PartnerAccountId: id})
	if err != nil {
		return err
	}
	brand := read.GetPartner().GetBrands()[0]
	t.you("UpdateBrand with a logo that exists")
	if _, err := t.partners.UpdateBrand(ctx, &gatewayv1.UpdateBrandRequest{
		RequestId: newRequestID(), PartnerAccountId: id, BrandId: brand.GetBrandId(),
		Element: &gatewayv1.BrandElement{LogoUrl: "https://cdn.nordlicht.example/logo.png"},
	}); err != nil {
		return err
	}
	_, err = watch.reach("no warning after the brand was mended", func(ev *gatewayv1.AccountEvent) bool {
		return len(ev.GetPartner().GetWarnings()) == 0
	})
	return err
}

// switched has Klarna switch the product and the account off and on.
func (t *traveller) switched(watch *watched[*gatewayv1.AccountEvent], id string) error {
	for _, step := range []struct {
		what     string
		do       func(string) error
		kind     gatewayv1.AccountEventKind
		transact bool
	}{
		{"the product is disabled", t.local.sim.DisableProduct, gatewayv1.AccountEventKind_ACCOUNT_EVENT_KIND_PRODUCT_DISABLED, false},
		{"the product is enabled", t.local.sim.EnableProduct, gatewayv1.AccountEventKind_ACCOUNT_EVENT_KIND_PRODUCT_ENABLED, true},
		{"the account is disabled with its product", t.local.sim.DisableAccount, gatewayv1.AccountEventKind_ACCOUNT_EVENT_KIND_PRODUCT_DISABLED, false},
		{"the account is enabled with its product", t.local.sim.EnableAccount, gatewayv1.AccountEventKind_ACCOUNT_EVENT_KIND_PRODUCT_ENABLED, true},
	} {
		t.play("%s", step.what)
		if err := step.do(id); err != nil {
			return err
		}
		ev, err := watch.reach(step.what, func(ev *gatewayv1.AccountEvent) bool { return ev.GetKind() == step.kind })
		if err := firstError(err, expected(ev.GetPartner().GetCanTransact() == step.transact, "after %q want can_transact %t", step.what, step.transact)); err != nil {
			return err
		}
	}
	return nil
}

// onboardRequest is an invented merchant.
func onboardRequest(reference, logo string) *gatewayv1.OnboardPartnerRequest {
	address := &gatewayv1.Address{StreetAddress: "Lindenweg 4", PostalCode: "10969", City: "Berlin", Country: "DE"}
	return &gatewayv1.OnboardPartnerRequest{
		RequestId: newRequestID(), PartnerAccountReference: reference, PartnerAccountName: "Nordlicht Outdoor",
		Contact: &gatewayv1.Contact{GivenName: "Mira", FamilyName: "Sand", Email: "mira.sand@nordlicht.example", Phone: "+4930901820"},
		Products: []*gatewayv1.OnboardProduct{{
			Type: "PAYMENT", PaymentProfileId: "krn:network:global:test:payment-profile:7b0c2e5a-55f1-4a0e-8a2e-1f6a6f0a9d11",
			PaymentAccounts: []*gatewayv1.PaymentAccount{{
				PaymentAccountReference:        reference + "-de",
				PaymentAcquiringAccountId:      "krn:partner:global:account:acquiring-account:2c1d9d0e-0a1b-4f7e-9a66-6d1b8f0e2a10",
				DefaultMerchantCategoryCode:    "5941",
				PartnerBusinessEntityReference: reference + "-le1", DefaultStoreGroupReference: reference + "-sg1",
			}},
		}},
		Brands: []*gatewayv1.Brand{{
			BrandReference: reference + "-b1", DisplayName: "Nordlicht",
			Element: &gatewayv1.BrandElement{LogoUrl: logo},
		}},
		StoreGroups: []*gatewayv1.StoreGroup{{
			StoreGroupReference: reference + "-sg1", BrandReference: reference + "-b1",
			Stores: []*gatewayv1.Store{{StoreReference: "web-de", Type: gatewayv1.Store_TYPE_WEBSITE, Url: "https://nordlicht.example"}},
		}},
		BusinessEntities: []*gatewayv1.BusinessEntity{{
			PartnerBusinessEntityReference: reference + "-le1", LegalRegisteredEntityName: "Nordlicht Outdoor GmbH", LegalRegistrationCountry: "DE",
			SupplementaryBusinessData: &gatewayv1.SupplementaryBusinessData{
				LegalRegistration: &gatewayv1.LegalRegistration{LegalRegistrationNumber: "HRB 204411", LegalRegistrationAddress: address},
				Stakeholders: []*gatewayv1.Stakeholder{{
					GivenName: "Mira", FamilyName: "Sand", DateOfBirth: "1984-05-17", Address: address, Roles: []string{"OWNER"},
				}},
				PartnerPayoutsState: &gatewayv1.PartnerPayoutsState{
					PayoutsStatus: "ENABLED", PayoutsDelayDays: 2,
					BankAccounts: []*gatewayv1.BankAccount{{BankAccountType: "IBAN", AccountHolder: "Nordlicht Outdoor GmbH", Bic: "COBADEFFXXX", Iban: "DE89370400440532013000"}},
				},
			},
		}},
	}
}
