package sqlite

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

const signingKeyColumns = `SELECT scheme, merchant_account, id, key, origin, created_at, last_used, retire_at, revoked_at FROM signing_keys `

func signingKeyFields(k *store.SigningKey) []any {
	return []any{
		&k.Scheme, &k.MerchantAccount, &k.ID, &k.Key, &k.Origin,
		instant{&k.CreatedAt}, instant{&k.LastUsed}, instant{&k.RetireAt}, instant{&k.RevokedAt},
	}
}

// SigningKeys implements store.Engine.
func (e *Engine) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	found, err := rows(ctx, e.reader, signingKeyColumns+`ORDER BY scheme, merchant_account, id`, nil, func(row scanner) (k store.SigningKey, err error) {
		return k, row.Scan(signingKeyFields(&k)...)
	})
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return found, nil
}

// SigningKey implements store.Tx.
func (t *tx) SigningKey(ctx context.Context, id store.SigningKeyID) (store.SigningKey, error) {
	var k store.SigningKey
	err := row(context.WithoutCancel(ctx), t.w, signingKeyColumns+`WHERE scheme = ? AND merchant_account = ? AND id = ?`,
		[]any{id.Scheme, id.MerchantAccount, id.ID}, signingKeyFields(&k)...)
	if err != nil {
		return store.SigningKey{}, t.note(fmt.Errorf("read signing key: %w", known(err)))
	}
	return k, nil
}

// PutSigningKey implements store.Tx.
func (t *tx) PutSigningKey(ctx context.Context, k store.SigningKey) error {
	_, err := t.exec(ctx, `INSERT INTO signing_keys (scheme, merchant_account, id, key, origin, created_at, last_used, retire_at, revoked_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (scheme, merchant_account, id) DO UPDATE SET key = excluded.key, origin = excluded.origin,
		created_at = excluded.created_at, last_used = excluded.last_used, retire_at = excluded.retire_at, revoked_at = excluded.revoked_at`,
		k.Scheme, k.MerchantAccount, k.ID, blob(k.Key), k.Origin, micros(k.CreatedAt), micros(k.LastUsed), micros(k.RetireAt), micros(k.RevokedAt))
	if err != nil {
		return fmt.Errorf("put signing key: %w", err)
	}
	return nil
}

func probe(ctx context.Context, q querier, merchantAccount, webhook, eventType string) (store.Probe, error) {
	var p store.Probe
	err := row(ctx, q, `SELECT merchant_account, webhook, event_type, asked_at, until, received_at, event_id, signing_key, flaw, raw
		FROM probes WHERE merchant_account = ? AND webhook = ? AND event_type = ?`, []any{merchantAccount, webhook, eventType},
		&p.MerchantAccount, &p.Webhook, &p.EventType, instant{&p.AskedAt}, instant{&p.Until}, instant{&p.ReceivedAt},
		&p.EventID, &p.SigningKey, &p.Flaw, &p.Raw)
	if err != nil {
		return store.Probe{}, fmt.Errorf("read probe: %w", known(err))
	}
	return p, nil
}

// Probe implements store.Engine.
func (e *Engine) Probe(ctx context.Context, merchantAccount, webhook, eventType string) (store.Probe, error) {
	return probe(ctx, e.reader, merchantAccount, webhook, eventType)
}

// Probe implements store.Tx.
func (t *tx) Probe(ctx context.Context, merchantAccount, webhook, eventType string) (store.Probe, error) {
	p, err := probe(context.WithoutCancel(ctx), t.w, merchantAccount, webhook, eventType)
	return p, t.note(err)
}

// PutProbe implements store.Tx.
func (t *tx) PutProbe(ctx context.Context, p store.Probe) error {
	_, err := t.exec(ctx, `INSERT INTO probes (merchant_account, webhook, event_type, asked_at, until, received_at, event_id, signing_key, flaw, raw)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (merchant_account, webhook, event_type) DO UPDATE SET asked_at = excluded.asked_at, until = excluded.until,
		received_at = excluded.received_at, event_id = excluded.event_id, signing_key = excluded.signing_key, flaw = excluded.flaw, raw = excluded.raw`,
		p.MerchantAccount, p.Webhook, p.EventType, micros(p.AskedAt), micros(p.Until), micros(p.ReceivedAt), p.EventID, p.SigningKey, p.Flaw, blob(p.Raw))
	if err != nil {
		return fmt.Errorf("put probe: %w", err)
	}
	return nil
}
