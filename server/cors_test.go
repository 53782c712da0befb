package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net/http"
	"testing"
	"time"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestCORS_IsClosedUntilOriginsAreNamed(t *testing.T) {
	t.Parallel()
	const shopPage, otherPage = "https://shop.example", "https://evil.example"
	with := func(c CORS) func(*Config) {
		return func(cfg *Config) { cfg.Callers.Tokens, cfg.CORS = tokens, c }
	}
	for name, c := range map[string]struct {
		cors             CORS
		origin           string
		allowed, cookies string
	}{
		"closed":            {CORS{}, shopPage, "", ""},
		"named":             {CORS{Origins: []string{shopPage}}, shopPage, shopPage, ""},
		"another one":       {CORS{Origins: []string{shopPage}}, otherPage, "", ""},
		"named, cookies":    {CORS{Origins: []string{shopPage}, Credentials: true}, shopPage, shopPage, "true"},
		"another, cookies":  {CORS{Origins: []string{shopPage}, Credentials: true}, otherPage, "", ""},
		"all, no cookies":   {CORS{Origins: []string{"*"}}, otherPage, "*", ""},
		"part of the named": {CORS{Origins: []string{shopPage}}, shopPage + ".evil.example", "", ""},
	} {
		s := start(t, with(c.cors))
		preflight := s.do(http.MethodOptions, "/v1/payments", nil, http.Header{
			"Origin": {c.origin}, "Access-Control-Request-Method": {http.MethodGet}, "Access-Control-Request-Headers": {"authorization"},
		})
		call := s.do(http.MethodGet, "/v1/payments", nil, http.Header{"Origin": {c.origin}, "Authorization": {"Bearer billing-token"}})
		for what, res := range map[string]*http.Response{"preflight": preflight, "call": call} {
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != c.allowed {
				t.Errorf("%s, %s: allowed for %q, want %q", name, what, got, c.allowed)
			}
			if got := res.Header.Get("Access-Control-Allow-Credentials"); got != c.cookies {
				t.Errorf("%s, %s: credentials %q, want %q", name, what, got, c.cookies)
			}
		}
		if c.allowed != "" && preflight.StatusCode != http.StatusNoContent { // which bears no token
			t.Errorf("%s: the preflight is answered %d", name, preflight.StatusCode)
		}
	}
	if _, err := New(Config{Journal: start(t, nil).journal, CORS: CORS{Origins: []string{"*"}, Credentials: true}}); err == nil {
		t.Error("every page may act as whoever looks at it")
	}
}

// A certificate that a client of the gRPC listener claims to have is nobody's.
func TestAuth_MetadataOfStrangersIsNoCertificate(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Callers.Certificates = []access.NameForm{access.DNS} })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"billing"}, NotAfter: time.Now().Add(time.Hour)}
	made, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	must(t, err)
	_, st := s.overGRPC(&gatewayv1.ListPaymentsRequest{}, peerCertificateKey, string(made))
	if reasonOf(st.Err()) != "UNAUTHENTICATED" {
		t.Errorf("taken for a certificate: %v", st)
	}
}
