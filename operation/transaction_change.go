package operation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// transactionChange is a write to a transaction that moves no money to or fro.
type transactionChange struct {
	operation     string // its name in the ledger and in Klarna's key, so it never changes
	partnerID, id string
	currency      string // of the amount, if there is one
	send          func(ctx context.Context, c *klarna.Client, key string) (klarna.Transaction, error)
	// done tells from a reading that an attempt whose key Klarna may have forgotten has had its effect. Nil: nothing tells.
	done   func(klarna.Transaction) bool
	again  bool // made a second time it changes nothing more: it says what shall be
	voided bool
}

// UpdateTransaction changes a transaction's amount, reference or purchase data. The currency, of an amount, must be the
// transaction's.
func (o *Operations) UpdateTransaction(ctx context.Context, req Request, partnerID, id, currency string, in klarna.TransactionUpdate) error {
	return o.changeTransaction(ctx, req, transactionChange{
		operation: "updateTransaction", partnerID: partnerID, id: id, currency: currency, again: true,
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.Transaction, error) {
			return c.UpdateTransaction(ctx, key, partnerID, id, in)
		},
	})
}

// VoidTransaction gives back what is not captured and will not be.
func (o *Operations) VoidTransaction(ctx context.Context, req Request, partnerID, id string) error {
	return o.changeTransaction(ctx, req, transactionChange{
		operation: "voidTransaction", partnerID: partnerID, id: id, voided: true,
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.Transaction, error) {
			return c.VoidTransaction(ctx, key, partnerID, id)
		},
		done: func(t klarna.Transaction) bool {
			return t.State == klarna.TransactionClosed || t.State == klarna.TransactionCompleted
		},
	})
}

// ExtendTransaction authorises a transaction again. The currency, of an amount, must be the transaction's.
func (o *Operations) ExtendTransaction(ctx context.Context, req Request, partnerID, id, currency string, in klarna.ExtendRequest) error {
	return o.changeTransaction(ctx, req, transactionChange{
		operation: "extendTransaction", partnerID: partnerID, id: id, currency: currency,
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.Transaction, error) {
			return c.ExtendTransaction(ctx, key, partnerID, id, in)
		},
	})
}

// changeTransaction makes a change once and records what the transaction shows after it. Klarna does not document what it
// answers: where that is no transaction, it is read.
func (o *Operations) changeTransaction(ctx context.Context, req Request, change transactionChange) error {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return err
	}
	about := req.about(journal.JobReadTransaction, journal.NetworkKey(change.partnerID, change.id))
	_, err = once(ctx, o, change.operation, about, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		payment, err := o.knownTransaction(ctx, account, change.partnerID, change.id)
		if err != nil {
			return done, err
		}
		if change.currency != "" && change.currency != payment.Currency {
			return done, refuseField("amount.currency_code", "INVALID_FIELD", "must be the transaction's currency, %s", payment.Currency)
		}
		if try.stale && !change.again { // Klarna may have forgotten the key: what the transaction shows decides
			read, err := o.Transaction(ctx, account.Name, change.partnerID, change.id)
			if err == nil && change.done == nil {
				err = tooLate()
			}
			if err != nil || change.done(read) {
				return done, err
			}
		}
		asked := o.store.Now()
		made, err := change.send(ctx, account.Klarna, try.key)
		if err != nil {
			return done, fmt.Errorf("%s %s: %w", change.operation, change.id, err)
		}
		fact := journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:%s:%s", account.Name, change.operation, req.ID),
			MerchantAccount: account.Name, Cause: journal.Call, At: asked, Raw: made.Raw,
		}
		if made.State == "" {
			made = o.shownTransaction(ctx, account, change)
		}
		fact.Network = transactionFacts(change.partnerID, made)
		fact.Network.Voided, fact.Network.Reread = change.voided, made.State == ""
		done.record = o.recordPayment(fact)
		return done, nil
	})
	return err
}

