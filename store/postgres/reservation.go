package postgres

import (
	"context"
	"fmt"
	"slices"

	"payments.internal/klarna-gateway/store"
)

func fundMark(f store.Fund) []string { return mark("fund", f.MerchantAccount, f.Kind, f.Key) }

// Reserved implements store.Tx. The log's row, held since the beginning, is the fund's lock too.
func (t *tx) Reserved(_ context.Context, fund store.Fund) ([]store.Reservation, error) {
	scan := func(row scanner) (store.Reservation, error) {
		r := store.Reservation{Fund: fund}
		err := row.Scan(&r.Request.MerchantAccount, &r.Request.Operation, &r.Request.ID, &r.Reference, &r.Amount, instant{&r.CreatedAt})
		return r, err
	}
	found, err := query(t, fundMark(fund), `SELECT merchant_account, operation, request_id, reference, amount, created_at
		FROM reservations WHERE merchant_account = $1 AND kind = $2 AND key = $3 ORDER BY created_at, operation, request_id`,
		[]any{fund.MerchantAccount, fund.Kind, fund.Key}, scan)
	if err != nil {
		return nil, fmt.Errorf("read reservations: %w", err)
	}
	for _, r := range found { // who gives one back does not say of which fund
		t.read.add(requestMark("reservation", r.Request)...)
	}
	return found, nil
}

// Reserve implements store.Tx.
func (t *tx) Reserve(_ context.Context, r store.Reservation) error {
	if r.Fund.MerchantAccount != r.Request.MerchantAccount {
		return t.note(fmt.Errorf("reserve: a request of %s draws on a fund of %s", r.Request.MerchantAccount, r.Fund.MerchantAccount))
	}
	err := t.exec(slices.Concat(fundMark(r.Fund), requestMark("reservation", r.Request)), `INSERT INTO reservations (merchant_account, operation, request_id, kind, key, reference, amount, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (merchant_account, kind, key, operation, request_id) DO UPDATE SET
		reference = excluded.reference, amount = excluded.amount, created_at = excluded.created_at`,
		r.Fund.MerchantAccount, r.Request.Operation, r.Request.ID, r.Fund.Kind, r.Fund.Key, r.Reference, r.Amount, micros(r.CreatedAt))
	if err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	return nil
}

// Unreserve implements store.Tx.
func (t *tx) Unreserve(_ context.Context, id store.RequestID) error {
	err := t.exec(requestMark("reservation", id), `DELETE FROM reservations WHERE merchant_account = $1 AND operation = $2 AND request_id = $3`,
		id.MerchantAccount, id.Operation, id.ID)
	if err != nil {
		return fmt.Errorf("unreserve: %w", err)
	}
	return nil
}
