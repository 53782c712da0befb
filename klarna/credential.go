package klarna

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// The credentials of our own account at the Klarna Network, and who may use them. Klarna: those of a partner's account
// are made with the partner's own key or in the portal.

const (
	apiKeysPath      = "/v2/account/integration/credentials/api-key"
	certificatesPath = "/v2/account/integration/credentials/client-certificate"
	enforcementPath  = "/v2/account/integration/client-certificates/enforcement"
	allowedIPsPath   = "/v2/account/integration/ip-restrictions/allowed-ips"
)

// APIKey is a credential for calls to Klarna. Klarna: unused for two months, it gets disabled.
type APIKey struct {
	CredentialID string
	Description  string
	Secret       Secret // klarna_<live|test>_api_…; in the answer to its creation alone

	Raw json.RawMessage // the bytes as received; nil where they hold the secret
}

// UnmarshalJSON takes the secret out of its object. What the answer leaves out stays.
func (k *APIKey) UnmarshalJSON(data []byte) error {
	var wire struct {
		CredentialID string `json:"credential_id"`
		Description  string `json:"description"`
		Secret       struct {
			Secret Secret `json:"secret"`
		} `json:"secret"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return errors.New("decode api key") // the decoder's error may quote the secret
	}
	*k = APIKey{CredentialID: cmp.Or(wire.CredentialID, k.CredentialID), Description: cmp.Or(wire.Description, k.Description), Secret: wire.Secret.Secret}
	return nil
}

// LogValue keeps the secret out of logs.
func (k APIKey) LogValue() slog.Value {
	return slog.GroupValue(slog.String("credential_id", k.CredentialID))
}

// CertificateUsage is what a client certificate is for, in Klarna's word.
type CertificateUsage string

// The usages.
const (
	UsageMTLS       CertificateUsage = "MTLS"
	UsageJWTSigning CertificateUsage = "JWT_SIGNING"
)

// ClientCertificate is a certificate that Klarna has issued for us. Klarna documents the id and the description; under
// which name the certificate itself stands in the answer is not, so it is looked for.
type ClientCertificate struct {
	CredentialID string           `json:"credential_id"`
	Description  string           `json:"description,omitempty"`
	Usage        CertificateUsage `json:"-"` // as far as the answer tells
	Certificate  string           `json:"-"` // PEM, as far as the answer tells

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// UnmarshalJSON looks for the certificate and its usage, at the top and in the objects below it.
func (c *ClientCertificate) UnmarshalJSON(data []byte) error {
	type plain ClientCertificate
	if err := json.Unmarshal(data, (*plain)(c)); err != nil {
		return err
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	c.lookInto(members)
	return nil
}

func (c *ClientCertificate) lookInto(members map[string]any) {
	for name, member := range members {
		switch member := member.(type) {
		case map[string]any:
			c.lookInto(member)
		case string:
			switch {
			case name == "usage":
				c.Usage = CertificateUsage(member)
			case isCertificate(member):
				c.Certificate = member
			}
		}
	}
}

// isCertificate tells a certificate from a request for one.
func isCertificate(pem string) bool {
	const begin = "-----BEGIN CERTIFICATE-----"
	return len(pem) > len(begin) && pem[:len(begin)] == begin
}

// CertificateRequest asks for a client certificate.
type CertificateRequest struct {
	Description string            `json:"description,omitempty"`
	Config      CertificateConfig `json:"config"`
}

// CertificateConfig says what a certificate is for and whose key it certifies.
type CertificateConfig struct {
	Usage                     CertificateUsage `json:"usage"`
	CertificateSigningRequest string           `json:"certificate_signing_request"` // PEM; Klarna: EC prime256v1
}

// EnforceNow enforces mTLS at once.
const EnforceNow = "NOW"

// MTLSEnforcement says whether Klarna refuses calls without a client certificate, and what it saw of ours.
type MTLSEnforcement struct {
	Mode         string `json:"enforcement_mode,omitempty"` // REPORTING and others, in Klarna's word
	EnforcedFrom string `json:"enforced_from,omitempty"`    // RFC 3339 or EnforceNow

	// Verification is what Klarna saw of our certificate on this very call: NOT_PRESENT, VALID or INVALID. Klarna: not
	// said of an account that has no certificate.
	Verification string          `json:"-"`
	Raw          json.RawMessage `json:"-"` // the bytes as received
}

// AllowedIPs are the networks that calls to Klarna may come from. Klarna documents the path alone.
type AllowedIPs struct {
	Ranges []string // CIDR, as far as the answer can be read
	// Validation is what Klarna makes of this very call's source: ALLOWED, DENIED or INVALID. Klarna: said while it
	// reports and does not enforce.
	Validation string
	Raw        json.RawMessage // the bytes as received
}

// CreateAPIKey makes a credential; its secret is in the answer, and Klarna shows it once.
func (c *Client) CreateAPIKey(ctx context.Context, key, description string) (APIKey, error) {
	var made APIKey
	err := c.do(ctx, call{
		operation: "createApiKey", family: Network, method: http.MethodPost, path: apiKeysPath, key: key, body: describedAs(description),
		read: func(a answer) error {
			if err := a.decode(&made); err != nil {
				return err
			}
			return demand("credential_id", made.CredentialID, "secret.secret", made.Secret.Reveal())
		},
	})
	if err != nil {
		return APIKey{}, err
	}
	return made, nil
}

type description struct {
	Description string `json:"description"` // empty takes it away
}

func describedAs(text string) description { return description{text} }

// APIKeys lists the credentials, without their secrets.
func (c *Client) APIKeys(ctx context.Context) ([]APIKey, error) {
	return readWhole(ctx, c, call{operation: "listApiKeys", path: apiKeysPath}, "credentials", rawOfAPIKey)
}

// APIKey reads a credential, without its secret.
func (c *Client) APIKey(ctx context.Context, id string) (APIKey, error) {
	return readPart(ctx, c, call{operation: "readApiKey", path: apiKeysPath + "/{credential_id}", ids: []string{id}}, rawOfAPIKey)
}

// UpdateAPIKey changes a credential's description.
func (c *Client) UpdateAPIKey(ctx context.Context, key, id, description string) (APIKey, error) {
	k := call{
		operation: "updateApiKey", method: http.MethodPatch, path: apiKeysPath + "/{credential_id}", ids: []string{id},
		key: key, body: describedAs(description),
	}
	return changePart(ctx, c, k, APIKey{CredentialID: id, Description: description}, rawOfAPIKey)
}

// DisableAPIKey ends a credential for good.
func (c *Client) DisableAPIKey(ctx context.Context, id string) error {
	return c.do(ctx, call{
		operation: "disableApiKey", family: Network, method: http.MethodDelete, path: apiKeysPath + "/{credential_id}", ids: []string{id},
	})
}

// CreateClientCertificate has Klarna certify a key of ours. Klarna: with the first one the account tells about mTLS; it
// demands a certificate only once that is enforced.
func (c *Client) CreateClientCertificate(ctx context.Context, key string, in CertificateRequest) (ClientCertificate, error) {
	var made ClientCertificate
	err := c.do(ctx, call{
		operation: "createClientCertificate", family: Network, method: http.MethodPost, path: certificatesPath, key: key, body: in,
		read: func(a answer) error {
			if err := into(&made, &made.Raw)(a); err != nil {
				return err
			}
			return demand("credential_id", made.CredentialID)
		},
	})
	if err != nil {
		return ClientCertificate{}, err
	}
	return made, nil
}

// ClientCertificates lists the certificates.
func (c *Client) ClientCertificates(ctx context.Context) ([]ClientCertificate, error) {
	return readWhole(ctx, c, call{operation: "listClientCertificates", path: certificatesPath}, "credentials", rawOfCertificate)
}

// ClientCertificate reads a certificate.
func (c *Client) ClientCertificate(ctx context.Context, id string) (ClientCertificate, error) {
	k := call{operation: "readClientCertificate", path: certificatesPath + "/{credential_id}", ids: []string{id}}
	return readPart(ctx, c, k, rawOfCertificate)
}

// UpdateClientCertificate changes a certificate's description.
func (c *Client) UpdateClientCertificate(ctx context.Context, key, id, description string) (ClientCertificate, error) {
	k := call{
		operation: "updateClientCertificate", method: http.MethodPatch, path: certificatesPath + "/{credential_id}", ids: []string{id},
		key: key, body: describedAs(description),
	}
	return changePart(ctx, c, k, ClientCertificate{CredentialID: id, Description: description}, rawOfCertificate)
}

// RevokeClientCertificate has a certificate count no longer from a time on.
func (c *Client) RevokeClientCertificate(ctx context.Context, key, id string, from time.Time) error {
	body := struct {
		RevokedFrom time.Time `json:"revoked_from"`
	}{from.UTC()}
	return c.do(ctx, call{
		operation: "revokeClientCertificate", family: Network, method: http.MethodPost, path: certificatesPath + "/{credential_id}/revoke",
		ids: []string{id}, key: key, body: body,
	})
}

// MTLSEnforcement reads whether mTLS is enforced. An answer without a body says that Klarna has nothing to tell of it.
func (c *Client) MTLSEnforcement(ctx context.Context) (MTLSEnforcement, error) {
	var read MTLSEnforcement
	err := c.do(ctx, call{
		operation: "readMtlsEnforcement", family: Network, method: http.MethodGet, path: enforcementPath,
		read: func(a answer) error {
			read.Verification = printable(a.header.Get(headerMTLS))
			return intoIfAny(&read, &read.Raw)(a)
		},
	})
	if err != nil {
		return MTLSEnforcement{}, err
	}
	return read, nil
}

// EnforceMTLS has Klarna refuse calls without a valid client certificate from a time on. Klarna: now, or at most three
// months ahead; EnforceNow for at once.
func (c *Client) EnforceMTLS(ctx context.Context, from string) error {
	body := struct {
		EnforcedFrom string `json:"enforced_from"`
	}{from}
	return c.do(ctx, call{operation: "enforceMtls", family: Network, method: http.MethodPut, path: enforcementPath, body: body})
}

// RemoveMTLSEnforcement lets calls without a certificate in again.
func (c *Client) RemoveMTLSEnforcement(ctx context.Context) error {
	return c.do(ctx, call{operation: "removeMtlsEnforcement", family: Network, method: http.MethodDelete, path: enforcementPath})
}

// AllowedIPs reads which networks calls may come from.
func (c *Client) AllowedIPs(ctx context.Context) (AllowedIPs, error) {
	var read AllowedIPs
	err := c.do(ctx, call{
		operation: "readAllowedIps", family: Network, method: http.MethodGet, path: allowedIPsPath,
		read: func(a answer) error {
			read.Validation = printable(a.header.Get(headerIPValidation))
			var body json.RawMessage
			if err := intoIfAny(&body, &read.Raw)(a); err != nil || body == nil {
				return err
			}
			read.Ranges = rangesIn(body)
			return nil
		},
	})
	if err != nil {
		return AllowedIPs{}, err
	}
	return read, nil
}

// rangesIn finds the networks in an answer whose form is not documented: a list of texts, bare or a member of an object,
// or of objects that hold one.
func rangesIn(body json.RawMessage) (ranges []string) {
	items, _, err := listIn(body, "allowed_ips")
	if err != nil {
		return nil
	}
	for _, item := range items {
		var text string
		var members map[string]any
		switch {
		case json.Unmarshal(item, &text) == nil:
			ranges = append(ranges, text)
		case json.Unmarshal(item, &members) == nil:
			for _, name := range []string{"cidr", "ip_range", "ip"} {
				if text, ok := members[name].(string); ok {
					ranges = append(ranges, text)
					break
				}
			}
		}
	}
	return ranges
}

func rawOfAPIKey(k *APIKey) *json.RawMessage                 { return &k.Raw }
func rawOfCertificate(c *ClientCertificate) *json.RawMessage { return &c.Raw }
