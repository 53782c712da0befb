package operation

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
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
	in.Reference = cmp.Or(in.Reference, req.ID)
	return o.move(ctx, req, capturing(movement{
		operation: "captureOrder", of: o.ofOrder(orderID), amount: in.CapturedAmount, currency: currency, reference: in.Reference,
		send: func(ctx context.Context, account Account, key string) (string, error) {
			return account.Klarna.CaptureOrder(ctx, key, orderID, in)
		},
	}))
}

// Refund returns money to the customer, at most what is captured and not refunded. The currency must be the order's. The
// reference must be unique among the order's refunds; without one it is the request's id.
func (o *Operations) Refund(ctx context.Context, req Request, orderID, currency string, in klarna.RefundRequest) (MovementAnswer, error) {
	in.Reference = cmp.Or(in.Reference, req.ID)
	return o.move(ctx, req, refunding(movement{
		operation: "refundOrder", of: o.ofOrder(orderID), amount: in.RefundedAmount, currency: currency, reference: in.Reference,
		send: func(ctx context.Context, account Account, key string) (string, error) {
			return account.Klarna.RefundOrder(ctx, key, orderID, in)
		},
	}))
}

// CaptureTransaction claims part or all of a transaction on the Network, as Capture does of an order.
func (o *Operations) CaptureTransaction(ctx context.Context, req Request, partnerID, id, currency string, in klarna.NetworkCaptureRequest) (MovementAnswer, error) {
	in.PaymentCaptureReference = cmp.Or(in.PaymentCaptureReference, req.ID)
	return o.move(ctx, req, capturing(movement{
		operation: "captureTransaction", of: o.ofTransaction(partnerID, id), amount: in.CaptureAmount, currency: currency, reference: in.PaymentCaptureReference,
		send: func(ctx context.Context, account Account, key string) (string, error) {
			made, err := account.Klarna.CaptureTransaction(ctx, key, partnerID, id, in)
			return made.PaymentCaptureID, err
		},
	}))
}

// RefundTransaction returns money of a transaction on the Network, or of one capture of it if that is named, as Refund
// does of an order.
func (o *Operations) RefundTransaction(ctx context.Context, req Request, partnerID, id, captureID, currency string, in klarna.NetworkRefundRequest) (MovementAnswer, error) {
	in.Reference = cmp.Or(in.Reference, req.ID)
	return o.move(ctx, req, refunding(movement{
		operation: "refundTransaction", of: o.ofTransaction(partnerID, id), amount: in.RefundAmount, currency: currency, reference: in.Reference,
		send: func(ctx context.Context, account Account, key string) (refundID string, err error) {
			var made klarna.NetworkRefund
			if captureID != "" {
				made, err = account.Klarna.RefundCapture(ctx, key, partnerID, captureID, in)
			} else {
				made, err = account.Klarna.RefundTransaction(ctx, key, partnerID, id, in)
			}
			return made.PaymentRefundID, err
		},
	}))
}

// movement is what capturing and refunding share: money moves once, never more than there is, and is on record with its
// answer.
type movement struct {
	operation           string // its name in the ledger and in Klarna's key, so it never changes
	of                  movable
	amount              int64 // minor units
	currency, reference string
	fund, short         string // see draft
	balance             func(journal.Payment) balance
	send                func(ctx context.Context, account Account, key string) (id string, err error)
	tell                func(*journal.PaymentFact, journal.Movement)
}

func capturing(m movement) movement {
	m.fund, m.short = fundCapture, "CAPTURE_NOT_ALLOWED"
	m.balance = func(p journal.Payment) balance { return balance{left: p.RemainingAmount, made: p.Captures} }
	m.tell = func(fact *journal.PaymentFact, made journal.Movement) { fact.Capture = &made }
	return m
}

func refunding(m movement) movement {
	m.fund, m.short = fundRefund, "REFUND_NOT_ALLOWED"
	m.balance = func(p journal.Payment) balance {
		return balance{left: p.CapturedAmount - p.RefundedAmount, made: p.Refunds}
	}
	m.tell = func(fact *journal.PaymentFact, made journal.Movement) { fact.Refund = &made }
	return m
}

// movable is what money moves of: an order, or a transaction on the Network.
type movable struct {
	api        API
	key, id    string // its key in the log
	job, about string // the reading that shows what became of it
	known      func(context.Context, Account) (journal.Payment, error)
	is         func(journal.Payment) bool // what is on record under the key is what is asked for, with what has to be known of it
	read       func(context.Context, Account) error
	identify   func(*journal.PaymentFact)
	mayBeShort func(*klarna.Error) bool // Klarna's refusal may mean that there is not enough
}

func (o *Operations) ofOrder(id string) movable {
	return movable{
		api: RegionalAPI, key: journal.KeyOrder, id: id, job: journal.JobReadOrder, about: id,
		known: func(ctx context.Context, account Account) (journal.Payment, error) { return o.known(ctx, account, id) },
		is:    func(p journal.Payment) bool { return p.Currency != "" },
		read: func(ctx context.Context, account Account) error {
			_, err := o.Order(ctx, account.Name, id, journal.Reconciled)
			return err
		},
		identify: func(fact *journal.PaymentFact) { fact.OrderID = id },
		mayBeShort: func(refused *klarna.Error) bool {
			return refused.Code == "CAPTURE_NOT_ALLOWED" || refused.Code == "REFUND_NOT_ALLOWED"
		},
	}
}

