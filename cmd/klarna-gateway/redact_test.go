package main

import (
	"encoding/base64"
	"strings"
	"testing"

	"payments.internal/klarna-gateway/klarna"
)

// The configured secret of these tests.
const knownSecret = "known/secret of the+shop"

func TestRedaction_TakesOutWhatMustNotBeTold(t *testing.T) {
	t.Parallel()
	r := newRedaction(knownSecret, "short", "postgres://gateway:pass-of-the-db@db/gateway")
	for text, want := range map[string]string{
		// Bank accounts, also where they are mistyped, grouped, small, or part of an id.
		"to DE02120300000000202051.":                   "to ***.",
		"to DE02120300000000202051-x":                  "to ***",
		"to DE02 1203 0000 0000 2020 51 and more":      "to *** and more",
		"BIC, iban=de02120300000000202052":             "BIC, iban=***",
		"NO9386011117947; FR1420041010050500013M02606": "***; ***",
		"debtor-SE4550000000058398257466":              "***",
		"GB33BUKB20201555555555 CH5604835012345678009": "*** ***",
		"FR14 2004 1010 0505 0001 3M02 606 was":        "*** was",
		// Addresses and telephones.
		"sent to erika+shop@beispiel.example, twice": "sent to ***, twice",
		"o'neil@sub.beispiel.example":                "***",
		"call +4930901820 or +49 (30) 901-820 x":     "call *** or *** x",
		// National identification numbers that go the rounds as examples.
		"410321-9202 and 19410321-9202, 4103219202": "*** and ***, ***",
		"190122-829F": "***",
		"01087000571": "***",
		"070761-4285": "***",
		"id RSSMRA85T10A562S / 12345678Z / X1234567L": "id *** / *** / ***",
		// Secrets: known ones in whichever form, and what looks like one.
		"with " + knownSecret + " in it":                                       "with *** in it",
		"/path/known%2Fsecret%20of%20the+shop/x":                               "/path/***/x",
		"?s=known%2Fsecret+of+the%2Bshop":                                      "?s=***",
		"a short one":                                                          "a short one",
		"pass-of-the-db":                                                       "***",
		"dial postgres://who:x@db/gateway: refused":                            "dial postgres://***@db/gateway: refused",
		"Authorization: Bearer abc.def-ghi, basic dXNlcjpwdw==":                "Authorization: Bearer ***, basic ***",
		"token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln!":                     "token ***!",
		"klarna_test_api_c2FtcGxl= is old":                                     "*** is old",
		"-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nx": "***\nx",
		"-----BEGIN PRIVATE KEY-----\nMHc":                                     "***",
		"POST /klarna/push/any-secret/ord-1":                                   "POST /klarna/push/***/ord-1",
		// What stands under a name of the API's that is held back.
		`bad body {"given_name": "Erika", "order_id": "o-1"}`: `bad body {"given_name": "***", "order_id": "o-1"}`,
		`{\"familyName\":\"M\\u00fcller \\n\",\"x\":\"y\"}`:   `{\"familyName\":\"***\",\"x\":\"y\"}`,
		`{"family_name":"O\"Neil \\","city":""}`:              `{"family_name":"***","city":""}`,
		`"{\"family_name\":\"O\\\"Neil\"}"`:                   `"{\"family_name\":\"***\"}"`,
		`cut off: {"family_name":"Beisp`:                      `cut off: {"family_name":"***`,
		`given_name:"Erika" street_address = "Weg 1"`:         `given_name:"***" street_address = "***"`,
	} {
		if got := r.text(text); got != want {
			t.Errorf("%q is told as %q, want %q", text, got, want)
		}
	}
}

// What an operator finds their way by stays as it is.
func TestRedaction_LeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	r := newRedaction(klarna.Secret(""))
	for _, text := range []string{
		"7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417", "19841231-0e4f-4a8e-9c61-2f5b8a90d417", "20260203-1234-4a8e-9c61-123456789012",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c",
		"2026-02-03T12:00:00.123456789Z", "2026-02-03T12:00:00.12345678Z", "2026/02/03 12:00:00 +0200 CEST", "1770120000", "1770120000123456789", "20260203",
		"krn:partner:global:notification:signing-key:0f1e2d3c-4b5a-4968-8776-554433221100", "klarna_network", "payment-status:nordlicht-de:evt-12345678",
		"call:acquirer:captureOrder:7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417", "127.0.0.1:9090", "[2001:db8::1]:443", "https://api.playground.klarna.com/payments/v1/sessions",
		"dial tcp 127.0.0.1:40112: connect: connection refused", "1.2.3+12345678", "v0.0.0-20260203093000-abcdef012345", "SO-12345678", "amount=129950",
		`{"state": "OPEN", "order_id": "DE-12345678"}`, "goroutine 12 [running]: 0xc000123456", "klarna: 400 BAD_VALUE (correlation id 6b1a5d5e-1234)",
		"the basic rule, and the bearer of it", "/klarna/payment-status/{merchant_account}", "/klarna/network",
	} {
		if got := r.text(text); got != text {
			t.Errorf("%q is told as %q", text, got)
		}
	}
}

// Every secret of a configuration is found, wherever it stands in it.
func TestRedaction_KnowsTheConfiguredSecrets(t *testing.T) {
	t.Parallel()
	cfg := config{Database: secret{"database-secret"}, MerchantAccounts: []accountConfig{{
		Password: secret{"password-secret"}, APIKey: secret{"key-secret-x"}, PushSecrets: []secret{{"push-secret-1"}, {"push-secret-2"}},
		PaymentStatusKeys: map[string]secret{"1": {"status-secret"}}, SigningKeys: map[string]secret{"k": {"signing-secret"}},
		Changes: []changeConfig{{Password: secret{"next-password-secret"}}},
	}}}
	var all []string
	for _, s := range cfg.secrets() {
		all = append(all, s.Reveal())
	}
	if found := strings.Join(all, " "); strings.Count(found, "secret") != 8 {
		t.Errorf("found %s", found)
	}
	if told := newRedaction(cfg.secrets()...).text(strings.Join(all, " ")); strings.Contains(told, "secret") {
		t.Errorf("told: %s", told)
	}
}

// Where there is little to take out, little time is taken.
func BenchmarkRedaction(b *testing.B) {
	r := newRedaction(knownSecret)
	for name, text := range map[string]string{
		"word": "call not served", "id": "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417",
		"error": `capture 7d3c1b52: klarna: POST /ordermanagement/v1/orders/{order_id}/captures: 403 CAPTURE_NOT_ALLOWED "x": "y"`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.text(text)
			}
		})
	}
}

// What basic authentication sends is a secret too, whatever stands before it.
func TestRedaction_KnowsNameAndPasswordTogether(t *testing.T) {
	t.Parallel()
	cfg := config{MerchantAccounts: []accountConfig{{Name: "shop", Username: "PK1_2", Password: secret{klarna.Secret("pass-of-the-shop")}}}}
	sent := base64.StdEncoding.EncodeToString([]byte("PK1_2:pass-of-the-shop"))
	if told := newRedaction(cfg.secrets()...).text("proxy refused " + sent + " of shop"); told != "proxy refused *** of shop" {
		t.Errorf("told: %s", told)
	}
	for _, one := range (&config{MerchantAccounts: []accountConfig{{Name: "shop"}}}).secrets() {
		if len(one.Reveal()) >= shortSecret {
			t.Errorf("without any, %d letters are one", len(one.Reveal()))
		}
	}
}
