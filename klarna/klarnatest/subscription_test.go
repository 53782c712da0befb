package klarnatest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
)

const (
	keysPath  = "/v2/notification/signing-keys"
	hooksPath = "/v2/notification/webhooks"
)

// signingKey makes a key and returns its id and secret.
func (w *world) signingKey() (id, secret string) {
	w.t.Helper()
	made := w.want(201, "POST", keysPath, nil).json
	return made.str("signing_key_id"), made.str("signing_key")
}

// hook is a subscription of the inbox under the key.
func (w *world) hook(key string, types ...string) doc {
	list := []any{}
	for _, t := range types {
		list = append(list, t)
	}
	return doc{"url": w.inbox.server.URL + "/hook", "event_types": list, "event_version": "v2", "signing_key_id": key}
}

func TestSigningKey_ShowsItsSecretOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.want(201, "POST", keysPath, nil, key, key1).json
	if again := w.want(201, "POST", keysPath, nil, key, key1).json; again.str("signing_key") != made.str("signing_key") || made.str("signing_key") == "" {
		t.Errorf("under the same key it is %v, first %v", again, made)
	}
	id := made.str("signing_key_id")
	if read := w.want(200, "GET", keysPath+"/"+id, nil).json; read.has("signing_key") || read.str("signing_key_id") != id {
		t.Errorf("%v", read)
	}
	list := w.want(200, "GET", keysPath, nil)
	if keys, _ := list.json.objects("signing_keys"); len(keys) != 2 || strings.Contains(string(list.body), made.str("signing_key")) {
		t.Errorf("%s", list.body)
	}
	w.want(204, "DELETE", keysPath+"/"+id, nil)
	w.refused(404, "RESOURCE_NOT_FOUND", "DELETE", keysPath+"/"+id, nil)
	w.refused(404, "RESOURCE_NOT_FOUND", "GET", keysPath+"/"+id, nil)
}

func TestSigningKey_AreFiftyAtMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range maxSigningKeys - 1 { // one was configured
		w.signingKey()
	}
	w.refused(409, "RESOURCE_CONFLICT", "POST", keysPath, nil)
}

func TestWebhook_IsSubscribedChangedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	id, secret := w.signingKey()
	w.refused(409, "RESOURCE_CONFLICT", "DELETE", keysPath+"/"+keyID, nil) // the configured webhook uses it
	made := w.want(201, "POST", hooksPath, w.hook(id, "partner.account.state-change.*")).json
	w.refused(409, "RESOURCE_CONFLICT", "POST", hooksPath, w.hook(id, "partner.account.state-change.*"))
	hook := hooksPath + "/" + made.str("webhook_id")
	if read := w.want(200, "GET", hook, nil).json; read.str("status") != "ENABLED" || read.str("created_at") == "" {
		t.Errorf("%v", read)
	}
	account := w.onboarded()
	w.must(w.klarna.Operational(account))    // told to both
	w.must(w.klarna.DisableProduct(account)) // told to the configured one alone
	w.settle()                               // what is on its way to a webhook that goes away is lost
	w.want(200, "PATCH", hook, doc{"status": "DISABLED"})
	w.must(w.klarna.DisableAccount(account))
	w.want(204, "DELETE", hook, nil)
	w.refused(404, "RESOURCE_NOT_FOUND", "GET", hook, nil)
	w.settle()
	var mine []post
	ids := map[string]int{}
	for _, p := range w.inbox.received() {
		ids[p.json.object("metadata").str("event_id")]++
		if p.path == "/hook" {
			mine = append(mine, p)
		}
	}
	if len(mine) != 1 || mine[0].header.Get("Klarna-Signing-Key-Id") != id || ids[mine[0].json.object("metadata").str("event_id")] != 2 ||
		mine[0].json.object("metadata").str("webhook_id") != made.str("webhook_id") ||
		klarna.VerifyNetwork(map[string][]byte{id: []byte(secret)}, id, mine[0].header.Get("Klarna-Signature"), mine[0].body) != nil {
		t.Errorf("the webhook was told %+v; events %v", mine, ids)
	}
}

