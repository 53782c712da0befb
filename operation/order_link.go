package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// sessionOf finds the session that an order was placed for, where placing it was never answered and Klarna no longer
// tells by the session which order it was: the one whose order was sent with the same reference, amount and currency
// before the order came to be. None, or more than one, is no answer.
func (o *Operations) sessionOf(ctx context.Context, merchantAccount string, order klarna.Order) (sessionID string, err error) {
	known, err := o.paymentBy(ctx, merchantAccount, journal.KeyOrder, order.OrderID)
	if err != nil && !errors.Is(err, store.ErrNotFound) || known.SessionID != "" || order.MerchantReference1 == "" {
		return "", ignoreNotFound(err)
	}
	subjects, err := o.store.Subjects(ctx, store.Query{
		Stream: store.Payments, MerchantAccount: merchantAccount, Descending: true, Limit: 10,
		Keys: []store.Key{{Kind: journal.KeyReference, Value: order.MerchantReference1}},
	})
	if err != nil {
		return "", fmt.Errorf("look for the session of an order: %w", err)
	}
	for _, subject := range subjects {
		entry, err := journal.DecodePaymentEntry(subject.Body)
		if err != nil {
			return "", err
		}
		waits := entry.Payment.SessionID != "" && entry.Payment.OrderID == ""
		if !waits {
			continue
		}
		sent, err := o.wasSent(ctx, merchantAccount, entry.Payment.SessionID, order)
		switch {
		case err != nil:
			return "", err
		case sent && sessionID != "":
			return "", nil
		case sent:
			sessionID = entry.Payment.SessionID
		}
	}
	return sessionID, nil
}

// wasSent tells whether an order is what was sent for a session, as far as an order shows it.
func (o *Operations) wasSent(ctx context.Context, merchantAccount, sessionID string, order klarna.Order) (bool, error) {
	row, err := o.store.Request(ctx, placingOf(merchantAccount, sessionID))
	if err != nil || len(row.Answer) == 0 || row.State == store.RequestDone {
		return false, ignoreNotFound(err)
	}
	var p placement
	if err := json.Unmarshal(row.Answer, &p); err != nil {
		return false, fmt.Errorf("decode what was sent: %w", err)
	}
	return p.Order.OrderAmount == order.OriginalOrderAmount && p.Order.PurchaseCurrency == order.PurchaseCurrency &&
		p.Order.MerchantReference1 == order.MerchantReference1 && p.Order.MerchantReference2 == order.MerchantReference2 &&
		order.CreatedAt.After(row.FirstSent.Add(-clockSkew)), nil
}
