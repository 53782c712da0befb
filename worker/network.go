package worker

import (
	"context"
	"errors"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// transactionReads is how often a transaction is read that is at no end and does not say when it will be.
const transactionReads = 24 * time.Hour

// readRequest makes good a notification that never came: it asks until the payment request is at its end, at the latest
// when Klarna said that it ends.
func (p *Pool) readRequest(ctx context.Context, job store.Job) (again time.Time, err error) {
	partnerID, id := journal.FromNetworkKey(job.Key)
	request, err := p.operations.PaymentRequest(ctx, job.MerchantAccount, partnerID, id)
	now := p.store.Now()
	switch {
	case err != nil:
		return again, p.unlessGone(ctx, job, err)
	case request.State == klarna.RequestCompleted:
		return p.awaitTransaction(ctx, job, partnerID, id)
	case request.State.Final():
		return again, nil
	}
	next := now.Add(min(sessionReadMin<<min(job.Attempt-1, 6), sessionReadMax))
	if end := request.ExpiresAt.Add(expiryGrace); !request.ExpiresAt.IsZero() && end.After(now) && next.After(request.ExpiresAt.Time) {
		return end, nil
	}
	return next, nil
}

// awaitTransaction raises attention if a completed payment request's token runs out unused.
func (p *Pool) awaitTransaction(ctx context.Context, job store.Job, partnerID, id string) (again time.Time, err error) {
	payment, err := p.journal.PaymentBy(ctx, job.MerchantAccount, journal.KeyRequest, id)
	switch end := payment.TokenAt.Add(journal.SessionTokenLife + expiryGrace); {
	case errors.Is(err, store.ErrNotFound), err == nil && (payment.Network.TransactionID != "" || payment.TokenCancelled || payment.State.Final()):
		return again, nil
	case err != nil:
		return again, err
	case end.After(p.store.Now()):
		return end, nil
	}
	return again, p.operations.NotAuthorized(ctx, job.MerchantAccount, partnerID, id)
}

// readTransaction reads the truth about a transaction, and comes back as its authorisation runs out, until it is at its
// end. Klarna: what has expired is closed a week later, unless it is extended.
func (p *Pool) readTransaction(ctx context.Context, job store.Job) (again time.Time, err error) {
	partnerID, id := journal.FromNetworkKey(job.Key)
	transaction, err := p.operations.Transaction(ctx, job.MerchantAccount, partnerID, id)
	now := p.store.Now()
	switch end := transaction.ExpiresAt.Add(expiryGrace); {
	case err != nil:
		return again, p.unlessGone(ctx, job, err)
	case transaction.State == klarna.TransactionClosed:
		return again, nil
	case transaction.State == klarna.TransactionCompleted: // refunds, chargebacks and disputes may follow
	case transaction.State == klarna.TransactionAuthorized && end.After(now):
		if again, err = p.operations.TransactionExpiry(ctx, job.MerchantAccount, partnerID, transaction); err != nil {
			return again, err
		}
	default:
		again = now.Add(transactionReads)
	}
	payment, err := p.journal.PaymentBy(ctx, job.MerchantAccount, journal.KeyTransaction, id)
	if err != nil || payment.State.Final() {
		return again, err
	}
	return sooner(again, p.reconcile.next(now, payment.UpdatedAt)), nil
}
