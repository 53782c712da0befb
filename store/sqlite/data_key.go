package sqlite

import (
	"context"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

// DataKey implements store.Tx.
func (t *tx) DataKey(ctx context.Context, subject string) (key store.DataKey, err error) {
	err = t.row(ctx, `SELECT key, erased_at FROM data_keys WHERE subject = ?`, []any{subject}, &key.Key, instant{&key.ErasedAt})
	if err != nil {
		return store.DataKey{}, fmt.Errorf("read data key: %w", err)
	}
	return key, nil
}

// PutDataKey implements store.Tx.
func (t *tx) PutDataKey(ctx context.Context, subject string, key []byte) error {
	if _, err := t.exec(ctx, `INSERT INTO data_keys (subject, key, erased_at) VALUES (?, ?, 0)`, subject, key); err != nil {
		return fmt.Errorf("put data key: %w", err)
	}
	return nil
}

// Erase implements store.Tx. secure_delete has SQLite overwrite the key in the file; see tidier.forget for the write-ahead log.
func (t *tx) Erase(ctx context.Context, subject string, at time.Time) ([]string, error) {
	live, err := t.Subject(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("erase %s: %w", subject, err)
	}
	one := func(row scanner) (id string, err error) { return id, row.Scan(&id) }
	all, err := rows(context.WithoutCancel(ctx), t.w, `SELECT id FROM subjects WHERE merged_into = ? AND merged_into <> '' ORDER BY id`, []any{live.ID}, one)
	if err != nil {
		return nil, t.note(fmt.Errorf("erase %s: %w", subject, err))
	}
	all = append([]string{live.ID}, all...)
	for _, id := range all {
		_, err := t.exec(ctx, `INSERT INTO data_keys (subject, key, erased_at) VALUES (?, NULL, ?) ON CONFLICT (subject)
			DO UPDATE SET key = NULL, erased_at = excluded.erased_at WHERE erased_at = 0`, id, micros(at))
		if err != nil {
			return nil, fmt.Errorf("erase %s: %w", subject, err)
		}
	}
	t.erases = true
	return all, nil
}

// Erasures implements store.Engine.
func (e *Engine) Erasures(ctx context.Context, after string, limit int) ([]store.Erasure, error) {
	const query = `SELECT s.id, s.stream, s.merchant_account, s.keys, d.erased_at FROM data_keys AS d CROSS JOIN subjects AS s
		WHERE d.erased_at <> 0 AND d.subject > ? AND s.id = d.subject ORDER BY d.subject LIMIT ?`
	found, err := rows(ctx, e.reader, query, []any{after, limit}, func(row scanner) (one store.Erasure, err error) {
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
