package operation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// NewOrder names the authorisation to make an order of.
type NewOrder struct {
	SessionID      string
	Token          string // empty: the one on record, or the one that reading the session shows
	ExpectedAmount *int64 // minor units; nil: whatever was authorised
	Currency       string // of ExpectedAmount
	AutoCapture    bool
	Reference1     string // overrides the session's
	Reference2     string
}

// OrderAnswer is the order that a session became.
type OrderAnswer struct {
	SessionID   string
	OrderID     string
	RedirectURL string
}

// CreateOrder makes the order of an authorised session for a caller.
func (o *Operations) CreateOrder(ctx context.Context, req Request, in NewOrder) (OrderAnswer, error) {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return OrderAnswer{}, err
	}
	if in.AutoCapture && !account.AutoCapture {
		return OrderAnswer{}, autoCaptureRefused(account)
	}
	return once(ctx, o, "createOrder", req, func(ctx context.Context, _ attempt) (done effect[OrderAnswer], err error) {
		if in.SessionID == "" {
			payment, err := o.paymentBy(ctx, account.Name, journal.KeyToken, journal.TokenKey(in.Token))
			if errors.Is(err, store.ErrNotFound) {
				return done, refuseField("session_id", "NOT_AUTHORIZED", "this authorisation is not on record; name its session_id")
			}
			if err != nil {
				return done, err
			}
			in.SessionID = payment.SessionID
		}
		done.answer, err = o.PlaceOrder(ctx, account.Name, in)
		return done, err
	})
}

// PlaceOrder makes the one order of a session: everyone who tries meets in one record per session, and gets the same
// order. It is built from what the customer authorised, as Klarna shows it.
func (o *Operations) PlaceOrder(ctx context.Context, merchantAccount string, in NewOrder) (OrderAnswer, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return OrderAnswer{}, err
	}
	flight := Request{MerchantAccount: merchantAccount, ID: in.SessionID}
	return once(ctx, o, "placeOrder", flight, func(ctx context.Context, _ attempt) (effect[OrderAnswer], error) {
		return o.placeOrder(ctx, account, in)
	})
}

func (o *Operations) placeOrder(ctx context.Context, account Account, in NewOrder) (done effect[OrderAnswer], err error) {
	payment, err := o.paymentBy(ctx, account.Name, journal.KeySession, in.SessionID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return done, err
	}
	if payment.OrderID != "" {
		done.answer = OrderAnswer{SessionID: in.SessionID, OrderID: payment.OrderID, RedirectURL: payment.RedirectURL}
		return done, nil
	}
	session, err := o.Session(ctx, account.Name, in.SessionID)
	if err != nil {
		return done, err
	}
	token := authorization(in, payment, session)
	if err := authorized(in, payment, session, token); err != nil {
		return done, err
	}
	in.AutoCapture = in.AutoCapture || payment.AutoCapture
	asked := o.store.Now()
	placed, err := account.Klarna.PlaceOrder(ctx, token, placeRequest(in, payment, session))
	if err != nil {
		return done, o.notPlaced(ctx, account.Name, in.SessionID, token, fmt.Errorf("place order of session %s: %w", in.SessionID, err))
	}
	done.answer = OrderAnswer{SessionID: in.SessionID, OrderID: placed.OrderID, RedirectURL: placed.RedirectURL}
	done.record = func(ctx context.Context, tx store.Tx) error {
		_, err := o.journal.PaymentIn(ctx, tx, journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:placeOrder:%s", account.Name, placed.OrderID),
			MerchantAccount: account.Name, Cause: journal.Call, At: asked, Raw: placed.Raw,
			SessionID: in.SessionID, OrderID: placed.OrderID,
			Order: &journal.OrderFacts{FraudStatus: string(placed.FraudStatus), RedirectURL: placed.RedirectURL},
		})
		if err != nil || !in.AutoCapture {
			return err
		}
		return tx.AddJob(ctx, store.Job{ // what was captured with it, Order Management knows
			Kind: journal.JobReadOrder, MerchantAccount: account.Name, Key: placed.OrderID, RunAt: o.store.Now(), CreatedAt: o.store.Now(),
		})
	}
	return done, nil
}

