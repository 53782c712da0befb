package klarnatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// credential is an API key or a client certificate of our account.
type credential struct {
	id, description string
	created         time.Time

	secret string // of an API key

	usage       string            // of a certificate
	certificate *x509.Certificate // nil of an API key
	revoked     time.Time         // zero unless it is
}

// credentials are those of our account, and what is demanded of its calls. Guarded by Server.mu.
type credentials struct {
	apiKeys      []*credential
	certificates []*credential
	enforced     bool
	enforcedFrom time.Time
	assumed      bool     // calls are taken to show a valid certificate
	ranges       []string // allowed networks
	ipMode       string   // "", IPReporting or IPEnforced

	ca    *x509.Certificate // issues client certificates; made with the first
	caKey *ecdsa.PrivateKey
}

// Modes of the restriction to networks, in Klarna's words.
const (
	IPReporting = "REPORTING"
	IPEnforced  = "ENFORCED"
)

// credentialRoutes are the operations on our own credentials.
func credentialRoutes() []*route {
	const (
		keys        = "/v2/account/integration/credentials/api-key"
		certs       = "/v2/account/integration/credentials/client-certificate"
		enforcement = "/v2/account/integration/client-certificates/enforcement"
	)
	return []*route{
		{"createAPIKey", network, "POST " + keys, true, (*Server).createAPIKey},
		{"listAPIKeys", network, "GET " + keys, false, (*Server).listAPIKeys},
		{"readAPIKey", network, "GET " + keys + "/{credential_id}", false, (*Server).readAPIKey},
		{"updateAPIKey", network, "PATCH " + keys + "/{credential_id}", true, (*Server).updateAPIKey},
		{"disableAPIKey", network, "DELETE " + keys + "/{credential_id}", false, (*Server).disableAPIKey},
		{"createCertificate", network, "POST " + certs, true, (*Server).createCertificate},
		{"listCertificates", network, "GET " + certs, false, (*Server).listCertificates},
		{"readCertificate", network, "GET " + certs + "/{credential_id}", false, (*Server).readCertificate},
		{"updateCertificate", network, "PATCH " + certs + "/{credential_id}", true, (*Server).updateCertificate},
		{"revokeCertificate", network, "POST " + certs + "/{credential_id}/revoke", true, (*Server).revokeCertificate},
		{"readEnforcement", network, "GET " + enforcement, false, (*Server).readEnforcement},
		{"enforceMTLS", network, "PUT " + enforcement, true, (*Server).enforceMTLS},
		{"removeEnforcement", network, "DELETE " + enforcement, false, (*Server).removeEnforcement},
		{"readAllowedIPs", network, "GET /v2/account/integration/ip-restrictions/allowed-ips", false, (*Server).readAllowedIPs},
	}
}

func newCredentialID() string { return "krn:partner:global:account:credential:" + uuid.NewString() }

func (cr *credential) document() doc {
	d := doc{"credential_id": cr.id, "description": cr.description, "created_at": cr.created.Format(time.RFC3339Nano)}
	if cr.certificate != nil {
		d["config"] = doc{"usage": cr.usage}
		d["certificate"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cr.certificate.Raw}))
		d["expires_at"] = cr.certificate.NotAfter.Format(time.RFC3339)
	}
	if !cr.revoked.IsZero() {
		d["revoked_from"] = cr.revoked.Format(time.RFC3339Nano)
	}
	return d
}

func credentialDocuments(list []*credential) answer {
	documents := []doc{}
	for _, cr := range list {
		documents = append(documents, cr.document())
	}
	return reply(http.StatusOK, doc{"credentials": documents})
}

func withCredential(c *call, list []*credential, f func(*credential) answer) answer {
	i := slices.IndexFunc(list, func(cr *credential) bool { return cr.id == c.path("credential_id") })
	if i < 0 {
		return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such credential")
	}
	return f(list[i])
}

var keyDescription = regexp.MustCompile(`^[a-zA-Z0-9\-:;., _]{0,100}$`)

// describe reads the description in a request.
func (c *call) describe(k *checker) string {
	text, isText := c.doc.text("description")
	if c.doc.has("description") && (!isText || !keyDescription.MatchString(text)) {
		k.refuse("description", "must be at most 100 of letters, digits and -:;., _")
	}
	return text
}

