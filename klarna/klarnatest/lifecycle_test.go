package klarnatest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"
)

// types are the event types of Network posts, in their order.
func types(posts []post) (list []string) {
	for _, p := range posts {
		list = append(list, p.json.object("metadata").str("event_type"))
	}
	return list
}

func TestNetwork_OperationalComesByItselfAndIsSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = 3 * time.Second })
	id := w.onboarded()
	w.klarna.Advance(2 * time.Second)
	if got := w.inbox.received(); len(got) != 0 {
		t.Fatalf("%d posts before the set-up ends", len(got))
	}
	w.klarna.Advance(time.Second)
	got := w.inbox.received()
	if len(got) != 1 || got[0].path != "/network" {
		t.Fatalf("posts %v, want one to /network", types(got))
	}
	mac := hmac.New(sha256.New, []byte(networkKey))
	mac.Write(got[0].body)
	if sig := got[0].header.Get("Klarna-Signature"); sig != hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %s does not fit the body", sig)
	}
	if got[0].header.Get("Klarna-Signing-Key-Id") != keyID || got[0].header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", got[0].header)
	}
	metadata, payload := got[0].json.object("metadata"), got[0].json.object("payload")
	if metadata.str("event_type") != EventOperational || metadata.str("subject_account_id") != id ||
		metadata.str("event_version") != "v2" || metadata["live"] != false || metadata.has("product_instance_id") ||
		metadata.str("occurred_at") != start.Add(3*time.Second).Format(time.RFC3339Nano) {
		t.Errorf("metadata %v", metadata)
	}
	if payload.str("state") != "OPERATIONAL" || payload.str("previous_state") != "PARTIALLY_OPERATIONAL" {
		t.Errorf("payload %v", payload)
	}
	if state, _ := w.klarna.Account(id); state.State != "OPERATIONAL" || state.Reference != "mrc-000482" {
		t.Errorf("account %+v", state)
	}
	if err := w.klarna.Operational(id); err == nil {
		t.Error("an operational account became operational again")
	}
}

func TestNetwork_DisablingAndEnablingAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.onboarded()
	w.klarna.Advance(time.Second)
	w.must(w.klarna.DisableProduct(id))
	w.must(w.klarna.EnableProduct(id))
	w.must(w.klarna.DisableAccount(id))
	if err := w.klarna.EnableProduct(id); err == nil {
		t.Error("the product of a disabled account was enabled")
	}
	w.must(w.klarna.EnableAccount(id))
	w.settle()
	posts := w.inbox.received()
	want := []string{
		EventOperational, EventProductDisabled, EventProductEnabled, EventProductDisabled, EventOperational, EventProductEnabled,
	}
	if got := types(posts); !slices.Equal(got, want) {
		t.Fatalf("events %v, want %v", got, want)
	}
	account, _ := w.klarna.Account(id)
	disabled := posts[1].json
	if disabled.object("metadata").str("product_instance_id") != account.ProductID ||
		disabled.object("payload").str("state") != "DISABLED" || disabled.object("payload").str("previous_state") != "ENABLED" {
		t.Errorf("disabled product told as %v", disabled)
	}
	if got := posts[4].json.object("payload").str("previous_state"); got != "DISABLED" {
		t.Errorf("enabled account told with previous state %s", got)
	}
}

func TestNetwork_MissingLogoIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	request := merchant(t)
	first(request, "brands").object("element")["logo_url"] = "https://cdn.nordlicht.example/404/logo.png"
	id := w.want(201, "POST", onboardPath, request).json.str("partner_account_id")
	w.must(w.klarna.BrandIncomplete(id, "mrc-000482-b1"))
	w.settle()
	posts := w.inbox.received()
	if got := types(posts); !slices.Equal(got, []string{EventBrandIncomplete, EventBrandIncomplete}) {
		t.Fatalf("events %v", got)
	}
	if got := posts[0].json.object("payload").str("brand_reference"); got != "mrc-000482-b1" {
		t.Errorf("brand reference %s", got)
	}
	if err := w.klarna.BrandIncomplete(id, "none"); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("unknown brand: %v", err)
	}
}
