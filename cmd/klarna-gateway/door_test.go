package main

import (
	"testing"

	"payments.internal/klarna-gateway/klarna"
)

func TestPushURL_HasTheFirstSecretOfItsAccount(t *testing.T) {
	t.Parallel()
	cfg := config{PublicBaseURL: "https://hooks.example/", MerchantAccounts: []accountConfig{
		{Name: "shop", PushSecrets: []secret{{klarna.Secret("new/one")}, {klarna.Secret("old one")}}}, {Name: "outlet"},
	}}
	for account, want := range map[string]string{
		"shop": "https://hooks.example/klarna/push/new%2Fone/{checkout.order.id}", "outlet": "", "unknown": "",
	} {
		if got := cfg.pushURL(account); got != want {
			t.Errorf("%s: %q, want %q", account, got, want)
		}
	}
	cfg.PublicBaseURL = ""
	if got := cfg.pushURL("shop"); got != "" {
		t.Errorf("without an address that Klarna can reach: %q", got)
	}
}

func TestDoorURL_LeadsToItsDoor(t *testing.T) {
	t.Parallel()
	cfg := config{PublicBaseURL: "https://hooks.example"}
	for door, want := range map[string]string{
		"hosted-page": "https://hooks.example/klarna/hosted-page/s", "notification": "https://hooks.example/klarna/notification/s",
	} {
		if got := cfg.doorURL(door)("s"); got != want {
			t.Errorf("%s: %q, want %q", door, got, want)
		}
	}
	if (&config{}).doorURL("notification") != nil {
		t.Error("an address that leads nowhere")
	}
}