// createAPIKey shows the secret, for the only time. The new key opens the Network's APIs at once.
func (s *Server) createAPIKey(c *call) answer {
	k := &checker{}
	description := c.describe(k)
	if k.errs != nil {
		return c.invalid(k.errs)
	}
	var random [18]byte
	_, _ = rand.Read(random[:]) // never fails
	made := &credential{
		id: newCredentialID(), description: description, created: s.now(), secret: "klarna_" + s.environment() + "_api_" + hex.EncodeToString(random[:]),
	}
	s.creds.apiKeys = append(s.creds.apiKeys, made)
	return reply(http.StatusCreated, made.document().with(doc{"secret": doc{"secret": made.secret}}))
}

func (s *Server) listAPIKeys(*call) answer { return credentialDocuments(s.creds.apiKeys) }

func (s *Server) readAPIKey(c *call) answer {
	return withCredential(c, s.creds.apiKeys, func(cr *credential) answer { return reply(http.StatusOK, cr.document()) })
}

func (s *Server) updateAPIKey(c *call) answer { return c.redescribe(s.creds.apiKeys) }

func (c *call) redescribe(list []*credential) answer {
	return withCredential(c, list, func(cr *credential) answer {
		k := &checker{}
		description := c.describe(k)
		if k.errs != nil {
			return c.invalid(k.errs)
		}
		cr.description = description
		return reply(http.StatusOK, cr.document())
	})
}

// disableAPIKey takes a key away. That it is no longer listed is chosen here.
func (s *Server) disableAPIKey(c *call) answer {
	return withCredential(c, s.creds.apiKeys, func(cr *credential) answer {
		s.creds.apiKeys = slices.DeleteFunc(s.creds.apiKeys, func(other *credential) bool { return other == cr })
		return reply(http.StatusNoContent, nil)
	})
}

// knowsKey tells whether a credential in use opens the Network's APIs.
func (s *Server) knowsKey(secret string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.creds.apiKeys, func(cr *credential) bool { return secret != "" && cr.secret == secret })
}

func (s *Server) createCertificate(c *call) answer {
	k, root := &checker{}, located{"config", c.doc.object("config")}
	description := c.describe(k)
	if usage := root.str("usage"); usage != "MTLS" && usage != "JWT_SIGNING" {
		k.refuse("config.usage", "must be one of MTLS, JWT_SIGNING")
	}
	request := signingRequest(root.str("certificate_signing_request"))
	if request == nil {
		k.refuse("config.certificate_signing_request", "must be a signed PEM request for an EC prime256v1 key")
	}
	if k.errs != nil {
		return c.invalid(k.errs)
	}
	made := &credential{id: newCredentialID(), description: description, created: s.now(), usage: root.str("usage"), certificate: s.certify(request)}
	s.creds.certificates = append(s.creds.certificates, made)
	return reply(http.StatusCreated, made.document())
}

// signingRequest reads a request for a certificate; nil if Klarna would not take it.
func signingRequest(text string) *x509.CertificateRequest {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || request.CheckSignature() != nil || len(request.Subject.CommonName) > 64 {
		return nil
	}
	if key, ok := request.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return nil
	}
	return request
}

// certify issues a certificate for a year of the simulated clock. TLS goes by the real one, so it begins with the earlier
// of the two.
func (s *Server) certify(request *x509.CertificateRequest) *x509.Certificate {
	from, until := s.now(), s.now().AddDate(1, 0, 0)
	if real := time.Now(); real.Before(from) {
		from = real
	} else if real.AddDate(1, 0, 0).After(until) {
		until = real.AddDate(1, 0, 0)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(s.creds.certificates) + 2)), Subject: request.Subject, NotBefore: from.Add(-time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if leaf.Subject.CommonName == "" {
		leaf.Subject.CommonName = "AQ4ZT9WN-" + uuid.NewString()[:8]
	}
	if s.creds.ca == nil {
		s.creds.caKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		ca := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulated Klarna client CA"}, NotBefore: leaf.NotBefore, NotAfter: until.AddDate(10, 0, 0),
			IsCA: true, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
		}
		s.creds.ca = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, ca, ca, s.creds.caKey.Public(), s.creds.caKey))))
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, leaf, s.creds.ca, request.PublicKey, s.creds.caKey))))
}

// must is for what fails only if the program is wrong.
func must[T any](v T, err error) T {
	if err != nil {
		panic("klarnatest: " + err.Error())
	}
	return v
}

func (s *Server) listCertificates(*call) answer { return credentialDocuments(s.creds.certificates) }

func (s *Server) readCertificate(c *call) answer {
	return withCredential(c, s.creds.certificates, func(cr *credential) answer { return reply(http.StatusOK, cr.document()) })
}

func (s *Server) updateCertificate(c *call) answer { return c.redescribe(s.creds.certificates) }

