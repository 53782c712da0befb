package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"payments.internal/klarna-gateway/access"
	"payments.internal/klarna-gateway/server"
	"payments.internal/klarna-gateway/webhook"
)

// accessConfig is who gets in where. The zero value of each field is its documented default.
type accessConfig struct {
	// AdminAddress is where health, version and what operators look at is served; default 127.0.0.1:9091, "off" for none.
	AdminAddress string   `yaml:"admin_address"`
	AdminPprof   bool     `yaml:"admin_pprof"` // profiles, on the admin listener
	GRPCTLS      tlsFiles `yaml:"grpc_tls"`    // TLS of the gRPC listener
	RESTTLS      tlsFiles `yaml:"rest_tls"`    // TLS of the REST listener
	AdminTLS     tlsFiles `yaml:"admin_tls"`   // TLS of the admin listener
	// AllowUnauthenticated lets the API listen off loopback though callers need not prove who they are.
	AllowUnauthenticated bool `yaml:"allow_unauthenticated"`
	// TokenIssuers issue JWTs whose callers are let in.
	TokenIssuers []issuerConfig `yaml:"token_issuers"`
	// CertificateNames are the names in client certificates that name callers, the first one that is there; default spiffe, dns.
	CertificateNames []access.NameForm `yaml:"certificate_names"`
	// PolicyFile says what callers may do; without one, all may do everything. Read again when it changes.
	PolicyFile string `yaml:"policy_file"`
	// AuditLog: which decisions are logged: off, denied (default) or all.
	AuditLog server.Audit `yaml:"audit_log"`
	// CORSOrigins are the origins whose pages may use REST; default none.
	CORSOrigins []string `yaml:"cors_origins"`
	// CORSCredentials lets those pages send cookies.
	CORSCredentials bool `yaml:"cors_credentials"`
	// TrustedProxies are addresses of the proxies in front of the webhook listener, whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// TrustedProxyHops is how many of them there are; 0 means as many as are trusted.
	TrustedProxyHops int `yaml:"trusted_proxy_hops"`
	// WebhookSources checks the addresses that Klarna's posts come from.
	WebhookSources sourcesConfig `yaml:"webhook_sources"`
	// WebhookRejects is how many rejected posts a second an address may make before it is turned away; default 5, negative: any.
	WebhookRejects float64 `yaml:"webhook_rejects_per_second"`
}

// sourcesConfig says which addresses are Klarna's, where they are not those that Klarna publishes.
type sourcesConfig struct {
	Mode  webhook.SourceMode              `yaml:"mode"`  // off (default), report or enforce
	Doors map[webhook.Door][]netip.Prefix `yaml:"doors"` // instead of Klarna's published lists
}

type issuerConfig struct {
	Name       string        `yaml:"name"`       // callers are named NAME:SUBJECT
	Issuer     string        `yaml:"issuer"`     // what stands as iss in its tokens
	Audiences  []string      `yaml:"audiences"`  // at least one of them has to be in aud
	JWKSFile   string        `yaml:"jwks_file"`  // file of its keys, read again when it changes
	JWKSURL    string        `yaml:"jwks_url"`   // where its keys are; found by discovery if neither is set
	Algorithms []string      `yaml:"algorithms"` // default RS256, ES256
	ClockSkew  time.Duration `yaml:"clock_skew"` // how far clocks may differ; default 30s
	NameClaim  string        `yaml:"name_claim"` // claim that names the caller; default sub
}

func (c issuerConfig) access() access.IssuerConfig {
	return access.IssuerConfig{
		Name: c.Name, Issuer: c.Issuer, Audiences: c.Audiences, JWKSFile: c.JWKSFile, JWKSURL: c.JWKSURL,
		Algorithms: c.Algorithms, ClockSkew: c.ClockSkew, NameClaim: c.NameClaim,
	}
}

