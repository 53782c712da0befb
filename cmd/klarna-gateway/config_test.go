package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shopYAML is the smallest account that works.
const shopYAML = "merchant_accounts:\n  - {name: shop, api: regional, username: PK1_a, password: shop-password}\n"

func noEnvironment(string) string { return "" }

// configFile writes a config and returns its path.
func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadConfig_NamesEveryMistake(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, yaml string
		want       []string // lines of the error
	}{
		{"nothing is wrong", shopYAML, nil},
		{"no account", "log_level: info\n", []string{
			"merchant_accounts: at least one is required (or KLARNA_USERNAME and KLARNA_PASSWORD)",
		}},
		{"empty file", "", []string{
			"merchant_accounts: at least one is required (or KLARNA_USERNAME and KLARNA_PASSWORD)",
		}},
		{"misspelt fields, each told", shopYAML + "grpc_adress: 127.0.0.1:1\nlog-level: debug\n", []string{
			"gateway.yaml: yaml: unmarshal errors:",
			"line 3: field grpc_adress not found in type main.config",
			"line 4: field log-level not found in type main.config",
		}},
		{"misspelt field of an account", "merchant_accounts:\n  - {name: shop, api: regional, username: PK1_a, passwort: secret-in-the-wrong-place}\n", []string{
			"gateway.yaml: yaml: unmarshal errors:",
			"line 2: field passwort not found in type main.accountConfig",
			`merchant_accounts[0] "shop": klarna client: credential: neither an api key nor a password`,
		}},
		{"secrets of the wrong shape", "merchant_accounts:\n  - name: shop\n    api: regional\n    username: PK1_a\n    password: [a, b]\n    push_secrets: push-secret-in-the-wrong-place\n", []string{
			"gateway.yaml: yaml: unmarshal errors:",
			"line 5: a secret is a text",
			"line 6: cannot unmarshal !!str a value into []main.secret",
			`merchant_accounts[0] "shop": klarna client: credential: neither an api key nor a password`,
		}},
		{"secrets that are not there", "merchant_accounts:\n  - {name: shop, api: regional, username: PK1_a, password: 'env:GATEWAY_TEST_UNSET', push_secrets: ['file:/nowhere/push']}\n", []string{
			"gateway.yaml: yaml: unmarshal errors:",
			"line 2: environment variable GATEWAY_TEST_UNSET is not set",
			"line 2: secret file: open /nowhere/push: no such file or directory",
			`merchant_accounts[0] "shop": klarna client: credential: neither an api key nor a password`,
		}},
		{"api for everybody", shopYAML + "grpc_address: 0.0.0.0:9090\nrest_address: ':8080'\n", []string{
			"grpc_address: 0.0.0.0:9090 is not a loopback address, and callers need not prove who they are (tokens, token_file, token_issuers, grpc_tls.client_ca_file): anybody could move money; allow_unauthenticated: true says that this is meant",
			"rest_address: :8080 is not a loopback address, and callers need not prove who they are (tokens, token_file, token_issuers, rest_tls.client_ca_file): anybody could move money; allow_unauthenticated: true says that this is meant",
		}},
		{"api for those with a token, webhooks for everybody", shopYAML + fmt.Sprintf(
			"grpc_address: 0.0.0.0:9090\nrest_address: ':8080'\nwebhook_address: ':8081'\ntokens: [{name: shop, sha256: '%064x'}]\n", 7), nil},
		{"api on loopback", shopYAML + "grpc_address: '[::1]:9090'\nrest_address: localhost:8080\n", nil},
		{"addresses, times, and what Klarna cannot reach", shopYAML + "grpc_address: '9090'\nwebhook_address: localhost\nshutdown_grace: -1s\n" +
			"session_read_delay: -2m\naccount_read_delay: -3m\nwebhook_tls: {cert_file: cert.pem}\npublic_base_url: http://gateway.example\nlog_level: chatty\n", []string{
			`grpc_address: "9090" is not host:port`,
			`webhook_address: "localhost" is not host:port`,
			"shutdown_grace: -1s is negative",
			"session_read_delay: -2m0s is negative",
			"account_read_delay: -3m0s is negative",
			`public_base_url: "http://gateway.example" is not an https address; Klarna calls back over https only`,
			`log_level: "chatty" is none of debug, info, warn, error`,
			"webhook_tls: cert_file and key_file belong together",
		}},
		{"silence", shopYAML + "silent_payment_after: -1h\nfailing_work_after: -2h\nreconcile: {after: 1m, until: -1h}\n", []string{
			"silent_payment_after: -1h0m0s is negative",
			"failing_work_after: -2h0m0s is negative",
			"reconcile.until: -1h0m0s is negative",
			"reconcile.after: 1m0s is less than 1h; Klarna's quota is for those who wait",
		}},
		{"answers that are forgotten too soon", shopYAML + "keep_answers: 24h\n", []string{
			"keep_answers: 24h0m0s is less than 48h; a repeat of a request that is forgotten is a new request",
		}},
		{"payments that go before the answers about them", shopYAML + "retention: {events: 24h, final_payments: 719h}\n", []string{
			"retention.final_payments: 719h0m0s is less than keep_answers, 720h0m0s; answers about a payment go with it, and a repeat would be refused",
		}},
		{"payments that go before the answers about them, which are kept longer", shopYAML + "keep_answers: 1000h\nretention: {events: 24h, final_payments: 720h}\n", []string{
			"retention.final_payments: 720h0m0s is less than keep_answers, 1000h0m0s; answers about a payment go with it, and a repeat would be refused",
		}},
		{"payments that go with the answers about them", shopYAML + "keep_answers: 48h\nretention: {events: 24h, final_payments: 48h}\n", nil},
		{"tokens", shopYAML + "tokens: [{name: shop, sha256: abc}, {sha256: '" + strings.Repeat("00", 32) + "'}]\n", []string{
			"tokens[0]: a name and the sha256 of the token in hex are required",
			"tokens[1]: a name and the sha256 of the token in hex are required",
		}},
		{"keys of the other environment", "merchant_accounts:\n" +
			"  - {name: a, api: network, api_key: klarna_live_api_x}\n" +
			"  - {name: b, api: network, environment: live, api_key: klarna_test_api_x}\n" +
			"  - {name: c, api: regional, username: u, password: klarna_live_api_x}\n", []string{
			`merchant_accounts[0] "a": klarna client: credential: the api key is of environment live, not playground`,
			`merchant_accounts[1] "b": klarna client: credential: the api key is of environment playground, not live`,
			`merchant_accounts[2] "c": klarna client: credential: the password is of environment live, not playground`,
		}},
		{"accounts in each other's way", "merchant_accounts:\n" +
			"  - {name: a, api: network, default: true, api_key: k, signing_keys: {'krn:1': s}}\n" +
			"  - {name: a, api: network, default: true, api_key: k, signing_keys: {'krn:1': s}}\n", []string{
			`merchant_accounts[1] "a": name: used twice`,
			`merchant_accounts[1] "a": default: "a" is the default of api network already`,
			`merchant_accounts[1] "a": signing_keys: "krn:1" is of merchant account "a" already`,
		}},
		{"an account with everything wrong", "merchant_accounts:\n" +
			"  - {name: 'my shop', api: local, environment: test, base_url: 'http://klarna.example', api_key: k, password: p,\n" +
			"     place_orders: sometimes, acknowledge: never, push_secrets: [short]}\n", []string{
			`merchant_accounts[0] "my shop": name: 1 to 64 letters, digits, - and _ are required`,
			`merchant_accounts[0] "my shop": api: "local" is none of network, regional, kustom`,
			`merchant_accounts[0] "my shop": klarna client: base url: http would send the credential in clear`,
			"credential: both an api key and a password",
			"environment: neither live nor playground",
			`merchant_accounts[0] "my shop": place_orders: "sometimes" is neither automatic nor by_caller`,
			`merchant_accounts[0] "my shop": acknowledge: "never" is neither automatic nor by_caller`,
			`merchant_accounts[0] "my shop": push_secrets: at least 20 characters each are required`,
		}},
		{"no host is known", "merchant_accounts: [{name: shop, api: regional, region: mars, username: u, password: p}]\n", []string{
			`merchant_accounts[0] "shop": base_url: none is known for api "regional", environment "playground", region "mars"`,
			`merchant_accounts[0] "shop": klarna client: region: none of eu, na, oc`,
		}},
		{"a whole cut-over", "merchant_accounts:\n  - {name: shop, api: regional, environment: live, username: K1_a, password: p, changes: [\n" +
			"      {from: 2026-03-31T00:00:00Z, api: kustom, username: K9_b, password: q, takes_over: true, withdrawn: ['/settlements', 'POST /hpp/v1/sessions']},\n" +
			"      {from: 2026-06-01T00:00:00+02:00, api_key: klarna_live_api_x}]}\n", nil},
		{"changes with everything wrong", "merchant_accounts:\n  - {name: shop, api: regional, username: PK1_a, password: p, changes: [\n" +
			"      {api: network}, {from: 2026-03-31T00:00:00Z, api: regional, region: mars}, {from: 2026-03-30T00:00:00Z, base_url: 'https://api.klarna.com', api_key: klarna_live_api_x, withdrawn: [extendDueDate]}]}\n", []string{
			`merchant_accounts[0] "shop": changes[1]: base_url: none is known for api "regional", environment "playground", region "mars"`,
			`merchant_accounts[0] "shop": changes[1]: klarna client: region: none of eu, na, oc`,
			`merchant_accounts[0] "shop": changes[2]: klarna client: base url: https://api.klarna.com is of environment live, not playground`,
			"credential: the api key is of environment live, not playground",
			`operations: "extendDueDate" is neither a path nor a method and a path`,
			`merchant_accounts[0] "shop": changes[0]: from: a time is required, later than that of the change before`,
			`merchant_accounts[0] "shop": changes[0]: api: network has nothing to do with regional; that is another merchant account`,
			`merchant_accounts[0] "shop": changes[2]: from: a time is required, later than that of the change before`,
		}},
		{"a database of another kind", shopYAML + "database: mysql://gateway:secret-in-the-wrong-place@db/x\n", []string{"database: it does not begin with postgres://"}},
		{"connections to the embedded database", shopYAML + "database_connections: 4\n", []string{"database_connections: the embedded database takes no connections"}},
		{"fewer connections than none", shopYAML + "database: postgres://db/x\ndatabase_connections: -1\n", []string{"database_connections: -1 is negative"}},
		{"orders placed by a gateway that is told nothing", "merchant_accounts: [{name: shop, api: regional, username: u, password: p, place_orders: automatic}]\n", []string{
			`merchant_accounts[0] "shop": place_orders: automatic needs public_base_url, or Klarna cannot tell of authorisations`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := loadConfig(configFile(t, tc.yaml), noEnvironment)
			var got []string
			if err != nil {
				for line := range strings.Lines(strings.TrimPrefix(err.Error(), "config: ")) {
					got = append(got, strings.TrimSpace(line))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("mistakes that are named differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadConfig_SaysWhenTheFileCannotBeRead(t *testing.T) {
	t.Parallel()
	if _, err := loadConfig(filepath.Join(t.TempDir(), "none.yaml"), noEnvironment); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestLoadConfig_FillsInDefaults(t *testing.T) {
	t.Parallel()
	cfg := must[config](t)(loadConfig(configFile(t, shopYAML), noEnvironment))
	shop := cfg.MerchantAccounts[0]
	got := []string{
		cfg.GRPCAddress, cfg.RESTAddress, cfg.WebhookAddress, cfg.DataDir, cfg.LogLevel, cfg.ShutdownGrace.String(),
		shop.Environment, shop.Region, shop.BaseURL, shop.PlaceOrders, shop.Acknowledge,
	}
	want := []string{
		"127.0.0.1:9090", "127.0.0.1:8080", "127.0.0.1:8081", "data", "info", "20s",
		"playground", "eu", "https://api.playground.klarna.com", "by_caller", "by_caller",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults differ (-want +got):\n%s", diff)
	}
}

func TestLoadConfig_KnowsKlarnasHosts(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{
		"api: regional, environment: live":             "https://api.klarna.com",
		"api: regional, environment: live, region: na": "https://api-na.klarna.com",
		"api: regional, environment: live, region: oc": "https://api-oc.klarna.com",
		"api: regional":                                    "https://api.playground.klarna.com",
		"api: regional, region: na":                        "https://api-na.playground.klarna.com",
		"api: regional, region: oc":                        "https://api-oc.playground.klarna.com",
		"api: network, environment: live":                  "https://api-global.klarna.com",
		"api: network":                                     "https://api-global.test.klarna.com",
		"api: network, base_url: 'https://klarna.example'": "https://klarna.example",
	} {
		cfg, err := loadConfig(configFile(t, "merchant_accounts: [{name: a, username: u, password: p, "+at+"}]"), noEnvironment)
		if err != nil || cfg.MerchantAccounts[0].BaseURL != want {
			t.Errorf("%s: got %q, %v; want %q", at, cfg.MerchantAccounts[0].BaseURL, err, want)
		}
	}
}

func TestLoadConfig_TheEnvironmentAloneMakesOneAccount(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"KLARNA_API_KEY": "klarna_live_api_x", "KLARNA_API": "network", "KLARNA_ENVIRONMENT": "live",
		"KLARNA_GATEWAY_DATA_DIR": "elsewhere", "KLARNA_GATEWAY_GRPC_ADDRESS": "127.0.0.1:1",
	}
	cfg := must[config](t)(loadConfig("", func(name string) string { return env[name] }))
	a := cfg.MerchantAccounts[0]
	if len(cfg.MerchantAccounts) != 1 || a.Name != "default" || !a.Default || a.BaseURL != "https://api-global.klarna.com" ||
		a.APIKey.Reveal() != "klarna_live_api_x" || cfg.DataDir != "elsewhere" || cfg.GRPCAddress != "127.0.0.1:1" {
		t.Errorf("got %+v", cfg)
	}
}

func TestLoadConfig_TheEnvironmentLiesOnTopOfTheFile(t *testing.T) {
	t.Parallel()
	path := configFile(t, shopYAML+"data_dir: file\nlog_level: warn\nshutdown_grace: 3s\n")
	env := map[string]string{"KLARNA_GATEWAY_DATA_DIR": "environment", "KLARNA_USERNAME": "PK2_b", "KLARNA_PASSWORD": "p"}
	cfg := must[config](t)(loadConfig(path, func(name string) string { return env[name] }))
	if cfg.DataDir != "environment" || cfg.LogLevel != "warn" || cfg.ShutdownGrace != 3*time.Second || len(cfg.MerchantAccounts) != 2 {
		t.Errorf("got %+v", cfg)
	}
	if _, err := loadConfig("", func(name string) string { return map[string]string{"KLARNA_USERNAME": "PK2_b"}[name] }); err == nil ||
		!strings.Contains(err.Error(), `"default": klarna client: credential: neither an api key nor a password`) {
		t.Errorf("without a password: %v", err)
	}
}

func TestLoadConfig_TakesSecretsFromWhereTheyArePointedTo(t *testing.T) {
	t.Setenv("GATEWAY_TEST_PASSWORD", "from-the-environment")
	file := configFile(t, "from-a-file\r\n")
	cfg := must[config](t)(loadConfig(configFile(t, "merchant_accounts:\n  - name: shop\n    api: regional\n    username: PK1_a\n"+
		"    password: env:GATEWAY_TEST_PASSWORD\n    payment_status_keys: {'1': 'file:"+file+"', '2': in-the-text}\n"), noEnvironment))
	shop := cfg.MerchantAccounts[0]
	got := []string{shop.Password.Reveal(), shop.PaymentStatusKeys["1"].Reveal(), shop.PaymentStatusKeys["2"].Reveal()}
	if diff := cmp.Diff([]string{"from-the-environment", "from-a-file", "in-the-text"}, got); diff != "" {
		t.Error(diff)
	}
}

// The example that the documentation offers can be taken as it is.
func TestLoadConfig_TakesTheExample(t *testing.T) {
	const example = "../../docs/config.example.yaml"
	for word := range strings.FieldsSeq(string(must[[]byte](t)(os.ReadFile(example)))) {
		if name, ok := strings.CutPrefix(word, "env:"); ok {
			t.Setenv(name, "a-secret-of-32-characters-or-more")
		}
	}
	if _, err := loadConfig(example, noEnvironment); err != nil {
		t.Error(err)
	}
}

// Whoever prints a config, or its mistakes, tells no secret and no part of one.
func TestConfig_PrintsNoSecret(t *testing.T) {
	t.Parallel()
	const hush = "HUSHHUSHHUSHHUSHHUSHHUSH"
	all := "merchant_accounts:\n  - {name: shop, api: %s, username: PK1_a, password: " + hush + ", api_key: %s, payment_status_keys: {'1': " + hush +
		"}, signing_keys: {'krn:1': " + hush + "}, push_secrets: [" + hush + "]}\n"
	sound := must[config](t)(loadConfig(configFile(t, fmt.Sprintf(all, "regional", "''")), noEnvironment))
	printed := []string{fmt.Sprintf("%v %+v %#v", sound, sound, sound)}
	for _, yaml := range []string{
		fmt.Sprintf(all, "wrong", "klarna_live_"+hush),
		"merchant_accounts: [{name: shop, api: regional, push_secrets: " + hush + "}]\n",
		"merchant_accounts: [{name: shop, api: regional, payment_status_keys: " + hush + "}]\n",
		"merchant_accounts: [{name: shop, api: regional, password: {" + hush + ": 1}}]\n",
		"merchant_accounts: [{name: shop, api: regional, auto_capture: " + hush + "}]\n",
		"merchant_accounts: " + hush + "\n",
		hush,
	} {
		_, err := loadConfig(configFile(t, yaml), noEnvironment)
		if err == nil {
			t.Errorf("taken: %s", yaml)
			continue
		}
		printed = append(printed, err.Error())
	}
	for _, text := range printed {
		if strings.Contains(text, hush[:4]) || strings.Contains(text, hex.EncodeToString([]byte(hush[:4]))) {
			t.Errorf("a secret is told: %s", text)
		}
	}
}

func TestConfig_TokensAreKnownByTheirDigest(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("a-token"))
	cfg := must[config](t)(loadConfig(configFile(t, shopYAML+"tokens: [{name: backend, sha256: "+hex.EncodeToString(sum[:])+", debtor_data: true}]\n"), noEnvironment))
	if len(cfg.Tokens) != 1 || cfg.Tokens[0] != (tokenConfig{"backend", hex.EncodeToString(sum[:]), true}) {
		t.Errorf("got %+v", cfg.Tokens)
	}
}

func TestConfig_CallbackURLStandsBehindThePublicAddress(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"https://gateway.example":         "https://gateway.example/klarna/authorization/s",
		"https://gateway.example:8443/a/": "https://gateway.example:8443/a/klarna/authorization/s",
	} {
		cfg := config{PublicBaseURL: base}
		if got := cfg.callbackURL()("s"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if (&config{}).callbackURL() != nil {
		t.Error("without a public address there are callbacks")
	}
}
