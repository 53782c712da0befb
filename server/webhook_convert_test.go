package server

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

func TestWebhookFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	hook := webhookFromKlarna(*fixture(t, "webhook.json", &klarna.Webhook{}))
	complete(t, hook)
	checkGolden(t, "webhook.json.golden", hook)
}

func TestWebhookFromKlarna_KeepsNoWordItDoesNotKnow(t *testing.T) {
	t.Parallel()
	if got := webhookFromKlarna(klarna.Webhook{Status: "PAUSED"}); got.GetStatus() != gatewayv1.Webhook_STATUS_UNSPECIFIED || got.GetCreateTime() != nil {
		t.Errorf("%v", got)
	}
}

func TestWebhookToKlarna_Golden(t *testing.T) {
	t.Parallel()
	create := fixture(t, "create_webhook.json", &gatewayv1.CreateWebhookRequest{})
	complete(t, create)
	checkGolden(t, "create_webhook.json.golden", webhookToKlarna(create))
	update := fixture(t, "update_webhook.json", &gatewayv1.UpdateWebhookRequest{})
	complete(t, update)
	checkGolden(t, "update_webhook.json.golden", webhookUpdateToKlarna(update))
	if bare := webhookToKlarna(&gatewayv1.CreateWebhookRequest{}); bare.Status != klarna.WebhookEnabled || bare.EventVersion != "v2" {
		t.Errorf("left out: %+v", bare)
	}
	if same := webhookUpdateToKlarna(&gatewayv1.UpdateWebhookRequest{}); same.Status != "" || same.EventVersion != "" {
		t.Errorf("an empty change changes %+v", same)
	}
}

func TestSetUpFromOperation_Golden(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC)
	key := func(id string, retire time.Time) operation.SigningKey {
		return operation.SigningKey{State: journal.KeyRetiring, UsedLate: true, AtKlarna: operation.KeyPresent, SigningKey: store.SigningKey{
			SigningKeyID: store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: "acquirer", ID: id}, Key: []byte("never shown"),
			Origin: journal.KeyImported, CreatedAt: at, LastUsed: at.Add(time.Minute), RetireAt: retire, RevokedAt: at.Add(72 * time.Hour),
		}}
	}
	status := key("krn:new", at)
	status.Scheme = journal.PaymentStatusScheme
	res := setUpFromOperation(operation.WebhookProof{
		SigningKeyID: "krn:new", Webhook: *fixture(t, "webhook.json", &klarna.Webhook{}), Created: true, Retiring: []string{"krn:old"},
		EventType: klarna.EventAccountChangeCreated, EventID: "3b6f0d5e-4f0c-4a8e-9a57-0f1c2d3e4a5b", ReceivedAt: at,
	}, []operation.SigningKey{status, key("krn:other", at), key("krn:new", at), key("krn:old", at.Add(24*time.Hour))})
	complete(t, res)
	complete(t, res.GetSigningKey())
	checkGolden(t, "set_up_webhooks.golden", res)
}

func TestSigningKeyFromOperation_OneOfKlarnasAloneHasNoSecretHere(t *testing.T) {
	t.Parallel()
	if got := signingKeyFromOperation(operation.SigningKey{}); got.GetState() != gatewayv1.SigningKey_STATE_SECRET_UNKNOWN || got.GetOrigin() != gatewayv1.SigningKey_ORIGIN_UNSPECIFIED {
		t.Errorf("%v", got)
	}
	for _, state := range []journal.KeyState{journal.KeyActive, journal.KeyRetiring, journal.KeyRetired, journal.KeyRevoked} {
		if got := signingKeyFromOperation(operation.SigningKey{State: state}); got.GetState().String() != "STATE_"+string(state) {
			t.Errorf("%s is %v", state, got.GetState())
		}
	}
}

// readRaw is a resource as the client reads it, with Klarna's bytes kept.
func readRaw[T any](t *testing.T, name string, raw func(*T) *json.RawMessage) (resource T) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	must(t, err)
	must(t, json.Unmarshal(data, &resource))
	*raw(&resource) = data
	return resource
}

func TestCredentialsFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	key := apiKeyFromKlarna(readRaw(t, "api_key.json", func(k *klarna.APIKey) *json.RawMessage { return &k.Raw }))
	complete(t, key)
	checkGolden(t, "api_key.json.golden", key)
	certificate := certificateFromKlarna(readRaw(t, "client_certificate.json", func(c *klarna.ClientCertificate) *json.RawMessage { return &c.Raw }))
	complete(t, certificate)
	checkGolden(t, "client_certificate.json.golden", certificate)
	enforcement := enforcementFromKlarna(klarna.MTLSEnforcement{Mode: "ENFORCED", EnforcedFrom: "2026-02-01T08:00:00Z", Verification: "VALID"})
	complete(t, enforcement)
	if enforcement.GetEnforceTime().AsTime().Year() != 2026 || enforcementFromKlarna(klarna.MTLSEnforcement{EnforcedFrom: klarna.EnforceNow}).GetEnforceTime() != nil {
		t.Errorf("%v", enforcement)
	}
}
