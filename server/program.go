package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

func (s *partnerService) ListPricePlans(ctx context.Context, req *gatewayv1.ListPricePlansRequest) (*gatewayv1.ListPricePlansResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	plans, err := source.PricePlans(ctx)
	return &gatewayv1.ListPricePlansResponse{PricePlans: convertAll(plans, pricePlanFromKlarna)}, err
}

func (s *partnerService) GetPricePlan(ctx context.Context, req *gatewayv1.GetPricePlanRequest) (*gatewayv1.GetPricePlanResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	plan, err := source.PricePlan(ctx, req.GetPricePlanId())
	return &gatewayv1.GetPricePlanResponse{PricePlan: pricePlanFromKlarna(plan)}, err
}

func (s *partnerService) ListPaymentProgramPlans(ctx context.Context, req *gatewayv1.ListPaymentProgramPlansRequest) (*gatewayv1.ListPaymentProgramPlansResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	plans, err := source.ProgramPlans(ctx, klarna.ProgramFilter{
		MerchantCategoryCode: req.GetMerchantCategoryCode(), Country: req.GetCountry(), Currency: req.GetCurrencyCode(),
		Version: req.GetVersion(), EnablementType: req.GetEnablementType(),
	})
	return &gatewayv1.ListPaymentProgramPlansResponse{PaymentProgramPlans: convertAll(plans, programPlanFromKlarna)}, err
}

func (s *partnerService) GetPaymentProgramPlan(ctx context.Context, req *gatewayv1.GetPaymentProgramPlanRequest) (*gatewayv1.GetPaymentProgramPlanResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	plan, err := source.ProgramPlan(ctx, req.GetPaymentProgramPlanId())
	return &gatewayv1.GetPaymentProgramPlanResponse{PaymentProgramPlan: programPlanFromKlarna(plan)}, err
}

func (s *partnerService) GetPaymentProgram(ctx context.Context, req *gatewayv1.GetPaymentProgramRequest) (*gatewayv1.GetPaymentProgramResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	program, err := source.PaymentProgram(ctx, req.GetPaymentProgramId())
	return &gatewayv1.GetPaymentProgramResponse{
		PaymentProgram: &gatewayv1.PaymentProgram{PaymentProgramId: program.PaymentProgramID, Details: detailsFromKlarna(program.Raw)},
	}, err
}

func (s *partnerService) CreateProgramEnablement(ctx context.Context, req *gatewayv1.CreateProgramEnablementRequest) (*gatewayv1.CreateProgramEnablementResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateProgramEnablement(ctx, what, req.GetPartnerAccountId(), klarna.ProgramEnablement{
		PaymentProgramID:   req.GetPaymentProgramId(),
		EnablementCriteria: klarna.EnablementCriteria{CustomerCountries: req.GetCustomerCountries(), MerchantCategoryCodes: req.GetMerchantCategoryCodes()},
	})
	return &gatewayv1.CreateProgramEnablementResponse{ProgramEnablement: enablementFromKlarna(made)}, err
}

func (s *partnerService) ListProgramEnablements(ctx context.Context, req *gatewayv1.ListProgramEnablementsRequest) (*gatewayv1.ListProgramEnablementsResponse, error) {
	account, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListProgramEnablements", account, req)
	if err != nil {
		return nil, err
	}
	enablements, next, err := source.ProgramEnablements(ctx, req.GetPartnerAccountId(), p.cursorAtKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListProgramEnablementsResponse{
		ProgramEnablements: convertAll(enablements, enablementFromKlarna), NextPageToken: p.tokenOfCursor(next),
	}, nil
}

func (s *partnerService) GetProgramEnablement(ctx context.Context, req *gatewayv1.GetProgramEnablementRequest) (*gatewayv1.GetProgramEnablementResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	enablement, err := source.ProgramEnablement(ctx, req.GetPartnerAccountId(), req.GetProgramEnablementId())
	return &gatewayv1.GetProgramEnablementResponse{ProgramEnablement: enablementFromKlarna(enablement)}, err
}

func (s *partnerService) DeleteProgramEnablement(ctx context.Context, req *gatewayv1.DeleteProgramEnablementRequest) (*gatewayv1.DeleteProgramEnablementResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.DeleteProgramEnablementResponse{}, s.operations.DeleteProgramEnablement(ctx, what, req.GetPartnerAccountId(), req.GetProgramEnablementId())
}

func pricePlanFromKlarna(p klarna.PricePlan) *gatewayv1.PricePlan {
	return &gatewayv1.PricePlan{PricePlanId: p.PricePlanID, Details: detailsFromKlarna(p.Raw)}
}

func programPlanFromKlarna(p klarna.ProgramPlan) *gatewayv1.PaymentProgramPlan {
	return &gatewayv1.PaymentProgramPlan{PaymentProgramPlanId: p.PaymentProgramPlanID, Details: detailsFromKlarna(p.Raw)}
}

func enablementFromKlarna(e klarna.ProgramEnablement) *gatewayv1.ProgramEnablement {
	return &gatewayv1.ProgramEnablement{
		ProgramEnablementId: e.PaymentProgramEnablementID, PaymentProgramId: e.PaymentProgramID,
		CustomerCountries: e.EnablementCriteria.CustomerCountries, MerchantCategoryCodes: e.EnablementCriteria.MerchantCategoryCodes,
	}
}
