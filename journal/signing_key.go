package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

// The ways in which Klarna signs its posts.
const (
	NetworkScheme       store.SigningScheme = "network"        // Klarna Network; keys by Klarna's id
	PaymentStatusScheme store.SigningScheme = "payment_status" // Pay Now Standalone; keys by version
)

// Where a signing key comes from.
const (
	KeyConfigured = "configured" // its secret stands in the configuration, not in the store
	KeyCreated    = "created"    // made at Klarna by the gateway
	KeyImported   = "imported"   // given to the gateway by a caller
)

// KeyState is how far a signing key's life has come.
type KeyState string

// The states of a signing key. All but a revoked one verify.
const (
	KeyActive   KeyState = "ACTIVE"
	KeyRetiring KeyState = "RETIRING" // its retirement is planned
	KeyRetired  KeyState = "RETIRED"  // past its retirement: a post signed with it needs attention
	KeyRevoked  KeyState = "REVOKED"  // its secret is gone
)

// StateOfKey is a key's state at a time.
func StateOfKey(k store.SigningKey, now time.Time) KeyState {
	switch {
	case !k.RevokedAt.IsZero():
		return KeyRevoked
	case k.RetireAt.IsZero():
		return KeyActive
	case now.Before(k.RetireAt):
		return KeyRetiring
	}
	return KeyRetired
}

// KeyUsedLate tells whether a key has signed after its retirement: Klarna still has it in use, which needs attention.
func KeyUsedLate(k store.SigningKey) bool {
	return !k.RetireAt.IsZero() && k.LastUsed.After(k.RetireAt)
}

// keyUsePrecision is how exact a key's last use is known: writing down each post would cost a commit each.
const keyUsePrecision = 15 * time.Minute

// NotesKeyUse tells whether a use of a key is worth writing down: the last one on record is older than the precision
// promised, or this is the first one after the key's retirement.
func NotesKeyUse(k store.SigningKey, now time.Time) bool {
	first := StateOfKey(k, now) == KeyRetired && !KeyUsedLate(k)
	return first || now.Sub(k.LastUsed) >= keyUsePrecision
}

// NoteKeyUse writes down that a key has verified a post. Of a key that is not on record, which only a configured one may
// be, a record is made.
func (j *Journal) NoteKeyUse(ctx context.Context, id store.SigningKeyID) error {
	now := j.store.Now()
	return j.ChangeKey(ctx, id, func(k *store.SigningKey) {
		if k.LastUsed.Before(now) {
			k.LastUsed = now
		}
	})
}

// ChangeKey changes the record of a key in a commit of its own.
func (j *Journal) ChangeKey(ctx context.Context, id store.SigningKeyID, change func(*store.SigningKey)) error {
	return j.store.Do(ctx, func(tx store.Tx) error { return j.ChangeKeyIn(ctx, tx, id, change) })
}

// ChangeKeyIn is ChangeKey within a unit of work. A key without a record is a configured one.
func (j *Journal) ChangeKeyIn(ctx context.Context, tx store.Tx, id store.SigningKeyID, change func(*store.SigningKey)) error {
	k, err := tx.SigningKey(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		k = store.SigningKey{SigningKeyID: id, Origin: KeyConfigured}
	case err != nil:
		return fmt.Errorf("read signing key: %w", err)
	}
	before := k
	change(&k)
	if err := tx.PutSigningKey(ctx, k); err != nil {
		return fmt.Errorf("record signing key: %w", err)
	}
	return j.followKey(ctx, tx, before, k)
}

// followKey raises a key that signs past its retirement as a matter, and ends that when it is gone or its retirement is
// put off.
func (j *Journal) followKey(ctx context.Context, tx store.Tx, before, after store.SigningKey) error {
	about := string(after.Scheme) + " " + after.ID
	if KeyUsedLate(after) && after.RevokedAt.IsZero() {
		return j.RaiseIn(ctx, tx, Matter{
			ID: MatterID(after.MerchantAccount, SigningKeyOverdue, about), MerchantAccount: after.MerchantAccount, Reason: SigningKeyOverdue,
			Message: "Klarna signs with key " + after.ID + ", which was to be retired at " + after.RetireAt.UTC().Format(time.RFC3339),
			About:   MatterSubject{SigningKey: after.SigningKeyID},
		}, Notification)
	}
	if KeyUsedLate(before) {
		return j.EndIn(ctx, tx, MatterID(after.MerchantAccount, SigningKeyOverdue, about), Call)
	}
	return nil
}

// SignatureFlaw is why a post's signature is not taken.
type SignatureFlaw string

// The flaws of signatures.
const (
	HeaderMissing    SignatureFlaw = "HEADER_MISSING"
	HeaderMalformed  SignatureFlaw = "HEADER_MALFORMED"
	SigningKeyGone   SignatureFlaw = "KEY_REVOKED"
	KeyUnknown       SignatureFlaw = "KEY_UNKNOWN"
	SignatureDiffers SignatureFlaw = "SIGNATURE_DIFFERS"
)

// SignatureCheck is what the webhooks' door thinks of a post.
type SignatureCheck struct {
	Scheme          store.SigningScheme // empty if the headers are of none
	KeyID           string              // that the headers name
	MerchantAccount string              // of the key that verifies
	Flaw            SignatureFlaw       // empty if it is taken
	RetireAt        time.Time           // of the key that verifies
}
