package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/operation"
)

func (s *partnerService) ListPaymentProducts(ctx context.Context, req *gatewayv1.ListPaymentProductsRequest) (*gatewayv1.ListPaymentProductsResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	products, err := s.operations.PaymentProducts(ctx, account, req.GetPartnerAccountId())
	if err != nil {
		return nil, err
	}
	references, err := s.references(ctx, account, req.GetPartnerAccountId(), namelessProducts(products)...)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListPaymentProductsResponse{Products: productsFrom(products, nil, references)}, nil
}

func (s *partnerService) DisablePaymentProduct(ctx context.Context, req *gatewayv1.DisablePaymentProductRequest) (*gatewayv1.DisablePaymentProductResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.DisablePaymentProduct(ctx, what, req.GetPartnerAccountId(), req.GetProductId(), disableReasonToKlarna(req)); err != nil {
		return nil, err
	}
	partner, err := s.partner(ctx, what.MerchantAccount, req.GetPartnerAccountId())
	return &gatewayv1.DisablePaymentProductResponse{Partner: partner}, err
}

func (s *partnerService) EnablePaymentProduct(ctx context.Context, req *gatewayv1.EnablePaymentProductRequest) (*gatewayv1.EnablePaymentProductResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.EnablePaymentProduct(ctx, what, req.GetPartnerAccountId(), req.GetProductId()); err != nil {
		return nil, err
	}
	partner, err := s.partner(ctx, what.MerchantAccount, req.GetPartnerAccountId())
	return &gatewayv1.EnablePaymentProductResponse{Partner: partner}, err
}

func (s *partnerService) CreatePaymentAccount(ctx context.Context, req *gatewayv1.CreatePaymentAccountRequest) (*gatewayv1.CreatePaymentAccountResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreatePaymentAccount(ctx, what, req.GetPartnerAccountId(), req.GetProductId(), paymentAccountToKlarna(req.GetPaymentAccount()))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreatePaymentAccountResponse{PaymentAccount: paymentAccountFromKlarna(made, nil)}, nil
}

func (s *partnerService) GetPaymentAccount(ctx context.Context, req *gatewayv1.GetPaymentAccountRequest) (*gatewayv1.GetPaymentAccountResponse, error) {
	account, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	found, err := source.PaymentAccount(ctx, req.GetPartnerAccountId(), req.GetProductId(), req.GetPaymentAccountId())
	if err != nil {
		return nil, err
	}
	references, err := s.references(ctx, account, req.GetPartnerAccountId(), nameless(found)...)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetPaymentAccountResponse{PaymentAccount: paymentAccountFromKlarna(found, references)}, nil
}

func (s *partnerService) UpdatePaymentAccount(ctx context.Context, req *gatewayv1.UpdatePaymentAccountRequest) (*gatewayv1.UpdatePaymentAccountResponse, error) {
	some := req.PaymentAccountReference != nil || req.DefaultMerchantCategoryCode != nil
	if err := somethingToChange(some, "update_payment_account", "payment_account_reference", "default_merchant_category_code"); err != nil {
		return nil, err
	}
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	changed, err := s.operations.UpdatePaymentAccount(ctx, what, req.GetPartnerAccountId(), req.GetProductId(), req.GetPaymentAccountId(), paymentAccountUpdateToKlarna(req))
	if err != nil {
		return nil, err
	}
	references, err := s.references(ctx, what.MerchantAccount, req.GetPartnerAccountId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.UpdatePaymentAccountResponse{PaymentAccount: paymentAccountFromKlarna(changed, references)}, nil
}

func (s *partnerService) ListPaymentProfiles(ctx context.Context, req *gatewayv1.ListPaymentProfilesRequest) (*gatewayv1.ListPaymentProfilesResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	profiles, err := source.PaymentProfiles(ctx)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListPaymentProfilesResponse{PaymentProfiles: convertAll(profiles, paymentProfileFromKlarna)}, nil
}

func (s *partnerService) ListComplianceDecisions(ctx context.Context, req *gatewayv1.ListComplianceDecisionsRequest) (*gatewayv1.ListComplianceDecisionsResponse, error) {
	account, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListComplianceDecisions", account, req)
	if err != nil {
		return nil, err
	}
	decisions, next, err := source.ComplianceDecisions(ctx, req.GetPartnerAccountId(), p.cursorAtKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListComplianceDecisionsResponse{
		Decisions: convertAll(decisions, complianceDecisionFromKlarna), NextPageToken: p.tokenOfCursor(next),
	}, nil
}

func (s *partnerService) GetComplianceDecision(ctx context.Context, req *gatewayv1.GetComplianceDecisionRequest) (*gatewayv1.GetComplianceDecisionResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	decision, err := source.ComplianceDecision(ctx, req.GetPartnerAccountId(), req.GetDecisionId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetComplianceDecisionResponse{Decision: complianceDecisionFromKlarna(decision)}, nil
}
