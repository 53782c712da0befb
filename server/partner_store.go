package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

func (s *partnerService) CreateStoreGroup(ctx context.Context, req *gatewayv1.CreateStoreGroupRequest) (*gatewayv1.CreateStoreGroupResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateStoreGroup(ctx, what, req.GetPartnerAccountId(), storeGroupToKlarna(req.GetStoreGroup()))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateStoreGroupResponse{StoreGroup: storeGroupFromKlarna(made, nil)}, nil
}

func (s *partnerService) ListStoreGroups(ctx context.Context, req *gatewayv1.ListStoreGroupsRequest) (*gatewayv1.ListStoreGroupsResponse, error) {
	account, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListStoreGroups", account, req)
	if err != nil {
		return nil, err
	}
	groups, next, err := source.StoreGroups(ctx, req.GetPartnerAccountId(), p.cursorAtKlarna(req))
	if err != nil {
		return nil, err
	}
	references, err := s.references(ctx, account, req.GetPartnerAccountId(), namelessBrands(groups...)...)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListStoreGroupsResponse{StoreGroups: convertAll(groups, func(g klarna.StoreGroup) *gatewayv1.StoreGroup {
		return storeGroupFromKlarna(g, references)
	}), NextPageToken: p.tokenOfCursor(next)}, nil
}

func (s *partnerService) GetStoreGroup(ctx context.Context, req *gatewayv1.GetStoreGroupRequest) (*gatewayv1.GetStoreGroupResponse, error) {
	account, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	group, err := source.StoreGroup(ctx, req.GetPartnerAccountId(), req.GetStoreGroupId())
	if err != nil {
		return nil, err
	}
	references, err := s.references(ctx, account, req.GetPartnerAccountId(), namelessBrands(group)...)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetStoreGroupResponse{StoreGroup: storeGroupFromKlarna(group, references)}, nil
}

func (s *partnerService) UpdateStoreGroup(ctx context.Context, req *gatewayv1.UpdateStoreGroupRequest) (*gatewayv1.UpdateStoreGroupResponse, error) {
	some := req.StoreGroupReference != nil || req.GetSupportContact() != nil || len(req.GetSocialMediaLinks()) > 0
	if err := somethingToChange(some, "update_store_group", "store_group_reference", "support_contact", "social_media_links"); err != nil {
		return nil, err
	}
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	group, err := s.operations.UpdateStoreGroup(ctx, what, req.GetPartnerAccountId(), req.GetStoreGroupId(), storeGroupUpdateToKlarna(req))
	if err != nil {
		return nil, err
	}
	references, err := s.references(ctx, what.MerchantAccount, req.GetPartnerAccountId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.UpdateStoreGroupResponse{StoreGroup: storeGroupFromKlarna(group, references)}, nil
}

func (s *partnerService) CreateStore(ctx context.Context, req *gatewayv1.CreateStoreRequest) (*gatewayv1.CreateStoreResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	in := storeToKlarna(req.GetStore())
	in.StoreGroupID = req.GetStoreGroupId()
	made, err := s.operations.CreateStore(ctx, what, req.GetPartnerAccountId(), in)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateStoreResponse{Store: storeFromKlarna(made)}, nil
}

func (s *partnerService) ListStores(ctx context.Context, req *gatewayv1.ListStoresRequest) (*gatewayv1.ListStoresResponse, error) {
	account, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListStores", account, req)
	if err != nil {
		return nil, err
	}
	stores, next, err := source.Stores(ctx, req.GetPartnerAccountId(), p.cursorAtKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListStoresResponse{Stores: convertAll(stores, storeFromKlarna), NextPageToken: p.tokenOfCursor(next)}, nil
}

func (s *partnerService) GetStore(ctx context.Context, req *gatewayv1.GetStoreRequest) (*gatewayv1.GetStoreResponse, error) {
	_, source, err := s.parts(ctx, req)
	if err != nil {
		return nil, err
	}
	found, err := source.Store(ctx, req.GetPartnerAccountId(), req.GetStoreId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetStoreResponse{Store: storeFromKlarna(found)}, nil
}

func (s *partnerService) UpdateStore(ctx context.Context, req *gatewayv1.UpdateStoreRequest) (*gatewayv1.UpdateStoreResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	changed, err := s.operations.UpdateStore(ctx, what, req.GetPartnerAccountId(), req.GetStoreId(), storeToKlarna(req.GetStore()))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.UpdateStoreResponse{Store: storeFromKlarna(changed)}, nil
}
