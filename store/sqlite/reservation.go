package sqlite

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// Reserved implements store.Tx. The write lock, held since the beginning, is the fund's lock too.
func (t *tx) Reserved(ctx context.Context, fund store.Fund) ([]store.Reservation, error) {
	scan := func(row scanner) (store.Reservation, error) {
		r := store.Reservation{Fund: fund}
		err := row.Scan(&r.Request.MerchantAccount, &r.Request.Operation, &r.Request.ID, &r.Reference, &r.Amount, instant{&r.CreatedAt})
		return r, err
	}
	found, err := rows(context.WithoutCancel(ctx), t.w, `SELECT merchant_account, operation, request_id, reference, amount, created_at
		FROM reservations WHERE merchant_account = ? AND kind = ? AND key = ? ORDER BY created_at, operation, request_id`,
		[]any{fund.MerchantAccount, fund.Kind, fund.Key}, scan)
	if err != nil {
		return nil, t.note(fmt.Errorf("read reservations: %w", err))
	}
	return found, nil
}

// Reserve implements store.Tx.
func (t *tx) Reserve(ctx context.Context, r store.Reservation) error {
	if r.Fund.MerchantAccount != r.Request.MerchantAccount {
		return t.note(fmt.Errorf("reserve: a request of %s draws on a fund of %s", r.Request.MerchantAccount, r.Fund.MerchantAccount))
	}
	_, err := t.exec(ctx, `INSERT INTO reservations (merchant_account, operation, request_id, kind, key, reference, amount, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (merchant_account, kind, key, operation, request_id) DO UPDATE SET
		reference = excluded.reference, amount = excluded.amount, created_at = excluded.created_at`,
		r.Fund.MerchantAccount, r.Request.Operation, r.Request.ID, r.Fund.Kind, r.Fund.Key, r.Reference, r.Amount, micros(r.CreatedAt))
	if err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	return nil
}

// Unreserve implements store.Tx.
func (t *tx) Unreserve(ctx context.Context, id store.RequestID) error {
	_, err := t.exec(ctx, `DELETE FROM reservations WHERE merchant_account = ? AND operation = ? AND request_id = ?`,
		id.MerchantAccount, id.Operation, id.ID)
	if err != nil {
		return fmt.Errorf("unreserve: %w", err)
	}
	return nil
}
