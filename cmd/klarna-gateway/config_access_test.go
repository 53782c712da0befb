package main

import (
	"strings"
	"testing"
)

func TestLoadConfig_NamesEveryMistakeOfAccess(t *testing.T) {
	t.Parallel()
	_, err := loadConfig(configFile(t, shopYAML+`
admin_address: 0.0.0.0
admin_pprof: true
grpc_tls: {key_file: k}
rest_tls: {client_ca_file: ca}
admin_tls: {cert_file: c, key_file: k, require_client_cert: true}
tokens: [{name: "corp:clerk", sha256: "`+strings.Repeat("00", 32)+`"}]
token_issuers:
  - {name: corp, issuer: http://id.example, algorithms: [HS256]}
  - {name: corp, issuer: https://id.example, audiences: [a]}
certificate_names: [dns, email]
audit_log: some
cors_origins: ["*", shop.example, https://shop.example/pay]
cors_credentials: true
trusted_proxy_hops: -1
webhook_sources: {mode: maybe, doors: {frontdoor: [192.0.2.0/24]}}
`), noEnvironment)
	for _, want := range []string{
		`admin_address: "0.0.0.0" is not host:port`, "admin_pprof: off loopback it needs admin_tls.client_ca_file",
		"grpc_tls: cert_file and key_file belong together", "rest_tls: client_ca_file needs cert_file", "admin_tls: require_client_cert needs client_ca_file",
		`tokens[0]: name: "corp:clerk" has a colon`, `token_issuers[0] "corp": audiences: at least one`, `"HS256" is none of`, "is not https",
		`token_issuers[1] "corp": name: used twice`, `certificate_names: "email" is none of`, `audit_log: "some" is none of`,
		`cors_origins: "*" with cors_credentials`, `cors_origins: "shop.example" is not an origin`, `cors_origins: "https://shop.example/pay" is not an origin`,
		"trusted_proxy_hops: -1 is negative", `webhook_sources: mode: "maybe" is none of`, `doors: "frontdoor" is none of`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\n%v", want, err)
		}
	}
}

func TestLoadConfig_LetsNobodyInUnprovenUnlessThatIsSaid(t *testing.T) {
	t.Parallel()
	const everywhere = shopYAML + "grpc_address: 0.0.0.0:9090\nrest_address: 0.0.0.0:8080\n"
	for name, c := range map[string]struct {
		yaml    string
		refused int // listeners
	}{
		"nothing":                {"", 2},
		"tokens":                 {"tokens: [{name: shop, sha256: '" + strings.Repeat("00", 32) + "'}]\n", 0},
		"an issuer":              {"token_issuers: [{name: corp, issuer: https://id.example, audiences: [a]}]\n", 0},
		"certificates for one":   {"grpc_tls: {cert_file: c, key_file: k, client_ca_file: ca}\n", 1},
		"tls without them":       {"grpc_tls: {cert_file: c, key_file: k}\n", 2},
		"said aloud":             {"allow_unauthenticated: true\n", 0},
		"a policy alone":         {"policy_file: p\n", 2},
		"the admin listener too": {"allow_unauthenticated: true\nadmin_address: 0.0.0.0:9091\n", 0},
	} {
		_, err := loadConfig(configFile(t, everywhere+c.yaml), noEnvironment)
		refused := 0
		if err != nil {
			refused = strings.Count(err.Error(), "anybody could move money")
		}
		if refused != c.refused || refused == 0 && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
