package operation

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// sessionLife is how long a session lives. Klarna: 48 h, or until an order is placed.
const sessionLife = 48 * time.Hour

// NewSession is a payment session to be opened.
type NewSession struct {
	Session     klarna.Session
	OrderPolicy journal.OrderPolicy
	AutoCapture bool
}

// SessionAnswer is what opening a session brought.
type SessionAnswer struct {
	Session klarna.Session
	Orphan  bool `json:",omitempty"` // an earlier attempt may have opened another session
}

// CreateSession opens a session with a one-time callback of its own. Klarna takes no idempotency key here: a repeat
// after a lost answer opens another session, and the first one is left to expire; the payment's record says so.
func (o *Operations) CreateSession(ctx context.Context, req Request, in NewSession) (SessionAnswer, error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return SessionAnswer{}, err
	}
	if in.AutoCapture && !account.AutoCapture {
		return SessionAnswer{}, autoCaptureRefused(account)
	}
	secret, proof := o.secretOf(journal.PurposeAuthorization, req, "")
	req.with = o.callbackSecret(proof)
	return once(ctx, o, "createSession", req, func(ctx context.Context, try attempt) (done effect[SessionAnswer], err error) {
		session := in.Session
		session.MerchantURLs = o.withCallback(req.MerchantAccount, secret, session.MerchantURLs)
		asked := o.store.Now()
		var created klarna.Session
		orphan, err := try.open(func() (err error) {
			created, err = account.Klarna.CreateSession(ctx, session)
			return err
		})
		if err != nil {
			return done, fmt.Errorf("create session: %w", err)
		}
		if created.ExpiresAt.IsZero() {
			created.ExpiresAt = asked.Add(sessionLife)
		}
		fact := sessionFact(account.Name, created.SessionID, session, created.ExpiresAt)
		fact.EventID = fmt.Sprintf("call:%s:createSession:%s", account.Name, created.SessionID)
		fact.At, fact.Session.OrderPolicy, fact.Session.AutoCapture = asked, in.OrderPolicy, in.AutoCapture
		if session.Intent == klarna.IntentTokenize { // its authorisation becomes a customer token, never an order
			fact.Session.OrderPolicy = journal.OrderByCaller
		}
		if orphan {
			fact.Orphan = journal.OrphanSession
			o.log.WarnContext(ctx, "another session may have been opened", "request_id", req.ID, "session_id", created.SessionID)
		}
		session.SessionID, session.ClientToken, session.ExpiresAt = created.SessionID, created.ClientToken, created.ExpiresAt
		session.PaymentMethodCategories, session.Status, session.MerchantURLs = created.PaymentMethodCategories, created.Status, nil
		done.answer = SessionAnswer{Session: session, Orphan: orphan}
		bound := proof
		bound.Key = created.SessionID
		done.record = func(ctx context.Context, tx store.Tx) error {
			if err := tx.PutSecret(ctx, bound); err != nil { // from now on it proves nothing about another session
				return fmt.Errorf("bind callback secret: %w", err)
			}
			return o.recordPayment(fact)(ctx, tx)
		}
		return done, nil
	})
}

// UpdateSession replaces the content of a session.
func (o *Operations) UpdateSession(ctx context.Context, req Request, sessionID string, session klarna.Session) error {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	secret, proof := o.secretOf(journal.PurposeAuthorization, req, sessionID)
	req.with = o.callbackSecret(proof)
	_, err = once(ctx, o, "updateSession", req, func(ctx context.Context, _ attempt) (done effect[struct{}], err error) {
		session.MerchantURLs = o.withCallback(req.MerchantAccount, secret, session.MerchantURLs)
		account, err := o.home(ctx, account, journal.KeySession, sessionID)
		if err != nil {
			return done, err
		}
		asked := o.store.Now()
		if err := account.Klarna.UpdateSession(ctx, sessionID, session); err != nil {
			return done, fmt.Errorf("update session %s: %w", sessionID, err)
		}
		fact := sessionFact(account.Name, sessionID, session, time.Time{})
		fact.EventID, fact.At = fmt.Sprintf("call:%s:updateSession:%s", account.Name, req.ID), asked
		fact.Session.Updated = true
		done.record = o.recordPayment(fact)
		return done, nil
	})
	return err
}

