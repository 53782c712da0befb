package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// No job is dropped without a word: it ends because it is done, because a clock has made it pointless, or with a matter for
// a person.

// giveUp puts down a job whose deadline has passed. Placing an order ends, and a person is told unless somebody else has
// placed it. Acknowledging goes on, and a person is told. A token that was to be given back has run out by itself.
func (p *Pool) giveUp(ctx context.Context, job store.Job, why string) error {
	fact := journal.PaymentFact{MerchantAccount: job.MerchantAccount, Cause: journal.Clock, At: p.store.Now()}
	switch job.Kind {
	case journal.JobPlaceOrder:
		fact.EventID, fact.SessionID = fmt.Sprintf("clock:%s:given_up:%d", job.MerchantAccount, job.ID), job.Key
		fact.Attention = &journal.Attention{Reason: journal.WorkGivenUp, Message: "no order could be placed before the authorisation ran out"}
	case journal.JobAcknowledge:
		if err := p.remind(ctx, job); err != nil {
			return err
		}
		return p.postpone(ctx, job, p.jitter(longestWait(job.Attempt)), why)
	case journal.JobReleaseToken:
		return p.store.Do(ctx, func(tx store.Tx) error { return tx.FinishJob(ctx, job.ID) })
	default: // only these have a deadline; of another one, of a later version, a person is told
		return p.postpone(ctx, job, p.jitter(longestWait(job.Attempt)), why)
	}
	return p.store.Do(ctx, func(tx store.Tx) error {
		payment, err := p.journal.PaymentByIn(ctx, tx, job.MerchantAccount, journal.KeySession, job.Key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if payment.OrderID == "" {
			if _, err := p.journal.PaymentIn(ctx, tx, fact); err != nil {
				return err
			}
		}
		return tx.FinishJob(ctx, job.ID)
	})
}

// postpone gives a job back whose attempt failed. If they have failed for long, a person is told.
func (p *Pool) postpone(ctx context.Context, job store.Job, wait time.Duration, why string) error {
	now := p.store.Now()
	return p.store.Do(ctx, func(tx store.Tx) error {
		if began := job.FailingSince; !began.IsZero() && now.Sub(began) >= p.failing {
			if err := p.journal.RaiseAgainIn(ctx, tx, failing(job), journal.Clock, began); err != nil {
				return err
			}
		}
		return tx.RetryJob(ctx, job.ID, now.Add(wait), why)
	})
}

// worked ends the matter of a job that has failed for long and does not any more.
func (p *Pool) worked(ctx context.Context, tx store.Tx, job store.Job) error {
	if job.FailingSince.IsZero() {
		return nil
	}
	return p.journal.EndIn(ctx, tx, failing(job).ID, journal.Clock)
}

// failing is the matter of a job that fails.
func failing(job store.Job) journal.Matter {
	m := journal.Matter{
		ID: journal.MatterID(job.MerchantAccount, journal.WorkFailing, job.Kind+" "+job.Key), MerchantAccount: job.MerchantAccount,
		Reason:  journal.WorkFailing,
		Message: fmt.Sprintf("%s has failed since %s; the job says why, and is tried on", job.Kind, job.FailingSince.UTC().Format(time.RFC3339)),
	}
	if len(job.Payload) == 0 { // a retry would lose it
		m.About.Work = journal.Work{Kind: job.Kind, Key: job.Key}
	}
	switch job.Kind {
	case journal.JobReadSession, journal.JobPlaceOrder, journal.JobExpireToken, journal.JobEndOrphan:
		m.About.SessionID = job.Key
	case journal.JobReadOrder, journal.JobReadPushed, journal.JobAcknowledge, journal.JobRemindAcknowledge, journal.JobAwaitPayment:
		m.About.OrderID = job.Key
	case journal.JobReadTransaction:
		m.About.PartnerAccountID, m.About.OrderID = journal.FromNetworkKey(job.Key)
	case journal.JobReadRequest:
		m.About.PartnerAccountID, _ = journal.FromNetworkKey(job.Key)
	case journal.JobReadAccount:
		m.About.PartnerAccountID = job.Key
	}
	return m
}

// showsLate is how long Klarna may not show what it has.
const showsLate = 10 * time.Minute

// missing takes Klarna's word that it does not know something. If it is on record here it is asked for again for a while,
// and then needs attention.
func (p *Pool) missing(ctx context.Context, job store.Job, cause error) error {
	fact := journal.PaymentFact{
		EventID:         fmt.Sprintf("clock:%s:missing:%s:%s", job.MerchantAccount, job.Kind, job.Key),
		MerchantAccount: job.MerchantAccount, Cause: journal.Reconciled, At: p.store.Now(),
		Attention: &journal.Attention{Reason: journal.Conflict, Ref: "missing", Message: "Klarna does not know it under this merchant account"},
	}
	kind, key := journal.KeyOrder, job.Key
	switch job.Kind {
	case journal.JobReadOrder:
		fact.OrderID = key
	case journal.JobReadRequest, journal.JobReadTransaction:
		partnerID, id := journal.FromNetworkKey(key)
		kind, key = journal.KeyRequest, id
		fact.Network = &journal.NetworkFacts{PartnerAccountID: partnerID, Network: journal.Network{RequestID: id}}
		if job.Kind == journal.JobReadTransaction {
			kind, fact.Network.Network = journal.KeyTransaction, journal.Network{TransactionID: id}
		}
	default:
		return nil
	}
	payment, err := p.journal.PaymentBy(ctx, job.MerchantAccount, kind, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && payment.State.Final() {
		return nil
	}
	if began := job.FailingSince; err == nil && (began.IsZero() || p.store.Now().Sub(began) < showsLate) {
		return cause
	}
	if err == nil {
		_, err = p.journal.RecordPayment(ctx, fact)
	}
	return err
}

// undecided raises attention for an order that Klarna has not decided on for long.
func (p *Pool) undecided(ctx context.Context, payment journal.Payment) error {
	if p.store.Now().Sub(payment.CreatedAt) < fraudDoubt {
		return nil
	}
	return p.attend(ctx, payment, "pending", journal.FraudPending, "Klarna has not decided on the order for a day; do not ship")
}

// awaitPayment raises attention for an order that is told to be unpaid, and then nothing. Its payment status cannot be
// asked for. What the order shows is taken first: of a cancelled one it is concluded that it is CLOSED.
func (p *Pool) awaitPayment(ctx context.Context, job store.Job) error {
	if _, err := p.operations.Order(ctx, job.MerchantAccount, job.Key, journal.Reconciled); err != nil && !gone(err) {
		return err
	}
	payment, err := p.journal.PaymentBy(ctx, job.MerchantAccount, journal.KeyOrder, job.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil || payment.Status != journal.StatusUnpaid || payment.State.Final():
		return err
	}
	return p.attend(ctx, payment, "silent", journal.SilentPayment, "UNPAID since "+payment.StatusAt.UTC().Format(time.RFC3339)+", and no other word of Klarna's")
}

// attend raises a matter of a payment with an order, once.
func (p *Pool) attend(ctx context.Context, payment journal.Payment, what string, why journal.AttentionReason, message string) error {
	_, err := p.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID:         fmt.Sprintf("clock:%s:%s:%s", payment.MerchantAccount, what, payment.OrderID),
		MerchantAccount: payment.MerchantAccount, Cause: journal.Clock, At: p.store.Now(), OrderID: payment.OrderID,
		Attention: &journal.Attention{Reason: why, Message: message},
	})
	return err
}

// endOrphan ends the matter of what may have existed beside a session: it has lapsed.
func (p *Pool) endOrphan(ctx context.Context, job store.Job) error {
	payment, err := p.journal.PaymentBy(ctx, job.MerchantAccount, journal.KeySession, job.Key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	open := slices.ContainsFunc(payment.Attentions, func(a journal.Attention) bool { return a.Reason == journal.OrphanPossible })
	if err != nil || !open {
		return err
	}
	_, err = p.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID:         fmt.Sprintf("clock:%s:orphan:%s:%d", job.MerchantAccount, job.Key, len(payment.Orphans)),
		MerchantAccount: job.MerchantAccount, Cause: journal.Clock, At: p.store.Now(), SessionID: job.Key, Settled: journal.OrphanPossible,
	})
	return err
}
