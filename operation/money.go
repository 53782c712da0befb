package operation

import (
	"context"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// MovementAnswer is a capture or refund that was made.
type MovementAnswer struct {
	ID       string
	Currency string
	Made     journal.Movement
}

// clockSkew is how far Klarna's clock may be behind ours.
const clockSkew = time.Minute

// Capture claims part or all of an authorisation, at most what is left of it. The currency must be the order's. The
// reference must be unique among the order's captures; without one it is the request's id.
func (o *Operations) Capture(ctx context.Context, req Request, orderID, currency string, in klarna.CaptureRequest) (MovementAnswer, error) {
	if in.Reference == "" {
		in.Reference = req.ID
	}
	return o.move(ctx, req, movement{
		operation: "captureOrder", orderID: orderID, amount: in.CapturedAmount, currency: currency, reference: in.Reference,
		fund: fundCapture, short: "CAPTURE_NOT_ALLOWED",
		balance: func(p journal.Payment) balance { return balance{left: p.RemainingAmount, made: p.Captures} },
		send: func(ctx context.Context, account Account, key string) (string, error) {
			return account.Klarna.CaptureOrder(ctx, key, orderID, in)
		},
		tell: func(fact *journal.PaymentFact, made journal.Movement) { fact.Capture = &made },
	})
}

// Refund returns money to the customer, at most what is captured and not refunded. The currency must be the order's. The
// reference must be unique among the order's refunds; without one it is the request's id.
func (o *Operations) Refund(ctx context.Context, req Request, orderID, currency string, in klarna.RefundRequest) (MovementAnswer, error) {
	if in.Reference == "" {
		in.Reference = req.ID
	}
	return o.move(ctx, req, movement{
		operation: "refundOrder", orderID: orderID, amount: in.RefundedAmount, currency: currency, reference: in.Reference,
		fund: fundRefund, short: "REFUND_NOT_ALLOWED",
		balance: func(p journal.Payment) balance {
			return balance{left: p.CapturedAmount - p.RefundedAmount, made: p.Refunds}
		},
		send: func(ctx context.Context, account Account, key string) (string, error) {
			return account.Klarna.RefundOrder(ctx, key, orderID, in)
		},
		tell: func(fact *journal.PaymentFact, made journal.Movement) { fact.Refund = &made },
	})
}

// movement is what capturing and refunding share: money of an order moves once, never more than there is, and is on
// record with its answer.
type movement struct {
	operation           string // its name in the ledger and in Klarna's key, so it never changes
	orderID             string
	amount              int64 // minor units
	currency, reference string
	fund, short         string // see draft
	balance             func(journal.Payment) balance
	send                func(ctx context.Context, account Account, key string) (id string, err error)
	tell                func(*journal.PaymentFact, journal.Movement)
}

func (o *Operations) move(ctx context.Context, req Request, m movement) (MovementAnswer, error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return MovementAnswer{}, err
	}
	return once(ctx, o, m.operation, req.about(journal.JobReadOrder, m.orderID), func(ctx context.Context, try attempt) (done effect[MovementAnswer], err error) {
		payment, err := o.known(ctx, account, m.orderID)
		read := func() error {
			_, err := o.Order(ctx, account.Name, m.orderID, journal.Reconciled)
			return err
		}
		if err == nil && (try.stale || payment.Read == nil && payment.OrderAmount == 0) {
			err = read() // Klarna may have forgotten the key, or we do not know how much there is: what the order shows decides
		}
		if err != nil {
			return done, err
		}
		if m.currency != payment.Currency {
			return done, refuseField("amount.currency_code", "INVALID_FIELD", "must be the order's currency, %s", payment.Currency)
		}
		made, err := o.moveOnce(ctx, account.living(payment.CreatedAt, o.store.Now()), try, m, read)
		if err != nil {
			return done, fmt.Errorf("%s %s: %w", m.operation, m.orderID, err)
		}
		done.answer = MovementAnswer{ID: made.ID, Currency: m.currency, Made: made}
		done.record = o.recordPayment(m.fact(account.Name, made))
		return done, nil
	})
}

// moveOnce sends the movement once its money is reserved, unless the order shows that an earlier attempt has made it.
func (o *Operations) moveOnce(ctx context.Context, account Account, try attempt, m movement, read func() error) (journal.Movement, error) {
	d := draft{
		fund:      store.Fund{MerchantAccount: account.Name, Kind: m.fund, Key: m.orderID},
		reference: m.reference, amount: m.amount, currency: m.currency, short: m.short,
		sent: sentMovement{Amount: m.amount, Currency: m.currency, Reference: m.reference},
		balance: func(ctx context.Context, tx store.Tx) (balance, error) {
			payment, err := o.journal.PaymentByIn(ctx, tx, account.Name, journal.KeyOrder, m.orderID)
			return m.balance(payment), err
		},
	}
	made, err := o.drawOn(ctx, try, d, read)
	if err != nil {
		return journal.Movement{}, err
	}
	if made != nil {
		return *made, nil
	}
	id, err := m.send(ctx, account, try.key)
	if refused, decided := decision(err); decided && refused.Code == m.short {
		err = o.shortAfterAll(ctx, try, d, err, read)
	}
	return journal.Movement{ID: id, Reference: m.reference, Amount: m.amount, At: o.store.Now()}, err
}

func (m movement) fact(merchantAccount string, made journal.Movement) journal.PaymentFact {
	fact := journal.PaymentFact{
		EventID:         fmt.Sprintf("call:%s:%s:%s", merchantAccount, m.operation, made.ID),
		MerchantAccount: merchantAccount, Cause: journal.Call, At: made.At, OrderID: m.orderID,
	}
	m.tell(&fact, made)
	return fact
}
