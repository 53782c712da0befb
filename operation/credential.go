package operation

import (
	"context"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/klarna"
)

// OwnCredentials is what a merchant account may ask Klarna about its own credentials. Nothing of it changes anything, and
// nothing is recorded.
type OwnCredentials interface {
	APIKeys(ctx context.Context) ([]klarna.APIKey, error)
	APIKey(ctx context.Context, id string) (klarna.APIKey, error)
	ClientCertificates(ctx context.Context) ([]klarna.ClientCertificate, error)
	ClientCertificate(ctx context.Context, id string) (klarna.ClientCertificate, error)
	MTLSEnforcement(ctx context.Context) (klarna.MTLSEnforcement, error)
	AllowedIPs(ctx context.Context) (klarna.AllowedIPs, error)
}

// OwnCredentials opens a merchant account's own credentials.
func (o *Operations) OwnCredentials(merchantAccount string) (OwnCredentials, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return nil, err
	}
	return account.Klarna, nil
}

// APIKeyAnswer is a credential that was made. It stands on record sealed, so that a repeat gets the same one.
type APIKeyAnswer struct {
	CredentialID, Description, Secret string
}

// CreateAPIKey makes a credential. A repeat gets the same one, secret and all; where Klarna may have forgotten the first
// attempt, nothing is made: a credential that nobody knows of would open the account for good.
func (o *Operations) CreateAPIKey(ctx context.Context, req Request, description string) (APIKeyAnswer, error) {
	return ownWrite(ctx, o, req, "createApiKey", func(ctx context.Context, c *klarna.Client, try attempt) (APIKeyAnswer, error) {
		if try.stale {
			return APIKeyAnswer{}, forgotten("API key")
		}
		made, err := c.CreateAPIKey(ctx, try.key, description)
		return APIKeyAnswer{made.CredentialID, made.Description, made.Secret.Reveal()}, err
	})
}

// forgotten refuses to make a credential that may be there already.
func forgotten(what string) error {
	return refuse("OPERATION_NOT_ALLOWED", "the first attempt is too long ago to be repeated safely: it may have made another %s; "+
		"list them, end the one that nobody has, and make one under a new request_id", what)
}

// UpdateAPIKey changes a credential's description.
func (o *Operations) UpdateAPIKey(ctx context.Context, req Request, id, description string) error {
	_, err := ownWrite(ctx, o, req, "updateApiKey", func(ctx context.Context, c *klarna.Client, try attempt) (none struct{}, err error) {
		_, err = c.UpdateAPIKey(ctx, try.key, id, description)
		return none, err
	})
	return err
}

// DisableAPIKey ends a credential for good.
func (o *Operations) DisableAPIKey(ctx context.Context, req Request, id string) error {
	_, err := ownWrite(ctx, o, req, "disableApiKey", func(ctx context.Context, c *klarna.Client, try attempt) (none struct{}, err error) {
		before, err := try.open(func() error { return c.DisableAPIKey(ctx, id) })
		if gone(err) && before { // the attempt whose answer was lost did it
			err = nil
		}
		return none, err
	})
	return err
}

// CertificateAnswer is a certificate that was issued.
type CertificateAnswer struct {
	CredentialID, Description, Usage, Certificate string
	Raw                                           []byte
}

// CreateClientCertificate has Klarna certify a key of ours.
func (o *Operations) CreateClientCertificate(ctx context.Context, req Request, in klarna.CertificateRequest) (CertificateAnswer, error) {
	return ownWrite(ctx, o, req, "createClientCertificate", func(ctx context.Context, c *klarna.Client, try attempt) (CertificateAnswer, error) {
		if try.stale {
			return CertificateAnswer{}, forgotten("client certificate")
		}
		made, err := c.CreateClientCertificate(ctx, try.key, in)
		return CertificateAnswer{made.CredentialID, made.Description, string(made.Usage), made.Certificate, made.Raw}, err
	})
}

// UpdateClientCertificate changes a certificate's description.
func (o *Operations) UpdateClientCertificate(ctx context.Context, req Request, id, description string) error {
	_, err := ownWrite(ctx, o, req, "updateClientCertificate", func(ctx context.Context, c *klarna.Client, try attempt) (none struct{}, err error) {
		_, err = c.UpdateClientCertificate(ctx, try.key, id, description)
		return none, err
	})
	return err
}

// RevokeClientCertificate has a certificate count no longer from a time on; the zero time means now.
func (o *Operations) RevokeClientCertificate(ctx context.Context, req Request, id string, from time.Time) error {
	_, err := ownWrite(ctx, o, req, "revokeClientCertificate", func(ctx context.Context, c *klarna.Client, try attempt) (none struct{}, err error) {
		if from.IsZero() {
			from = try.row.FirstSent // the same on every repeat
		}
		return none, c.RevokeClientCertificate(ctx, try.key, id, from)
	})
	return err
}

// EnforceMTLS has Klarna refuse calls without a valid client certificate from a time on; the zero time means at once. It
// is refused here while Klarna does not see a valid certificate on our own calls, since it would lock the gateway out.
func (o *Operations) EnforceMTLS(ctx context.Context, req Request, from time.Time) error {
	_, err := ownWrite(ctx, o, req, "enforceMtls", func(ctx context.Context, c *klarna.Client, _ attempt) (none struct{}, err error) {
		seen, err := c.MTLSEnforcement(ctx)
		if err != nil {
			return none, err
		}
		if seen.Verification != "VALID" {
			return none, refuse("OPERATION_NOT_ALLOWED", "Klarna does not see a valid client certificate on the gateway's own calls (%s): to enforce it would lock the gateway out",
				orNothing(seen.Verification))
		}
		text := klarna.EnforceNow
		if !from.IsZero() {
			text = from.UTC().Format(time.RFC3339)
		}
		return none, c.EnforceMTLS(ctx, text)
	})
	return err
}

func orNothing(text string) string {
	if text == "" {
		return "it says nothing of one"
	}
	return text
}

// RemoveMTLSEnforcement lets calls without a certificate in again.
func (o *Operations) RemoveMTLSEnforcement(ctx context.Context, req Request) error {
	_, err := ownWrite(ctx, o, req, "removeMtlsEnforcement", func(ctx context.Context, c *klarna.Client, _ attempt) (none struct{}, err error) {
		return none, c.RemoveMTLSEnforcement(ctx)
	})
	return err
}

// ownWrite makes a change to a merchant account's own set-up once.
func ownWrite[A any](ctx context.Context, o *Operations, req Request, operation string,
	send func(ctx context.Context, c *klarna.Client, try attempt) (A, error),
) (answer A, err error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return answer, err
	}
	return once(ctx, o, operation, req, func(ctx context.Context, try attempt) (done effect[A], err error) {
		if done.answer, err = send(ctx, account.Klarna, try); err != nil {
			return done, fmt.Errorf("%s: %w", operation, err)
		}
		return done, nil
	})
}
