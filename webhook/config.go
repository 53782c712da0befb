package webhook

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// minPushSecret is the length in characters below which a push secret might be guessed.
const minPushSecret = 16

// check names every flaw at once. It never names a secret.
func (cfg Config) check() error {
	var flaws []error
	flaw := func(format string, args ...any) { flaws = append(flaws, fmt.Errorf(format, args...)) }
	if cfg.Journal == nil {
		flaw("a journal is needed")
	}
	if cfg.MaxBody < 0 {
		flaw("max body is negative")
	}
	if cfg.Timeout < 0 {
		flaw("timeout is negative")
	}
	if err := cfg.Sources.Check(); err != nil {
		flaw("sources: %w", err)
	}
	pushers := make(map[klarna.Secret]string)
	for _, name := range slices.Sorted(maps.Keys(cfg.Accounts)) {
		account := cfg.Accounts[name]
		if name == "" {
			flaw("a merchant account has no name")
		}
		for _, version := range slices.Sorted(maps.Keys(account.PaymentStatusKeys)) {
			if version == "" || account.PaymentStatusKeys[version] == "" {
				flaw("merchant account %q: payment status key %q: version or key is empty", name, version)
			}
		}
		for i, secret := range account.PushSecrets {
			other, taken := pushers[secret]
			switch {
			case len(secret) < minPushSecret:
				flaw("merchant account %q: push secret %d is shorter than %d characters", name, i+1, minPushSecret)
			case taken:
				flaw("merchant account %q: push secret %d is in use by %q already", name, i+1, other)
			}
			pushers[secret] = name
		}
	}
	for _, id := range slices.Sorted(maps.Keys(cfg.NetworkKeys)) {
		key := cfg.NetworkKeys[id]
		if id == "" || key.Key == "" {
			flaw("network key %q: id or key is empty", id)
		}
		if _, known := cfg.Accounts[key.MerchantAccount]; !known {
			flaw("network key %q: merchant account %q is not configured", id, key.MerchantAccount)
		}
	}
	if len(flaws) > 0 {
		return fmt.Errorf("webhook configuration: %w", errors.Join(flaws...))
	}
	return nil
}

// takeKeys brings the keys into the form in which they are used.
func (r *Receiver) takeKeys(cfg Config) {
	r.live = make(map[string]bool)
	r.keys = &keyring{
		journal: r.journal, store: r.store, log: r.log, now: r.store.Now, asks: askBurst,
		configured: make(map[keyName][]ringKey), misses: make(map[keyName]time.Time),
	}
	for name, account := range cfg.Accounts {
		r.live[name] = account.Live
		for version, key := range account.PaymentStatusKeys {
			r.keys.configure(journal.PaymentStatusScheme, name, version, key)
		}
		for _, secret := range account.PushSecrets {
			r.pushSecrets = append(r.pushSecrets, standing(name, secret.Reveal()))
		}
		r.notificationSecrets = append(r.notificationSecrets, standing(name, r.store.Derive(journal.PurposeNotification, name)))
	}
	for id, key := range cfg.NetworkKeys {
		r.keys.configure(journal.NetworkScheme, key.MerchantAccount, id, key.Key)
	}
}

func (k *keyring) configure(scheme store.SigningScheme, merchantAccount, id string, secret klarna.Secret) {
	name := keyName{scheme, id}
	k.configured[name] = append(k.configured[name], ringKey{
		SigningKey: store.SigningKey{
			SigningKeyID: store.SigningKeyID{Scheme: scheme, MerchantAccount: merchantAccount, ID: id}, Origin: journal.KeyConfigured,
		},
		secret: []byte(secret.Reveal()),
	})
}

func standing(merchantAccount, secret string) standingSecret {
	return standingSecret{digest: sha256.Sum256([]byte(secret)), merchantAccount: merchantAccount}
}
