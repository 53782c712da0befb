package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

// ringAccount resolves the merchant account whose key ring a request means: that of any API if it is named, else the
// default of the API that the scheme is for.
func (s *partnerService) ringAccount(ctx context.Context, name string, scheme gatewayv1.SigningKey_Scheme) (string, error) {
	api := operation.NetworkAPI
	if scheme == gatewayv1.SigningKey_SCHEME_PAYMENT_STATUS {
		api = operation.RegionalAPI
	}
	if configured, known := s.accounts[name]; known && scheme == gatewayv1.SigningKey_SCHEME_UNSPECIFIED {
		api = configured
	}
	return s.merchantAccount(ctx, name, api)
}

// ringChange makes the record of a change to a key.
func (s *partnerService) ringChange(ctx context.Context, req interface {
	mutation
	accountRequest
	GetScheme() gatewayv1.SigningKey_Scheme
}) (operation.Request, error) {
	scheme := req.GetScheme()
	if scheme == gatewayv1.SigningKey_SCHEME_UNSPECIFIED {
		scheme = gatewayv1.SigningKey_SCHEME_NETWORK
	}
	account, err := s.ringAccount(ctx, req.GetMerchantAccount(), scheme)
	if err != nil {
		return operation.Request{}, err
	}
	return once(ctx, account, req)
}

func (s *partnerService) CreateSigningKey(ctx context.Context, req *gatewayv1.CreateSigningKeyRequest) (*gatewayv1.CreateSigningKeyResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateSigningKey(ctx, what)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateSigningKeyResponse{SigningKey: signingKeyFromOperation(made)}, nil
}

func (s *partnerService) ImportSigningKey(ctx context.Context, req *gatewayv1.ImportSigningKeyRequest) (*gatewayv1.ImportSigningKeyResponse, error) {
	what, err := s.ringChange(ctx, req)
	if err != nil {
		return nil, err
	}
	key, err := s.operations.ImportSigningKey(ctx, what, schemeToJournal(req.GetScheme()), req.GetSigningKeyId(), klarna.Secret(req.GetSecret()))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ImportSigningKeyResponse{SigningKey: signingKeyFromOperation(key)}, nil
}

func (s *partnerService) ListSigningKeys(ctx context.Context, req *gatewayv1.ListSigningKeysRequest) (*gatewayv1.ListSigningKeysResponse, error) {
	account, err := s.ringAccount(ctx, req.GetMerchantAccount(), gatewayv1.SigningKey_SCHEME_UNSPECIFIED)
	if err != nil {
		return nil, err
	}
	keys, err := s.operations.SigningKeys(ctx, account, req.GetAskKlarna())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListSigningKeysResponse{SigningKeys: convertAll(keys, signingKeyFromOperation)}, nil
}

func (s *partnerService) GetSigningKey(ctx context.Context, req *gatewayv1.GetSigningKeyRequest) (*gatewayv1.GetSigningKeyResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	key, err := s.operations.SigningKey(ctx, account, req.GetSigningKeyId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetSigningKeyResponse{SigningKey: signingKeyFromOperation(key)}, nil
}

func (s *partnerService) RetireSigningKey(ctx context.Context, req *gatewayv1.RetireSigningKeyRequest) (*gatewayv1.RetireSigningKeyResponse, error) {
	what, err := s.ringChange(ctx, req)
	if err != nil {
		return nil, err
	}
	key, err := s.operations.RetireSigningKey(ctx, what, schemeToJournal(req.GetScheme()), req.GetSigningKeyId(), timeOf(req.GetRetireTime()))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.RetireSigningKeyResponse{SigningKey: signingKeyFromOperation(key)}, nil
}

func (s *partnerService) DeleteSigningKey(ctx context.Context, req *gatewayv1.DeleteSigningKeyRequest) (*gatewayv1.DeleteSigningKeyResponse, error) {
	what, err := s.ringChange(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.DeleteSigningKey(ctx, what, schemeToJournal(req.GetScheme()), req.GetSigningKeyId(), req.GetForce()); err != nil {
		return nil, err
	}
	return &gatewayv1.DeleteSigningKeyResponse{}, nil
}