// shownTransaction reads the transaction that was just changed. If that fails the change is made nevertheless, and the
// transaction is read soon.
func (o *Operations) shownTransaction(ctx context.Context, account Account, change transactionChange) klarna.Transaction {
	read, err := account.Klarna.Transaction(ctx, change.partnerID, change.id)
	if err != nil {
		o.log.WarnContext(ctx, "changed transaction could not be read", "operation", change.operation, "payment_transaction_id", change.id, "error", err)
		return klarna.Transaction{PaymentTransactionID: change.id}
	}
	return read
}

// knownTransaction returns the payment of a transaction, read from Klarna if it is not on record or its amount is not.
func (o *Operations) knownTransaction(ctx context.Context, account Account, partnerID, id string) (journal.Payment, error) {
	payment, err := o.paymentOf(ctx, account.Name, partnerID, journal.KeyTransaction, id)
	if err == nil && payment.Currency != "" || err != nil && !errors.Is(err, store.ErrNotFound) {
		return payment, err
	}
	if _, err := o.Transaction(ctx, account.Name, partnerID, id); err != nil {
		return payment, err
	}
	return o.paymentOf(ctx, account.Name, partnerID, journal.KeyTransaction, id)
}

// NetworkCapture reads a capture of a transaction.
func (o *Operations) NetworkCapture(ctx context.Context, merchantAccount, partnerID, id string) (klarna.NetworkCapture, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return klarna.NetworkCapture{}, err
	}
	read, err := account.Klarna.NetworkCapture(ctx, partnerID, id)
	if err != nil {
		return read, fmt.Errorf("read capture %s: %w", id, err)
	}
	read.PaymentCaptureID = cmp.Or(read.PaymentCaptureID, id)
	o.noticeNetwork(ctx, account.Name, partnerID, read.PaymentTransactionID, id, func(p journal.Payment) []journal.Movement { return p.Captures })
	return read, nil
}

// NetworkRefund reads a refund of a transaction.
func (o *Operations) NetworkRefund(ctx context.Context, merchantAccount, partnerID, id string) (klarna.NetworkRefund, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return klarna.NetworkRefund{}, err
	}
	read, err := account.Klarna.NetworkRefund(ctx, partnerID, id)
	if err != nil {
		return read, fmt.Errorf("read refund %s: %w", id, err)
	}
	read.PaymentRefundID = cmp.Or(read.PaymentRefundID, id)
	o.noticeNetwork(ctx, account.Name, partnerID, read.PaymentTransactionID, id, func(p journal.Payment) []journal.Movement { return p.Refunds })
	return read, nil
}

// noticeNetwork has the transaction read if Klarna showed a movement that is not on record.
func (o *Operations) noticeNetwork(ctx context.Context, merchantAccount, partnerID, transactionID, id string, list func(journal.Payment) []journal.Movement) {
	if transactionID == "" {
		return
	}
	payment, err := o.paymentBy(ctx, merchantAccount, journal.KeyTransaction, transactionID)
	if err == nil && slices.ContainsFunc(list(payment), func(m journal.Movement) bool { return m.ID == id }) {
		return
	}
	o.readSoon(ctx, journal.JobReadTransaction, merchantAccount, journal.NetworkKey(partnerID, transactionID))
}

// Chargeback reads a chargeback from Klarna and records it, if it names its transaction.
func (o *Operations) Chargeback(ctx context.Context, merchantAccount, partnerID, id string) (klarna.Chargeback, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return klarna.Chargeback{}, err
	}
	read, err := account.Klarna.Chargeback(ctx, partnerID, id)
	if err != nil {
		return read, fmt.Errorf("read chargeback %s: %w", id, err)
	}
	read.PaymentChargebackID = cmp.Or(read.PaymentChargebackID, id)
	if read.PaymentTransactionID == "" {
		return read, nil
	}
	_, err = o.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID: fmt.Sprintf("read:%s:%s", account.Name, id), MerchantAccount: account.Name, Cause: journal.Reconciled, At: o.store.Now(),
		Network: &journal.NetworkFacts{
			PartnerAccountID: partnerID, Kind: journal.KindChargedBack,
			Network: journal.Network{
				TransactionID: read.PaymentTransactionID,
				Chargebacks:   []journal.Movement{{ID: id, Amount: read.ChargedBackAmount(), At: read.CreatedAt.Time}},
			},
		},
	})
	return read, err
}
