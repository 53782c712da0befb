package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

func (s *orderService) UpdateAuthorization(ctx context.Context, req *gatewayv1.UpdateAuthorizationRequest) (*gatewayv1.UpdateAuthorizationResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := authorizationAddsUp(req); err != nil {
		return nil, err
	}
	err = s.operations.UpdateAuthorization(ctx, what, req.GetOrderId(), req.GetOrderAmount().GetCurrencyCode(), authorizationToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyOrder, req.GetOrderId())
	return &gatewayv1.UpdateAuthorizationResponse{Payment: payment}, err
}

// authorizationAddsUp checks that the lines make up the amount.
func authorizationAddsUp(req *gatewayv1.UpdateAuthorizationRequest) error {
	if req.GetRemoveOrderLines() {
		return nil
	}
	return amountFlaws(klarna.CheckAuthorization(req.GetOrderAmount().GetAmountMinor(), linesToKlarna(req.GetOrderLines())), "")
}

func (s *orderService) ExtendAuthorization(ctx context.Context, req *gatewayv1.ExtendAuthorizationRequest) (*gatewayv1.ExtendAuthorizationResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.ExtendAuthorization(ctx, what, req.GetOrderId()); err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyOrder, req.GetOrderId())
	return &gatewayv1.ExtendAuthorizationResponse{Payment: payment}, err
}

func (s *orderService) ReleaseRemainingAuthorization(ctx context.Context, req *gatewayv1.ReleaseRemainingAuthorizationRequest) (*gatewayv1.ReleaseRemainingAuthorizationResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.ReleaseRemainingAuthorization(ctx, what, req.GetOrderId()); err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyOrder, req.GetOrderId())
	return &gatewayv1.ReleaseRemainingAuthorizationResponse{Payment: payment}, err
}

func (s *orderService) UpdateMerchantReferences(ctx context.Context, req *gatewayv1.UpdateMerchantReferencesRequest) (*gatewayv1.UpdateMerchantReferencesResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.UpdateMerchantReferences(ctx, what, req.GetOrderId(), referencesToKlarna(req)); err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyOrder, req.GetOrderId())
	return &gatewayv1.UpdateMerchantReferencesResponse{Payment: payment}, err
}

func (s *orderService) UpdateCustomerDetails(ctx context.Context, req *gatewayv1.UpdateCustomerDetailsRequest) (*gatewayv1.UpdateCustomerDetailsResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	address := customerAddressToKlarna(req.GetShippingAddress()) // required
	if err := s.operations.UpdateShippingAddress(ctx, what, req.GetOrderId(), *address); err != nil {
		return nil, err
	}
	return &gatewayv1.UpdateCustomerDetailsResponse{}, nil
}

func (s *orderService) AddOrderShippingInfo(ctx context.Context, req *gatewayv1.AddOrderShippingInfoRequest) (*gatewayv1.AddOrderShippingInfoResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	parcels := convertAll(req.GetShippingInfo(), shippingToKlarna)
	if err := s.operations.AddOrderShippingInfo(ctx, what, req.GetOrderId(), parcels); err != nil {
		return nil, err
	}
	return &gatewayv1.AddOrderShippingInfoResponse{}, nil
}

// write makes the record of a write, under the merchant account that it names or the default one.
func (s *Server) write(ctx context.Context, req interface {
	mutation
	GetMerchantAccount() string
},
) (operation.Request, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return operation.Request{}, err
	}
	return once(ctx, account, req)
}
