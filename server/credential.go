package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

// own opens the credentials of the merchant account that a request names.
func (s *partnerService) own(ctx context.Context, req accountRequest) (operation.OwnCredentials, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	return s.operations.OwnCredentials(account)
}

func (s *partnerService) CreateApiKey(ctx context.Context, req *gatewayv1.CreateApiKeyRequest) (*gatewayv1.CreateApiKeyResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateAPIKey(ctx, what, req.GetDescription())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateApiKeyResponse{
		ApiKey: &gatewayv1.ApiKey{CredentialId: made.CredentialID, Description: made.Description}, Secret: made.Secret,
	}, nil
}

func (s *partnerService) ListApiKeys(ctx context.Context, req *gatewayv1.ListApiKeysRequest) (*gatewayv1.ListApiKeysResponse, error) {
	source, err := s.own(ctx, req)
	if err != nil {
		return nil, err
	}
	keys, err := source.APIKeys(ctx)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListApiKeysResponse{ApiKeys: convertAll(keys, apiKeyFromKlarna)}, nil
}

func (s *partnerService) GetApiKey(ctx context.Context, req *gatewayv1.GetApiKeyRequest) (*gatewayv1.GetApiKeyResponse, error) {
	source, err := s.own(ctx, req)
	if err != nil {
		return nil, err
	}
	key, err := source.APIKey(ctx, req.GetCredentialId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetApiKeyResponse{ApiKey: apiKeyFromKlarna(key)}, nil
}

func (s *partnerService) UpdateApiKey(ctx context.Context, req *gatewayv1.UpdateApiKeyRequest) (*gatewayv1.UpdateApiKeyResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.UpdateApiKeyResponse{}, s.operations.UpdateAPIKey(ctx, what, req.GetCredentialId(), req.GetDescription())
}

func (s *partnerService) DisableApiKey(ctx context.Context, req *gatewayv1.DisableApiKeyRequest) (*gatewayv1.DisableApiKeyResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.DisableApiKeyResponse{}, s.operations.DisableAPIKey(ctx, what, req.GetCredentialId())
}

func (s *partnerService) CreateClientCertificate(ctx context.Context, req *gatewayv1.CreateClientCertificateRequest) (*gatewayv1.CreateClientCertificateResponse, error) {
	if err := invalid(signingRequest(req.GetCertificateSigningRequest())...); err != nil {
		return nil, err
	}
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateClientCertificate(ctx, what, certificateRequestToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateClientCertificateResponse{ClientCertificate: certificateFromKlarna(klarna.ClientCertificate{
		CredentialID: made.CredentialID, Description: made.Description, Usage: klarna.CertificateUsage(made.Usage), Certificate: made.Certificate, Raw: made.Raw,
	})}, nil
}

func (s *partnerService) ListClientCertificates(ctx context.Context, req *gatewayv1.ListClientCertificatesRequest) (*gatewayv1.ListClientCertificatesResponse, error) {
	source, err := s.own(ctx, req)
	if err != nil {
		return nil, err
	}
	all, err := source.ClientCertificates(ctx)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListClientCertificatesResponse{ClientCertificates: convertAll(all, certificateFromKlarna)}, nil
}

func (s *partnerService) GetClientCertificate(ctx context.Context, req *gatewayv1.GetClientCertificateRequest) (*gatewayv1.GetClientCertificateResponse, error) {
	source, err := s.own(ctx, req)
	if err != nil {
		return nil, err
	}
	read, err := source.ClientCertificate(ctx, req.GetCredentialId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetClientCertificateResponse{ClientCertificate: certificateFromKlarna(read)}, nil
}

func (s *partnerService) UpdateClientCertificate(ctx context.Context, req *gatewayv1.UpdateClientCertificateRequest) (*gatewayv1.UpdateClientCertificateResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.UpdateClientCertificateResponse{}, s.operations.UpdateClientCertificate(ctx, what, req.GetCredentialId(), req.GetDescription())
}

func (s *partnerService) RevokeClientCertificate(ctx context.Context, req *gatewayv1.RevokeClientCertificateRequest) (*gatewayv1.RevokeClientCertificateResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.RevokeClientCertificateResponse{}, s.operations.RevokeClientCertificate(ctx, what, req.GetCredentialId(), timeOf(req.GetRevokeTime()))
}

func (s *partnerService) GetMtlsEnforcement(ctx context.Context, req *gatewayv1.GetMtlsEnforcementRequest) (*gatewayv1.GetMtlsEnforcementResponse, error) {
	source, err := s.own(ctx, req)
	if err != nil {
		return nil, err
	}
	read, err := source.MTLSEnforcement(ctx)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetMtlsEnforcementResponse{Enforcement: enforcementFromKlarna(read)}, nil
}

func (s *partnerService) EnforceMtls(ctx context.Context, req *gatewayv1.EnforceMtlsRequest) (*gatewayv1.EnforceMtlsResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.EnforceMtlsResponse{}, s.operations.EnforceMTLS(ctx, what, timeOf(req.GetEnforceTime()))
}

func (s *partnerService) RemoveMtlsEnforcement(ctx context.Context, req *gatewayv1.RemoveMtlsEnforcementRequest) (*gatewayv1.RemoveMtlsEnforcementResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.RemoveMtlsEnforcementResponse{}, s.operations.RemoveMTLSEnforcement(ctx, what)
}

func (s *partnerService) GetAllowedIps(ctx context.Context, req *gatewayv1.GetAllowedIpsRequest) (*gatewayv1.GetAllowedIpsResponse, error) {
	source, err := s.own(ctx, req)
	if err != nil {
		return nil, err
	}
	read, err := source.AllowedIPs(ctx)
	if err != nil {
		return nil, err
	}
	return allowedIPsFromKlarna(read), nil
}
