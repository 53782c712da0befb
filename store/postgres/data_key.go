package postgres

import (
	"context"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

// DataKey implements store.Tx.
func (t *tx) DataKey(_ context.Context, subject string) (store.DataKey, error) {
	key, err := one(t, mark("subject", subject), `SELECT key, erased_at FROM data_keys WHERE subject = $1`, []any{subject}, func(row scanner) (key store.DataKey, err error) {
		return key, row.Scan(&key.Key, instant{&key.ErasedAt})
	})
	if err != nil {
		return store.DataKey{}, fmt.Errorf("read data key: %w", err)
	}
	return key, nil
}

// PutDataKey implements store.Tx.
func (t *tx) PutDataKey(_ context.Context, subject string, key []byte) error {
	return t.exec(mark("subject", subject), `INSERT INTO data_keys (subject, key, erased_at) VALUES ($1, $2, 0)`, subject, key)
}

// Erase implements store.Tx. What the server keeps of the old row is for its VACUUM and its write-ahead log to forget.
func (t *tx) Erase(ctx context.Context, subject string, at time.Time) ([]string, error) {
	if t.await(); t.failed != nil {
		return nil, t.failed
	}
	live, err := t.Subject(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("erase %s: %w", subject, err)
	}
	all, err := query(t, mark("subject", live.ID), `SELECT id FROM subjects WHERE merged_into = $1 AND merged_into <> '' ORDER BY id`, []any{live.ID},
		func(row scanner) (id string, err error) { return id, row.Scan(&id) })
	if err != nil {
		return nil, fmt.Errorf("erase %s: %w", subject, err)
	}
	all = append([]string{live.ID}, all...)
	for _, id := range all {
		t.wrote.add(mark("subject", id)...)
	}
	t.enqueue(queued{text: `INSERT INTO data_keys AS d (subject, key, erased_at) SELECT unnest($1::text[]), NULL, $2 ON CONFLICT (subject)
		DO UPDATE SET key = NULL, erased_at = excluded.erased_at WHERE d.erased_at = 0`, args: []any{all, micros(at)}, alone: true})
	return all, nil
}

// Erasures implements store.Engine.
func (e *Engine) Erasures(ctx context.Context, after string, limit int) ([]store.Erasure, error) {
	const query = `SELECT s.id, s.stream, s.merchant_account, s.keys, d.erased_at FROM data_keys AS d JOIN subjects AS s ON s.id = d.subject
		WHERE d.erased_at <> 0 AND d.subject > $1 ORDER BY d.subject LIMIT $2`
	found, err := rows(ctx, e, query, []any{after, limit}, func(row scanner) (one store.Erasure, err error) {
		var keys string
		if err = row.Scan(&one.Subject, &one.Stream, &one.MerchantAccount, &keys, instant{&one.ErasedAt}); err == nil {
			one.Keys, err = decodeKeys(keys)
		}
		return one, err
	})
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	return found, nil
}
