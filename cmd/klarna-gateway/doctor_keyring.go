package main

import (
	"context"

	"payments.internal/klarna-gateway/store"
)

// sealingKeys looks for sealing keys that wait to seal, and for old ones. Where the key file has but one, there is nothing
// to look for.
func (p *patient) sealingKeys(ctx context.Context, keys *store.Keyring) {
	known, seals := keys.SealingKeys()
	if len(known) < 2 {
		return
	}
	path := p.cfg.keyPath()
	if newest := known[len(known)-1]; newest != seals {
		p.note("sealing_keys", path, warning, "klarna-gateway keyring -promote, once every replica has the file", "the newest key, %s, does not seal yet", newest)
	}
	found, uses, err := sealed(ctx, p.cfg)
	if err != nil {
		p.note("sealing_keys", path, warning, "see what the findings on the database say", "what is under them is not known: %v", err)
		return
	}
	for _, u := range uses {
		switch {
		case u.Missing:
			p.note("sealing_keys", u.Key, broken, "bring the key file back that has it", "%d values are under it, and the key file lacks it", u.Values)
		case !u.Seals && u.Values > 0:
			p.note("sealing_keys", u.Key, warning, "klarna-gateway keyring reseal, then keyring remove", "it is old, and %d values are under it still", u.Values)
		}
	}
	if known[0] != seals && found.Under(seals) == 0 {
		p.note("sealing_keys", path, warning, "klarna-gateway keyring remove", "it has old keys, and nothing is under them")
	}
}
