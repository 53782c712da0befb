package operation

import (
	"context"
	"errors"
	"fmt"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
)

// CancelOrder gives an order back.
func (o *Operations) CancelOrder(ctx context.Context, req Request, orderID string) error {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, "cancelOrder", req.about(journal.JobReadOrder, orderID), func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		payment, err := o.known(ctx, account, orderID)
		if err != nil {
			return done, err
		}
		account := account.living(payment.CreatedAt, o.store.Now())
		if try.stale { // Klarna may have forgotten the key: what the order shows decides
			if order, err := o.Order(ctx, account.Name, orderID, journal.Reconciled); err != nil || order.Status == klarna.OrderCancelled {
				return done, err
			}
		}
		fact := journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:cancelOrder:%s", account.Name, orderID),
			MerchantAccount: account.Name, Cause: journal.Call, At: o.store.Now(), OrderID: orderID, Cancelled: true,
		}
		if err := account.Klarna.CancelOrder(ctx, try.key, orderID); err != nil {
			return done, o.cancelling(context.WithoutCancel(ctx), fact, fmt.Errorf("cancel order %s: %w", orderID, err))
		}
		done.record = o.recordPayment(fact)
		return done, nil
	})
	return err
}

// cancelling takes a failure to cancel. If the outcome is unknown it is recorded that we tried: an order that is then
// found cancelled must not be taken for one whose money never came.
func (o *Operations) cancelling(ctx context.Context, fact journal.PaymentFact, cause error) error {
	if !errors.Is(cause, klarna.ErrOutcomeUnknown) {
		return cause
	}
	fact.EventID += ":tried"
	fact.Cancelled, fact.CancelTried = false, true
	if _, err := o.journal.RecordPayment(ctx, fact); err != nil {
		o.log.ErrorContext(ctx, "record an unknown outcome", "order_id", fact.OrderID, "error", err)
	}
	return cause
}
