package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// none is the result of a call that has none.
func none(err error) (any, error) { return nil, err }

const csr = "-----BEGIN CERTIFICATE REQUEST-----\nMIH…\n-----END CERTIFICATE REQUEST-----\n"

// setUpCalls has every method on our own set-up at the Network: subscriptions, signing keys, credentials.
var setUpCalls = []partCall{
	{"create signing key", "POST", "/v2/notification/signing-keys", "", `{"signing_key_id":"krn:k","signing_key":"s3cr3t","created_at":"2026-02-01T07:59:00.123456789Z","novelty":1}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.CreateSigningKey(ctx, testKey)) },
		`{"signing_key_id":"krn:k","signing_key":"***","created_at":"2026-02-01T07:59:00.123456789Z"}`},
	{"list signing keys", "GET", "/v2/notification/signing-keys", "", `{"signing_keys":[{"signing_key_id":"krn:k","created_at":"soon"}]}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.SigningKeys(ctx)) }, `[{"signing_key_id":"krn:k"}]`},
	{"read signing key", "GET", "/v2/notification/signing-keys/krn:part:1", "", `{"signing_key_id":"krn:k"}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.SigningKey(ctx, someID)) }, `{"signing_key_id":"krn:k"}`},
	{"delete signing key", "DELETE", "/v2/notification/signing-keys/krn:part:1", "", ``,
		func(ctx context.Context, c *Client) (any, error) { return none(c.DeleteSigningKey(ctx, someID)) }, `null`},
	{"create webhook", "POST", "/v2/notification/webhooks",
		`{"url":"https://gw.example/klarna/network","event_types":["partner.*"],"event_version":"v2","signing_key_id":"krn:k","status":"ENABLED"}`,
		`{"webhook_id":"krn:w","url":"https://gw.example/klarna/network","event_types":["partner.*"],"event_version":"v2","signing_key_id":"krn:k","status":"ENABLED"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.CreateWebhook(ctx, testKey, Webhook{
				URL: "https://gw.example/klarna/network", EventTypes: []string{"partner.*"}, EventVersion: "v2", SigningKeyID: "krn:k", Status: WebhookEnabled,
			}))
		},
		`{"webhook_id":"krn:w","url":"https://gw.example/klarna/network","event_types":["partner.*"],"event_version":"v2","signing_key_id":"krn:k","status":"ENABLED"}`},
	{"list webhooks", "GET", "/v2/notification/webhooks", "", `{"webhooks":[{"webhook_id":"krn:w","event_types":["x.*"],"event_version":"v9","signing_key_id":"krn:k","status":"PAUSED"}]}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.Webhooks(ctx)) },
		`[{"webhook_id":"krn:w","event_types":["x.*"],"event_version":"v9","signing_key_id":"krn:k","status":"PAUSED"}]`},
	{"read webhook", "GET", "/v2/notification/webhooks/krn:part:1", "", `{"webhook_id":"krn:w"}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.Webhook(ctx, someID)) }, `{"webhook_id":"krn:w"}`},
	{"update webhook", "PATCH", "/v2/notification/webhooks/krn:part:1", `{"signing_key_id":"krn:k2"}`, `{"signing_key_id":"krn:k2"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.UpdateWebhook(ctx, testKey, someID, Webhook{WebhookID: "x", SigningKeyID: "krn:k2", CreatedAt: time.Now()}))
		}, `{"webhook_id":"krn:part:1","signing_key_id":"krn:k2"}`},
	{"delete webhook", "DELETE", "/v2/notification/webhooks/krn:part:1", "", ``,
		func(ctx context.Context, c *Client) (any, error) { return none(c.DeleteWebhook(ctx, someID)) }, `null`},
	{"simulate webhook", "POST", "/v2/notification/webhooks/krn:part:1/simulate", `{"event_type":"partner.account.change.created","event_version":"v2"}`, ``,
		func(ctx context.Context, c *Client) (any, error) {
			return none(c.SimulateWebhook(ctx, testKey, someID, SimulatedEvent{EventType: "partner.account.change.created", EventVersion: "v2"}))
		}, `null`},
	{"create api key", "POST", "/v2/account/integration/credentials/api-key", `{"description":"till 7"}`,
		`{"credential_id":"krn:c","description":"till 7","secret":{"secret":"klarna_test_api_x"}}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.CreateAPIKey(ctx, testKey, "till 7")) },
		`{"CredentialID":"krn:c","Description":"till 7","Secret":"***","Raw":null}`},
	{"list api keys", "GET", "/v2/account/integration/credentials/api-key", "", `{"credentials":[{"credential_id":"krn:c","last_used":"x"}]}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.APIKeys(ctx)) },
		`[{"CredentialID":"krn:c","Description":"","Secret":"***","Raw":{"credential_id":"krn:c","last_used":"x"}}]`},
	{"read api key", "GET", "/v2/account/integration/credentials/api-key/krn:part:1", "", `{"credential_id":"krn:c"}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.APIKey(ctx, someID)) },
		`{"CredentialID":"krn:c","Description":"","Secret":"***","Raw":{"credential_id":"krn:c"}}`},
	{"update api key", "PATCH", "/v2/account/integration/credentials/api-key/krn:part:1", `{"description":""}`, `{}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.UpdateAPIKey(ctx, testKey, someID, ""))
		},
		`{"CredentialID":"krn:part:1","Description":"","Secret":"***","Raw":{}}`},
	{"disable api key", "DELETE", "/v2/account/integration/credentials/api-key/krn:part:1", "", ``,
		func(ctx context.Context, c *Client) (any, error) { return none(c.DisableAPIKey(ctx, someID)) }, `null`},
	{"create client certificate", "POST", "/v2/account/integration/credentials/client-certificate",
		`{"description":"mtls","config":{"usage":"MTLS","certificate_signing_request":` + string(quoted(csr)) + `}}`, `{"credential_id":"krn:c"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.CreateClientCertificate(ctx, testKey, CertificateRequest{Description: "mtls", Config: CertificateConfig{Usage: UsageMTLS, CertificateSigningRequest: csr}}))
		}, `{"credential_id":"krn:c"}`},
	{"list client certificates", "GET", "/v2/account/integration/credentials/client-certificate", "", `{"credentials":[{"credential_id":"krn:c"}]}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.ClientCertificates(ctx)) }, `[{"credential_id":"krn:c"}]`},
	{"read client certificate", "GET", "/v2/account/integration/credentials/client-certificate/krn:part:1", "", `{"credential_id":"krn:c"}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.ClientCertificate(ctx, someID)) }, `{"credential_id":"krn:c"}`},
	{"update client certificate", "PATCH", "/v2/account/integration/credentials/client-certificate/krn:part:1", `{"description":"new"}`, ``,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.UpdateClientCertificate(ctx, testKey, someID, "new"))
		}, `{"credential_id":"krn:part:1","description":"new"}`},
	{"revoke client certificate", "POST", "/v2/account/integration/credentials/client-certificate/krn:part:1/revoke", `{"revoked_from":"2026-02-01T07:59:00Z"}`, ``,
		func(ctx context.Context, c *Client) (any, error) {
			return none(c.RevokeClientCertificate(ctx, testKey, someID, time.Date(2026, 2, 1, 8, 59, 0, 0, time.FixedZone("", 3600))))
		}, `null`},
	{"read enforcement", "GET", "/v2/account/integration/client-certificates/enforcement", "", `{"enforcement_mode":"REPORTING"}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.MTLSEnforcement(ctx)) }, `{"enforcement_mode":"REPORTING"}`},
	{"enforce mtls", "PUT", "/v2/account/integration/client-certificates/enforcement", `{"enforced_from":"NOW"}`, ``,
		func(ctx context.Context, c *Client) (any, error) { return none(c.EnforceMTLS(ctx, EnforceNow)) }, `null`},
	{"remove enforcement", "DELETE", "/v2/account/integration/client-certificates/enforcement", "", ``,
		func(ctx context.Context, c *Client) (any, error) { return none(c.RemoveMTLSEnforcement(ctx)) }, `null`},
	{"read allowed ips", "GET", "/v2/account/integration/ip-restrictions/allowed-ips", "", `{"allowed_ips":["192.0.2.0/24"]}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.AllowedIPs(ctx)) },
		`{"Ranges":["192.0.2.0/24"],"Validation":"","Raw":{"allowed_ips":["192.0.2.0/24"]}}`},
}

