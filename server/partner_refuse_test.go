package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

func TestParts_ThatKlarnaDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	none := partner{id: p.id, product: anotherID, paymentAccount: anotherID, entity: anotherID, group: anotherID, store: anotherID}
	reqs := []proto.Message{
		&gatewayv1.GetBusinessEntityRequest{PartnerAccountId: p.id, PartnerBusinessEntityId: anotherID},
		&gatewayv1.GetBrandRequest{PartnerAccountId: p.id, BrandId: anotherID},
		&gatewayv1.GetStoreGroupRequest{PartnerAccountId: p.id, StoreGroupId: anotherID},
		&gatewayv1.GetStoreRequest{PartnerAccountId: p.id, StoreId: anotherID},
		&gatewayv1.GetPaymentAccountRequest{PartnerAccountId: p.id, ProductId: p.product, PaymentAccountId: anotherID},
		&gatewayv1.GetComplianceDecisionRequest{PartnerAccountId: p.id, DecisionId: anotherID},
		&gatewayv1.UpdateBrandRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, BrandId: anotherID, DisplayName: text("N")},
	}
	for name, w := range partWrites {
		if name != "CreateBusinessEntity" && name != "CreateBrand" && name != "CreateStoreGroup" { // those name nothing
			reqs = append(reqs, w.req(none))
		}
	}
	for _, req := range reqs {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND, nil)
	}
	nobody := partner{id: anotherID, product: anotherID}
	for _, req := range []proto.Message{
		&gatewayv1.ListBusinessEntitiesRequest{PartnerAccountId: anotherID}, &gatewayv1.ListBrandsRequest{PartnerAccountId: anotherID},
		&gatewayv1.ListStoreGroupsRequest{PartnerAccountId: anotherID}, &gatewayv1.ListStoresRequest{PartnerAccountId: anotherID},
		&gatewayv1.ListPaymentProductsRequest{PartnerAccountId: anotherID}, &gatewayv1.ListComplianceDecisionsRequest{PartnerAccountId: anotherID},
		partWrites["CreateBrand"].req(nobody), partWrites["EnablePaymentProduct"].req(nobody),
	} {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_PARTNER_NOT_FOUND, nil)
	}
}

func TestParts_RefusedByKlarna(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	for name, w := range partWrites {
		conflict, code, status := gatewayv1.ErrorReason_ERROR_REASON_CONFLICT, codes.Aborted, http.StatusConflict
		forbidden := gatewayv1.ErrorReason_ERROR_REASON_KLARNA_FORBIDDEN
		switch {
		case w.create:
			conflict, code = gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS, codes.AlreadyExists
		case strings.HasSuffix(name, "PaymentProduct"):
			conflict, code, status = gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, codes.FailedPrecondition, http.StatusBadRequest
			forbidden = conflict
		}
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, Status: 409, Times: 2}))
			s.refused(w.req(p), code, status, conflict, nil)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, Status: 403, Times: 2}))
			s.refused(w.req(p), codes.FailedPrecondition, http.StatusBadRequest, forbidden, nil)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, Status: 404, Code: "NOT_FOUND", Times: 2}))
			s.refused(w.req(p), codes.Internal, http.StatusInternalServerError, gatewayv1.ErrorReason_ERROR_REASON_KLARNA_UNEXPECTED, nil)
		})
	}
	taken := partWrites["CreateBrand"].req(p).(*gatewayv1.CreateBrandRequest)
	taken.Brand.BrandReference = "mrc-000482-b1"
	s.refused(taken, codes.AlreadyExists, http.StatusConflict, gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS, nil)
	must(t, s.klarna.DisableProduct(p.id))
	s.refused(partWrites["EnablePaymentProduct"].req(p), codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, nil)
}

