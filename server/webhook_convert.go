package server

import (
	"cmp"
	"net"
	"net/url"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// webhookURL names what Klarna would not post to. Klarna: https, port 443 or 8443. Loopback, which Klarna never reaches,
// may have any port, for a simulated one.
func webhookURL(address string) []*errdetails.BadRequest_FieldViolation {
	u, err := url.Parse(address)
	if err != nil || address == "" { // other rules are checked with the request
		return nil
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if loopback || slices.Contains([]string{"", "443", "8443"}, u.Port()) {
		return nil
	}
	return []*errdetails.BadRequest_FieldViolation{violation("url", "Klarna posts to port 443 or 8443", "webhook.url.port")}
}

func eventVersion(version string) string { return cmp.Or(version, "v2") }

func webhookSetUpToOperation(req *gatewayv1.SetUpWebhooksRequest) operation.WebhookSetUp {
	in := operation.WebhookSetUp{
		URL: req.GetUrl(), EventTypes: req.GetEventTypes(), EventVersion: req.GetEventVersion(), SampleType: req.GetSampleEventType(),
		Wait: req.GetWait().AsDuration(),
	}
	if req.GetOverlap() != nil {
		overlap := req.GetOverlap().AsDuration()
		in.Overlap = &overlap
	}
	return in
}

// setUpFromOperation shows a proof. Keys are those of the merchant account.
func setUpFromOperation(proof operation.WebhookProof, keys []operation.SigningKey) *gatewayv1.SetUpWebhooksResponse {
	res := &gatewayv1.SetUpWebhooksResponse{
		Webhook: webhookFromKlarna(proof.Webhook), Created: proof.Created,
		Proof: &gatewayv1.SetUpWebhooksResponse_Proof{
			EventId: proof.EventID, EventType: proof.EventType, ReceiveTime: timestampOf(proof.ReceivedAt),
		},
	}
	for _, key := range keys {
		switch {
		case key.Scheme != journal.NetworkScheme:
		case key.ID == proof.SigningKeyID:
			res.SigningKey = signingKeyFromOperation(key)
		case slices.Contains(proof.Retiring, key.ID):
			res.RetiringKeys = append(res.RetiringKeys, signingKeyFromOperation(key))
		}
	}
	return res
}

func webhookToKlarna(req *gatewayv1.CreateWebhookRequest) klarna.Webhook {
	return klarna.Webhook{
		URL: req.GetUrl(), EventTypes: req.GetEventTypes(), EventVersion: eventVersion(req.GetEventVersion()), SigningKeyID: req.GetSigningKeyId(),
		Status: klarna.WebhookStatus(cmp.Or(wordOf(req.GetStatus(), statusPrefix), string(klarna.WebhookEnabled))),
	}
}

// webhookUpdateToKlarna holds what is set alone; the rest stays as it is at Klarna.
func webhookUpdateToKlarna(req *gatewayv1.UpdateWebhookRequest) klarna.Webhook {
	return klarna.Webhook{
		URL: req.GetUrl(), EventTypes: req.GetEventTypes(), EventVersion: req.GetEventVersion(), SigningKeyID: req.GetSigningKeyId(),
		Status: klarna.WebhookStatus(wordOf(req.GetStatus(), statusPrefix)),
	}
}

func webhookFromKlarna(w klarna.Webhook) *gatewayv1.Webhook {
	return &gatewayv1.Webhook{
		WebhookId: w.WebhookID, Url: w.URL, EventTypes: w.EventTypes, EventVersion: w.EventVersion, SigningKeyId: w.SigningKeyID,
		Status:     enumOf[gatewayv1.Webhook_Status](gatewayv1.Webhook_Status_value, statusPrefix, string(w.Status)),
		CreateTime: timestampOf(w.CreatedAt),
	}
}

var schemes = map[gatewayv1.SigningKey_Scheme]store.SigningScheme{
	gatewayv1.SigningKey_SCHEME_UNSPECIFIED:    journal.NetworkScheme,
	gatewayv1.SigningKey_SCHEME_NETWORK:        journal.NetworkScheme,
	gatewayv1.SigningKey_SCHEME_PAYMENT_STATUS: journal.PaymentStatusScheme,
}

func schemeToJournal(scheme gatewayv1.SigningKey_Scheme) store.SigningScheme { return schemes[scheme] }

var keyOrigins = map[string]gatewayv1.SigningKey_Origin{
	journal.KeyConfigured: gatewayv1.SigningKey_ORIGIN_CONFIGURED,
	journal.KeyCreated:    gatewayv1.SigningKey_ORIGIN_CREATED,
	journal.KeyImported:   gatewayv1.SigningKey_ORIGIN_IMPORTED,
}

func signingKeyFromOperation(k operation.SigningKey) *gatewayv1.SigningKey {
	key := &gatewayv1.SigningKey{
		SigningKeyId: k.ID, Scheme: gatewayv1.SigningKey_SCHEME_NETWORK, MerchantAccount: k.MerchantAccount, Origin: keyOrigins[k.Origin],
		State:      enumOf[gatewayv1.SigningKey_State](gatewayv1.SigningKey_State_value, statePrefix, string(k.State)),
		CreateTime: timestampOf(k.CreatedAt), LastUseTime: timestampOf(k.LastUsed), RetireTime: timestampOf(k.RetireAt),
		RevokeTime: timestampOf(k.RevokedAt), UsedAfterRetirement: k.UsedLate,
		AtKlarna: enumOf[gatewayv1.SigningKey_Presence](gatewayv1.SigningKey_Presence_value, "PRESENCE_", string(k.AtKlarna)),
	}
	if k.Scheme == journal.PaymentStatusScheme {
		key.Scheme = gatewayv1.SigningKey_SCHEME_PAYMENT_STATUS
	}
	if k.State == "" {
		key.State = gatewayv1.SigningKey_STATE_SECRET_UNKNOWN
	}
	return key
}
