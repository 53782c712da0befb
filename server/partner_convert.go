package server

import (
	"cmp"
	"encoding/json"
	"slices"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// partnerFromJournal shows an account as it is on record at a position. States are the journal's, which follows
// notifications; the rest is Klarna's newest account resource, as far as it can be read.
func partnerFromJournal(a journal.Account, pos store.Position, withContact bool) *gatewayv1.Partner {
	var details klarna.PartnerAccount
	_ = json.Unmarshal(a.Details, &details) // none, or a member of the wrong type: what could be read is shown
	references := referencesIn(details)
	partner := &gatewayv1.Partner{
		PartnerAccountId:        cmp.Or(a.AccountID, details.PartnerAccountID),
		MerchantAccount:         a.MerchantAccount,
		PartnerAccountReference: cmp.Or(a.Reference, details.PartnerAccountReference),
		PartnerAccountName:      details.PartnerAccountName,
		State:                   partnerStateFromWord(a.State),
		StateText:               a.State,
		CanTransact:             a.CanTransact(),
		CanManage:               a.CanManage(),
		Products:                productsFrom(details.Products, a.Products, references),
		Brands:                  convertAll(details.Brands, brandFromKlarna),
		StoreGroups: convertAll(details.StoreGroups, func(g klarna.StoreGroup) *gatewayv1.StoreGroup {
			return storeGroupFromKlarna(g, references)
		}),
		BusinessEntities: convertAll(details.PartnerBusinessEntities, businessEntityFromKlarna),
		Warnings:         convertAll(a.Warnings, warningFromJournal),
		CreateTime:       timestampOf(a.CreatedAt),
		UpdateTime:       timestampOf(a.UpdatedAt),
		EraseTime:        timestampOf(a.ErasedAt),
		Position:         int64(pos),
	}
	if c := details.PartnerAccountContact; withContact && c != nil {
		partner.Contact = &gatewayv1.Contact{GivenName: c.GivenName, FamilyName: c.FamilyName, Email: c.Email, Phone: c.Phone}
	}
	return partner
}

// referencesIn gives the caller's reference for an id of Klarna's. Klarna: requests name entities, store groups and
// brands by reference, answers by id.
func referencesIn(a klarna.PartnerAccount) map[string]string {
	references := map[string]string{}
	for _, b := range a.Brands {
		references[b.BrandID] = b.BrandReference
	}
	for _, g := range a.StoreGroups {
		references[g.StoreGroupID] = g.StoreGroupReference
	}
	for _, e := range a.PartnerBusinessEntities {
		references[e.PartnerBusinessEntityID] = e.PartnerBusinessEntityReference
	}
	delete(references, "")
	return references
}

// productsFrom merges the products of the account resource with the states on record, by id: the states on record win.
func productsFrom(details []klarna.Product, known []journal.Product, references map[string]string) []*gatewayv1.Product {
	products := slices.Clone(details)
	for _, k := range known {
		i := slices.IndexFunc(products, func(p klarna.Product) bool { return p.ProductID == k.ID })
		if i < 0 {
			products = append(products, klarna.Product{ProductID: k.ID})
			i = len(products) - 1
		}
		if p := &products[i]; k.State != "" {
			if k.StateReason != "" || k.State != string(p.State) { // a reason goes with the state it was given for
				p.StateReason = k.StateReason
			}
			p.State = klarna.ProductState(k.State)
		}
	}
	return convertAll(products, func(p klarna.Product) *gatewayv1.Product {
		return &gatewayv1.Product{
			ProductId:        p.ProductID,
			Type:             p.Type,
			State:            productStateFromWord(string(p.State)),
			StateText:        string(p.State),
			StateReason:      p.StateReason,
			PaymentProfileId: p.PaymentProfileID,
			PaymentAccounts: convertAll(p.PaymentAccounts, func(a klarna.PaymentAccount) *gatewayv1.PaymentAccount {
				return paymentAccountFromKlarna(a, references)
			}),
		}
	})
}

func paymentAccountFromKlarna(a klarna.PaymentAccount, references map[string]string) *gatewayv1.PaymentAccount {
	return &gatewayv1.PaymentAccount{
		PaymentAccountId:               a.PaymentAccountID,
		PaymentAccountReference:        a.PaymentAccountReference,
		PaymentAcquiringAccountId:      a.PaymentAcquiringAccountID,
		DefaultMerchantCategoryCode:    a.DefaultMerchantCategoryCode,
		PartnerBusinessEntityReference: cmp.Or(a.PartnerBusinessEntityReference, references[a.PartnerBusinessEntityID]),
		DefaultStoreGroupReference:     cmp.Or(a.DefaultStoreGroupReference, references[a.DefaultStoreGroupID]),
	}
}

func brandFromKlarna(b klarna.Brand) *gatewayv1.Brand {
	brand := &gatewayv1.Brand{BrandId: b.BrandID, BrandReference: b.BrandReference, DisplayName: b.DisplayName}
	if e := b.Element; e != nil {
		brand.Element = &gatewayv1.BrandElement{LogoUrl: e.LogoURL, IconUrl: e.IconURL, FeatureImageUrl: e.FeatureImageURL}
	}
	return brand
}

func storeGroupFromKlarna(g klarna.StoreGroup, references map[string]string) *gatewayv1.StoreGroup {
	group := &gatewayv1.StoreGroup{
		StoreGroupId:        g.StoreGroupID,
		StoreGroupReference: g.StoreGroupReference,
		BrandReference:      cmp.Or(g.BrandReference, references[g.BrandID]),
		SocialMediaLinks: convertAll(g.SocialMediaLinks, func(l klarna.SocialMediaLink) *gatewayv1.SocialMediaLink {
			return &gatewayv1.SocialMediaLink{Provider: l.Provider, Url: l.URL}
		}),
		Stores: convertAll(g.Stores, storeFromKlarna),
	}
	if c := g.SupportContact; c != nil {
		group.SupportContact = &gatewayv1.SupportContact{Email: c.Email, Phone: c.Phone, ContactForm: c.ContactForm}
	}
	return group
}

func storeFromKlarna(s klarna.Store) *gatewayv1.Store {
	return &gatewayv1.Store{
		StoreId:        s.StoreID,
		StoreReference: s.StoreReference,
		Type:           storeTypeFromWord(s.Type),
		Url:            s.URL,
		Address:        placeFromKlarna(s.Address),
		Platform:       s.Platform,
		BundleNames:    s.BundleNames,
	}
}

// businessEntityFromKlarna leaves out the supplementary data, which is never shown back.
func businessEntityFromKlarna(e klarna.BusinessEntity) *gatewayv1.BusinessEntity {
	return &gatewayv1.BusinessEntity{
		PartnerBusinessEntityId:        e.PartnerBusinessEntityID,
		PartnerBusinessEntityReference: e.PartnerBusinessEntityReference,
		LegalRegisteredEntityName:      e.LegalRegisteredEntityName,
		LegalRegistrationCountry:       e.LegalRegistrationCountry,
		EnabledMerchantCategoryCodes:   e.EnabledMerchantCategoryCodes,
	}
}

func warningFromJournal(w journal.Warning) *gatewayv1.PartnerWarning {
	return &gatewayv1.PartnerWarning{
		Type:             w.Type,
		BrandId:          w.BrandID,
		BrandReference:   w.BrandReference,
		IncompleteFields: w.Fields,
		OccurTime:        timestampOf(w.At),
	}
}

// accountEventFromStore shows an event of the account stream, without the contact: streams carry no personal data.
func accountEventFromStore(ev store.Event) (*gatewayv1.AccountEvent, error) {
	entry, err := journal.DecodeAccountEntry(ev.Body)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.AccountEvent{
		EventId:             ev.ID,
		Kind:                accountKindFromWord(ev.Kind),
		Partner:             partnerFromJournal(entry.Account, ev.Position, false),
		PreviousState:       partnerStateFromWord(ev.PreviousState),
		Cause:               eventCauseFromWord(ev.Cause),
		Superseded:          ev.Superseded,
		OccurTime:           timestampOf(ev.OccurredAt),
		RecordTime:          timestampOf(ev.RecordedAt),
		Position:            int64(ev.Position),
		KlarnaEventType:     entry.Type,
		KlarnaCorrelationId: entry.CorrelationID,
	}, nil
}
