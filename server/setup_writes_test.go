package server

import (
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// setUpWrites are the writes of our own set-up at the Network. SetUpWebhooks, which makes several calls, has a test of
// its own.
var setUpWrites = map[string]write{
	"CreateSigningKey": {"createSigningKey", exactly, func(*stack) proto.Message {
		return &gatewayv1.CreateSigningKeyRequest{RequestId: uuid.NewString()}
	}},
	"DeleteSigningKey": {"deleteSigningKey", exactly, func(s *stack) proto.Message {
		return &gatewayv1.DeleteSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: s.newKey().GetSigningKeyId()}
	}},
	"CreateWebhook": {"createWebhook", exactly, func(s *stack) proto.Message { return hookRequest(s.newKey().GetSigningKeyId()) }},
	"UpdateWebhook": {"updateWebhook", exactly, func(s *stack) proto.Message {
		return &gatewayv1.UpdateWebhookRequest{RequestId: uuid.NewString(), WebhookId: s.newHook().GetWebhookId(), EventTypes: []string{"payment.*"}}
	}},
	"DeleteWebhook": {"deleteWebhook", exactly, func(s *stack) proto.Message {
		return &gatewayv1.DeleteWebhookRequest{RequestId: uuid.NewString(), WebhookId: s.newHook().GetWebhookId()}
	}},
	"SimulateWebhook": {"simulateWebhook", exactly, func(s *stack) proto.Message {
		return &gatewayv1.SimulateWebhookRequest{RequestId: uuid.NewString(), WebhookId: s.newHook().GetWebhookId(), EventType: "payment.request.updated"}
	}},
	"CreateApiKey": {"createAPIKey", exactly, func(*stack) proto.Message {
		return &gatewayv1.CreateApiKeyRequest{RequestId: uuid.NewString(), Description: "till 7"}
	}},
	"UpdateApiKey": {"updateAPIKey", exactly, func(s *stack) proto.Message {
		return &gatewayv1.UpdateApiKeyRequest{RequestId: uuid.NewString(), CredentialId: s.newAPIKey().GetApiKey().GetCredentialId(), Description: "till 8"}
	}},
	"DisableApiKey": {"disableAPIKey", exactly, func(s *stack) proto.Message {
		return &gatewayv1.DisableApiKeyRequest{RequestId: uuid.NewString(), CredentialId: s.newAPIKey().GetApiKey().GetCredentialId()}
	}},
	"CreateClientCertificate": {"createCertificate", exactly, func(s *stack) proto.Message { return certificateRequest(s.t) }},
	"UpdateClientCertificate": {"updateCertificate", exactly, func(s *stack) proto.Message {
		return &gatewayv1.UpdateClientCertificateRequest{RequestId: uuid.NewString(), CredentialId: s.newCertificate().GetCredentialId(), Description: "mtls 2"}
	}},
	"RevokeClientCertificate": {"revokeCertificate", exactly, func(s *stack) proto.Message {
		return &gatewayv1.RevokeClientCertificateRequest{RequestId: uuid.NewString(), CredentialId: s.newCertificate().GetCredentialId()}
	}},
	"EnforceMtls": {"enforceMTLS", alike, func(s *stack) proto.Message {
		s.newCertificate()
		s.klarna.AssumeCertificate()
		return &gatewayv1.EnforceMtlsRequest{RequestId: uuid.NewString()}
	}},
	"RemoveMtlsEnforcement": {"removeEnforcement", alike, func(*stack) proto.Message {
		return &gatewayv1.RemoveMtlsEnforcementRequest{RequestId: uuid.NewString()}
	}},
}
