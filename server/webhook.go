package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

func (s *partnerService) SetUpWebhooks(ctx context.Context, req *gatewayv1.SetUpWebhooksRequest) (*gatewayv1.SetUpWebhooksResponse, error) {
	if err := invalid(webhookURL(req.GetUrl())...); err != nil {
		return nil, err
	}
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	proof, err := s.operations.SetUpWebhooks(ctx, what, webhookSetUpToOperation(req))
	if err != nil {
		return nil, err
	}
	keys, err := s.operations.SigningKeys(ctx, what.MerchantAccount, false)
	if err != nil {
		return nil, err
	}
	return setUpFromOperation(proof, keys), nil
}

func (s *partnerService) CreateWebhook(ctx context.Context, req *gatewayv1.CreateWebhookRequest) (*gatewayv1.CreateWebhookResponse, error) {
	if err := invalid(webhookURL(req.GetUrl())...); err != nil {
		return nil, err
	}
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateWebhook(ctx, what, webhookToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateWebhookResponse{Webhook: webhookFromKlarna(made)}, nil
}

func (s *partnerService) ListWebhooks(ctx context.Context, req *gatewayv1.ListWebhooksRequest) (*gatewayv1.ListWebhooksResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	all, err := s.operations.Webhooks(ctx, account)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListWebhooksResponse{Webhooks: convertAll(all, webhookFromKlarna)}, nil
}

func (s *partnerService) GetWebhook(ctx context.Context, req *gatewayv1.GetWebhookRequest) (*gatewayv1.GetWebhookResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	read, err := s.operations.Webhook(ctx, account, req.GetWebhookId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetWebhookResponse{Webhook: webhookFromKlarna(read)}, nil
}

func (s *partnerService) UpdateWebhook(ctx context.Context, req *gatewayv1.UpdateWebhookRequest) (*gatewayv1.UpdateWebhookResponse, error) {
	some := req.GetUrl() != "" || len(req.GetEventTypes()) > 0 || req.GetEventVersion() != "" || req.GetSigningKeyId() != "" ||
		req.GetStatus() != gatewayv1.Webhook_STATUS_UNSPECIFIED
	if err := somethingToChange(some, "update_webhook", "url", "event_types", "event_version", "signing_key_id", "status"); err != nil {
		return nil, err
	}
	if err := invalid(webhookURL(req.GetUrl())...); err != nil {
		return nil, err
	}
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	changed, err := s.operations.UpdateWebhook(ctx, what, req.GetWebhookId(), webhookUpdateToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.UpdateWebhookResponse{Webhook: webhookFromKlarna(changed)}, nil
}

func (s *partnerService) DeleteWebhook(ctx context.Context, req *gatewayv1.DeleteWebhookRequest) (*gatewayv1.DeleteWebhookResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.DeleteWebhook(ctx, what, req.GetWebhookId()); err != nil {
		return nil, err
	}
	return &gatewayv1.DeleteWebhookResponse{}, nil
}

func (s *partnerService) SimulateWebhook(ctx context.Context, req *gatewayv1.SimulateWebhookRequest) (*gatewayv1.SimulateWebhookResponse, error) {
	what, err := s.change(ctx, req)
	if err != nil {
		return nil, err
	}
	event := klarna.SimulatedEvent{EventType: req.GetEventType(), EventVersion: eventVersion(req.GetEventVersion())}
	if err := s.operations.SimulateWebhook(ctx, what, req.GetWebhookId(), event); err != nil {
		return nil, err
	}
	return &gatewayv1.SimulateWebhookResponse{}, nil
}