// Session reads a session from Klarna and records an authorisation that was not told.
func (o *Operations) Session(ctx context.Context, merchantAccount, sessionID string) (klarna.Session, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return klarna.Session{}, err
	}
	if account, err = o.home(ctx, account, journal.KeySession, sessionID); err != nil {
		return klarna.Session{}, err
	}
	asked := o.store.Now()
	session, err := account.Klarna.ReadSession(ctx, sessionID)
	if err != nil {
		return session, fmt.Errorf("read session %s: %w", sessionID, err)
	}
	if session.AuthorizationToken == "" || session.Status == klarna.SessionComplete {
		return session, nil
	}
	_, err = o.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID:         fmt.Sprintf("read:%s:%s:%s", account.Name, sessionID, journal.TokenKey(session.AuthorizationToken)),
		MerchantAccount: account.Name, Cause: journal.Reconciled, At: asked,
		SessionID: sessionID, Token: session.AuthorizationToken,
	})
	return session, err
}

// ExpireSession records that a session ran out. It changes nothing if there is an order on record. If one may have been
// placed without an answer, that is a matter for a person: it is no longer to be seen.
func (o *Operations) ExpireSession(ctx context.Context, merchantAccount, sessionID string) error {
	payment, err := o.paymentBy(ctx, merchantAccount, journal.KeySession, sessionID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	row, err := o.store.Request(ctx, placingOf(merchantAccount, sessionID))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read request: %w", err)
	}
	told := slices.ContainsFunc(payment.Attentions, func(a journal.Attention) bool { return a.Reason == journal.Conflict })
	if payment.OrderID == "" && (told || err == nil && row.State == store.RequestOpen && !row.FirstSent.IsZero()) {
		return o.astray(ctx, payment, "it is not known whether Klarna made an order of the session")
	}
	_, err = o.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID:         fmt.Sprintf("clock:%s:session:%s", merchantAccount, sessionID),
		MerchantAccount: merchantAccount, Cause: journal.Clock, At: o.store.Now(),
		SessionID: sessionID, SessionExpired: true,
	})
	return err
}

// placingOf is the record in which everyone meets who places the order of a session.
func placingOf(merchantAccount, sessionID string) store.RequestID {
	return store.RequestID{MerchantAccount: merchantAccount, Operation: "placeOrder", ID: sessionID}
}

// SettlePlacing settles an attempt at a session's order whose outcome was unknown: by the order that is on record, or as
// undone. Over says that there will be no order any more; else Klarna has just shown the session without one, which is
// believed once it cannot be at work on the attempt any more.
func (o *Operations) SettlePlacing(ctx context.Context, merchantAccount, sessionID string, over bool) error {
	payment, err := o.paymentBy(ctx, merchantAccount, journal.KeySession, sessionID)
	if err != nil {
		return ignoreNotFound(err)
	}
	return o.store.Do(ctx, func(tx store.Tx) error {
		row, err := tx.Request(ctx, placingOf(merchantAccount, sessionID))
		if err != nil || row.State != store.RequestOpen || row.LeasedUntil.After(o.store.Now()) {
			return ignoreNotFound(err)
		}
		switch {
		case payment.OrderID != "":
			row.State = store.RequestDone
			if row.Answer, err = json.Marshal(OrderAnswer{SessionID: sessionID, OrderID: payment.OrderID, RedirectURL: payment.RedirectURL}); err != nil {
				return fmt.Errorf("encode answer: %w", err)
			}
		case over || o.late(row) == absent:
			row.State = store.RequestUndone // what was sent is kept: by it the order is known should it be met after all
		default:
			return nil
		}
		row.LeasedUntil = time.Time{}
		return o.put(ctx, tx, &row, store.Key{})
	})
}

// CancelAuthorization gives an authorisation back. An empty token means the one on record.
func (o *Operations) CancelAuthorization(ctx context.Context, req Request, sessionID, token string) error {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, "cancelAuthorization", req.about(journal.JobReadSession, sessionID), func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		payment, err := o.paymentBy(ctx, account.Name, journal.KeySession, sessionID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return done, err
		}
		if token == "" {
			token = payment.Token
		}
		switch {
		case payment.OrderID != "":
			return done, refuse("SESSION_COMPLETED", "the session led to order %s; cancel the order instead", payment.OrderID)
		case token == "" || payment.TokenCancelled && token == payment.Token:
			return done, refuse("NOT_AUTHORIZED", "no authorisation is on record for the session")
		}
		err = account.living(payment.CreatedAt, o.store.Now()).Klarna.CancelAuthorization(ctx, token)
		if try.first || !notFound(err) { // gone on a repeat: our first attempt did it
			if err != nil {
				return done, fmt.Errorf("cancel authorisation: %w", err)
			}
		}
		done.record = o.recordPayment(journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:cancelAuthorization:%s", account.Name, req.ID),
			MerchantAccount: account.Name, Cause: journal.Call, At: o.store.Now(), SessionID: sessionID,
			TokenCancelled: true, CancelledToken: token,
		})
		return done, nil
	})
	return err
}

