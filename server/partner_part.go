package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// accountRequest is what all requests share.
type accountRequest interface{ GetMerchantAccount() string }

// parts opens the parts of partner accounts for the merchant account that a request names.
func (s *partnerService) parts(ctx context.Context, req accountRequest) (account string, source operation.PartnerParts, err error) {
	if account, err = s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI); err != nil {
		return "", nil, err
	}
	source, err = s.operations.PartnerParts(account)
	return account, source, err
}

// change makes the record of a change to a part.
func (s *partnerService) change(ctx context.Context, req interface {
	mutation
	accountRequest
}) (operation.Request, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return operation.Request{}, err
	}
	return once(ctx, account, req)
}

// somethingToChange is INVALID_ARGUMENT where a change names nothing; the fields are those it could name.
func somethingToChange(some bool, id string, fields ...string) error {
	if some {
		return nil
	}
	last := len(fields) - 1
	all := strings.Join(fields[:last], ", ") + " and " + fields[last]
	return invalid(violation(fields[0], "at least one of "+all+" is required", id+".something_to_change"))
}

// references gives the caller's references for Klarna's ids in an account. An account whose record does not have all the
// ids is read from Klarna first.
func (s *partnerService) references(ctx context.Context, account, accountID string, ids ...string) (map[string]string, error) {
	known, err := s.knownReferences(ctx, account, accountID)
	missing := func(id string) bool { return id != "" && known[id] == "" }
	if err != nil || !slices.ContainsFunc(ids, missing) {
		return known, err
	}
	if err := s.operations.Partner(ctx, account, accountID); err != nil {
		return nil, err
	}
	return s.knownReferences(ctx, account, accountID)
}

// knownReferences are the references that the account's record has.
func (s *partnerService) knownReferences(ctx context.Context, account, accountID string) (map[string]string, error) {
	known, err := s.journal.AccountBy(ctx, account, journal.KeyAccount, accountID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	var details klarna.PartnerAccount
	_ = json.Unmarshal(known.Details, &details) // as far as it can be read
	return referencesIn(details), nil
}

func (s *partnerService) CreateBusinessEntity(ctx context.Context, req *gatewayv1.CreateBusinessEntityRequest) (*gatewayv1.CreateBusinessEntityResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateBusinessEntity(ctx, what, req.GetPartnerAccountId(), businessEntityToKlarna(req.GetBusinessEntity()))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateBusinessEntityResponse{BusinessEntity: businessEntityFromKlarna(made)}, nil
}

func (s *partnerService) ListBusinessEntities(ctx context.Context, req *gatewayv1.ListBusinessEntitiesRequest) (*gatewayv1.ListBusinessEntitiesResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	entities, err := source.BusinessEntities(ctx, req.GetPartnerAccountId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListBusinessEntitiesResponse{BusinessEntities: convertAll(entities, businessEntityFromKlarna)}, nil
}

func (s *partnerService) GetBusinessEntity(ctx context.Context, req *gatewayv1.GetBusinessEntityRequest) (*gatewayv1.GetBusinessEntityResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	entity, err := source.BusinessEntity(ctx, req.GetPartnerAccountId(), req.GetPartnerBusinessEntityId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetBusinessEntityResponse{BusinessEntity: businessEntityFromKlarna(entity)}, nil
}

func (s *partnerService) UpdateBusinessEntity(ctx context.Context, req *gatewayv1.UpdateBusinessEntityRequest) (*gatewayv1.UpdateBusinessEntityResponse, error) {
	some := req.LegalRegisteredEntityName != nil || req.GetSupplementaryBusinessData() != nil
	if err := somethingToChange(some, "update_business_entity", "legal_registered_entity_name", "supplementary_business_data"); err != nil {
		return nil, err
	}
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	entity, err := s.operations.UpdateBusinessEntity(ctx, what, req.GetPartnerAccountId(), req.GetPartnerBusinessEntityId(), businessEntityUpdateToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.UpdateBusinessEntityResponse{BusinessEntity: businessEntityFromKlarna(entity)}, nil
}

func (s *partnerService) CreateBrand(ctx context.Context, req *gatewayv1.CreateBrandRequest) (*gatewayv1.CreateBrandResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateBrand(ctx, what, req.GetPartnerAccountId(), brandToKlarna(req.GetBrand()))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateBrandResponse{Brand: brandFromKlarna(made)}, nil
}

func (s *partnerService) ListBrands(ctx context.Context, req *gatewayv1.ListBrandsRequest) (*gatewayv1.ListBrandsResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	brands, err := source.Brands(ctx, req.GetPartnerAccountId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListBrandsResponse{Brands: convertAll(brands, brandFromKlarna)}, nil
}

func (s *partnerService) GetBrand(ctx context.Context, req *gatewayv1.GetBrandRequest) (*gatewayv1.GetBrandResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	brand, err := source.Brand(ctx, req.GetPartnerAccountId(), req.GetBrandId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetBrandResponse{Brand: brandFromKlarna(brand)}, nil
}
