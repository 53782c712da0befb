package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// keyring holds the keys that signed posts are verified with: those that are configured, and those that the store has,
// which any replica may have put there. What the store has is read as a whole, since it is little, and kept for a few
// seconds. A key that is not among it may have been made a moment ago elsewhere: the store is asked once more before the
// post is refused. Posts with made-up key ids, of which there may be a flood, cannot turn into as many queries.
type keyring struct {
	journal *journal.Journal
	store   *store.Store
	log     *slog.Logger
	now     func() time.Time // of the cache alone

	configured map[keyName][]ringKey

	mu     sync.Mutex // held while the store is read: those who come meanwhile need the same answer
	kept   map[keyName][]ringKey
	read   time.Time // when kept was read; zero before the first time
	misses map[keyName]time.Time
	asks   float64 // how many unknown keys may be asked for now
	asked  time.Time
}

// keyName is how a post names its key. Several merchant accounts may have keys of one name.
type keyName struct {
	scheme store.SigningScheme
	id     string
}

// ringKey is a key that verifies, and what is on record about it.
type ringKey struct {
	store.SigningKey
	secret []byte
}

const (
	keysKept    = 5 * time.Second // how long a revoked key may verify still, on other replicas than the one that revoked it
	missKept    = 5 * time.Second // how long a key is taken for unknown without asking again
	missesKept  = 1024
	askBurst    = 10              // unknown keys asked for at once
	askInterval = time.Second     // and one more each
	askTimeout  = 2 * time.Second // a store that hangs shall not hold up every post
)

// find returns the keys of a name that verify, nil for none. An error says that the store could not be asked.
func (k *keyring) find(ctx context.Context, scheme store.SigningScheme, id string) ([]ringKey, error) {
	name := keyName{scheme, id}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	fresh := !k.read.IsZero() && now.Sub(k.read) < keysKept
	if found := k.kept[name]; found != nil && fresh {
		return found, nil
	}
	if !k.worthAsking(name, fresh, now) {
		return k.kept[name], nil
	}
	if err := k.refresh(ctx, now); err != nil {
		if found := k.kept[name]; found != nil { // as it was known last
			k.log.WarnContext(ctx, "signing keys cannot be read", slog.Any("error", err))
			k.read = now.Add(askInterval - keysKept)
			return found, nil
		}
		return nil, err
	}
	if k.kept[name] == nil {
		k.miss(name, now)
	}
	return k.kept[name], nil
}

// worthAsking tells whether the store is to be asked, and counts it. What is old is read again whoever comes; for a name
// that is not known it is read at most as often as the budget allows, and not again soon for the same name.
func (k *keyring) worthAsking(name keyName, fresh bool, now time.Time) bool {
	if !fresh {
		return true
	}
	if until, missed := k.misses[name]; missed && now.Before(until) {
		return false
	}
	k.asks = min(askBurst, k.asks+float64(now.Sub(k.asked))/float64(askInterval))
	k.asked = now
	if k.asks < 1 {
		return false
	}
	k.asks--
	return true
}

// miss remembers a name that the store does not have.
func (k *keyring) miss(name keyName, now time.Time) {
	if len(k.misses) >= missesKept {
		clear(k.misses)
	}
	k.misses[name] = now.Add(missKept)
}

// refresh reads the store's keys.
func (k *keyring) refresh(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	rows, err := k.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("look up signing key: %w", err)
	}
	kept := make(map[keyName][]ringKey, len(rows)+len(k.configured))
	known := make(map[store.SigningKeyID]store.SigningKey)
	for _, row := range rows {
		known[row.SigningKeyID] = row
	}
	for name, keys := range k.configured {
		for _, key := range keys {
			if row, onRecord := known[key.SigningKeyID]; onRecord {
				key.SigningKey = row
			}
			kept[name] = append(kept[name], key)
		}
	}
	for _, row := range rows {
		name := keyName{row.Scheme, row.ID}
		if row.RevokedAt.IsZero() && len(row.Key) > 0 && !k.isConfigured(row.SigningKeyID) {
			kept[name] = append(kept[name], ringKey{SigningKey: row, secret: row.Key})
		}
	}
	k.kept, k.read = kept, now
	return nil
}

func (k *keyring) isConfigured(id store.SigningKeyID) bool {
	for _, key := range k.configured[keyName{id.Scheme, id.ID}] {
		if key.SigningKeyID == id {
			return true
		}
	}
	return false
}

// used puts down that a key has verified a post, and raises the alarm about one that should be out of use. That fails
// without harm to the post.
func (k *keyring) used(ctx context.Context, key ringKey) {
	now := k.store.Now()
	if !k.claimUse(key, now) {
		return
	}
	attrs := []any{"scheme", string(key.Scheme), "merchant_account", key.MerchantAccount, "signing_key_id", key.ID}
	if journal.StateOfKey(key.SigningKey, now) == journal.KeyRetired {
		k.log.ErrorContext(ctx, "signing key signs past its retirement", append(attrs, "retire_time", key.RetireAt)...)
	}
	if err := k.journal.NoteKeyUse(context.WithoutCancel(ctx), key.SigningKeyID); err != nil {
		k.log.WarnContext(ctx, "use of signing key not recorded", append(attrs, "error", err)...)
	}
}

// claimUse tells whether this use is worth writing down, and lets one post alone do it.
func (k *keyring) claimUse(key ringKey, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := keyName{key.Scheme, key.ID}
	for i, one := range k.kept[name] {
		if one.SigningKeyID == key.SigningKeyID && journal.NotesKeyUse(one.SigningKey, now) {
			keys := slices.Clone(k.kept[name]) // those of before are being looked at
			keys[i].LastUsed = now
			k.kept[name] = keys
			return true
		}
	}
	return false
}
