package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// How often resources are read that do not come to rest by themselves.
const (
	sessionReadMin = 2 * time.Minute
	sessionReadMax = 30 * time.Minute
	accountReads   = 15 * time.Minute
	accountDoubt   = 24 * time.Hour // then Klarna has given up telling: it is read less often, and needs attention
	accountSlow    = time.Hour
	fraudReads     = time.Hour
	fraudDoubt     = 24 * time.Hour // Klarna: most decisions take no longer
	expiryGrace    = 5 * time.Minute
)

// handle does a job. A time says that the job is to run again then; zero, without an error, that it is finished.
func (p *Pool) handle(ctx context.Context, job store.Job) (again time.Time, err error) {
	switch job.Kind {
	case journal.JobReadSession:
		if again, err = p.readSession(ctx, job); err == nil && again.IsZero() {
			err = p.operations.SettlePlacing(ctx, job.MerchantAccount, job.Key, true)
		}
		return again, err
	case journal.JobPlaceOrder:
		return again, p.placeOrder(ctx, job)
	case journal.JobReadOrder:
		return p.readOrder(klarna.Background(ctx), job)
	case journal.JobReadPushed:
		_, err := p.operations.Order(ctx, job.MerchantAccount, job.Key, journal.Push)
		return again, p.unlessGone(ctx, job, err)
	case journal.JobReadHostedPage:
		_, err := p.operations.HostedPage(ctx, job.MerchantAccount, job.Key, string(job.Payload))
		return again, p.unlessGone(ctx, job, err)
	case journal.JobAcknowledge:
		return again, p.operations.Acknowledge(ctx, job.MerchantAccount, job.Key)
	case journal.JobRemindAcknowledge:
		return again, p.remind(ctx, job)
	case journal.JobReleaseToken:
		return again, p.operations.ReleaseToken(ctx, job.MerchantAccount, string(job.Payload))
	case journal.JobReadAccount:
		return p.readAccount(klarna.Background(ctx), job)
	case journal.JobExpireToken:
		return p.operations.ExpireToken(ctx, job.MerchantAccount, job.Key)
	case journal.JobResolve:
		return p.operations.Resolve(ctx, job.MerchantAccount, job.Key)
	case journal.JobReadRequest:
		return p.readRequest(ctx, job)
	case journal.JobReadTransaction:
		return p.readTransaction(klarna.Background(ctx), job)
	case journal.JobAwaitPayment:
		return again, p.awaitPayment(ctx, job)
	case journal.JobEndOrphan:
		return again, p.endOrphan(ctx, job)
	case journal.JobScrub:
		return again, p.journal.ScrubOn(ctx, job, p.lease/4)
	default:
		return p.store.Now().Add(time.Hour), nil // a newer version's work: leave it to that one
	}
}

// readSession recovers a callback that never came, and notices when the session runs out.
func (p *Pool) readSession(ctx context.Context, job store.Job) (again time.Time, err error) {
	payment, err := p.journal.PaymentBy(ctx, job.MerchantAccount, journal.KeySession, job.Key)
	if err != nil && !errors.Is(err, store.ErrNotFound) || payment.OrderID != "" || payment.State.Final() {
		return again, err
	}
	now := p.store.Now()
	session, err := p.operations.Session(ctx, job.MerchantAccount, job.Key)
	expires := payment.ExpiresAt
	if expires.IsZero() { // opened past us
		expires = session.ExpiresAt
	}
	switch {
	case gone(err) && now.After(expires):
		return again, p.operations.ExpireSession(ctx, job.MerchantAccount, job.Key)
	case gone(err):
		return expires.Add(expiryGrace), nil
	case err != nil:
		return again, err
	case session.Status == klarna.SessionComplete: // an answer was lost: what was sent, sent again, tells the order
		if placed, err := p.placedByPage(ctx, payment); placed || err != nil {
			return again, err
		}
		return again, p.placeOrder(ctx, job)
	case now.After(expires):
		return again, p.operations.ExpireSession(ctx, job.MerchantAccount, job.Key)
	}
	if err := p.operations.SettlePlacing(ctx, job.MerchantAccount, job.Key, false); err != nil {
		return again, err
	}
	again = now.Add(min(sessionReadMin<<min(job.Attempt-1, 6), sessionReadMax))
	if lastDay := expires.Add(-24 * time.Hour); lastDay.After(now) && again.After(lastDay) {
		again = lastDay
	}
	if again.After(expires) {
		again = expires.Add(expiryGrace)
	}
	return again, p.operations.SessionExpiry(ctx, job.MerchantAccount, job.Key, expires)
}

// placedByPage looks for the order of a completed session on its hosted pages: Klarna may have placed it there.
func (p *Pool) placedByPage(ctx context.Context, payment journal.Payment) (placed bool, err error) {
	for _, id := range payment.HostedPages {
		page, err := p.operations.HostedPage(ctx, payment.MerchantAccount, id, payment.SessionID)
		if page.OrderID != "" || err != nil && !gone(err) {
			return page.OrderID != "", err
		}
	}
	return false, nil
}

