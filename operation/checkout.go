package operation

import (
	"context"
	"errors"
	"fmt"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// CheckoutAnswer is a checkout order that was opened.
type CheckoutAnswer struct {
	klarna.CheckoutOrder
	Orphan bool `json:"orphan,omitempty"` // an earlier attempt may have opened another one
}

// CreateCheckoutOrder opens a checkout order that tells of its completion by a push to the gateway. Klarna takes no
// idempotency key here: a repeat after a lost answer opens another one, and the first is left to expire; the answer says
// so. Nothing is recorded about a payment before the customer has completed it.
func (o *Operations) CreateCheckoutOrder(ctx context.Context, req Request, in klarna.CheckoutOrder) (CheckoutAnswer, error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return CheckoutAnswer{}, err
	}
	urls := klarna.CheckoutURLs{}
	if in.MerchantURLs != nil {
		urls = *in.MerchantURLs
	}
	if o.push != nil {
		urls.Push = o.push(account.Name)
	}
	if urls.Push == "" {
		return CheckoutAnswer{}, refuse("MERCHANT_ACCOUNT_UNSUITABLE",
			"Klarna could not tell of the completed order: configure public_base_url, and push_secrets of merchant account %q", account.Name)
	}
	return once(ctx, o, "createCheckoutOrder", req, func(ctx context.Context, try attempt) (done effect[CheckoutAnswer], err error) {
		order := in
		order.MerchantURLs = &urls
		done.answer.Orphan, err = try.open(func() (err error) {
			done.answer.CheckoutOrder, err = account.Klarna.CreateCheckoutOrder(ctx, order)
			return err
		})
		if err != nil {
			return done, fmt.Errorf("create checkout order: %w", err)
		}
		if done.answer.Orphan {
			o.log.WarnContext(ctx, "another checkout order may have been opened", "request_id", req.ID, "order_id", done.answer.OrderID)
		}
		done.answer.MerchantURLs = nil // the push's secret is not the caller's
		return done, nil
	})
}

// CheckoutOrder reads a checkout order from Klarna. If it turns out to be complete and no push has told so, the order is
// taken up as if one had.
func (o *Operations) CheckoutOrder(ctx context.Context, merchantAccount, orderID string) (klarna.CheckoutOrder, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return klarna.CheckoutOrder{}, err
	}
	order, err := account.Klarna.CheckoutOrder(ctx, orderID)
	if err != nil {
		return order, fmt.Errorf("read checkout order %s: %w", orderID, err)
	}
	if order.Status != klarna.CheckoutComplete && order.Status != klarna.CheckoutCreated {
		return order, nil
	}
	payment, err := o.paymentBy(ctx, account.Name, journal.KeyOrder, orderID)
	if payment.Checkout || err != nil && !errors.Is(err, store.ErrNotFound) {
		return order, err
	}
	return order, o.store.Do(ctx, func(tx store.Tx) error {
		return tx.AddJob(ctx, store.Job{
			Kind: journal.JobReadPushed, MerchantAccount: account.Name, Key: orderID, RunAt: o.store.Now(), CreatedAt: o.store.Now(),
		})
	})
}

// UpdateCheckoutOrder changes a checkout order that is not complete. A repeat has the same effect.
func (o *Operations) UpdateCheckoutOrder(ctx context.Context, req Request, orderID string, in klarna.CheckoutOrder) (klarna.CheckoutOrder, error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return klarna.CheckoutOrder{}, err
	}
	return once(ctx, o, "updateCheckoutOrder", req, func(ctx context.Context, _ attempt) (done effect[klarna.CheckoutOrder], err error) {
		if done.answer, err = account.Klarna.UpdateCheckoutOrder(ctx, orderID, in); err != nil {
			return done, fmt.Errorf("update checkout order %s: %w", orderID, err)
		}
		done.answer.MerchantURLs = nil
		return done, nil
	})
}

// AbortCheckoutOrder gives up a checkout order that is not complete.
func (o *Operations) AbortCheckoutOrder(ctx context.Context, req Request, orderID string) error {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, "abortCheckoutOrder", req, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		unsettled := len(try.row.Answer) > 0 // it was sent before, and not refused
		if err := o.sending(ctx, try, orderID); err != nil {
			return done, err
		}
		err = account.Klarna.AbortCheckoutOrder(ctx, orderID)
		switch {
		case err == nil || unsettled && notFound(err): // gone: what was sent before did it
			return done, nil
		case !unsettled && !errors.Is(err, klarna.ErrOutcomeUnknown):
			try.row.Answer = nil
		}
		return done, fmt.Errorf("abort checkout order %s: %w", orderID, err)
	})
	return err
}
