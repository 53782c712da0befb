package access

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// NameForm is where in a certificate the caller's name stands.
type NameForm string

// The forms, as the configuration writes them.
const (
	SPIFFE     NameForm = "spiffe" // the URI "spiffe://…"; a certificate has one, or names nobody (SPIFFE X509-SVID, 2)
	DNS        NameForm = "dns"    // the first DNS name
	CommonName NameForm = "cn"     // the subject's common name
)

// Known tells whether there is such a form.
func (f NameForm) Known() bool { return f == SPIFFE || f == DNS || f == CommonName }

// byCertificate names the caller by the first form that the certificate has. The form stands in the name, so that a
// certificate for the DNS name "x" is nobody whose common name is "x".
func byCertificate(cert *x509.Certificate, forms []NameForm) (Caller, error) {
	sum := sha256.Sum256(cert.Raw)
	caller := Caller{Expires: cert.NotAfter, CertificateSHA256: hex.EncodeToString(sum[:])}
	for _, form := range forms {
		switch {
		case form == SPIFFE && len(spiffeIDs(cert)) > 1:
			return Caller{}, errorf("the certificate has several SPIFFE ids")
		case form == SPIFFE && len(spiffeIDs(cert)) == 1:
			caller.Name = spiffeIDs(cert)[0]
			return caller, nil
		case form == DNS && len(cert.DNSNames) > 0:
			caller.Name = "dns:" + cert.DNSNames[0]
			return caller, nil
		case form == CommonName && cert.Subject.CommonName != "":
			caller.Name = "cn:" + cert.Subject.CommonName
			return caller, nil
		}
	}
	return Caller{}, errorf("the certificate has no name of the forms %q", forms)
}

func spiffeIDs(cert *x509.Certificate) (ids []string) {
	for _, uri := range cert.URIs {
		if uri.Scheme == "spiffe" {
			ids = append(ids, uri.String())
		}
	}
	return ids
}
