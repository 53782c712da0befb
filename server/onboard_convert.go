package server

import (
	"encoding/json"

	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// onboardToKlarna leaves out what only Klarna sets, should the caller have filled it in. The same request gives the
// same bytes at Klarna. Klarna: a repeat has to be equal.
func onboardToKlarna(req *gatewayv1.OnboardPartnerRequest) klarna.OnboardRequest {
	onboard := klarna.OnboardRequest{
		PartnerAccountReference:     req.GetPartnerAccountReference(),
		PartnerAccountName:          req.GetPartnerAccountName(),
		PartnerAccountContact:       contactToKlarna(req.GetContact()),
		Products:                    convertAll(req.GetProducts(), productToKlarna),
		Brands:                      convertAll(req.GetBrands(), brandToKlarna),
		StoreGroups:                 convertAll(req.GetStoreGroups(), storeGroupToKlarna),
		PartnerBusinessEntities:     convertAll(req.GetBusinessEntities(), businessEntityToKlarna),
		PartnerAccountRelationships: relationshipsToKlarna(req.GetPartnerAccountRelationships()),
	}
	if creation := req.GetAccountCreation(); creation != nil {
		onboard.SupplementaryAccountData = &klarna.SupplementaryAccountData{AccountCreation: &klarna.AccountCreation{
			AccountCreatedFromIP: creation.GetCreatedFromIp(),
			AccountCreatedAt:     timeOf(creation.GetCreateTime()),
		}}
	}
	return onboard
}

// relationshipsToKlarna is a JSON array with sorted members; nil without relationships.
func relationshipsToKlarna(list []*structpb.Struct) json.RawMessage {
	if len(list) == 0 {
		return nil
	}
	raw, err := json.Marshal(convertAll(list, (*structpb.Struct).AsMap))
	if err != nil { // AsMap gives maps, lists, strings, finite numbers and booleans alone
		panic("server: encode relationships: " + err.Error())
	}
	return raw
}

// structToKlarna is a JSON object with sorted members; nil without one.
func structToKlarna(s *structpb.Struct) json.RawMessage {
	if s == nil {
		return nil
	}
	raw, err := json.Marshal(s.AsMap())
	if err != nil { // as above
		panic("server: encode object: " + err.Error())
	}
	return raw
}

func contactToKlarna(c *gatewayv1.Contact) klarna.Contact {
	return klarna.Contact{GivenName: c.GetGivenName(), FamilyName: c.GetFamilyName(), Email: c.GetEmail(), Phone: c.GetPhone()}
}

func productToKlarna(p *gatewayv1.OnboardProduct) klarna.Product {
	return klarna.Product{
		Type:             p.GetType(),
		PaymentProfileID: p.GetPaymentProfileId(),
		PaymentAccounts:  convertAll(p.GetPaymentAccounts(), paymentAccountToKlarna),
	}
}

func paymentAccountToKlarna(a *gatewayv1.PaymentAccount) klarna.PaymentAccount {
	return klarna.PaymentAccount{
		PaymentAccountReference:        a.GetPaymentAccountReference(),
		PaymentAcquiringAccountID:      a.GetPaymentAcquiringAccountId(),
		DefaultMerchantCategoryCode:    a.GetDefaultMerchantCategoryCode(),
		PartnerBusinessEntityReference: a.GetPartnerBusinessEntityReference(),
		DefaultStoreGroupReference:     a.GetDefaultStoreGroupReference(),
	}
}

func brandToKlarna(b *gatewayv1.Brand) klarna.Brand {
	return klarna.Brand{
		BrandReference: b.GetBrandReference(), DisplayName: b.GetDisplayName(), Element: brandElementToKlarna(b.GetElement()),
	}
}

func brandElementToKlarna(e *gatewayv1.BrandElement) *klarna.BrandElement {
	if e == nil {
		return nil
	}
	return &klarna.BrandElement{LogoURL: e.GetLogoUrl(), IconURL: e.GetIconUrl(), FeatureImageURL: e.GetFeatureImageUrl()}
}

func storeGroupToKlarna(g *gatewayv1.StoreGroup) klarna.StoreGroup {
	return klarna.StoreGroup{
		StoreGroupReference: g.GetStoreGroupReference(),
		BrandReference:      g.GetBrandReference(),
		SupportContact:      supportContactToKlarna(g.GetSupportContact()),
		SocialMediaLinks:    convertAll(g.GetSocialMediaLinks(), socialMediaLinkToKlarna),
		Stores:              convertAll(g.GetStores(), storeToKlarna),
	}
}

func supportContactToKlarna(c *gatewayv1.SupportContact) *klarna.SupportContact {
	if c == nil {
		return nil
	}
	return &klarna.SupportContact{Email: c.GetEmail(), Phone: c.GetPhone(), ContactForm: c.GetContactForm()}
}

func socialMediaLinkToKlarna(l *gatewayv1.SocialMediaLink) klarna.SocialMediaLink {
	return klarna.SocialMediaLink{Provider: l.GetProvider(), URL: l.GetUrl()}
}

func storeToKlarna(s *gatewayv1.Store) klarna.Store {
	return klarna.Store{
		StoreReference: s.GetStoreReference(),
		Type:           wordOf(s.GetType(), typePrefix),
		URL:            s.GetUrl(),
		Address:        placeToKlarna(s.GetAddress()),
		Platform:       s.GetPlatform(),
		BundleNames:    s.GetBundleNames(),
	}
}

func businessEntityToKlarna(e *gatewayv1.BusinessEntity) klarna.BusinessEntity {
	return klarna.BusinessEntity{
		PartnerBusinessEntityReference: e.GetPartnerBusinessEntityReference(),
		LegalRegisteredEntityName:      e.GetLegalRegisteredEntityName(),
		LegalRegistrationCountry:       e.GetLegalRegistrationCountry(),
		EnabledMerchantCategoryCodes:   e.GetEnabledMerchantCategoryCodes(),
		SupplementaryBusinessData:      businessDataToKlarna(e.GetSupplementaryBusinessData()),
	}
}

func businessDataToKlarna(s *gatewayv1.SupplementaryBusinessData) *klarna.SupplementaryBusinessData {
	if s == nil {
		return nil
	}
	return &klarna.SupplementaryBusinessData{
		LegalRegistration: legalRegistrationToKlarna(s.GetLegalRegistration()),
		OperatingAddresses: convertAll(s.GetOperatingAddresses(), func(a *gatewayv1.Address) klarna.Address {
			return *placeToKlarna(a)
		}),
		Stakeholders:        convertAll(s.GetStakeholders(), stakeholderToKlarna),
		PartnerPayoutsState: payoutsToKlarna(s.GetPartnerPayoutsState()),
	}
}

func legalRegistrationToKlarna(r *gatewayv1.LegalRegistration) *klarna.LegalRegistration {
	if r == nil {
		return nil
	}
	return &klarna.LegalRegistration{
		LegalRegistrationNumber:         r.GetLegalRegistrationNumber(),
		LegalRegistrationAuthority:      r.GetLegalRegistrationAuthority(),
		LegalRegistrationEntityType:     r.GetLegalRegistrationEntityType(),
		TaxRegistrationNumber:           r.GetTaxRegistrationNumber(),
		FinancialConductAuthorityNumber: r.GetFinancialConductAuthorityNumber(),
		LegalRegistrationAddress:        placeToKlarna(r.GetLegalRegistrationAddress()),
	}
}

func stakeholderToKlarna(s *gatewayv1.Stakeholder) klarna.Stakeholder {
	stakeholder := klarna.Stakeholder{
		GivenName:   s.GetGivenName(),
		FamilyName:  s.GetFamilyName(),
		DateOfBirth: s.GetDateOfBirth(),
		Address:     placeToKlarna(s.GetAddress()),
		Roles:       s.GetRoles(),
	}
	if id := s.GetNationalIdentification(); id != nil {
		stakeholder.NationalIdentification = &klarna.NationalIdentification{Number: id.GetNumber(), Country: id.GetCountry()}
	}
	return stakeholder
}

// payoutsToKlarna says nothing of a delay of 0: the API cannot tell it from one that was left out.
func payoutsToKlarna(p *gatewayv1.PartnerPayoutsState) *klarna.PartnerPayoutsState {
	if p == nil {
		return nil
	}
	payouts := &klarna.PartnerPayoutsState{
		PayoutsStatus:    p.GetPayoutsStatus(),
		PayoutsEnabledAt: timeOf(p.GetPayoutsEnabledTime()),
		BankAccounts: convertAll(p.GetBankAccounts(), func(b *gatewayv1.BankAccount) klarna.BankAccount {
			return klarna.BankAccount{
				BankAccountType: b.GetBankAccountType(), AccountHolder: b.GetAccountHolder(), BIC: b.GetBic(), IBAN: b.GetIban(),
			}
		}),
	}
	if days := int(p.GetPayoutsDelayDays()); days > 0 {
		payouts.PayoutsDelayDays = &days
	}
	return payouts
}

// partnerUpdateToKlarna holds what is set alone; the rest stays as it is at Klarna.
func partnerUpdateToKlarna(req *gatewayv1.UpdatePartnerRequest) klarna.PartnerAccountUpdate {
	update := klarna.PartnerAccountUpdate{
		PartnerAccountReference: req.GetPartnerAccountReference(),
		PartnerAccountName:      req.GetPartnerAccountName(),
	}
	if req.GetContact() != nil {
		contact := contactToKlarna(req.GetContact())
		update.PartnerAccountContact = &contact
	}
	return update
}

// brandUpdateToKlarna holds what is set alone; the rest stays as it is at Klarna.
func brandUpdateToKlarna(req *gatewayv1.UpdateBrandRequest) klarna.BrandUpdate {
	return klarna.BrandUpdate{DisplayName: req.GetDisplayName(), Element: brandElementToKlarna(req.GetElement())}
}