func TestWebhook_RefusesWhatKlarnaWould(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, _ := w.signingKey()
	at := hooksPath + "/" + configuredWebhook
	for _, c := range []struct {
		method, path string
		request      doc
		want         string
	}{
		{"POST", hooksPath, doc{}, "event_types event_version signing_key_id url"},
		{"POST", hooksPath, w.hook(id, "partner.*", "partner.*"), "event_types"},
		{"POST", hooksPath, w.hook(id, "*"), "event_types"},
		{"POST", hooksPath, w.hook(id), "event_types"},
		{"POST", hooksPath, w.hook("krn:none", "partner.*"), "signing_key_id"},
		{"POST", hooksPath, w.hook(id, "partner.*").with(doc{"url": "http://gw.nordlicht.example/hook"}), "url"},
		{"POST", hooksPath, w.hook(id, "partner.*").with(doc{"url": "https://gw.nordlicht.example:9443/hook"}), "url"},
		{"POST", hooksPath, w.hook(id, "partner.*").with(doc{"event_version": "v3", "status": "PAUSED"}), "event_version status"},
		{"PATCH", at, doc{}, ""},
		{"PATCH", at, doc{"signing_key_id": "krn:none"}, "signing_key_id"},
		{"POST", at + "/simulate", doc{}, "event_type event_version"},
		{"POST", at + "/simulate", doc{"event_type": "partner.*", "event_version": "v0"}, "event_type event_version"},
	} {
		errs, _ := w.refused(400, "VALIDATION_ERROR", c.method, c.path, c.request).json.objects("validation_errors")
		var named []string
		for _, e := range errs {
			named = append(named, e.str("parameter"))
		}
		slices.Sort(named)
		if got := strings.Join(slices.Compact(named), " "); got != c.want {
			t.Errorf("%s %s %v: %s, want %s", c.method, c.path, c.request, got, c.want)
		}
	}
	w.want(201, "POST", hooksPath, w.hook(id, "partner.*").with(doc{"url": "https://gw.nordlicht.example:8443/hook"}))
}

func TestSimulate_SendsASignedSample(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, secret := w.signingKey()
	at := hooksPath + "/" + w.want(201, "POST", hooksPath, w.hook(id, "payment.*")).json.str("webhook_id")
	sample := doc{"event_type": "payment.request.state-change.completed", "event_version": "v2"}
	w.want(200, "POST", at+"/simulate", sample, key, key1)
	w.want(200, "POST", at+"/simulate", sample, key, key1) // under the same key it is one
	w.want(200, "PATCH", at, doc{"status": "DISABLED"})
	w.refused(409, "RESOURCE_CONFLICT", "POST", at+"/simulate", sample)
	w.settle()
	posts := w.inbox.received()
	if len(posts) != 1 || posts[0].path != "/hook" || posts[0].json.object("metadata").str("event_type") != "payment.request.state-change.completed" ||
		klarna.VerifyNetwork(map[string][]byte{id: []byte(secret)}, id, posts[0].header.Get("Klarna-Signature"), posts[0].body) != nil {
		t.Errorf("told %+v", posts)
	}
}

func TestDelivery_RetriesBearTheKeyOfTheirEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	w.inbox.answering(func(n int) int { return map[bool]int{true: 500, false: 200}[n == 1] })
	id, _ := w.signingKey()
	w.must(w.klarna.Operational(w.onboarded()))
	w.settle()
	w.want(200, "PATCH", hooksPath+"/"+configuredWebhook, doc{"signing_key_id": id})
	w.klarna.Advance(time.Minute)
	posts := w.inbox.received()
	if len(posts) != 2 || posts[1].header.Get("Klarna-Signing-Key-Id") != keyID {
		t.Errorf("%d posts, the last by %v", len(posts), posts[len(posts)-1].header["Klarna-Signing-Key-Id"])
	}
}

