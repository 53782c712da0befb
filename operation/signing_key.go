package operation

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// lateRetries is for how long a signing key may still be met after its webhooks went over to another one. Klarna: the last
// retry comes about 21 h after the first attempt.
const lateRetries = 24 * time.Hour

// KeyPresence says whether Klarna has a signing key.
type KeyPresence string

// What Klarna said of a key, or was not asked.
const (
	KeyNotAsked KeyPresence = ""
	KeyPresent  KeyPresence = "PRESENT"
	KeyAbsent   KeyPresence = "ABSENT"
)

// SigningKey is a key of the key ring, without its secret.
type SigningKey struct {
	store.SigningKey
	State    journal.KeyState // empty: Klarna has it, and its secret is not known here
	UsedLate bool             // it has signed after its retirement
	AtKlarna KeyPresence
}

// SigningKeys lists the keys of a merchant account: configured, made here and imported ones, with what is known of their
// life. If Klarna is asked too, which it can be of a Network account, the keys that only Klarna has are among them.
func (o *Operations) SigningKeys(ctx context.Context, merchantAccount string, askKlarna bool) ([]SigningKey, error) {
	rows, err := o.store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	var all []SigningKey
	for _, row := range rows {
		if row.MerchantAccount == merchantAccount {
			all = append(all, o.keyShown(row))
		}
	}
	for _, id := range o.configuredKeys {
		if id.MerchantAccount == merchantAccount && !slices.ContainsFunc(all, func(k SigningKey) bool { return k.SigningKeyID == id }) {
			all = append(all, o.keyShown(store.SigningKey{SigningKeyID: id, Origin: journal.KeyConfigured}))
		}
	}
	if askKlarna {
		if all, err = o.withKlarnas(ctx, merchantAccount, all); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b SigningKey) int { return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// keyShown is a key as callers may see it.
func (o *Operations) keyShown(row store.SigningKey) SigningKey {
	k := SigningKey{SigningKey: row, State: journal.StateOfKey(row, o.store.Now()), UsedLate: journal.KeyUsedLate(row)}
	k.Key = nil
	if o.isConfigured(row.SigningKeyID) { // its secret is there whatever became of a record of it
		k.Origin = journal.KeyConfigured
		if k.State == journal.KeyRevoked {
			k.State = journal.KeyActive
		}
	}
	return k
}

func (o *Operations) isConfigured(id store.SigningKeyID) bool {
	return slices.Contains(o.configuredKeys, id)
}

// withKlarnas adds what Klarna says of its keys.
func (o *Operations) withKlarnas(ctx context.Context, merchantAccount string, all []SigningKey) ([]SigningKey, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return nil, err
	}
	theirs, err := account.Klarna.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	for i := range all {
		if all[i].Scheme == journal.NetworkScheme {
			all[i].AtKlarna = KeyAbsent
		}
	}
	for _, k := range theirs {
		ours := first(all, func(ours SigningKey) bool { return ours.Scheme == journal.NetworkScheme && ours.ID == k.SigningKeyID })
		if ours == nil {
			id := store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: merchantAccount, ID: k.SigningKeyID}
			all = append(all, SigningKey{SigningKey: store.SigningKey{SigningKeyID: id, CreatedAt: k.CreatedAt}})
			ours = &all[len(all)-1]
		}
		ours.AtKlarna = KeyPresent
	}
	return all, nil
}

// SigningKey reads a key of the Network, here and at Klarna.
func (o *Operations) SigningKey(ctx context.Context, merchantAccount, id string) (SigningKey, error) {
	all, err := o.SigningKeys(ctx, merchantAccount, false)
	if err != nil {
		return SigningKey{}, err
	}
	k := SigningKey{SigningKey: store.SigningKey{SigningKeyID: store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: merchantAccount, ID: id}}}
	ours := first(all, func(ours SigningKey) bool { return ours.SigningKeyID == k.SigningKeyID })
	if ours != nil {
		k = *ours
	}
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return SigningKey{}, err
	}
	theirs, err := account.Klarna.SigningKey(ctx, id)
	switch {
	case err == nil:
		k.AtKlarna = KeyPresent
		if k.CreatedAt.IsZero() {
			k.CreatedAt = theirs.CreatedAt
		}
	case gone(err) && ours != nil:
		k.AtKlarna = KeyAbsent
	default:
		return SigningKey{}, fmt.Errorf("read signing key: %w", err)
	}
	return k, nil
}