func TestParts_NameOurFieldsForWhatKlarnaRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	for want, req := range map[string]proto.Message{
		"payment_account.default_store_group_reference": with(partWrites["CreatePaymentAccount"].req(p).(*gatewayv1.CreatePaymentAccountRequest), func(r *gatewayv1.CreatePaymentAccountRequest) {
			r.PaymentAccount.DefaultStoreGroupReference = "none"
		}),
		"store_group.brand_reference": with(partWrites["CreateStoreGroup"].req(p).(*gatewayv1.CreateStoreGroupRequest), func(r *gatewayv1.CreateStoreGroupRequest) {
			r.StoreGroup.BrandReference = "none"
		}),
		"brand.display_name": with(partWrites["CreateBrand"].req(p).(*gatewayv1.CreateBrandRequest), func(r *gatewayv1.CreateBrandRequest) {
			r.Brand.DisplayName = "Nord\nlicht"
		}),
		"store.type": with(partWrites["UpdateStore"].req(p).(*gatewayv1.UpdateStoreRequest), func(r *gatewayv1.UpdateStoreRequest) {
			r.Store = &gatewayv1.Store{StoreReference: "x", Type: gatewayv1.Store_TYPE_PHYSICAL_STORE, Address: &gatewayv1.Address{Country: "DE"}}
		}),
		"business_entity.supplementary_business_data.stakeholders[0].date_of_birth": with(partWrites["CreateBusinessEntity"].req(p).(*gatewayv1.CreateBusinessEntityRequest), func(r *gatewayv1.CreateBusinessEntityRequest) {
			r.BusinessEntity.SupplementaryBusinessData = &gatewayv1.SupplementaryBusinessData{Stakeholders: []*gatewayv1.Stakeholder{{DateOfBirth: "1984-13-01"}}}
		}),
		"support_contact.phone": &gatewayv1.UpdateStoreGroupRequest{
			RequestId: uuid.NewString(), PartnerAccountId: p.id, StoreGroupId: p.group, SupportContact: &gatewayv1.SupportContact{Phone: "0301"},
		},
		"reason": &gatewayv1.DisablePaymentProductRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, ProductId: p.product, Reason: "\a"},
	} {
		s.refused(req, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA, map[string]string{want: "Klarna refused this value"})
	}
	if got := ourPart("createStore", "store_group_id"); got != "store_group_id" {
		t.Error(got)
	}
}

func TestParts_ChangesOfNothingAreInvalid(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for first, req := range map[string]proto.Message{
		"legal_registered_entity_name": &gatewayv1.UpdateBusinessEntityRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", PartnerBusinessEntityId: "krn:e"},
		"store_group_reference":        &gatewayv1.UpdateStoreGroupRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", StoreGroupId: "krn:g"},
		"payment_account_reference":    &gatewayv1.UpdatePaymentAccountRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", ProductId: "krn:p", PaymentAccountId: "krn:pa"},
	} {
		s.refused(req, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{first: "at least one of"})
	}
	for field, req := range map[string]proto.Message{
		"brand":              &gatewayv1.CreateBrandRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a"},
		"brand.display_name": &gatewayv1.CreateBrandRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", Brand: &gatewayv1.Brand{BrandReference: "b"}},
		"store.url": &gatewayv1.CreateStoreRequest{
			RequestId: uuid.NewString(), PartnerAccountId: "krn:a", StoreGroupId: "krn:g", Store: with(website("x"), func(s *gatewayv1.Store) { s.Url = "no address" }),
		},
		"reason":    &gatewayv1.DisablePaymentProductRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", ProductId: "krn:p"},
		"page_size": &gatewayv1.ListStoresRequest{PartnerAccountId: "krn:a", PageSize: 101},
	} {
		s.refused(req, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{field: ""})
	}
	_, err := s.partners.ListPaymentProfiles(t.Context(), &gatewayv1.ListPaymentProfilesRequest{MerchantAccount: shop})
	wantStatus(t, err, codes.FailedPrecondition, "MERCHANT_ACCOUNT_UNSUITABLE")
}
