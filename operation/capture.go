package operation

import (
	"context"
	"fmt"
	"slices"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
)

// Captures reads all captures of an order. Their currency is the order's.
func (o *Operations) Captures(ctx context.Context, merchantAccount, orderID string) (list []klarna.Capture, currency string, err error) {
	account, payment, err := o.knownOrder(ctx, merchantAccount, orderID)
	if err != nil {
		return nil, "", err
	}
	if list, err = account.Klarna.Captures(ctx, orderID); err != nil {
		return nil, "", fmt.Errorf("read captures of %s: %w", orderID, err)
	}
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.CaptureID
	}
	o.notice(ctx, payment, payment.Captures, ids...)
	return list, payment.Currency, nil
}

// CaptureByID reads one capture. Its currency is the order's.
func (o *Operations) CaptureByID(ctx context.Context, merchantAccount, orderID, captureID string) (capture klarna.Capture, currency string, err error) {
	account, payment, err := o.knownOrder(ctx, merchantAccount, orderID)
	if err != nil {
		return capture, "", err
	}
	if capture, err = account.Klarna.Capture(ctx, orderID, captureID); err != nil {
		return capture, "", fmt.Errorf("read capture %s: %w", captureID, err)
	}
	o.notice(ctx, payment, payment.Captures, capture.CaptureID)
	return capture, payment.Currency, nil
}

// RefundByID reads one refund. Its currency is the order's.
func (o *Operations) RefundByID(ctx context.Context, merchantAccount, orderID, refundID string) (refund klarna.Refund, currency string, err error) {
	account, payment, err := o.knownOrder(ctx, merchantAccount, orderID)
	if err != nil {
		return refund, "", err
	}
	if refund, err = account.Klarna.Refund(ctx, orderID, refundID); err != nil {
		return refund, "", fmt.Errorf("read refund %s: %w", refundID, err)
	}
	o.notice(ctx, payment, payment.Refunds, refund.RefundID)
	return refund, payment.Currency, nil
}

func (o *Operations) knownOrder(ctx context.Context, merchantAccount, orderID string) (account Account, payment journal.Payment, err error) {
	if account, err = o.account(merchantAccount, RegionalAPI); err != nil {
		return account, payment, err
	}
	payment, err = o.known(ctx, account, orderID)
	return account.living(payment.CreatedAt, o.store.Now()), payment, err
}

// notice has the order read if Klarna showed a movement that is not on record: it was made elsewhere, such as in
// Klarna's portal.
func (o *Operations) notice(ctx context.Context, payment journal.Payment, onRecord []journal.Movement, ids ...string) {
	fresh := slices.ContainsFunc(ids, func(id string) bool {
		return !slices.ContainsFunc(onRecord, func(m journal.Movement) bool { return m.ID == id })
	})
	if fresh {
		o.readSoon(ctx, journal.JobReadOrder, payment.MerchantAccount, payment.OrderID)
	}
}

// AddCaptureShippingInfo adds parcels to a capture.
func (o *Operations) AddCaptureShippingInfo(ctx context.Context, req Request, orderID, captureID string, parcels []klarna.ShippingInfo) error {
	w := orderWrite{operation: "addCaptureShippingInfo", orderID: orderID}
	return o.writeOrder(ctx, req, w, func(ctx context.Context, account Account, try attempt) error {
		if try.stale { // Klarna may have forgotten the key and would add them again: what the capture shows decides
			capture, err := account.Klarna.Capture(ctx, orderID, captureID)
			if err != nil || containsAll(capture.ShippingInfo, parcels) {
				return err
			}
		}
		return account.Klarna.AppendShippingInfo(ctx, try.key, orderID, captureID, parcels)
	})
}

// DueDateOptions reads by how many days a capture's due date can be extended.
func (o *Operations) DueDateOptions(ctx context.Context, merchantAccount, orderID, captureID string) (klarna.DueDateOptions, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return klarna.DueDateOptions{}, err
	}
	if account, err = o.home(ctx, account, journal.KeyOrder, orderID); err != nil {
		return klarna.DueDateOptions{}, err
	}
	options, err := account.Klarna.DueDateOptions(ctx, orderID, captureID)
	if err != nil {
		return options, fmt.Errorf("read due date options of capture %s: %w", captureID, err)
	}
	return options, nil
}

// ExtendDueDate extends the due date of a capture; each time costs.
func (o *Operations) ExtendDueDate(ctx context.Context, req Request, orderID, captureID string, days int32) error {
	w := orderWrite{operation: "extendDueDate", orderID: orderID}
	return o.writeOrder(ctx, req, w, func(ctx context.Context, account Account, try attempt) error {
		if try.stale {
			return tooLate()
		}
		return account.Klarna.ExtendDueDate(ctx, try.key, orderID, captureID, days)
	})
}

// TriggerSendOut sends the customer a capture's invoice again.
func (o *Operations) TriggerSendOut(ctx context.Context, req Request, orderID, captureID string) error {
	w := orderWrite{operation: "triggerSendOut", orderID: orderID}
	return o.writeOrder(ctx, req, w, func(ctx context.Context, account Account, try attempt) error {
		if try.stale {
			return tooLate()
		}
		return account.Klarna.TriggerSendOut(ctx, try.key, orderID, captureID)
	})
}

// tooLate refuses a repeat whose key Klarna may have forgotten, where nothing that can be read tells whether the first
// attempt had its effect: a second effect was promised not to happen.
func tooLate() error {
	return refuse("OPERATION_NOT_ALLOWED", "the first attempt is too long ago to be repeated safely: it might be done twice; "+
		"make sure at Klarna that it was not done, then ask under a new request_id")
}