// authorization picks the token: the caller's, else the newest one that Klarna told or shows.
func authorization(in NewOrder, payment journal.Payment, session klarna.Session) string {
	switch {
	case in.Token != "":
		return in.Token
	case session.AuthorizationToken != "":
		return session.AuthorizationToken
	case !payment.TokenCancelled:
		return payment.Token
	default:
		return ""
	}
}

// authorized refuses what cannot become the order the caller wants.
func authorized(in NewOrder, payment journal.Payment, session klarna.Session, token string) error {
	switch {
	case session.Status == klarna.SessionComplete:
		return refuse("SESSION_COMPLETED", "the session led to an order that is not on record here")
	case token == "":
		return refuse("NOT_AUTHORIZED", "the customer has not authorised the session")
	case payment.TokenCancelled && token == payment.Token:
		return refuse("AUTHORIZATION_TOKEN_INVALID", "the authorisation was cancelled or is spent; the customer has to authorise again")
	case in.ExpectedAmount != nil && (*in.ExpectedAmount != session.OrderAmount || in.Currency != session.PurchaseCurrency):
		return refuseField("expected_amount", "DIFFERS_FROM_AUTHORIZATION", "the customer authorised %d %s", session.OrderAmount, session.PurchaseCurrency)
	}
	return nil
}

func placeRequest(in NewOrder, payment journal.Payment, s klarna.Session) klarna.PlaceOrderRequest {
	place := klarna.PlaceOrderRequest{
		PurchaseCountry: s.PurchaseCountry, PurchaseCurrency: s.PurchaseCurrency, Locale: s.Locale,
		OrderAmount: s.OrderAmount, OrderTaxAmount: s.OrderTaxAmount, OrderLines: s.OrderLines, AutoCapture: in.AutoCapture,
		BillingAddress: s.BillingAddress, ShippingAddress: s.ShippingAddress, Customer: s.Customer,
		MerchantReference1: s.MerchantReference1, MerchantReference2: s.MerchantReference2, MerchantData: s.MerchantData,
	}
	if in.Reference1 != "" {
		place.MerchantReference1 = in.Reference1
	}
	if in.Reference2 != "" {
		place.MerchantReference2 = in.Reference2
	}
	if payment.ConfirmationURL != "" {
		place.MerchantURLs = &klarna.MerchantURLs{Confirmation: payment.ConfirmationURL}
	}
	return place
}

// notPlaced records a definite refusal: the token is spent. Klarna: a repeat under it gets the same refusal for ever.
func (o *Operations) notPlaced(ctx context.Context, merchantAccount, sessionID, token string, cause error) error {
	var refused *klarna.Error
	if !errors.As(cause, &refused) || errors.Is(cause, klarna.ErrOutcomeUnknown) || !spends(refused.Status) {
		return cause
	}
	_, err := o.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID:         fmt.Sprintf("refused:%s:%s:%s", merchantAccount, sessionID, journal.TokenKey(token)),
		MerchantAccount: merchantAccount, Cause: journal.Call, At: o.store.Now(), SessionID: sessionID, TokenCancelled: true,
		Attention: &journal.Attention{Reason: journal.OrderNotPlaced, Message: "Klarna refused to make an order: " + refused.Code},
	})
	if err != nil {
		o.log.ErrorContext(ctx, "record refused order", "session_id", sessionID, "error", err)
	}
	return cause
}

// spends tells whether an answer of this status uses the token up: not our credentials, not our rate.
func spends(status int) bool { return status >= 400 && status < 500 && status != 401 && status != 429 }

