package operation

import (
	"context"
	"fmt"
	"slices"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// UpdateAuthorization makes an order's amount and lines what they shall be. The currency must be the order's.
func (o *Operations) UpdateAuthorization(ctx context.Context, req Request, orderID, currency string, in klarna.AuthorizationUpdate) error {
	w := orderWrite{operation: "updateAuthorization", orderID: orderID, shows: true}
	return o.writeOrder(ctx, req, w, func(ctx context.Context, account Account, try attempt) error {
		payment, err := o.known(ctx, account, orderID)
		if err != nil {
			return err
		}
		if currency != payment.Currency {
			return refuseField("order_amount.currency_code", "INVALID_FIELD", "must be the order's currency, %s", payment.Currency)
		}
		return account.Klarna.UpdateAuthorization(ctx, try.key, orderID, in)
	})
}

// ExtendAuthorization moves the end of an order's authorisation to today plus the account's period.
func (o *Operations) ExtendAuthorization(ctx context.Context, req Request, orderID string) error {
	w := orderWrite{operation: "extendAuthorization", orderID: orderID, shows: true}
	return o.writeOrder(ctx, req, w, func(ctx context.Context, account Account, try attempt) error {
		return account.Klarna.ExtendAuthorizationTime(ctx, try.key, orderID)
	})
}

// ReleaseRemainingAuthorization gives back what is not captured and will not be.
func (o *Operations) ReleaseRemainingAuthorization(ctx context.Context, req Request, orderID string) error {
	w := orderWrite{operation: "releaseRemainingAuthorization", orderID: orderID, shows: true}
	return o.writeOrder(ctx, req, w, func(ctx context.Context, account Account, try attempt) error {
		if try.stale { // a second release would be refused: what the order shows decides
			order, err := o.Order(ctx, account.Name, orderID, journal.Reconciled)
			if err != nil || order.CapturedAmount > 0 && order.RemainingAuthorizedAmount == 0 {
				return err
			}
		}
		return account.Klarna.ReleaseRemainingAuthorization(ctx, try.key, orderID)
	})
}

// UpdateMerchantReferences changes the caller's references; nil keeps one, an empty text clears it.
func (o *Operations) UpdateMerchantReferences(ctx context.Context, req Request, orderID string, in klarna.MerchantReferences) error {
	w := orderWrite{operation: "updateMerchantReferences", orderID: orderID, shows: true}
	return o.writeOrder(ctx, req, w, func(ctx context.Context, account Account, try attempt) error {
		return account.Klarna.UpdateMerchantReferences(ctx, try.key, orderID, in)
	})
}

// UpdateShippingAddress replaces an order's shipping address.
func (o *Operations) UpdateShippingAddress(ctx context.Context, req Request, orderID string, in klarna.CustomerAddress) error {
	w := orderWrite{operation: "updateCustomerDetails", orderID: orderID}
	return o.writeOrder(ctx, req, w, func(ctx context.Context, account Account, try attempt) error {
		return account.Klarna.UpdateShippingAddress(ctx, try.key, orderID, in)
	})
}

// AddOrderShippingInfo adds parcels to an order.
func (o *Operations) AddOrderShippingInfo(ctx context.Context, req Request, orderID string, parcels []klarna.ShippingInfo) error {
	w := orderWrite{operation: "addOrderShippingInfo", orderID: orderID}
	return o.writeOrder(ctx, req, w, func(ctx context.Context, account Account, try attempt) error {
		if try.stale { // Klarna may have forgotten the key and would add them again: what the order shows decides
			order, err := o.Order(ctx, account.Name, orderID, journal.Reconciled)
			if err != nil || containsAll(order.ShippingInfo, parcels) {
				return err
			}
		}
		return account.Klarna.AppendOrderShippingInfo(ctx, try.key, orderID, parcels)
	})
}

func containsAll(there, wanted []klarna.ShippingInfo) bool {
	return !slices.ContainsFunc(wanted, func(parcel klarna.ShippingInfo) bool { return !slices.Contains(there, parcel) })
}

// orderWrite is a write to an order that Klarna answers with 204 and no body.
type orderWrite struct {
	operation string // its name in the ledger and in Klarna's key, so it never changes
	orderID   string
	shows     bool // it changes what the payment shows
}

// writeOrder makes a write once. Where send does not look at try.stale, the write says what shall be, not what to add:
// made a second time, once Klarna has forgotten its key, it changes nothing more.
func (o *Operations) writeOrder(ctx context.Context, req Request, w orderWrite, send func(context.Context, Account, attempt) error) error {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, w.operation, req.about(journal.JobReadOrder, w.orderID), func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		if w.shows { // else there would be no payment to answer with if reading fails below
			if _, err := o.known(ctx, account, w.orderID); err != nil {
				return done, err
			}
		}
		account, err := o.home(ctx, account, journal.KeyOrder, w.orderID)
		if err != nil {
			return done, err
		}
		if err := send(ctx, account, try); err != nil {
			return done, fmt.Errorf("%s %s: %w", w.operation, w.orderID, err)
		}
		if w.shows {
			done.record = o.shown(ctx, account, req, w)
		}
		return done, nil
	})
	return err
}

// shown reads the order that was just changed, to be recorded with the answer: Klarna answers with 204 and no body, so
// what the payment shows now (amounts that remain, when it expires) can only be read. If that fails the change is made
// nevertheless: the payment is answered as it is on record, and the order is read soon.
func (o *Operations) shown(ctx context.Context, account Account, req Request, w orderWrite) func(context.Context, store.Tx) error {
	asked := o.store.Now()
	order, err := account.Klarna.Order(ctx, w.orderID)
	if err != nil {
		o.log.WarnContext(ctx, "changed order could not be read", "operation", w.operation, "order_id", w.orderID, "error", err)
		o.readSoon(ctx, journal.JobReadOrder, account.Name, w.orderID)
		return nil
	}
	fact := orderFact(account.Name, order, asked)
	fact.EventID, fact.Cause = fmt.Sprintf("call:%s:%s:%s", account.Name, w.operation, req.ID), journal.Call
	return o.recordPayment(fact)
}
