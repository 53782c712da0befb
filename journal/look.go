package journal

import (
	"bytes"
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// The purposes of the secrets in callback URLs.
const (
	PurposeAuthorization = "authorization" // one-time, of a session
	PurposeHostedPage    = "hosted_page"   // one-time, of a page; its key is the session
	PurposeNotification  = "notification"  // standing, of a merchant account: derived, not stored
)

// PaymentBy returns the payment on record under an identifying key, or store.ErrNotFound. Where a key addresses
// several, as a merchant reference may, it is the one that changed last.
func (j *Journal) PaymentBy(ctx context.Context, merchantAccount, kind, value string) (Payment, error) {
	subject, err := j.look(ctx, store.Payments, merchantAccount, kind, value)
	if err != nil {
		return Payment{}, err
	}
	entry, err := DecodePaymentEntry(subject.Body)
	return entry.Payment, err
}

// PaymentByIn is PaymentBy for an identifying key, seen from within a unit of work.
func (j *Journal) PaymentByIn(ctx context.Context, tx store.Tx, merchantAccount, kind, value string) (Payment, error) {
	known, err := j.KnownIn(ctx, tx, merchantAccount, kind, value)
	return known.Payment, err
}

// Known is a payment as it stood on record when it was looked at.
type Known struct {
	Payment Payment
	body    []byte // that it was decoded from
}

// KnownIn is PaymentByIn for whoever is about to record something of the payment: see PaymentFact.
func (j *Journal) KnownIn(ctx context.Context, tx store.Tx, merchantAccount, kind, value string) (Known, error) {
	found, err := tx.SubjectsByKeys(ctx, store.Payments, merchantAccount, []store.Key{{Kind: kind, Value: value}})
	if err != nil {
		return Known{}, fmt.Errorf("look up %s: %w", kind, err)
	}
	if len(found) == 0 {
		return Known{}, fmt.Errorf("%s: %w", kind, store.ErrNotFound)
	}
	entry, err := DecodePaymentEntry(found[0].Body)
	return Known{entry.Payment, found[0].Body}, err
}

// stands tells whether a payment is still on record as it was when it was looked at.
func (k *Known) stands(body []byte) bool { return k != nil && bytes.Equal(k.body, body) }

// AccountBy returns the account on record under an identifying key, or store.ErrNotFound.
func (j *Journal) AccountBy(ctx context.Context, merchantAccount, kind, value string) (Account, error) {
	subject, err := j.look(ctx, store.Accounts, merchantAccount, kind, value)
	if err != nil {
		return Account{}, err
	}
	entry, err := DecodeAccountEntry(subject.Body)
	return entry.Account, err
}

func (j *Journal) look(ctx context.Context, stream store.Stream, merchantAccount, kind, value string) (store.Subject, error) {
	found, err := j.store.Subjects(ctx, store.Query{
		Stream: stream, MerchantAccount: merchantAccount, Keys: []store.Key{{Kind: kind, Value: value}}, Descending: true, Limit: 1,
	})
	if err != nil {
		return store.Subject{}, fmt.Errorf("look up %s: %w", kind, err)
	}
	if len(found) == 0 {
		return store.Subject{}, fmt.Errorf("%s: %w", kind, store.ErrNotFound)
	}
	return found[0], nil
}
