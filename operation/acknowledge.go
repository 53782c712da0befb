package operation

import (
	"context"
	"errors"
	"fmt"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
)

// RequestAcknowledgement records that the owning service has the order, and tries to tell Klarna at once. If Klarna
// cannot be reached, confirmed is false and a job keeps trying.
func (o *Operations) RequestAcknowledgement(ctx context.Context, req Request, orderID string) (confirmed bool, err error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return false, err
	}
	_, err = once(ctx, o, "requestAcknowledgement", req, func(ctx context.Context, _ attempt) (done effect[struct{}], err error) {
		if _, err := o.known(ctx, account, orderID); err != nil {
			return done, err
		}
		done.record = o.recordPayment(journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:acknowledge:%s", account.Name, req.ID),
			MerchantAccount: account.Name, Cause: journal.Call, At: o.store.Now(), OrderID: orderID, Acknowledge: true,
		})
		return done, nil
	})
	if err != nil {
		return false, err
	}
	err = o.Acknowledge(ctx, account.Name, orderID)
	if errors.Is(err, klarna.ErrOutcomeUnknown) || errors.Is(err, klarna.ErrUnavailable) {
		return false, nil
	}
	return err == nil, err
}

// Acknowledge tells Klarna that an order has arrived, once, whoever asks for it.
func (o *Operations) Acknowledge(ctx context.Context, merchantAccount, orderID string) error {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	flight := Request{MerchantAccount: merchantAccount, ID: orderID}
	_, err = once(ctx, o, "acknowledge", flight, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		account, err := o.home(ctx, account, journal.KeyOrder, orderID)
		if err != nil {
			return done, err
		}
		if err := account.Klarna.Acknowledge(ctx, try.key, orderID); err != nil {
			return done, fmt.Errorf("acknowledge order %s: %w", orderID, err)
		}
		done.record = o.recordPayment(journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:acknowledged:%s", account.Name, orderID),
			MerchantAccount: account.Name, Cause: journal.Call, At: o.store.Now(), OrderID: orderID, Acknowledged: true,
		})
		return done, nil
	})
	return err
}
