package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"time"
)

// certificates looks at those that the listeners show, and that Klarna is shown.
func (p *patient) certificates() {
	base, _ := url.Parse(p.cfg.PublicBaseURL)
	public := ""
	if base != nil {
		public = base.Hostname()
	}
	for _, l := range []struct {
		name  string
		files tlsFiles
		host  string // that clients know it by; empty if that is not known
	}{
		{"grpc_tls", p.cfg.GRPCTLS, hostOf(p.cfg.GRPCAddress)}, {"rest_tls", p.cfg.RESTTLS, hostOf(p.cfg.RESTAddress)},
		{"webhook_tls", p.cfg.WebhookTLS, public}, {"admin_tls", p.cfg.AdminTLS, hostOf(p.cfg.AdminAddress)},
	} {
		if chain := p.pair(l.name, l.files.CertFile, l.files.KeyFile); chain != nil {
			p.chain(l.name, chain, x509.ExtKeyUsageServerAuth, l.name == "webhook_tls")
			if err := chain[0].VerifyHostname(l.host); l.host != "" && err != nil {
				p.note("certificate", l.name, warning, "have one issued for the name that clients use", "clients that call it by its address turn it away: %v", err)
			}
		}
		p.authorities(l.name, l.files.ClientCAFile)
	}
	for _, a := range p.cfg.MerchantAccounts {
		name := "client_certificate of " + a.Name
		if chain := p.pair(name, a.ClientCertificate.CertFile, a.ClientCertificate.KeyFile); chain != nil {
			p.chain(name, chain, x509.ExtKeyUsageClientAuth, false)
		}
	}
}

// hostOf is the name or address that a listener is bound to, empty if that is any of the machine's.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip != nil && ip.IsUnspecified() {
		return ""
	}
	return host
}

// pair is the chain of a certificate file, nil if there is none or it cannot be used.
func (p *patient) pair(name, certFile, keyFile string) (chain []*x509.Certificate) {
	if certFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		p.note("certificate", name, broken, "put a certificate and its key there", "%v", err)
		return nil
	}
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			p.note("certificate", name, broken, "put a certificate and its key there", "a certificate behind it cannot be read: %v", err)
			return nil
		}
		chain = append(chain, cert)
	}
	p.expiry("certificate", name, chain[0].NotAfter)
	return chain
}

// chain looks whether a certificate leads to an authority, is for what it is used for, and, where everybody has to take it,
// whether everybody does.
func (p *patient) chain(name string, chain []*x509.Certificate, usage x509.ExtKeyUsage, everybody bool) {
	const check = "certificate"
	for i, cert := range chain[1:] {
		if err := chain[i].CheckSignatureFrom(cert); err != nil {
			p.note(check, name, broken, "put the chain into the file in order: the certificate, then who signed it, and so on", "certificate %d of the file did not sign the one before: %v", i+2, err)
			return
		}
		p.expiring(check, name+", certificate "+cert.Subject.CommonName, cert.NotAfter)
	}
	if len(chain[0].ExtKeyUsage) > 0 && !slices.Contains(chain[0].ExtKeyUsage, usage) && !slices.Contains(chain[0].ExtKeyUsage, x509.ExtKeyUsageAny) {
		p.note(check, name, broken, "have one issued for it", "it is not for this use: its extended key usage says otherwise")
	}
	if !everybody {
		return
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: p.now})
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		p.note(check, name, broken, "have it issued by an authority that everybody trusts, with its intermediate certificates in the file", "this machine knows no authority that it leads to, and Klarna may not either")
	}
}

// authorities looks at those that clients' certificates are checked with.
func (p *patient) authorities(name, path string) {
	if path == "" {
		return
	}
	rest, err := os.ReadFile(path)
	if err != nil {
		p.note("client_ca_file", name, broken, mended, "%v", err)
		return
	}
	count := 0
	for block, more := pem.Decode(rest); block != nil; block, more = pem.Decode(more) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			p.note("client_ca_file", name, broken, mended, "one cannot be read: %v", err)
			continue
		}
		count++
		p.expiring("client_ca_file", name+", "+cert.Subject.CommonName, cert.NotAfter)
		if !cert.IsCA {
			p.note("client_ca_file", name, broken, "put the authority's certificate there, not one that it signed", "%q is no authority", cert.Subject.CommonName)
		}
	}
	if count == 0 {
		p.note("client_ca_file", name, broken, mended, "it holds no certificate")
	}
}

// expiry tells how long a certificate is good for.
func (p *patient) expiry(check, subject string, until time.Time) {
	if !p.expiring(check, subject, until) {
		p.note(check, subject, fine, "", "good until %s", until.UTC().Format(time.RFC3339))
	}
}

// expiring tells of a certificate that is not good for long.
func (p *patient) expiring(check, subject string, until time.Time) bool {
	left := until.Sub(p.now)
	switch {
	case left <= 0:
		p.note(check, subject, broken, "put a new one there; it is taken without a restart", "it ran out at %s", until.UTC().Format(time.RFC3339))
	case left < 14*24*time.Hour:
		p.note(check, subject, warning, "put a new one there; it is taken without a restart", "it runs out at %s", until.UTC().Format(time.RFC3339))
	}
	return left < 14*24*time.Hour
}
