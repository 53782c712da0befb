package operation

import (
	"context"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
)

// MovementAnswer is a capture or refund that was made.
type MovementAnswer struct {
	ID       string
	Currency string
	Made     journal.Movement
}

// Capture claims part or all of an authorisation. The currency must be the order's.
func (o *Operations) Capture(ctx context.Context, req Request, orderID, currency string, in klarna.CaptureRequest) (MovementAnswer, error) {
	return o.move(ctx, "captureOrder", req, orderID, currency, func(ctx context.Context, account Account, try attempt, payment journal.Payment) (journal.Movement, error) {
		if try.stale {
			if made, found := find(payment.Captures, in.Reference, in.CapturedAmount, try.row.FirstSent); found {
				return made, nil
			}
		}
		id, err := account.Klarna.CaptureOrder(ctx, try.key, orderID, in)
		return journal.Movement{ID: id, Reference: in.Reference, Amount: in.CapturedAmount}, err
	}, func(fact *journal.PaymentFact, made journal.Movement) { fact.Capture = &made })
}

// Refund returns money to the customer. The currency must be the order's.
func (o *Operations) Refund(ctx context.Context, req Request, orderID, currency string, in klarna.RefundRequest) (MovementAnswer, error) {
	return o.move(ctx, "refundOrder", req, orderID, currency, func(ctx context.Context, account Account, try attempt, payment journal.Payment) (journal.Movement, error) {
		if try.stale {
			if made, found := find(payment.Refunds, in.Reference, in.RefundedAmount, try.row.FirstSent); found {
				return made, nil
			}
		}
		id, err := account.Klarna.RefundOrder(ctx, try.key, orderID, in)
		return journal.Movement{ID: id, Reference: in.Reference, Amount: in.RefundedAmount}, err
	}, func(fact *journal.PaymentFact, made journal.Movement) { fact.Refund = &made })
}

// move is what capturing and refunding share: money moves once, and is on record with its answer.
func (o *Operations) move(ctx context.Context, operation string, req Request, orderID, currency string,
	send func(context.Context, Account, attempt, journal.Payment) (journal.Movement, error),
	tell func(*journal.PaymentFact, journal.Movement),
) (MovementAnswer, error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return MovementAnswer{}, err
	}
	return once(ctx, o, operation, req.about(journal.JobReadOrder, orderID), func(ctx context.Context, try attempt) (done effect[MovementAnswer], err error) {
		payment, err := o.known(ctx, account, orderID)
		if err == nil && try.stale { // Klarna may have forgotten the key: what the order shows decides
			if _, err = o.Order(ctx, account.Name, orderID, journal.Reconciled); err == nil {
				payment, err = o.paymentBy(ctx, account.Name, journal.KeyOrder, orderID)
			}
		}
		if err != nil {
			return done, err
		}
		if currency != payment.Currency {
			return done, refuseField("amount.currency_code", "INVALID_FIELD", "must be the order's currency, %s", payment.Currency)
		}
		made, err := send(ctx, account, try, payment)
		if err != nil {
			return done, o.unsettled(ctx, account.Name, orderID, fmt.Errorf("%s %s: %w", operation, orderID, err))
		}
		made.At = o.store.Now()
		fact := journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:%s:%s", account.Name, operation, made.ID),
			MerchantAccount: account.Name, Cause: journal.Call, At: made.At, OrderID: orderID,
		}
		tell(&fact, made)
		done.answer = MovementAnswer{ID: made.ID, Currency: currency, Made: made}
		done.record = o.recordPayment(fact)
		return done, nil
	})
}

// clockSkew is how far Klarna's clock may be behind ours.
const clockSkew = time.Minute

// find looks for a movement that can only be the one we asked for: made since then, with the same reference and amount.
func find(list []journal.Movement, reference string, amount int64, since time.Time) (journal.Movement, bool) {
	for _, m := range list {
		if reference != "" && m.Reference == reference && m.Amount == amount && m.At.After(since.Add(-clockSkew)) {
			return m, true
		}
	}
	return journal.Movement{}, false
}
