package operation

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
)

// Expiry looks at when an order's authorisation runs out, as a reading has just shown it: watchers are told seven days
// and one day before, and when it is over with something left to capture. Where the merchant account wants it, it is
// extended on the last day, while that is still possible. A time says when to read the order again.
func (o *Operations) Expiry(ctx context.Context, merchantAccount string, order klarna.Order) (again time.Time, err error) {
	now := o.store.Now()
	open := order.Status == klarna.OrderAuthorized || order.Status == klarna.OrderPartCaptured
	over := !order.ExpiresAt.After(now)
	if !open || order.ExpiresAt.IsZero() || order.RemainingAuthorizedAmount == 0 && !over {
		return again, nil
	}
	within, due := journal.ExpiryWarning(now, order.ExpiresAt)
	if due && within <= 24*time.Hour && o.journal.Policy(merchantAccount).ExtendAuthorizations {
		extended, err := o.extend(ctx, merchantAccount, order)
		if err != nil {
			return again, err
		}
		if extended {
			payment, err := o.paymentBy(ctx, merchantAccount, journal.KeyOrder, order.OrderID)
			return journal.ExpiryMoment(now, payment.ExpiresAt), err
		}
	}
	if due || over {
		err = o.tellExpiry(ctx, merchantAccount, "order", order.OrderID, order.ExpiresAt, within, func(fact *journal.PaymentFact) { fact.OrderID = order.OrderID })
	}
	switch {
	case over && order.Status == klarna.OrderAuthorized && now.Before(order.ExpiresAt.Add(24*time.Hour)):
		return now.Add(time.Hour), err // Klarna will say so
	case over:
		return again, err
	}
	return journal.ExpiryMoment(now, order.ExpiresAt), err
}

// extend extends an authorisation. That Klarna does not allow it is no error: it then runs out.
func (o *Operations) extend(ctx context.Context, merchantAccount string, order klarna.Order) (extended bool, err error) {
	name := fmt.Sprintf("extend|%s|%s|%d", merchantAccount, order.OrderID, order.ExpiresAt.Unix())
	req := Request{MerchantAccount: merchantAccount, ID: uuid.NewSHA1(keyNamespace, []byte(name)).String()}
	err = o.ExtendAuthorization(ctx, req, order.OrderID)
	if refused, decided := decision(err); decided && settles(refused) {
		o.log.WarnContext(ctx, "klarna does not extend the authorisation", "order_id", order.OrderID, "merchant_account", merchantAccount,
			"klarna_error_code", refused.Code, "klarna_correlation_id", refused.CorrelationID)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("extend authorisation: %w", err)
	}
	payment, err := o.paymentBy(ctx, merchantAccount, journal.KeyOrder, order.OrderID)
	return err == nil && payment.ExpiresAt.After(order.ExpiresAt), err
}

// SessionExpiry tells watchers that a session without an order runs out in a day.
func (o *Operations) SessionExpiry(ctx context.Context, merchantAccount, sessionID string, expires time.Time) error {
	const within = 24 * time.Hour // it lives no longer than two days
	if now := o.store.Now(); now.Before(expires.Add(-within)) || !now.Before(expires) {
		return nil
	}
	return o.tellExpiry(ctx, merchantAccount, "session", sessionID, expires, within, func(fact *journal.PaymentFact) { fact.SessionID = sessionID })
}

// TransactionExpiry is Expiry for a transaction on the Klarna Network; nothing is extended there.
func (o *Operations) TransactionExpiry(ctx context.Context, merchantAccount, partnerID string, t klarna.Transaction) (again time.Time, err error) {
	now, expires := o.store.Now(), t.ExpiresAt.Time
	if within, due := journal.ExpiryWarning(now, expires); due {
		err = o.tellExpiry(ctx, merchantAccount, "transaction", t.PaymentTransactionID, expires, within, func(fact *journal.PaymentFact) {
			fact.Network = &journal.NetworkFacts{PartnerAccountID: partnerID, Network: journal.Network{TransactionID: t.PaymentTransactionID}}
		})
	}
	return journal.ExpiryMoment(now, expires), err
}

func (o *Operations) tellExpiry(ctx context.Context, merchantAccount, what, id string, expires time.Time, within time.Duration, about func(*journal.PaymentFact)) error {
	fact := journal.PaymentFact{
		EventID:         fmt.Sprintf("clock:%s:expiry:%s:%s:%d:%d", merchantAccount, what, id, expires.Unix(), int(within.Hours())),
		MerchantAccount: merchantAccount, Cause: journal.Clock, At: o.store.Now(), Expiry: &journal.ExpiryFacts{At: expires, Within: within},
	}
	about(&fact)
	_, err := o.journal.RecordPayment(ctx, fact)
	return err
}

// ExpireToken records that the authorisation of a session ran out before an order was made of it, unless Klarna shows a
// newer one or that the session is over. A time says when to look again.
func (o *Operations) ExpireToken(ctx context.Context, merchantAccount, sessionID string) (again time.Time, err error) {
	payment, err := o.paymentBy(ctx, merchantAccount, journal.KeySession, sessionID)
	if err != nil || payment.OrderID != "" || payment.State != journal.Authorized {
		return again, ignoreNotFound(err)
	}
	if ends := payment.TokenAt.Add(journal.TokenLife); ends.After(o.store.Now()) {
		return ends, nil
	}
	session, err := o.Session(ctx, merchantAccount, sessionID) // records a newer authorisation, which then has its own hour
	switch {
	case err != nil && !notFound(err):
		return again, err
	case session.Status == klarna.SessionComplete:
		return again, nil // an order was placed whose answer is not here: reading the session finds out
	}
	_, err = o.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID:         fmt.Sprintf("clock:%s:token:%s:%s", merchantAccount, sessionID, journal.TokenKey(payment.Token)),
		MerchantAccount: merchantAccount, Cause: journal.Clock, At: o.store.Now(), SessionID: sessionID,
		TokenExpired: true, CancelledToken: payment.Token,
	})
	return again, err
}
