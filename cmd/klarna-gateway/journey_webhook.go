package main

import (
	"context"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// webhooks brings the webhook that Klarna has to a key that the gateway has Klarna make, and sees that what Klarna posts
// afterwards arrives under it.
func (t *traveller) webhooks(ctx context.Context) error {
	request := &gatewayv1.SetUpWebhooksRequest{RequestId: newRequestID()}
	t.you("SetUpWebhooks")
	done, err := t.partners.SetUpWebhooks(ctx, request)
	if err != nil {
		return err
	}
	key := done.GetSigningKey()
	t.timeline.add("gateway → you", "%s arrived, signed with the new key; the old one retires in %s", done.GetProof().GetEventType(),
		done.GetRetiringKeys()[0].GetRetireTime().AsTime().Sub(t.local.sim.Now()).Round(time.Hour))
	if err := firstError(
		expected(key.GetState() == gatewayv1.SigningKey_STATE_ACTIVE && done.GetWebhook().GetSigningKeyId() == key.GetSigningKeyId(), "want the webhook to use the new key, got %v", done),
		expected(len(done.GetRetiringKeys()) == 1 && done.GetProof().GetEventId() != "", "want one old key and a proof, got %v", done),
	); err != nil {
		return err
	}
	before := t.local.sim.CallCount("createSigningKey")
	t.you("SetUpWebhooks again with the same request_id")
	again, err := t.partners.SetUpWebhooks(ctx, request)
	if err := firstError(err, expected(again.GetProof().GetEventId() == done.GetProof().GetEventId(), "want the same proof"), t.called("createSigningKey", before, 0)); err != nil {
		return err
	}
	made, err := t.partners.OnboardPartner(ctx, onboardRequest("mrc-000900", "https://cdn.nordlicht.example/logo.png"))
	if err != nil {
		return err
	}
	t.play("set-up of another merchant is finished")
	if err := firstError(t.local.sim.Operational(made.GetPartner().GetPartnerAccountId()), t.settled(ctx)); err != nil {
		return err
	}
	used, err := t.partners.GetSigningKey(ctx, &gatewayv1.GetSigningKeyRequest{SigningKeyId: key.GetSigningKeyId()})
	return firstError(err, expected(used.GetSigningKey().GetLastUseTime() != nil, "want the new key to have signed, got %v", used))
}
