package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
	"time"
)

func TestCertificates_NameCallersByTheFirstFormTheyHave(t *testing.T) {
	t.Parallel()
	id := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	all := []NameForm{SPIFFE, DNS, CommonName}
	for name, c := range map[string]struct {
		cert  x509.Certificate
		forms []NameForm
		want  string
	}{
		"spiffe":            {x509.Certificate{URIs: []*url.URL{id("https://x"), id("spiffe://corp/a")}, DNSNames: []string{"d"}}, all, "spiffe://corp/a"},
		"two spiffe ids":    {x509.Certificate{URIs: []*url.URL{id("spiffe://corp/a"), id("spiffe://corp/b")}, DNSNames: []string{"d"}}, all, ""},
		"dns":               {x509.Certificate{DNSNames: []string{"d", "e"}, Subject: pkix.Name{CommonName: "c"}}, all, "dns:d"},
		"common name":       {x509.Certificate{Subject: pkix.Name{CommonName: "c"}}, all, "cn:c"},
		"form not taken":    {x509.Certificate{Subject: pkix.Name{CommonName: "c"}}, []NameForm{SPIFFE, DNS}, ""},
		"spiffe not taken":  {x509.Certificate{URIs: []*url.URL{id("spiffe://corp/a")}, DNSNames: []string{"d"}}, []NameForm{DNS}, "dns:d"},
		"nothing in it":     {x509.Certificate{}, all, ""},
		"another uri alone": {x509.Certificate{URIs: []*url.URL{id("https://x")}}, all, ""},
	} {
		c.cert.NotAfter = noon.Add(time.Hour)
		got, err := Callers{Certificates: c.forms}.Identify(nil, &c.cert)
		if got.Name != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got.Name, err)
		}
		if err == nil && (!got.Expires.Equal(c.cert.NotAfter) || len(got.CertificateSHA256) != 64) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestCallers_ABadTokenIsNotMadeGoodByACertificate(t *testing.T) {
	t.Parallel()
	cert := &x509.Certificate{DNSNames: []string{"d"}}
	callers := Callers{Tokens: []Token{{Name: "billing"}}, Certificates: []NameForm{DNS}}
	for _, bearers := range [][]string{{"wrong"}, {""}, {"a", "b"}} {
		if got, err := callers.Identify(bearers, cert); err == nil {
			t.Errorf("%q: taken as %s", bearers, got.Name)
		}
	}
	if _, err := (Callers{Tokens: callers.Tokens}).Identify(nil, cert); err == nil {
		t.Error("a certificate names a caller although none is wanted")
	}
}
