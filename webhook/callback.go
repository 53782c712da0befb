package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// maxCallbackID is far above the length in bytes of the session ids and tokens that Klarna makes, which are UUIDs.
const maxCallbackID = 255

// authorization takes the unsigned callback that a customer has authorised a session. Its only proof is the secret in
// the URL. The order is not placed here: the journal adds that job. Klarna: any 2xx is taken for an acknowledgement;
// the callback comes at least once, three times at most, and perhaps never.
func (r *Receiver) authorization(ctx context.Context, d delivery) answer {
	secret, err := r.callbackSecret(ctx, journal.PurposeAuthorization, d.path("secret"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return refuse(http.StatusNotFound, "secret unknown or expired")
	case err != nil:
		return fail("", "", err)
	}
	callback, err := klarna.ParseAuthorizationCallback(d.body)
	if err != nil || len(callback.SessionID) > maxCallbackID || len(callback.AuthorizationToken) > maxCallbackID {
		return refuse(http.StatusBadRequest, "body cannot be read")
	}
	if secret.Key != "" && secret.Key != callback.SessionID {
		a := refuse(http.StatusNotFound, "secret is another session's")
		a.merchantAccount = secret.MerchantAccount
		return a
	}
	account := secret.MerchantAccount
	id := fmt.Sprintf("callback:%s:%s:%s", account, callback.SessionID, journal.TokenKey(callback.AuthorizationToken))
	record, err := r.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID: id, MerchantAccount: account, Cause: journal.Callback, At: r.store.Now(), Raw: d.body,
		TraceParent: d.trace, SessionID: callback.SessionID, Token: callback.AuthorizationToken,
	})
	return recorded(http.StatusNoContent, account, id, record.Outcome, err).after(record.Trail())
}

// callbackSecret finds a secret that is for this purpose and still good, or store.ErrNotFound. It is looked up by its digest: how long that
// takes depends on the digest's bytes, which whoever guesses cannot steer, so it tells nothing about the secret.
func (r *Receiver) callbackSecret(ctx context.Context, purpose, text string) (store.Secret, error) {
	digest := sha256.Sum256([]byte(text))
	secret, err := r.store.Secret(ctx, digest[:])
	if err != nil {
		return store.Secret{}, fmt.Errorf("look up callback secret: %w", err)
	}
	expired := !secret.ExpiresAt.IsZero() && !r.store.Now().Before(secret.ExpiresAt)
	if expired || secret.Purpose != purpose {
		return store.Secret{}, store.ErrNotFound
	}
	return secret, nil
}

// standingSecret is a secret that stands for an account in the URLs of one door.
type standingSecret struct {
	digest          [sha256.Size]byte
	merchantAccount string
}

// push takes the unsigned push that a checkout order was completed. It proves nothing and tells nothing but an id: a
// job reads the order, which is the proof. Klarna: pushes come again for 48 h until the order is acknowledged, whatever
// is answered here.
func (r *Receiver) push(ctx context.Context, d delivery) answer {
	account := whose(r.pushSecrets, d.path("secret"))
	order := d.path("order_id")
	if account == "" {
		return refuse(http.StatusNotFound, "secret unknown")
	}
	if len(order) != len(uuid.Nil.String()) || uuid.Validate(order) != nil {
		return refuse(http.StatusNotFound, "order id is no UUID")
	}
	return r.hint(ctx, http.StatusOK, store.Job{
		Kind: journal.JobReadPushed, MerchantAccount: account, Key: order, TraceParent: d.trace,
	})
}

// whose tells the merchant account of a secret, empty if nobody's. It compares with all of them, in constant time.
func whose(secrets []standingSecret, text string) (merchantAccount string) {
	digest := sha256.Sum256([]byte(text))
	for _, s := range secrets {
		if subtle.ConstantTimeCompare(digest[:], s.digest[:]) == 1 {
			merchantAccount = s.merchantAccount
		}
	}
	return merchantAccount
}
