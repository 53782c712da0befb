package operation

import (
	"context"
	"errors"
	"fmt"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// CustomerTokenAnswer is a customer token that was made. Token is a credential.
type CustomerTokenAnswer struct {
	Token                  string
	PaymentMethodReference string
	RedirectURL            string
}

// CreateCustomerToken makes a customer token of a session's authorisation. An empty authorisation means the newest one
// that Klarna told or shows. Nothing is recorded about the payment: with the intent buy_and_tokenize the same
// authorisation still becomes an order, and one that only a token can be made of runs out with its session.
func (o *Operations) CreateCustomerToken(ctx context.Context, req Request, sessionID, authorization string, in klarna.CustomerTokenRequest) (CustomerTokenAnswer, error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return CustomerTokenAnswer{}, err
	}
	req.whom = store.Key{Kind: journal.KeySession, Value: sessionID}
	return once(ctx, o, "createCustomerToken", req, func(ctx context.Context, _ attempt) (done effect[CustomerTokenAnswer], err error) {
		token, err := o.authorizationOf(ctx, account.Name, sessionID, authorization)
		if err != nil {
			return done, err
		}
		account, err := o.home(ctx, account, journal.KeySession, sessionID)
		if err != nil {
			return done, err
		}
		made, err := account.Klarna.CreateCustomerToken(ctx, token, in)
		if err != nil {
			return done, fmt.Errorf("create customer token of session %s: %w", sessionID, err)
		}
		done.answer = CustomerTokenAnswer{
			Token: made.TokenID, PaymentMethodReference: made.PaymentMethodReference, RedirectURL: made.RedirectURL,
		}
		return done, nil
	})
}

// authorizationOf finds the token of a session's authorisation: the one that is given, on record, or shown by Klarna.
func (o *Operations) authorizationOf(ctx context.Context, merchantAccount, sessionID, given string) (string, error) {
	payment, err := o.paymentBy(ctx, merchantAccount, journal.KeySession, sessionID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	token := given
	switch {
	case token != "":
	case payment.Token != "" && !payment.TokenCancelled:
		token = payment.Token
	default:
		session, err := o.Session(ctx, merchantAccount, sessionID)
		if err != nil {
			return "", err
		}
		token = session.AuthorizationToken
	}
	switch {
	case token == "":
		return "", refuse("NOT_AUTHORIZED", "the customer has not authorised the session")
	case payment.TokenCancelled && token == payment.Token:
		return "", refuse("AUTHORIZATION_TOKEN_INVALID", "the authorisation was cancelled or is spent; the customer has to authorise again")
	}
	return token, nil
}

// CustomerToken reads a customer token from Klarna.
func (o *Operations) CustomerToken(ctx context.Context, merchantAccount, token string) (klarna.CustomerToken, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return klarna.CustomerToken{}, err
	}
	read, err := account.Klarna.CustomerToken(ctx, token)
	if err != nil {
		return read, fmt.Errorf("read customer token: %w", err)
	}
	return read, nil
}

// ChargeCustomerToken makes an order by a customer token. A refusal counts for its request: Klarna gives it again under
// the same key, so a new try at the customer's way to pay takes a new request.
func (o *Operations) ChargeCustomerToken(ctx context.Context, req Request, token string, in klarna.TokenOrderRequest) (OrderAnswer, error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return OrderAnswer{}, err
	}
	if in.AutoCapture && !account.AutoCapture {
		return OrderAnswer{}, autoCaptureRefused(account)
	}
	return once(ctx, o, "chargeCustomerToken", req.about(referenceSubject, in.MerchantReference1), func(ctx context.Context, try attempt) (done effect[OrderAnswer], err error) {
		if try.stale { // Klarna may have forgotten the key, and has no way to look for the order
			return done, refuse("OPERATION_NOT_ALLOWED", "the first attempt is too long ago to be repeated safely: the customer might be charged twice; "+
				"make sure that there is no such order, then charge under a new request_id")
		}
		asked := o.store.Now()
		placed, err := account.Klarna.ChargeCustomerToken(ctx, try.key, token, in)
		if err != nil {
			return done, fmt.Errorf("charge customer token: %w", err)
		}
		done.answer = OrderAnswer{OrderID: placed.OrderID, RedirectURL: placed.RedirectURL}
		done.record = o.recordOrder(in.AutoCapture, journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:chargeCustomerToken:%s", account.Name, placed.OrderID),
			MerchantAccount: account.Name, Cause: journal.Call, At: asked, Raw: placed.Raw, OrderID: placed.OrderID,
			Order: &journal.OrderFacts{
				FraudStatus: string(placed.FraudStatus), RedirectURL: placed.RedirectURL,
				Currency: in.PurchaseCurrency, Amount: in.OrderAmount,
				Reference1: in.MerchantReference1, Reference2: in.MerchantReference2,
			},
		})
		return done, nil
	})
}

// recordOrder records a fact that brought an order, and has the order read if there is more to know than the fact tells.
func (o *Operations) recordOrder(read bool, fact journal.PaymentFact) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		if err := o.recordPayment(fact)(ctx, tx); err != nil || !read {
			return err
		}
		return tx.AddJob(ctx, store.Job{
			Kind: journal.JobReadOrder, MerchantAccount: fact.MerchantAccount, Key: fact.OrderID, RunAt: o.store.Now(), CreatedAt: o.store.Now(),
		})
	}
}

// CancelCustomerToken ends a customer token for good.
func (o *Operations) CancelCustomerToken(ctx context.Context, req Request, token string) error {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, "cancelCustomerToken", req, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		err = account.Klarna.CancelCustomerToken(ctx, token)
		if err != nil && !try.first { // refused on a repeat: perhaps our first attempt did it
			if read, readErr := account.Klarna.CustomerToken(ctx, token); readErr == nil && read.Status == klarna.TokenCancelled {
				return done, nil
			}
		}
		if err != nil {
			return done, fmt.Errorf("cancel customer token: %w", err)
		}
		return done, nil
	})
	return err
}