func TestContract_Subscriptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w, "kn-notifications.yaml")
	id, _ := w.signingKey()
	w.want(200, "GET", keysPath, nil)
	w.want(200, "GET", keysPath+"/"+id, nil)
	w.want(404, "GET", keysPath+"/krn:none", nil)
	hook := w.hook(id, "partner.*").with(doc{"url": "https://gw.nordlicht.example/klarna/network"})
	made := w.want(201, "POST", hooksPath, hook, key, key1).json
	at := hooksPath + "/" + made.str("webhook_id")
	w.want(409, "POST", hooksPath, hook)
	w.want(400, "POST", hooksPath, doc{"url": "https://gw.nordlicht.example"})
	w.want(200, "GET", hooksPath, nil)
	w.want(200, "GET", at, nil)
	w.want(404, "GET", hooksPath+"/krn:none", nil)
	w.want(200, "PATCH", at, doc{"status": "DISABLED"})
	w.want(200, "PATCH", at, doc{"status": "ENABLED"})
	w.want(400, "PATCH", at, doc{"signing_key_id": "krn:none"})
	w.want(200, "POST", at+"/simulate", doc{"event_type": "partner.account.change.created", "event_version": "v2"}, key, key2)
	w.want(409, "DELETE", keysPath+"/"+id, nil)
	w.want(204, "DELETE", at, nil)
	w.want(404, "DELETE", at, nil)
	w.want(204, "DELETE", keysPath+"/"+id, nil)
	w.want(404, "DELETE", keysPath+"/"+id, nil)
	c.saw("createSigningKey 201", "listSigningKeys 200", "getSigningKey 200", "getSigningKey 404", "deleteSigningKey 204",
		"deleteSigningKey 404", "deleteSigningKey 409", "createWebhook 201", "createWebhook 400", "createWebhook 409",
		"listWebhooks 200", "getWebhook 200", "getWebhook 404", "updateWebhook 200", "updateWebhook 400", "deleteWebhook 204",
		"deleteWebhook 404", "simulateWebhook 200")
}

// TestContract_SubscriptionClient puts what the client sends through the document.
func TestContract_SubscriptionClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w, "kn-notifications.yaml")
	client, err := klarna.New(klarna.Config{BaseURL: w.api.URL, HTTPClient: w.api.Client(), Retries: -1, APIKey: apiKey})
	w.must(err)
	ctx := t.Context()
	made, err := client.CreateSigningKey(ctx, key1)
	w.must(err)
	if made.Key.Reveal() == "" || made.CreatedAt.IsZero() {
		t.Errorf("read %v", made)
	}
	_, err = client.SigningKeys(ctx)
	w.must(err)
	_, err = client.SigningKey(ctx, made.SigningKeyID)
	w.must(err)
	hook, err := client.CreateWebhook(ctx, key2, klarna.Webhook{
		URL: "https://gw.nordlicht.example/klarna/network", EventTypes: []string{"partner.*"}, EventVersion: "v2", SigningKeyID: made.SigningKeyID, Status: klarna.WebhookEnabled,
	})
	w.must(err)
	_, err = client.Webhooks(ctx)
	w.must(err)
	_, err = client.Webhook(ctx, hook.WebhookID)
	w.must(err)
	changed, err := client.UpdateWebhook(ctx, "5e1c7f20-3b64-5a9d-8c17-9d0e1f2a3b4c", hook.WebhookID, klarna.Webhook{EventTypes: []string{"partner.*", "payment.*"}})
	w.must(err)
	if len(changed.EventTypes) != 2 || changed.SigningKeyID != made.SigningKeyID {
		t.Errorf("changed to %+v", changed)
	}
	w.must(client.SimulateWebhook(ctx, "7a3b1c9e-4d52-5f10-8e6b-0c1d2e3f4a5b", hook.WebhookID, klarna.SimulatedEvent{EventType: "payment.request.updated", EventVersion: "v2"}))
	w.must(client.DeleteWebhook(ctx, hook.WebhookID))
	w.must(client.DeleteSigningKey(ctx, made.SigningKeyID))
	c.saw("createSigningKey 201", "listSigningKeys 200", "getSigningKey 200", "deleteSigningKey 204", "createWebhook 201", "listWebhooks 200",
		"getWebhook 200", "updateWebhook 200", "deleteWebhook 204", "simulateWebhook 200")
}