// Order reads an order from Klarna and records what is new. Pushed says that a push asked for it.
func (o *Operations) Order(ctx context.Context, merchantAccount, orderID string, cause journal.Cause) (klarna.Order, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return klarna.Order{}, err
	}
	asked := o.store.Now()
	order, err := account.Klarna.Order(ctx, orderID)
	if err != nil {
		return order, fmt.Errorf("read order %s: %w", orderID, err)
	}
	fact := orderFact(merchantAccount, order, asked)
	fact.Cause, fact.Pushed = cause, cause == journal.Push
	fact.EventID = fmt.Sprintf("read:%s:%s:%x", merchantAccount, orderID, o.store.Fingerprint(order.Raw, []byte(asked.Format(time.RFC3339Nano)))[:12])
	_, err = o.journal.RecordPayment(ctx, fact)
	return order, err
}

func orderFact(merchantAccount string, order klarna.Order, asked time.Time) journal.PaymentFact {
	facts := journal.OrderFacts{
		Read: true, FraudStatus: string(order.FraudStatus), Status: string(order.Status), KlarnaReference: order.KlarnaReference,
		Reference1: order.MerchantReference1, Reference2: order.MerchantReference2, Currency: order.PurchaseCurrency,
		Amount: order.OrderAmount, Captured: order.CapturedAmount, Refunded: order.RefundedAmount,
		Remaining: order.RemainingAuthorizedAmount, ExpiresAt: order.ExpiresAt,
	}
	for _, c := range order.Captures {
		facts.Captures = append(facts.Captures, journal.Movement{ID: c.CaptureID, Reference: c.Reference, Amount: c.CapturedAmount, At: c.CapturedAt})
	}
	for _, r := range order.Refunds {
		facts.Refunds = append(facts.Refunds, journal.Movement{ID: r.RefundID, Reference: r.Reference, Amount: r.RefundedAmount, At: r.RefundedAt})
	}
	return journal.PaymentFact{MerchantAccount: merchantAccount, OrderID: order.OrderID, At: asked, Order: &facts, Raw: order.Raw}
}

// known makes sure that an order is on record before it is changed, reading it if need be.
func (o *Operations) known(ctx context.Context, account Account, orderID string) (journal.Payment, error) {
	payment, err := o.paymentBy(ctx, account.Name, journal.KeyOrder, orderID)
	if err == nil && payment.Currency != "" {
		return payment, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return payment, err
	}
	if _, err := o.Order(ctx, account.Name, orderID, journal.Reconciled); err != nil {
		return payment, err
	}
	return o.paymentBy(ctx, account.Name, journal.KeyOrder, orderID)
}

// CancelOrder gives an order back.
func (o *Operations) CancelOrder(ctx context.Context, req Request, orderID string) error {
	account, err := o.account(req.MerchantAccount, RegionalAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, "cancelOrder", req, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		if _, err := o.known(ctx, account, orderID); err != nil {
			return done, err
		}
		if err := account.Klarna.CancelOrder(ctx, try.key, orderID); err != nil {
			return done, o.unsettled(ctx, account.Name, orderID, fmt.Errorf("cancel order %s: %w", orderID, err))
		}
		done.record = o.recordPayment(journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:cancelOrder:%s", account.Name, orderID),
			MerchantAccount: account.Name, Cause: journal.Call, At: o.store.Now(), OrderID: orderID, Cancelled: true,
		})
		return done, nil
	})
	return err
}

// unsettled leaves work behind when the outcome of a write is unknown: the order is read until it shows.
func (o *Operations) unsettled(ctx context.Context, merchantAccount, orderID string, cause error) error {
	if !errors.Is(cause, klarna.ErrOutcomeUnknown) {
		return cause
	}
	now := o.store.Now()
	err := o.store.Do(ctx, func(tx store.Tx) error {
		return tx.AddJob(ctx, store.Job{
			Kind: journal.JobReadOrder, MerchantAccount: merchantAccount, Key: orderID, RunAt: now.Add(5 * time.Second), CreatedAt: now,
		})
	})
	if err != nil {
		o.log.ErrorContext(ctx, "leave work for an unknown outcome", "order_id", orderID, "error", err)
	}
	return cause
}

// paymentBy returns the payment on record under an identifying key; store.ErrNotFound if there is none.
func (o *Operations) paymentBy(ctx context.Context, merchantAccount, kind, value string) (journal.Payment, error) {
	return o.journal.PaymentBy(ctx, merchantAccount, kind, value)
}
