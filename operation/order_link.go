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

// orderRecord is what is on record about an order that was read.
type orderRecord struct {
	order  *journal.Payment  // nil if there is none
	sole   bool              // there is no other payment with the order, which could not be made one with it
	others []journal.Payment // of its first reference, those that changed last
}

// othersNamed is how many payments with an order's reference are looked at.
const othersNamed = 10

// recordOf looks for the payment of an order and for the others that have its reference, in one go unless there are many.
func (o *Operations) recordOf(ctx context.Context, merchantAccount string, order klarna.Order) (r orderRecord, err error) {
	q := store.Query{
		Stream: store.Payments, MerchantAccount: merchantAccount, Descending: true, Limit: othersNamed + 1,
		Keys: []store.Key{{Kind: journal.KeyOrder, Value: order.OrderID}},
	}
	if order.MerchantReference1 != "" {
		q.Keys = append(q.Keys, store.Key{Kind: journal.KeyReference, Value: order.MerchantReference1})
	}
	found, err := o.store.Subjects(ctx, q)
	if err != nil {
		return r, fmt.Errorf("look for what is on record of order %s: %w", order.OrderID, err)
	}
	r.sole = true
	for _, subject := range found {
		entry, err := journal.DecodePaymentEntry(subject.Body)
		if err != nil {
			return r, err
		}
		switch {
		case entry.Payment.OrderID != order.OrderID:
			r.others = append(r.others, entry.Payment)
		case r.order == nil:
			r.order = &entry.Payment
		default:
			r.sole = false
		}
	}
	if r.order == nil && len(found) == q.Limit {
		known, err := o.paymentBy(ctx, merchantAccount, journal.KeyOrder, order.OrderID)
		switch {
		case err == nil:
			r.order = &known
		case !errors.Is(err, store.ErrNotFound):
			return r, err
		}
	}
	r.others = r.others[:min(len(r.others), othersNamed)]
	return r, nil
}

// sessionOf finds the session that an order was placed for, where placing it was never answered and Klarna no longer
// tells by the session which order it was: the one whose order was sent with the same reference, amount and currency
// before the order came to be. None, or more than one, is no answer.
func (o *Operations) sessionOf(ctx context.Context, record orderRecord, merchantAccount string, order klarna.Order) (sessionID string, err error) {
	if record.order != nil && record.order.SessionID != "" {
		return "", nil
	}
	for _, other := range record.others {
		waits := other.SessionID != "" && other.OrderID == ""
		if !waits {
			continue
		}
		sent, err := o.wasSent(ctx, merchantAccount, other.SessionID, order)
		switch {
		case err != nil:
			return "", err
		case sent && sessionID != "":
			return "", nil
		case sent:
			sessionID = other.SessionID
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