func quoted(text string) []byte {
	encoded, _ := json.Marshal(text)
	return encoded
}

func TestSetUp_SendsWhatKlarnaExpectsAndReadsTheAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range setUpCalls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			klarna := answering(t, 200, c.answer)
			got, err := c.do(t.Context(), klarna.client(t))
			if err != nil {
				t.Fatal(err)
			}
			s := klarna.only(t)
			s.want(t, c.method, c.path)
			if c.body == "" && len(s.body) > 0 {
				t.Errorf("sent %s", s.body)
			} else if c.body != "" {
				checkJSON(t, s.body, c.body)
			}
			keyed := c.method == "POST" || c.method == "PATCH"
			if key := s.header.Get("Klarna-Idempotency-Key"); keyed != (key == testKey) || !keyed && key != "" {
				t.Errorf("idempotency key %q", key)
			}
			result, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			checkJSON(t, result, c.want)
		})
	}
}

func TestCreatedSecrets_ComeOutOfTheAnswerAndIntoNoLog(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-of-klarna"
	key, err := answering(t, 201, `{"signing_key_id":"krn:k","signing_key":"`+secret+`"}`).client(t).CreateSigningKey(t.Context(), testKey)
	if err != nil || key.Key.Reveal() != secret {
		t.Errorf("%v, %v", key, err)
	}
	api, err := answering(t, 201, `{"credential_id":"krn:c","secret":{"secret":"`+secret+`"}}`).client(t).CreateAPIKey(t.Context(), testKey, "")
	if err != nil || api.Secret.Reveal() != secret {
		t.Errorf("%v, %v", api, err)
	}
	for _, printed := range []string{
		fmt.Sprintf("%v %+v %#v %s", key, key, key, key.LogValue()), fmt.Sprintf("%v %+v %#v %s", api, api, api, api.LogValue()),
	} {
		if strings.Contains(printed, secret) {
			t.Errorf("printed: %s", printed)
		}
	}
}

