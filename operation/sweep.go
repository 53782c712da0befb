package operation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"payments.internal/klarna-gateway/store"
)

// sweepAtMost bounds one sweep; what is left comes with the next.
const sweepAtMost = 100

// Sweep looks after requests that a crash left behind: recorded, perhaps sent, and nobody is left to tell how they
// ended. What each was about is read soon, so that watchers learn of it even if its caller never repeats it. The
// request itself stays open for that repeat.
func (o *Operations) Sweep(ctx context.Context) error {
	abandoned, err := o.store.Abandoned(ctx, o.store.Now(), sweepAtMost)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	for _, left := range abandoned {
		err := o.store.Do(ctx, func(tx store.Tx) error { return o.sweep(ctx, tx, left.RequestID) })
		if err != nil {
			return fmt.Errorf("sweep %s: %w", left.Operation, err)
		}
		o.log.WarnContext(ctx, "request was cut off; what it was about is read", "operation", left.Operation,
			"request_id", left.ID, "merchant_account", left.MerchantAccount)
	}
	return nil
}

// sweep gives one request back, unless somebody has taken it up meanwhile.
func (o *Operations) sweep(ctx context.Context, tx store.Tx, id store.RequestID) error {
	row, err := tx.Request(ctx, id)
	now := o.store.Now()
	if err != nil || row.State != store.RequestOpen || row.LeasedUntil.IsZero() || row.LeasedUntil.After(now) {
		return err
	}
	row.LeasedUntil = time.Time{}
	if err := tx.PutRequest(ctx, row); err != nil {
		return err
	}
	job, key, known := strings.Cut(row.Subject, " ")
	if !known {
		return nil
	}
	return tx.AddJob(ctx, store.Job{Kind: job, MerchantAccount: row.MerchantAccount, Key: key, RunAt: now, CreatedAt: now})
}
