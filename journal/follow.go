package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

// Kinds of work that follow from facts. The key of a job is the Klarna id that it is about.
const (
	JobReadSession        = "read_session"       // the callback may be lost: read the session
	JobPlaceOrder         = "place_order"        // turn an authorisation into its one order
	JobReadOrder          = "read_order"         // read the truth about an order
	JobReadPushed         = "read_pushed_order"  // a push came: the order is the proof
	JobReadHostedPage     = "read_hosted_page"   // Klarna told of a hosted page; the payload is its session
	JobAcknowledge        = "acknowledge"        // tell Klarna until it says yes
	JobRemindAcknowledge  = "remind_acknowledge" // raise attention before the pushes end
	JobReleaseToken       = "release_token"      // give back an authorisation that came after the order
	JobReadAccount        = "read_account"       // the notification may be lost: read the account
	JobResolve            = "resolve_request"    // find out what became of a request; the key is its operation and id
	JobExpireToken        = "expire_token"       // tell that an authorisation ran out before there was an order
	JobAwaitPayment       = "await_payment"      // raise attention if a payment status was told to be open, and then nothing
	JobEndOrphan          = "end_orphan"         // what nobody has has lapsed
	JobScrub              = "scrub_erased"       // look for what an erased key does not reach; the key is the subject's id
	TokenLife             = 60 * time.Minute     // Klarna: an authorisation token is good for 60 minutes
	acknowledgeReminderAt = -8 * time.Hour       // before acknowledgeWithin ends: 40 h of the 48
	firstOrderRead        = 24 * time.Hour       // after an order was placed: the answer does not tell when it runs out
	expiryGrace           = 5 * time.Minute      // how long after an expiry Klarna is asked
	fraudRead             = time.Hour            // how often an order is read that Klarna has not decided on
	orphanLife            = 48 * time.Hour       // Klarna: a session lives for 48 hours, and its pages with it
)

// followPayment adds the work that follows from a change, in the same commit.
func (j *Journal) followPayment(ctx context.Context, tx store.Tx, before, after Payment, fact PaymentFact) error {
	now := j.store.Now()
	var errs []error
	follow := func(wanted bool, kind, key string, at, deadline time.Time) {
		if !wanted {
			return
		}
		err := tx.AddJob(ctx, store.Job{
			Kind: kind, MerchantAccount: after.MerchantAccount, Key: key, RunAt: at, Deadline: deadline,
			CreatedAt: now, TraceParent: fact.TraceParent,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("add job %s: %w", kind, err))
		}
	}
	policy := j.policy(after.MerchantAccount)
	settled := after.Currency != "" && after.OrderID == "" && after.SessionID != "" // the session is known and waits for its order

	follow(fact.Session != nil && !fact.Session.Updated && after.OrderID == "", JobReadSession, after.SessionID, now.Add(j.sessionReadDelay), time.Time{})
	follow(settled && after.State == Authorized && (after.Token != before.Token || before.Currency == "") && after.automatic(policy),
		JobPlaceOrder, after.SessionID, now, after.TokenAt.Add(TokenLife))
	follow(fact.Token != "" && after.Token == fact.Token && before.Token != fact.Token && after.OrderID == "",
		JobExpireToken, after.SessionID, after.TokenAt.Add(TokenLife), time.Time{})
	if fact.Token != "" && after.OrderID != "" && fact.Token != after.Token && fact.Cause != Reconciled {
		err := tx.AddJob(ctx, store.Job{ // the token is a secret: it travels sealed, in the payload
			Kind: JobReleaseToken, MerchantAccount: after.MerchantAccount, Key: TokenKey(fact.Token), Payload: []byte(fact.Token),
			RunAt: now, Deadline: now.Add(TokenLife), CreatedAt: now, TraceParent: fact.TraceParent,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("add job %s: %w", JobReleaseToken, err))
		}
	}
	follow(after.OrderID != "" && before.OrderID == "", JobReadOrder, after.OrderID, after.expiry(now), time.Time{})
	follow(after.FraudStatus == fraudPending && before.FraudStatus != fraudPending && after.OrderID != "", JobReadOrder, after.OrderID, now.Add(fraudRead), time.Time{})
	follow(after.Status == StatusUnpaid && before.Status != StatusUnpaid && after.OrderID != "", JobAwaitPayment, after.OrderID, now.Add(j.silentAfter), time.Time{})
	follow(fact.Orphan != "" && after.SessionID != "", JobEndOrphan, after.SessionID, now.Add(orphanLife), time.Time{})
	overdue := after.AcknowledgeBy.Add(acknowledgeReminderAt)
	follow(after.Checkout && !before.Checkout && !after.Acknowledged && policy.AcknowledgeOrders, JobAcknowledge, after.OrderID, now, overdue)
	follow(after.Checkout && !before.Checkout && !after.Acknowledged && !policy.AcknowledgeOrders, JobRemindAcknowledge, after.OrderID, overdue, time.Time{})
	follow(after.AcknowledgeWanted && !before.AcknowledgeWanted && !after.Acknowledged, JobAcknowledge, after.OrderID, now, overdue)
	follow(len(after.Attentions) > len(before.Attentions) && fact.Cause == Notification && after.OrderID != "", JobReadOrder, after.OrderID, now, time.Time{})
	j.followNetwork(follow, before, after, fact)
	return errors.Join(errs...)
}

// automatic tells whether the gateway places the order.
func (p *Payment) automatic(policy Policy) bool {
	switch p.OrderPolicy {
	case OrderAutomatic:
		return true
	case OrderByCaller:
		return false
	default:
		return policy.PlaceOrders
	}
}

// expiry is when to ask Klarna how far the order's authorisation is from its end.
func (p *Payment) expiry(now time.Time) time.Time {
	if p.Read != nil && p.ExpiresAt.After(now) {
		return ExpiryMoment(now, p.ExpiresAt)
	}
	return now.Add(firstOrderRead)
}