// gone tells that Klarna does not know what was asked for.
func gone(err error) bool {
	var refused *klarna.Error
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound && refused.Code != "NOT_FOUND"
}

// KeyAnswer names the key that an operation was about.
type KeyAnswer struct{ ID string }

// keyOnRing finds a key on record or in the configuration.
func (o *Operations) keyOnRing(ctx context.Context, id store.SigningKeyID) (SigningKey, error) {
	all, err := o.SigningKeys(ctx, id.MerchantAccount, false)
	if err != nil {
		return SigningKey{}, err
	}
	k := first(all, func(k SigningKey) bool { return k.SigningKeyID == id })
	if k == nil {
		return SigningKey{}, refuse("SIGNING_KEY_NOT_FOUND", "the key ring of merchant account %q has no %s key %q", id.MerchantAccount, id.Scheme, id.ID)
	}
	return *k, nil
}

// CreateSigningKey has Klarna make a key. Klarna shows its secret once: it goes into the key ring together with the
// answer, and nowhere else. Should the answer be lost for longer than Klarna remembers the idempotency key, a repeat makes
// another key, and the first one stays at Klarna, good for nothing.
func (o *Operations) CreateSigningKey(ctx context.Context, req Request) (SigningKey, error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return SigningKey{}, err
	}
	answer, err := once(ctx, o, "createSigningKey", req, func(ctx context.Context, try attempt) (done effect[KeyAnswer], err error) {
		made, err := account.Klarna.CreateSigningKey(ctx, try.key)
		if err != nil {
			return done, fmt.Errorf("create signing key: %w", err)
		}
		done.answer = KeyAnswer{ID: made.SigningKeyID}
		done.record = func(ctx context.Context, tx store.Tx) error {
			return tx.PutSigningKey(ctx, o.ringKey(account.Name, made))
		}
		return done, nil
	})
	if err != nil {
		return SigningKey{}, err
	}
	return o.keyOnRing(ctx, store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: account.Name, ID: answer.ID})
}

// ringKey is the record of a key that Klarna has made for us.
func (o *Operations) ringKey(merchantAccount string, made klarna.SigningKey) store.SigningKey {
	k := store.SigningKey{
		SigningKeyID: store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: merchantAccount, ID: made.SigningKeyID},
		Key:          []byte(made.Key.Reveal()), Origin: journal.KeyCreated, CreatedAt: made.CreatedAt,
	}
	if k.CreatedAt.IsZero() {
		k.CreatedAt = o.store.Now()
	}
	return k
}

// ImportSigningKey takes a key into the key ring that was made elsewhere. A key of the Network belongs to one merchant
// account.
func (o *Operations) ImportSigningKey(ctx context.Context, req Request, scheme store.SigningScheme, id string, secret klarna.Secret) (SigningKey, error) {
	api := NetworkAPI
	if scheme == journal.PaymentStatusScheme {
		api = RegionalAPI
	}
	account, err := o.account(req.MerchantAccount, api)
	if err != nil {
		return SigningKey{}, err
	}
	key := store.SigningKeyID{Scheme: scheme, MerchantAccount: account.Name, ID: id}
	_, err = once(ctx, o, "importSigningKey", req, func(ctx context.Context, _ attempt) (done effect[KeyAnswer], err error) {
		row := store.SigningKey{SigningKeyID: key, Key: []byte(secret.Reveal()), Origin: journal.KeyImported, CreatedAt: o.store.Now()}
		if err := o.importable(ctx, row); err != nil {
			return done, err
		}
		done.answer = KeyAnswer{ID: id}
		done.record = func(ctx context.Context, tx store.Tx) error {
			before, err := tx.SigningKey(ctx, key)
			switch {
			case errors.Is(err, store.ErrNotFound):
			case err != nil:
				return fmt.Errorf("read signing key: %w", err)
			case before.RevokedAt.IsZero():
				row.Origin, row.CreatedAt, row.LastUsed, row.RetireAt = before.Origin, before.CreatedAt, before.LastUsed, before.RetireAt
			}
			return tx.PutSigningKey(ctx, row)
		}
		return done, nil
	})
	if err != nil {
		return SigningKey{}, err
	}
	return o.keyOnRing(ctx, key)
}