// ofTransaction: Klarna does not document how it refuses more than there is.
func (o *Operations) ofTransaction(partnerID, id string) movable {
	return movable{
		api: NetworkAPI, key: journal.KeyTransaction, id: id, job: journal.JobReadTransaction, about: journal.NetworkKey(partnerID, id),
		known: func(ctx context.Context, account Account) (journal.Payment, error) {
			return o.knownTransaction(ctx, account, partnerID, id)
		},
		is: func(p journal.Payment) bool { return p.Currency != "" && ofPartner(p, partnerID) },
		read: func(ctx context.Context, account Account) error {
			_, err := o.Transaction(ctx, account.Name, partnerID, id)
			return err
		},
		identify: func(fact *journal.PaymentFact) {
			fact.Network = &journal.NetworkFacts{PartnerAccountID: partnerID, Network: journal.Network{TransactionID: id}}
		},
		mayBeShort: func(refused *klarna.Error) bool {
			return refused.Status == http.StatusBadRequest || refused.Status == http.StatusForbidden || refused.Status == http.StatusConflict
		},
	}
}

func (o *Operations) move(ctx context.Context, req Request, m movement) (MovementAnswer, error) {
	account, err := o.account(req.MerchantAccount, m.of.api)
	if err != nil {
		return MovementAnswer{}, err
	}
	var drawn journal.Known // as the commit that drew on it saw it
	d := o.draft(account, m, &drawn)
	req = req.about(m.of.job, m.of.about)
	req.with = o.drawFirst(d)
	return once(ctx, o, m.operation, req, func(ctx context.Context, try attempt) (done effect[MovementAnswer], err error) {
		payment := drawn.Payment
		if !*try.drew || !m.of.is(payment) {
			payment, err = m.of.known(ctx, account)
		}
		read := func() error { return m.of.read(ctx, account) }
		if err == nil && (try.stale || payment.Read == nil && payment.OrderAmount == 0) {
			err = read() // Klarna may have forgotten the key, or we do not know how much there is: what Klarna shows decides
		}
		if err != nil {
			return done, err
		}
		if m.currency != payment.Currency {
			return done, wrongCurrency(payment)
		}
		made, err := o.moveOnce(ctx, account.living(payment.CreatedAt, o.store.Now()), try, m, d, read)
		if err != nil {
			return done, fmt.Errorf("%s %s: %w", m.operation, m.of.id, err)
		}
		done.answer = MovementAnswer{ID: made.ID, Currency: m.currency, Made: made}
		fact := m.fact(account.Name, made)
		fact.Known = &drawn
		done.record = o.recordPayment(fact)
		return done, nil
	})
}

// draft is the money that the movement needs. The payment that it was drawn on is told.
func (o *Operations) draft(account Account, m movement, drawn *journal.Known) draft {
	return draft{
		fund:      store.Fund{MerchantAccount: account.Name, Kind: m.fund, Key: m.of.id},
		reference: m.reference, amount: m.amount, currency: m.currency, short: m.short,
		sent: sentMovement{Amount: m.amount, Currency: m.currency, Reference: m.reference},
		balance: func(ctx context.Context, tx store.Tx) (balance, error) {
			known, err := o.journal.KnownIn(ctx, tx, account.Name, m.of.key, m.of.id)
			if err == nil && known.Payment.Currency != m.currency {
				err = wrongCurrency(known.Payment)
			}
			*drawn = known
			return m.balance(known.Payment), err
		},
	}
}

func wrongCurrency(payment journal.Payment) *Refusal {
	return refuseField("amount.currency_code", "INVALID_FIELD", "must be the order's currency, %s", payment.Currency)
}

// moveOnce sends the movement once its money is reserved, unless Klarna's figures show that an earlier attempt has made it.
func (o *Operations) moveOnce(ctx context.Context, account Account, try attempt, m movement, d draft, read func() error) (journal.Movement, error) {
	made, err := o.drawOn(ctx, try, d, read)
	if err != nil {
		return journal.Movement{}, err
	}
	if made != nil {
		return *made, nil
	}
	id, err := m.send(ctx, account, try.key)
	if refused, decided := decision(err); decided && m.of.mayBeShort(refused) {
		err = o.shortAfterAll(ctx, try, d, err, read)
	}
	return journal.Movement{ID: id, Reference: m.reference, Amount: m.amount, At: o.store.Now()}, err
}

func (m movement) fact(merchantAccount string, made journal.Movement) journal.PaymentFact {
	fact := journal.PaymentFact{
		EventID:         fmt.Sprintf("call:%s:%s:%s", merchantAccount, m.operation, made.ID),
		MerchantAccount: merchantAccount, Cause: journal.Call, At: made.At,
	}
	m.of.identify(&fact)
	m.tell(&fact, made)
	return fact
}
