// Package access tells who calls and what that caller may do. It proves callers (bearer tokens of the configuration,
// JWTs of an issuer, client certificates) and evaluates the policy file: which caller has which roles, which role may
// use which RPC for which merchant and partner accounts, with which scopes.
//
// It knows no RPC and no message: RPCs are texts here, such as "OrderService/CaptureOrder". What is not granted is
// denied, so an RPC that is new to a policy is closed until somebody opens it.
package access

import (
	"crypto/x509"
	"errors"
	"time"
)

// ErrUnauthenticated says that nothing that was presented proves a caller. What it wraps is for the log, not for the
// caller.
var ErrUnauthenticated = errors.New("not authenticated")

// Caller is who calls, as proven.
type Caller struct {
	// Name stays the same when tokens and certificates are renewed: the name of a configured token, "ISSUER:SUBJECT" of
	// a JWT, or the name in a certificate ("spiffe://…", "dns:…", "cn:…"). What a caller owns belongs to this name.
	Name string
	// Expires is when what was presented runs out; zero if it does not.
	Expires time.Time
	// CertificateSHA256 is the digest of the certificate that was presented, in hex; TokenID is the "jti" of the JWT. A policy
	// may revoke either.
	CertificateSHA256, TokenID string
	// DebtorData is what a configured token may see where there is no policy.
	DebtorData bool

	// What proved the caller, as long as it may be taken back: one of these, or none.
	token  *[32]byte           // digest of the configured token
	chain  []*x509.Certificate // the certificate, and those behind it
	key    any                 // public key that the JWT was signed with
	issuer *Issuer             // of the JWT
}

// Callers is how callers prove who they are. The zero value asks for nothing.
type Callers struct {
	Tokens []Token
	// TokenFiles hold further ones, and may change meanwhile.
	TokenFiles []*TokenFile
	Issuers    []*Issuer
	// Certificates says that verified client certificates name callers, by the first of these forms that they have.
	Certificates []NameForm
	// Authorities are the files whose authorities such certificates come from, and may change; without any, whoever
	// verified a certificate has the last word.
	Authorities []*AuthorityFile
	// Now is the clock by which JWTs run out; nil means time.Now.
	Now func() time.Time
}

// Required tells whether callers have to prove who they are at all.
func (c Callers) Required() bool {
	return len(c.Tokens)+len(c.TokenFiles) > 0 || len(c.Issuers) > 0 || len(c.Certificates) > 0
}

// Identify finds out who calls. A bearer token stands above a certificate, which may be a proxy's or a mesh's: a token
// that is no good is refused, whatever certificate came with it. The certificate must have been verified; those that it
// was verified by may stand behind it. Nil, or none, is no certificate.
func (c Callers) Identify(bearers []string, chain ...*x509.Certificate) (Caller, error) {
	switch {
	case len(bearers) > 1:
		return Caller{}, errorf("%d bearer tokens", len(bearers))
	case len(bearers) == 1:
		return c.byToken(bearers[0])
	case len(chain) > 0 && chain[0] != nil && len(c.Certificates) > 0:
		if len(c.Authorities) > 0 && !c.trusts(chain) {
			return Caller{}, errorf("the certificate's authority is not one of ours any more")
		}
		who, err := byCertificate(chain[0], c.Certificates)
		who.chain = chain
		return who, err
	}
	return Caller{}, errorf("nothing was presented")
}

func (c Callers) byToken(text string) (Caller, error) {
	if caller, ok := c.byDigest(text); ok {
		return caller, nil
	}
	err := errorf("unknown token")
	for _, issuer := range c.Issuers {
		var caller Caller
		if caller, err = issuer.verify(text, c.now()); err == nil {
			return caller, nil
		}
	}
	return Caller{}, err
}

func (c Callers) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