// revokeCertificate sets from when on a certificate no longer counts.
func (s *Server) revokeCertificate(c *call) answer {
	return withCredential(c, s.creds.certificates, func(cr *credential) answer {
		from, err := time.Parse(time.RFC3339Nano, c.doc.str("revoked_from"))
		if err != nil {
			return c.invalid([]doc{{"parameter": "revoked_from", "reason": "must be an RFC 3339 time"}})
		}
		cr.revoked = from
		return reply(http.StatusOK, cr.document())
	})
}

// readEnforcement tells whether mTLS is enforced. Klarna: an account with a certificate reports at first.
func (s *Server) readEnforcement(*call) answer {
	d := doc{"enforcement_mode": "NOT_ENABLED"}
	switch {
	case s.creds.enforced && !s.now().Before(s.creds.enforcedFrom):
		d["enforcement_mode"] = "ENFORCED"
	case len(s.creds.certificates) > 0:
		d["enforcement_mode"] = "REPORTING"
	}
	if s.creds.enforced {
		d["enforced_from"] = s.creds.enforcedFrom.Format(time.RFC3339)
	}
	return reply(http.StatusOK, d)
}

// enforceMTLS demands a certificate from a time on. Klarna: not in the past, at most three months ahead.
func (s *Server) enforceMTLS(c *call) answer {
	from := s.now()
	if text := c.doc.str("enforced_from"); text != "NOW" {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || at.Before(from) || at.After(from.AddDate(0, 3, 0)) {
			return c.invalid([]doc{{"parameter": "enforced_from", "reason": "must be NOW or a time within the next three months"}})
		}
		from = at
	}
	s.creds.enforced, s.creds.enforcedFrom = true, from
	return reply(http.StatusNoContent, nil)
}

func (s *Server) removeEnforcement(*call) answer {
	s.creds.enforced = false
	return reply(http.StatusNoContent, nil)
}

// AllowIPs sets the networks that calls may come from, and the mode: IPReporting, IPEnforced, or "" for no restriction.
func (s *Server) AllowIPs(mode string, ranges ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.creds.ipMode, s.creds.ranges = mode, ranges
}

// readAllowedIPs answers in a form of our own: Klarna documents the path alone.
func (s *Server) readAllowedIPs(*call) answer {
	return reply(http.StatusOK, doc{"allowed_ips": append([]string{}, s.creds.ranges...)})
}

// guard judges where a call to the Network comes from and which certificate it shows. Klarna: an account that has a
// certificate is told what became of it with every answer, and so it is of networks while they are reported on. Which
// refusal stands behind enforcement is not documented. Callers hold mu.
func (s *Server) guard(c *call) (header map[string]string, refusal *answer) {
	if c.route.family != network {
		return nil, nil
	}
	header = map[string]string{}
	forbid := func(why string) {
		a := c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", why)
		refusal = &a
	}
	status := s.verification(c.r)
	if len(s.creds.certificates) > 0 {
		header["Klarna-Mtls-Verification-Status"] = status
	}
	if s.creds.enforced && !s.now().Before(s.creds.enforcedFrom) && status != "VALID" {
		forbid("A valid client certificate is required")
	}
	if s.creds.ipMode != "" {
		verdict := "DENIED"
		if s.fromAllowed(c.r) {
			verdict = "ALLOWED"
		}
		switch {
		case s.creds.ipMode == IPReporting:
			header["Klarna-Ip-Validation-Status"] = verdict
		case verdict == "DENIED":
			forbid("The address is not allowed")
		}
	}
	return header, refusal
}

// AssumeCertificate takes all calls for such as show a valid certificate, once there is one: for tests without TLS.
func (s *Server) AssumeCertificate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.creds.assumed = true
}

// verification says what became of the certificate of a call.
func (s *Server) verification(r *http.Request) string {
	if s.creds.assumed {
		return "VALID"
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "NOT_PRESENT"
	}
	shown := r.TLS.PeerCertificates[0]
	for _, cr := range s.creds.certificates {
		counts := cr.usage == "MTLS" && (cr.revoked.IsZero() || s.now().Before(cr.revoked)) && s.now().Before(cr.certificate.NotAfter)
		if counts && cr.certificate.Equal(shown) {
			return "VALID"
		}
	}
	return "INVALID"
}

func (s *Server) fromAllowed(r *http.Request) bool {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	from, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(s.creds.ranges, func(text string) bool {
		allowed, err := netip.ParsePrefix(text)
		return err == nil && allowed.Contains(from)
	})
}
