package operation

import (
	"context"
	"errors"
	"fmt"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// HostedPageAnswer is a page that was opened.
type HostedPageAnswer struct {
	klarna.HostedPage
	Orphan bool `json:"orphan,omitempty"` // an earlier attempt may have opened another page
}

// CreateHostedPage opens a page on which a session can be paid, with updates to a one-time address of the gateway's.
// Klarna takes no idempotency key here: a repeat after a lost answer opens another page, and the first one is left to
// expire; the payment's record says so.
func (o *Operations) CreateHostedPage(ctx context.Context, req Request, sessionID string, in klarna.HostedPageRequest) (HostedPageAnswer, error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return HostedPageAnswer{}, err
	}
	return once(ctx, o, "createHostedPage", req, func(ctx context.Context, try attempt) (done effect[HostedPageAnswer], err error) {
		page := in
		if o.hostedPage != nil {
			secret, err := o.oneTimeSecret(ctx, journal.PurposeHostedPage, req, sessionID)
			if err != nil {
				return done, err
			}
			urls := klarna.HostedPageURLs{}
			if in.MerchantURLs != nil {
				urls = *in.MerchantURLs
			}
			urls.StatusUpdate = o.hostedPage(secret)
			page.MerchantURLs = &urls
		}
		account, err := o.home(ctx, account, journal.KeySession, sessionID)
		if err != nil {
			return done, err
		}
		asked := o.store.Now()
		done.answer.Orphan, err = try.open(func() (err error) {
			done.answer.HostedPage, err = account.Klarna.CreateHostedPage(ctx, sessionID, page)
			return err
		})
		if err != nil {
			return done, fmt.Errorf("create hosted page for session %s: %w", sessionID, err)
		}
		if done.answer.Status == "" {
			done.answer.Status = klarna.PageWaiting // Klarna: every page begins there, and the answer does not say so
		}
		fact := journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:createHostedPage:%s", account.Name, done.answer.SessionID),
			MerchantAccount: account.Name, Cause: journal.Call, At: asked, SessionID: sessionID, HostedPageID: done.answer.SessionID,
		}
		if done.answer.Orphan {
			fact.Orphan = journal.OrphanHostedPage
			o.log.WarnContext(ctx, "another hosted page may have been opened", "request_id", req.ID, "session_id", sessionID)
		}
		done.record = o.recordPayment(fact)
		return done, nil
	})
}

// HostedPage reads a page from Klarna and records what it led to: an order that Klarna has placed, or an authorisation
// that was not told. An empty session means the one that the page is on record for.
func (o *Operations) HostedPage(ctx context.Context, merchantAccount, pageID, sessionID string) (klarna.HostedPage, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return klarna.HostedPage{}, err
	}
	if account, err = o.home(ctx, account, journal.KeyHostedPage, pageID); err != nil {
		return klarna.HostedPage{}, err
	}
	asked := o.store.Now()
	page, err := account.Klarna.HostedPage(ctx, pageID)
	if err != nil {
		return page, fmt.Errorf("read hosted page %s: %w", pageID, err)
	}
	kind, id := journal.KeySession, sessionID
	if sessionID == "" {
		kind, id = journal.KeyHostedPage, pageID
	}
	payment, err := o.paymentBy(ctx, account.Name, kind, id)
	switch {
	case errors.Is(err, store.ErrNotFound): // opened past us
		return page, nil
	case err != nil:
		return page, err
	case page.OrderID != "" && payment.OrderID == "":
		record := o.recordOrder(true, journal.PaymentFact{
			EventID:         fmt.Sprintf("read:%s:hostedPage:%s:%s", account.Name, pageID, page.OrderID),
			MerchantAccount: account.Name, Cause: journal.Reconciled, At: asked, Raw: page.Raw,
			SessionID: payment.SessionID, OrderID: page.OrderID, HostedPageID: pageID,
		})
		return page, o.store.Do(ctx, func(tx store.Tx) error { return record(ctx, tx) })
	case page.AuthorizationToken != "" && payment.OrderID == "" && page.AuthorizationToken != payment.Token:
		_, err := o.Session(ctx, account.Name, payment.SessionID) // which of several authorisations counts, the session shows
		return page, err
	}
	return page, nil
}

// DisableHostedPage takes a page away.
func (o *Operations) DisableHostedPage(ctx context.Context, req Request, pageID string) error {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	if account, err = o.home(ctx, account, journal.KeyHostedPage, pageID); err != nil {
		return err
	}
	_, err = once(ctx, o, "disableHostedPage", req, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		err = account.Klarna.DisableHostedPage(ctx, pageID)
		if err != nil && !try.first { // refused on a repeat: perhaps our first attempt did it
			if page, readErr := account.Klarna.HostedPage(ctx, pageID); readErr == nil && page.Status == klarna.PageDisabled {
				return done, nil
			}
		}
		if err != nil {
			return done, fmt.Errorf("disable hosted page %s: %w", pageID, err)
		}
		return done, nil
	})
	return err
}

// DistributeHostedPage has Klarna send the page's link to the customer. Klarna takes no idempotency key here: a repeat
// after a lost answer sends it twice, which is better than never.
func (o *Operations) DistributeHostedPage(ctx context.Context, req Request, pageID string, to klarna.Distribution) error {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	if account, err = o.home(ctx, account, journal.KeyHostedPage, pageID); err != nil {
		return err
	}
	_, err = once(ctx, o, "distributeHostedPage", req, func(ctx context.Context, _ attempt) (done effect[struct{}], err error) {
		if err := account.Klarna.DistributeHostedPage(ctx, pageID, to); err != nil {
			return done, fmt.Errorf("distribute hosted page %s: %w", pageID, err)
		}
		return done, nil
	})
	return err
}