// final lists the refusals of ours that a repeat would only meet again.
var final = []string{"NOT_AUTHORIZED", "AUTHORIZATION_TOKEN_INVALID", "SESSION_COMPLETED", "PERSONAL_DATA_ERASED"}

// placeOrder turns an authorisation into its order. A refusal of Klarna's is final for the token and is on record.
func (p *Pool) placeOrder(ctx context.Context, job store.Job) error {
	_, err := p.operations.PlaceOrder(ctx, job.MerchantAccount, operation.NewOrder{SessionID: job.Key})
	var refusal *operation.Refusal
	refused, spent := operation.Spent(err)
	switch {
	case errors.As(err, &refusal) && p.late(job) && refusal.Reason() != "SESSION_COMPLETED":
		return err // it ran out over our attempts
	case errors.As(err, &refusal) && slices.Contains(final, refusal.Reason()):
		p.log.WarnContext(ctx, "order not placed", "session_id", job.Key, "reason", refusal.Reason())
		return nil
	case spent:
		p.log.WarnContext(ctx, "order refused by klarna", "session_id", job.Key, "klarna_error_code", refused.Code, "klarna_correlation_id", refused.CorrelationID)
		return nil
	}
	return err
}

// readOrder reads the truth about an order. It comes back as the authorisation runs out, while Klarna has not decided on
// it, and for as long as a silent one is reconciled.
func (p *Pool) readOrder(ctx context.Context, job store.Job) (again time.Time, err error) {
	order, err := p.operations.Order(ctx, job.MerchantAccount, job.Key, journal.Reconciled)
	if err != nil {
		return again, p.unlessGone(ctx, job, err)
	}
	if again, err = p.operations.Expiry(ctx, job.MerchantAccount, order); err != nil {
		return again, err
	}
	payment, err := p.journal.PaymentBy(ctx, job.MerchantAccount, journal.KeyOrder, job.Key)
	if err != nil || payment.State.Final() {
		return again, err
	}
	if order.FraudStatus == klarna.FraudPending {
		again = sooner(again, p.store.Now().Add(fraudReads))
		err = p.undecided(ctx, payment)
	}
	return sooner(again, p.reconcile.next(p.store.Now(), payment.UpdatedAt)), err
}

// remind raises attention for a checkout order that nobody has acknowledged.
func (p *Pool) remind(ctx context.Context, job store.Job) error {
	payment, err := p.journal.PaymentBy(ctx, job.MerchantAccount, journal.KeyOrder, job.Key)
	if err != nil || payment.Acknowledged || payment.State.Final() {
		return err
	}
	_, err = p.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID:         fmt.Sprintf("clock:%s:acknowledge:%s", job.MerchantAccount, job.Key),
		MerchantAccount: job.MerchantAccount, Cause: journal.Clock, At: p.store.Now(), OrderID: job.Key,
		Attention: &journal.Attention{
			Reason:  journal.AcknowledgeOverdue,
			Message: "not acknowledged; Klarna stops telling of the order at " + payment.AcknowledgeBy.UTC().Format(time.RFC3339),
		},
	})
	return err
}

// readAccount polls an account that does not become operational: the notification may be lost.
func (p *Pool) readAccount(ctx context.Context, job store.Job) (again time.Time, err error) {
	if err := p.operations.Partner(ctx, job.MerchantAccount, job.Key); err != nil {
		return again, p.unlessGone(ctx, job, err)
	}
	account, err := p.journal.AccountBy(ctx, job.MerchantAccount, journal.KeyAccount, job.Key)
	now := p.store.Now()
	switch {
	case err != nil:
		return again, err
	case account.State != journal.AccountPartial:
		return p.reconcile.account(now, account.UpdatedAt), nil
	case now.Sub(account.CreatedAt) < accountDoubt:
		return now.Add(accountReads), nil
	}
	return now.Add(accountSlow), p.journal.NotOperational(ctx, account)
}

// unlessGone ends a job about something that Klarna does not know, or does not show any more: an unsigned push may name
// anything. What is on record here and unknown there needs attention.
func (p *Pool) unlessGone(ctx context.Context, job store.Job, err error) error {
	if !gone(err) {
		return err
	}
	p.log.WarnContext(ctx, "klarna does not know it", "job", job.Kind, "key", job.Key)
	if errors.Is(err, klarna.ErrNotOffered) {
		return nil
	}
	return p.missing(ctx, job, err)
}

// gone tells that reading something will not help: Klarna does not know it, or the merchant account's profile does not
// offer to read it.
func gone(err error) bool {
	var refused *klarna.Error
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound || errors.Is(err, klarna.ErrNotOffered)
}
