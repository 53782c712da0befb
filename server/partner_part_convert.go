package server

import (
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// cursorAtKlarna is the page for lists that Klarna keeps and pages by its own items: our tokens hold Klarna's cursor.
func (p page) cursorAtKlarna(req pageRequest) klarna.Cursor {
	return klarna.Cursor{Size: int(req.GetPageSize()), After: p.cursor}
}

// tokenOfCursor is the token of the page behind Klarna's cursor; empty for none.
func (p page) tokenOfCursor(cursor string) string {
	if cursor == "" {
		return ""
	}
	return p.cursors.token(place{Cursor: cursor})
}

// nameless are the ids in a payment account that need the caller's reference. Klarna: answers may have the id alone.
func nameless(a klarna.PaymentAccount) (ids []string) {
	if a.PartnerBusinessEntityReference == "" {
		ids = append(ids, a.PartnerBusinessEntityID)
	}
	if a.DefaultStoreGroupReference == "" {
		ids = append(ids, a.DefaultStoreGroupID)
	}
	return ids
}

func namelessProducts(products []klarna.Product) (ids []string) {
	for _, p := range products {
		for _, a := range p.PaymentAccounts {
			ids = append(ids, nameless(a)...)
		}
	}
	return ids
}

// namelessBrands are the same of the brands in store groups.
func namelessBrands(groups ...klarna.StoreGroup) (ids []string) {
	for _, g := range groups {
		if g.BrandReference == "" {
			ids = append(ids, g.BrandID)
		}
	}
	return ids
}

// businessEntityUpdateToKlarna holds what is set alone; the rest stays as it is at Klarna.
func businessEntityUpdateToKlarna(req *gatewayv1.UpdateBusinessEntityRequest) klarna.BusinessEntityUpdate {
	return klarna.BusinessEntityUpdate{
		LegalRegisteredEntityName: req.GetLegalRegisteredEntityName(),
		SupplementaryBusinessData: businessDataToKlarna(req.GetSupplementaryBusinessData()),
	}
}

// storeGroupUpdateToKlarna holds what is set alone; the rest stays as it is at Klarna.
func storeGroupUpdateToKlarna(req *gatewayv1.UpdateStoreGroupRequest) klarna.StoreGroupUpdate {
	return klarna.StoreGroupUpdate{
		StoreGroupReference: req.GetStoreGroupReference(),
		SupportContact:      supportContactToKlarna(req.GetSupportContact()),
		SocialMediaLinks:    convertAll(req.GetSocialMediaLinks(), socialMediaLinkToKlarna),
	}
}

// paymentAccountUpdateToKlarna holds what is set alone; the rest stays as it is at Klarna.
func paymentAccountUpdateToKlarna(req *gatewayv1.UpdatePaymentAccountRequest) klarna.PaymentAccountUpdate {
	return klarna.PaymentAccountUpdate{
		PaymentAccountReference:     req.GetPaymentAccountReference(),
		DefaultMerchantCategoryCode: req.GetDefaultMerchantCategoryCode(),
	}
}

func disableReasonToKlarna(req *gatewayv1.DisablePaymentProductRequest) klarna.DisableReason {
	return klarna.DisableReason{Reason: req.GetReason(), ReasonDetails: req.GetReasonDetails()}
}

func paymentProfileFromKlarna(p klarna.PaymentProfile) *gatewayv1.PaymentProfile {
	return &gatewayv1.PaymentProfile{PaymentProfileId: p.PaymentProfileID, Name: p.Name}
}

// complianceDecisionFromKlarna shows a decision as Klarna gives it.
func complianceDecisionFromKlarna(d klarna.ComplianceDecision) *gatewayv1.ComplianceDecision {
	return &gatewayv1.ComplianceDecision{DecisionId: d.DecisionID, Details: detailsFromKlarna(d.Raw)}
}
