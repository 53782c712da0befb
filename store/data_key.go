package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// A subject's personal data is sealed with a key of its own, a data key, which is kept sealed with the keyring: what Klarna
// sent about the subject, and those states that hold personal data. To erase a subject is to destroy its key. The log
// stays as it is; of the states that are lost, what outlives an erasure is kept beside them, sealed with the keyring.
//
// Most events hold nothing personal: they need no key, and a subject gets one with the first that does.

// DataKey is the key of a subject.
type DataKey struct {
	Key      []byte    // sealed; nil once erased
	ErasedAt time.Time // zero until then
}

// Erasure is a subject whose personal data was erased.
type Erasure struct {
	Subject         string    `json:"subject"`
	Stream          Stream    `json:"stream"`
	MerchantAccount string    `json:"merchant_account"`
	Keys            []Key     `json:"keys"` // that address it
	ErasedAt        time.Time `json:"erased_at"`
}

// dataSealed begins what a data key sealed. Tink's ciphertexts begin with 0 or 1.
const dataSealed = 2

var errNoDataKey = errors.New("the key of the subject's personal data is missing")

// dataKey is a data key while a unit has it in hand.
type dataKey struct {
	plain, sealed []byte
	erased        bool
	aead          cipher.AEAD // made of plain when it is needed
}

// inHand is the key as it is on record.
func (d DataKey) inHand() *dataKey { return &dataKey{sealed: d.Key, erased: !d.ErasedAt.IsZero()} }

// cipher is AES-256-GCM with random nonces: a data key seals few texts.
func (d *dataKey) cipher() (cipher.AEAD, error) {
	if d.aead != nil {
		return d.aead, nil
	}
	block, err := aes.NewCipher(d.plain)
	if err == nil {
		d.aead, err = cipher.NewGCMWithRandomNonce(block)
	}
	return d.aead, err
}

// newDataKey makes the key of a subject.
func (k *Keyring) newDataKey(subject string) (dataKey, error) {
	key := dataKey{plain: make([]byte, 32)}
	_, _ = rand.Read(key.plain) // never fails
	var err error
	key.sealed, err = k.Seal(key.plain, "data_key", subject)
	return key, err
}

// openDataKey opens a data key, once.
func (k *Keyring) openDataKey(key *dataKey, subject string) (err error) {
	if key.plain == nil {
		key.plain, err = k.Open(key.sealed, "data_key", subject)
	}
	return err
}

// sealData seals with a data key as Keyring.Seal does with the keyring.
func sealData(key *dataKey, plain []byte, about ...string) ([]byte, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	aead, err := key.cipher()
	if err != nil {
		return nil, err
	}
	sealed := append(make([]byte, 0, 1+len(plain)+aead.Overhead()), dataSealed)
	return aead.Seal(sealed, nil, plain, frameStrings(about)), nil
}

// openData opens what sealData made.
func openData(key *dataKey, sealed []byte, about ...string) ([]byte, error) {
	aead, err := key.cipher()
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed[1:], frameStrings(about))
	if err != nil {
		return nil, fmt.Errorf("open with the subject's key: %w", err)
	}
	return plain, nil
}

func isDataSealed(sealed []byte) bool { return len(sealed) > 0 && sealed[0] == dataSealed }

// sealBody seals a body with the subject's key where an erasure is to take a part of it, and with the keyring else.
func (k *Keyring) sealBody(body, lasting []byte, key *dataKey, about ...string) (sealed, rest []byte, err error) {
	if lasting == nil {
		sealed, err = k.Seal(body, append([]string{"body"}, about...)...)
		return sealed, nil, err
	}
	if sealed, err = sealData(key, body, append([]string{"body"}, about...)...); err != nil {
		return nil, nil, err
	}
	rest, err = k.Seal(lasting, append([]string{"lasting"}, about...)...)
	return sealed, rest, err
}

// openBody opens what sealBody made, or what is left of it.
func (k *Keyring) openBody(sealed, rest []byte, key *dataKey, subject string, about ...string) ([]byte, error) {
	switch {
	case !isDataSealed(sealed):
		return k.Open(sealed, append([]string{"body"}, about...)...)
	case key.erased:
		return k.Open(rest, append([]string{"lasting"}, about...)...)
	case key.sealed == nil:
		return nil, errNoDataKey
	}
	if err := k.openDataKey(key, subject); err != nil {
		return nil, err
	}
	return openData(key, sealed, append([]string{"body"}, about...)...)
}
