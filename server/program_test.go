package server

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// enablementRequest enables the one program that the simulated Klarna has.
func enablementRequest(partnerAccountID string) *gatewayv1.CreateProgramEnablementRequest {
	return &gatewayv1.CreateProgramEnablementRequest{
		RequestId: uuid.NewString(), PartnerAccountId: partnerAccountID, PaymentProgramId: klarnatest.ProgramID,
		CustomerCountries: []string{"DE", "AT"}, MerchantCategoryCodes: []string{"0744"},
	}
}

func TestPrograms_AreRead(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx := t.Context()
	prices, err := s.partners.ListPricePlans(ctx, &gatewayv1.ListPricePlansRequest{})
	must(t, err)
	price, err := s.partners.GetPricePlan(ctx, &gatewayv1.GetPricePlanRequest{PricePlanId: prices.GetPricePlans()[0].GetPricePlanId()})
	must(t, err)
	if !proto.Equal(price.GetPricePlan(), prices.GetPricePlans()[0]) || price.GetPricePlan().GetDetails().GetFields()["name"].GetStringValue() != "Standard" {
		t.Errorf("listed %v, read %v", prices, price)
	}
	plans, err := s.partners.ListPaymentProgramPlans(ctx, &gatewayv1.ListPaymentProgramPlansRequest{Country: "DE", CurrencyCode: "EUR", MerchantCategoryCode: "5941"})
	must(t, err)
	plan, err := s.partners.GetPaymentProgramPlan(ctx, &gatewayv1.GetPaymentProgramPlanRequest{PaymentProgramPlanId: klarnatest.ProgramPlanID})
	must(t, err)
	if len(plans.GetPaymentProgramPlans()) != 1 || !proto.Equal(plans.GetPaymentProgramPlans()[0], plan.GetPaymentProgramPlan()) {
		t.Errorf("listed %v, read %v", plans, plan)
	}
	if none, err := s.partners.ListPaymentProgramPlans(ctx, &gatewayv1.ListPaymentProgramPlansRequest{Country: "SE"}); err != nil || len(none.GetPaymentProgramPlans()) != 0 {
		t.Errorf("of Sweden: %v, %v", none, err)
	}
	program, err := s.partners.GetPaymentProgram(ctx, &gatewayv1.GetPaymentProgramRequest{PaymentProgramId: klarnatest.ProgramID})
	must(t, err)
	if program.GetPaymentProgram().GetPaymentProgramId() != klarnatest.ProgramID || program.GetPaymentProgram().GetDetails() == nil {
		t.Errorf("read %v", program)
	}
	const notFound = gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND
	for _, req := range []proto.Message{
		&gatewayv1.GetPricePlanRequest{PricePlanId: "none"}, &gatewayv1.GetPaymentProgramPlanRequest{PaymentProgramPlanId: "none"},
		&gatewayv1.GetPaymentProgramRequest{PaymentProgramId: "none"},
	} {
		s.refused(req, codes.NotFound, http.StatusNotFound, notFound, nil)
	}
}

func TestProgramEnablements_AreMadeReadAndEnded(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx, partner := t.Context(), s.managed("mrc-1").id
	made, err := s.partners.CreateProgramEnablement(ctx, enablementRequest(partner))
	must(t, err)
	id := made.GetProgramEnablement().GetProgramEnablementId()
	read, err := s.partners.GetProgramEnablement(ctx, &gatewayv1.GetProgramEnablementRequest{PartnerAccountId: partner, ProgramEnablementId: id})
	must(t, err)
	want := &gatewayv1.ProgramEnablement{
		ProgramEnablementId: id, PaymentProgramId: klarnatest.ProgramID, CustomerCountries: []string{"DE", "AT"}, MerchantCategoryCodes: []string{"0744"},
	}
	if id == "" || !proto.Equal(made.GetProgramEnablement(), want) || !proto.Equal(read.GetProgramEnablement(), want) {
		t.Errorf("made %v, read %v", made, read)
	}
	second, err := s.partners.CreateProgramEnablement(ctx, enablementRequest(partner))
	must(t, err)
	page, err := s.partners.ListProgramEnablements(ctx, &gatewayv1.ListProgramEnablementsRequest{PartnerAccountId: partner, PageSize: 1})
	must(t, err)
	rest, err := s.partners.ListProgramEnablements(ctx, &gatewayv1.ListProgramEnablementsRequest{PartnerAccountId: partner, PageSize: 1, PageToken: page.GetNextPageToken()})
	must(t, err)
	if !proto.Equal(page.GetProgramEnablements()[0], want) || !proto.Equal(rest.GetProgramEnablements()[0], second.GetProgramEnablement()) || rest.GetNextPageToken() != "" {
		t.Errorf("listed %v, then %v", page, rest)
	}
	ended := &gatewayv1.DeleteProgramEnablementRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, ProgramEnablementId: id}
	if status, body, _ := s.overREST(ended, nil); status != http.StatusOK {
		t.Errorf("ended over REST: %d %s", status, body)
	}
	const notFound = gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND
	s.refused(&gatewayv1.GetProgramEnablementRequest{PartnerAccountId: partner, ProgramEnablementId: id}, codes.NotFound, 404, notFound, nil)
	s.refused(&gatewayv1.DeleteProgramEnablementRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, ProgramEnablementId: "none"}, codes.NotFound, 404, notFound, nil)
	unknown := enablementRequest(partner)
	unknown.PaymentProgramId = "none"
	s.refused(unknown, codes.InvalidArgument, 400, gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA, map[string]string{"payment_program_id": "refused"})
}
