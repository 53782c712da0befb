package postgres

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

const signingKeyColumns = `SELECT scheme, merchant_account, id, key, origin, created_at, last_used, retire_at, revoked_at FROM signing_keys `

func scanSigningKey(row scanner) (k store.SigningKey, err error) {
	return k, row.Scan(&k.Scheme, &k.MerchantAccount, &k.ID, &k.Key, &k.Origin,
		instant{&k.CreatedAt}, instant{&k.LastUsed}, instant{&k.RetireAt}, instant{&k.RevokedAt})
}

// SigningKeys implements store.Engine.
func (e *Engine) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	found, err := rows(ctx, e, signingKeyColumns+`ORDER BY scheme, merchant_account, id`, nil, scanSigningKey)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return found, nil
}

func signingKeyMark(id store.SigningKeyID) []string {
	return mark("signing key", string(id.Scheme), id.MerchantAccount, id.ID)
}

// SigningKey implements store.Tx.
func (t *tx) SigningKey(_ context.Context, id store.SigningKeyID) (store.SigningKey, error) {
	k, err := one(t, signingKeyMark(id), signingKeyColumns+`WHERE scheme = $1 AND merchant_account = $2 AND id = $3`,
		[]any{id.Scheme, id.MerchantAccount, id.ID}, scanSigningKey)
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("read signing key: %w", err)
	}
	return k, nil
}

// PutSigningKey implements store.Tx.
func (t *tx) PutSigningKey(_ context.Context, k store.SigningKey) error {
	err := t.exec(signingKeyMark(k.SigningKeyID), `INSERT INTO signing_keys (scheme, merchant_account, id, key, origin, created_at, last_used, retire_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (scheme, merchant_account, id) DO UPDATE SET key = excluded.key, origin = excluded.origin,
		created_at = excluded.created_at, last_used = excluded.last_used, retire_at = excluded.retire_at, revoked_at = excluded.revoked_at`,
		k.Scheme, k.MerchantAccount, k.ID, blob(k.Key), k.Origin, micros(k.CreatedAt), micros(k.LastUsed), micros(k.RetireAt), micros(k.RevokedAt))
	if err != nil {
		return fmt.Errorf("put signing key: %w", err)
	}
	return nil
}

const probeQuery = `SELECT merchant_account, webhook, event_type, asked_at, until, received_at, event_id, signing_key, flaw, raw
	FROM probes WHERE merchant_account = $1 AND webhook = $2 AND event_type = $3`

func scanProbe(row scanner) (p store.Probe, err error) {
	return p, row.Scan(&p.MerchantAccount, &p.Webhook, &p.EventType, instant{&p.AskedAt}, instant{&p.Until}, instant{&p.ReceivedAt},
		&p.EventID, &p.SigningKey, &p.Flaw, &p.Raw)
}

// Probe implements store.Engine.
func (e *Engine) Probe(ctx context.Context, merchantAccount, webhook, eventType string) (store.Probe, error) {
	p, err := row(ctx, e, probeQuery, []any{merchantAccount, webhook, eventType}, scanProbe)
	if err != nil {
		return store.Probe{}, fmt.Errorf("read probe: %w", err)
	}
	return p, nil
}

// Probe implements store.Tx.
func (t *tx) Probe(_ context.Context, merchantAccount, webhook, eventType string) (store.Probe, error) {
	p, err := one(t, mark("probe", merchantAccount, webhook, eventType), probeQuery, []any{merchantAccount, webhook, eventType}, scanProbe)
	if err != nil {
		return store.Probe{}, fmt.Errorf("read probe: %w", err)
	}
	return p, nil
}

// PutProbe implements store.Tx.
func (t *tx) PutProbe(_ context.Context, p store.Probe) error {
	err := t.exec(mark("probe", p.MerchantAccount, p.Webhook, p.EventType), `INSERT INTO probes (merchant_account, webhook, event_type, asked_at, until, received_at, event_id, signing_key, flaw, raw)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (merchant_account, webhook, event_type) DO UPDATE SET asked_at = excluded.asked_at, until = excluded.until,
		received_at = excluded.received_at, event_id = excluded.event_id, signing_key = excluded.signing_key, flaw = excluded.flaw, raw = excluded.raw`,
		p.MerchantAccount, p.Webhook, p.EventType, micros(p.AskedAt), micros(p.Until), micros(p.ReceivedAt), p.EventID, p.SigningKey, p.Flaw, blob(p.Raw))
	if err != nil {
		return fmt.Errorf("put probe: %w", err)
	}
	return nil
}