// ReleaseToken gives back an authorisation that came after the order. One that is gone is fine.
func (o *Operations) ReleaseToken(ctx context.Context, merchantAccount, token string) error {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	if err := account.Klarna.CancelAuthorization(ctx, token); err != nil && !notFound(err) {
		return fmt.Errorf("release authorisation: %w", err)
	}
	return nil
}

// withCallback adds the one-time callback with a request's secret, and where decisions on a pending order are told.
func (o *Operations) withCallback(merchantAccount, secret string, urls *klarna.MerchantURLs) *klarna.MerchantURLs {
	if o.callback == nil && o.notification == nil {
		return urls
	}
	with := klarna.MerchantURLs{}
	if urls != nil {
		with = *urls
	}
	with.Notification = o.notificationURL(merchantAccount)
	if o.callback != nil {
		with.Authorization = o.callback(secret)
	}
	return &with
}

// callbackSecret puts the secret of a request's callback on record together with the request, before Klarna hears of it:
// the callback may come before the answer. The key is the session, if that is known before.
func (o *Operations) callbackSecret(proof store.Secret) func(context.Context, store.Tx, attempt) error {
	if o.callback == nil {
		return nil
	}
	return func(ctx context.Context, tx store.Tx, _ attempt) error {
		if err := tx.PutSecret(ctx, proof); err != nil {
			return fmt.Errorf("record callback secret: %w", err)
		}
		return nil
	}
}

// oneTimeSecret puts the secret of a request's callback on record. It is derived, so a repeat gets the same one. The key
// is what it proves something about, if that is known before.
func (o *Operations) oneTimeSecret(ctx context.Context, purpose string, req Request, key string) (string, error) {
	secret, row := o.secretOf(purpose, req, key)
	if err := o.store.Do(ctx, func(tx store.Tx) error { return tx.PutSecret(ctx, row) }); err != nil {
		return "", fmt.Errorf("record callback secret: %w", err)
	}
	return secret, nil
}

func (o *Operations) secretOf(purpose string, req Request, key string) (string, store.Secret) {
	secret := o.store.Derive(purpose, req.MerchantAccount+"|"+req.ID)
	hash := sha256.Sum256([]byte(secret))
	return secret, store.Secret{
		Hash: hash[:], Purpose: purpose, MerchantAccount: req.MerchantAccount, Key: key,
		ExpiresAt: o.store.Now().Add(sessionLife + time.Hour),
	}
}

// notificationURL is where Klarna tells of decisions on a merchant account's pending orders; empty without callbacks.
// Its secret is a standing one: Klarna tells for a day, and perhaps of a stop long after.
func (o *Operations) notificationURL(merchantAccount string) string {
	if o.notification == nil {
		return ""
	}
	return o.notification(o.store.Derive(journal.PurposeNotification, merchantAccount))
}

func sessionFact(merchantAccount, sessionID string, s klarna.Session, expires time.Time) journal.PaymentFact {
	facts := journal.SessionFacts{
		Currency: s.PurchaseCurrency, OrderAmount: s.OrderAmount,
		Reference1: s.MerchantReference1, Reference2: s.MerchantReference2, ExpiresAt: expires,
	}
	if s.MerchantURLs != nil {
		facts.ConfirmationURL = s.MerchantURLs.Confirmation
	}
	return journal.PaymentFact{MerchantAccount: merchantAccount, Cause: journal.Call, SessionID: sessionID, Session: &facts}
}

func (o *Operations) recordPayment(fact journal.PaymentFact) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		recorded, err := o.journal.PaymentIn(ctx, tx, fact)
		if into, wanted := ctx.Value(paymentKey{}).(*journal.PaymentRecord); wanted {
			*into = recorded
		}
		return err
	}
}

func autoCaptureRefused(a Account) *Refusal {
	return refuseField("auto_capture", "AUTO_CAPTURE_NOT_ALLOWED", "the contract of merchant account %q does not allow it", a.Name)
}

func notFound(err error) bool {
	var refused *klarna.Error
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound
}