func (c *config) accessDefaults() {
	c.AdminAddress = orDefault(c.AdminAddress, "127.0.0.1:9091")
	c.AuditLog = server.Audit(orDefault(string(c.AuditLog), string(server.AuditDenied)))
	c.WebhookSources.Mode = webhook.SourceMode(orDefault(string(c.WebhookSources.Mode), string(webhook.SourcesOff)))
	if len(c.CertificateNames) == 0 {
		c.CertificateNames = []access.NameForm{access.SPIFFE, access.DNS}
	}
}

// admin tells whether there is an admin listener.
func (c *config) admin() bool { return c.AdminAddress != "off" }

// authenticates tells whether callers of a listener have to prove who they are.
func (c *config) authenticates(listener tlsFiles) bool {
	return len(c.Tokens) > 0 || c.TokenFile != "" || len(c.TokenIssuers) > 0 || listener.ClientCAFile != ""
}

// checkAccess tells everything that is wrong with who gets in.
func (c *config) checkAccess() (flaws []error) {
	flaw := func(format string, args ...any) { flaws = append(flaws, fmt.Errorf(format, args...)) }
	for _, l := range []struct {
		name, address string
		tls           tlsFiles
	}{{"grpc", c.GRPCAddress, c.GRPCTLS}, {"rest", c.RESTAddress, c.RESTTLS}} {
		if _, _, err := net.SplitHostPort(l.address); err == nil && !loopback(l.address) && !c.authenticates(l.tls) && !c.AllowUnauthenticated {
			flaw("%s_address: %s is not a loopback address, and callers need not prove who they are (tokens, token_file, token_issuers, %s_tls.client_ca_file): "+
				"anybody could move money; allow_unauthenticated: true says that this is meant", l.name, l.address, l.name)
		}
	}
	if c.AdminPprof && c.admin() && !loopback(c.AdminAddress) && c.AdminTLS.ClientCAFile == "" {
		flaw("admin_pprof: off loopback it needs admin_tls.client_ca_file: profiles show what is in memory")
	}
	for _, l := range []struct {
		name string
		tls  tlsFiles
	}{{"grpc_tls", c.GRPCTLS}, {"rest_tls", c.RESTTLS}, {"webhook_tls", c.WebhookTLS}, {"admin_tls", c.AdminTLS}} {
		if err := l.tls.check(); err != nil {
			flaw("%s: %w", l.name, err)
		}
	}
	names := map[string]bool{}
	for i, issuer := range c.TokenIssuers {
		if err := issuer.access().Check(); err != nil {
			flaw("token_issuers[%d] %q: %w", i, issuer.Name, err)
		}
		if names[issuer.Name] {
			flaw("token_issuers[%d] %q: name: used twice", i, issuer.Name)
		}
		names[issuer.Name] = true
	}
	for _, form := range c.CertificateNames {
		if !form.Known() {
			flaw("certificate_names: %q is none of spiffe, dns, cn", form)
		}
	}
	if !slices.Contains([]server.Audit{server.AuditOff, server.AuditDenied, server.AuditAll}, c.AuditLog) {
		flaw("audit_log: %q is none of off, denied, all", c.AuditLog)
	}
	if c.TrustedProxyHops < 0 {
		flaw("trusted_proxy_hops: %d is negative", c.TrustedProxyHops)
	}
	if err := (webhook.Sources{Mode: c.WebhookSources.Mode, Doors: c.WebhookSources.Doors}).Check(); err != nil {
		flaw("webhook_sources: %w", err)
	}
	return append(flaws, c.checkCORS()...)
}

func (c *config) checkCORS() (flaws []error) {
	for _, origin := range c.CORSOrigins {
		at, err := url.Parse(origin)
		switch {
		case origin == "*" && c.CORSCredentials:
			flaws = append(flaws, errors.New(`cors_origins: "*" with cors_credentials would let every page act as whoever looks at it`))
		case origin != "*" && (err != nil || at.Scheme == "" || at.Host == "" || at.Path != "" || at.RawQuery != ""):
			flaws = append(flaws, fmt.Errorf("cors_origins: %q is not an origin such as https://shop.example", origin))
		}
	}
	return flaws
}
