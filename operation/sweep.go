package operation

import (
	"context"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

// sweepAtMost bounds one sweep; what is left comes with the next.
const (
	sweepAtMost = 100
	trimAtMost  = 1000
)

// Sweep looks after requests that a crash left behind: recorded, perhaps sent, and nobody is left to tell how they
// ended. Each is looked into soon, so that watchers learn of it even if its caller never repeats it. It also trims
// answers that were kept long enough.
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
		o.log.WarnContext(ctx, "request was cut off; what became of it is looked for", "operation", left.Operation,
			"request_id", left.ID, "merchant_account", left.MerchantAccount)
	}
	return o.trim(ctx)
}

// trim forgets answers that were kept long enough, a bounded number at a time.
func (o *Operations) trim(ctx context.Context) error {
	trimmed, err := o.store.TrimRequests(ctx, o.store.Now().Add(-o.keepAnswers), trimAtMost)
	if trimmed > 0 {
		o.log.InfoContext(ctx, "answers were trimmed", "requests", trimmed)
	}
	return err
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
	return o.resolveSoon(ctx, tx, row, 0)
}