// importable refuses a key that is there already and differs.
func (o *Operations) importable(ctx context.Context, in store.SigningKey) error {
	if o.isConfigured(in.SigningKeyID) {
		return refuseField("signing_key_id", "ALREADY_EXISTS", "the key stands in the configuration of merchant account %q", in.MerchantAccount)
	}
	rows, err := o.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		switch {
		case row.Scheme != in.Scheme || row.ID != in.ID || !row.RevokedAt.IsZero():
		case row.SigningKeyID == in.SigningKeyID && !bytes.Equal(row.Key, in.Key):
			return refuseField("signing_key_id", "ALREADY_EXISTS", "the key ring has a key of this id with another secret")
		case row.SigningKeyID != in.SigningKeyID && in.Scheme == journal.NetworkScheme:
			return refuseField("signing_key_id", "ALREADY_EXISTS", "the key belongs to another merchant account")
		}
	}
	return nil
}

// RetireSigningKey plans when a key is to be out of use, and with the zero time takes such a plan back. The key goes on
// to verify: it is one that signs past its retirement that needs attention.
func (o *Operations) RetireSigningKey(ctx context.Context, req Request, scheme store.SigningScheme, id string, at time.Time) (SigningKey, error) {
	key := store.SigningKeyID{Scheme: scheme, MerchantAccount: req.MerchantAccount, ID: id}
	_, err := once(ctx, o, "retireSigningKey", req, func(ctx context.Context, _ attempt) (done effect[KeyAnswer], err error) {
		if _, err := o.keyOnRing(ctx, key); err != nil {
			return done, err
		}
		done.answer = KeyAnswer{ID: id}
		done.record = func(ctx context.Context, tx store.Tx) error {
			return o.journal.ChangeKeyIn(ctx, tx, key, func(k *store.SigningKey) { k.RetireAt = at })
		}
		return done, nil
	})
	if err != nil {
		return SigningKey{}, err
	}
	return o.keyOnRing(ctx, key)
}

// DeleteSigningKey deletes a key at Klarna, if it is one of the Network, and destroys its secret. What Klarna may still
// deliver under it is refused from then on; a key that was in use within the last day is deleted only by force.
func (o *Operations) DeleteSigningKey(ctx context.Context, req Request, scheme store.SigningScheme, id string, force bool) error {
	key := store.SigningKeyID{Scheme: scheme, MerchantAccount: req.MerchantAccount, ID: id}
	_, err := once(ctx, o, "deleteSigningKey", req, func(ctx context.Context, try attempt) (done effect[KeyAnswer], err error) {
		onRecord, err := o.deletable(ctx, key, force)
		if err != nil {
			return done, err
		}
		if scheme == journal.NetworkScheme {
			before, err := try.open(func() error { return o.deleteAtKlarna(ctx, key) })
			if err != nil && !(gone(err) && (before || onRecord)) { // one that we knew, or that an attempt whose answer was lost deleted
				return done, err
			}
		}
		done.answer = KeyAnswer{ID: id}
		if onRecord {
			done.record = func(ctx context.Context, tx store.Tx) error {
				return o.journal.ChangeKeyIn(ctx, tx, key, func(k *store.SigningKey) { k.Key, k.RevokedAt = nil, o.store.Now() })
			}
		}
		return done, nil
	})
	return err
}

// deletable tells whether a key is on record, and refuses to delete one that is or may be needed.
func (o *Operations) deletable(ctx context.Context, key store.SigningKeyID, force bool) (onRecord bool, err error) {
	known, err := o.keyOnRing(ctx, key)
	var unknown *Refusal
	switch {
	case errors.As(err, &unknown):
		if key.Scheme == journal.NetworkScheme { // Klarna may have it
			return false, nil
		}
		return false, err
	case err != nil:
		return false, err
	case known.Origin == journal.KeyConfigured:
		return false, refuse("SIGNING_KEY_IN_USE", "the key stands in the configuration; take it out there first")
	}
	if since := o.store.Now().Sub(known.LastUsed); since < lateRetries && !force {
		return false, refuse("SIGNING_KEY_IN_USE", "the key signed a post %s ago; Klarna may repeat one for a day, and it would be refused: wait, or set force",
			since.Truncate(time.Minute))
	}
	return known.State != journal.KeyRevoked, nil
}

func (o *Operations) deleteAtKlarna(ctx context.Context, key store.SigningKeyID) error {
	account, err := o.account(key.MerchantAccount, NetworkAPI)
	if err != nil {
		return err
	}
	if err := account.Klarna.DeleteSigningKey(ctx, key.ID); err != nil {
		return fmt.Errorf("delete signing key: %w", err)
	}
	return nil
}