func TestCreatedSecrets_ThatCannotBeReadAreOutcomeUnknownAndNotQuoted(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `{}`, `{"signing_key_id":"krn:k"}`, `{"signing_key":"s3cr3t","signing_key_id":7}`, `{"signing_key_id":"krn:k","signing_key":["s3cr3t"]}`,
		`{"credential_id":"krn:c"}`, `{"credential_id":["s3cr3t"],"secret":{"secret":"s3cr3t"}}`, `{"credential_id":"krn:c","secret":"s3cr3t"}`,
	} {
		c := answering(t, 201, body).client(t)
		_, keyErr := c.CreateSigningKey(t.Context(), testKey)
		_, apiErr := c.CreateAPIKey(t.Context(), testKey, "")
		for _, err := range []error{keyErr, apiErr} {
			if !errors.Is(err, ErrOutcomeUnknown) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%s: %v", body, err)
			}
		}
	}
}

func TestWebhook_TakesByNameAndPrefix(t *testing.T) {
	t.Parallel()
	w := Webhook{EventTypes: []string{"partner.*", "payment.request.state-change.completed"}}
	for eventType, want := range map[string]bool{
		"partner.account.state-change.operational": true, "partner.x": true, "partner": false, "partners.x": false,
		"payment.request.state-change.completed": true, "payment.request.state-change.expired": false,
	} {
		if w.Takes(eventType) != want {
			t.Errorf("%s: %t", eventType, !want)
		}
	}
}

func TestSetUpLists_AreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"webhooks":[{"webhook_id":"krn:1"}],"pagination":{"last_item":"krn:1"}}`)
	if list, err := klarna.client(t).Webhooks(t.Context()); err == nil {
		t.Errorf("a list whose cursor does not go on is %v", list)
	}
	if n := len(klarna.sent); n != 2 || klarna.sent[1].uri != "/v2/notification/webhooks?starting_after=krn%3A1" {
		t.Errorf("sent %d, the last to %s", n, klarna.sent[n-1].uri)
	}
}

func TestClientCertificate_IsFoundWhereverTheAnswerHasIt(t *testing.T) {
	t.Parallel()
	const pem = `-----BEGIN CERTIFICATE-----\nMII…\n-----END CERTIFICATE-----\n`
	request := string(quoted(csr))
	for _, body := range []string{
		`{"credential_id":"krn:c","certificate":"` + pem + `","config":{"usage":"MTLS","certificate_signing_request":` + request + `}}`,
		`{"credential_id":"krn:c","config":{"usage":"MTLS","client_certificate":"` + pem + `"}}`,
	} {
		got, err := answering(t, 201, body).client(t).ClientCertificate(t.Context(), someID)
		if err != nil || got.Usage != UsageMTLS || !strings.HasPrefix(got.Certificate, "-----BEGIN CERTIFICATE-----") {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

func TestMTLSEnforcement_SaysWhatKlarnaSawOfOurCertificate(t *testing.T) {
	t.Parallel()
	c := answering(t, 204, ``, "Klarna-Mtls-Verification-Status", "VALID").client(t)
	if got, err := c.MTLSEnforcement(t.Context()); err != nil || got.Verification != "VALID" || got.Raw != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAllowedIPs_AreReadInEveryFormTheyMayHave(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`["192.0.2.0/24","2001:db8::/32"]`:                     "192.0.2.0/24 2001:db8::/32",
		`{"allowed_ips":[{"cidr":"192.0.2.0/24","note":"x"}]}`: "192.0.2.0/24",
		`{"ranges":[{"ip_range":"192.0.2.0/24"}],"mode":"x"}`:  "192.0.2.0/24",
		`{"mode":"NOT_ENABLED"}`:                               "",
		``:                                                     "",
	} {
		got, err := answering(t, 200, body, "Klarna-Ip-Validation-Status", "DENIED").client(t).AllowedIPs(t.Context())
		if err != nil || strings.Join(got.Ranges, " ") != want || got.Validation != "DENIED" || string(got.Raw) != body {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}
