package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
	return once(ctx, o, "createOrder", req.about(meetsElsewhere, "placeOrder"), func(ctx context.Context, _ attempt) (done effect[OrderAnswer], err error) {
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
		if done.answer, err = o.placeOnce(ctx, account, in, req.Payment); err != nil || in.ExpectedAmount == nil {
			return done, err
		}
		placed, err := o.paymentBy(ctx, account.Name, journal.KeyOrder, done.answer.OrderID) // perhaps not by this call
		if err != nil {
			return done, err
		}
		return done, in.expects(placed.OrderAmount, placed.Currency)
	})
}

// PlaceOrder makes the one order of a session: everyone who tries meets in one record per session, and gets the same
// order. It is built from what the customer authorised, as Klarna shows it.
func (o *Operations) PlaceOrder(ctx context.Context, merchantAccount string, in NewOrder) (OrderAnswer, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return OrderAnswer{}, err
	}
	return o.placeOnce(ctx, account, in, nil)
}

// placeOnce places the order of a session; into, if it is not nil, is set to the payment as the order's commit left it.
func (o *Operations) placeOnce(ctx context.Context, account Account, in NewOrder, into *journal.PaymentRecord) (OrderAnswer, error) {
	flight := Request{MerchantAccount: account.Name, ID: in.SessionID, Payment: into}
	return once(ctx, o, "placeOrder", flight.about(journal.JobReadSession, in.SessionID), func(ctx context.Context, try attempt) (effect[OrderAnswer], error) {
		done, err := o.placeOrder(ctx, account, in, try)
		var refusal *Refusal
		if errors.As(err, &refusal) && refusal.reason == "SESSION_COMPLETED" { // its order may have been met meanwhile
			if payment, again := o.paymentBy(ctx, account.Name, journal.KeySession, in.SessionID); again == nil && payment.OrderID != "" {
				return effect[OrderAnswer]{answer: OrderAnswer{SessionID: in.SessionID, OrderID: payment.OrderID, RedirectURL: payment.RedirectURL}}, nil
			}
		}
		return done, err
	})
}

func (o *Operations) placeOrder(ctx context.Context, account Account, in NewOrder, try attempt) (done effect[OrderAnswer], err error) {
	payment, err := o.paymentBy(ctx, account.Name, journal.KeySession, in.SessionID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return done, err
	}
	if payment.OrderID != "" {
		done.answer = OrderAnswer{SessionID: in.SessionID, OrderID: payment.OrderID, RedirectURL: payment.RedirectURL}
		return done, nil
	}
	if account, err = o.home(ctx, account, journal.KeySession, in.SessionID); err != nil {
		return done, err
	}
	session, err := o.Session(ctx, account.Name, in.SessionID)
	if err != nil {
		return done, err
	}
	repeated := len(try.row.Answer) > 0
	p, err := o.placing(ctx, try, in, payment, session)
	if err != nil {
		return done, err
	}
	asked := o.store.Now()
	placed, err := account.Klarna.PlaceOrder(ctx, p.Token, p.Order)
	if err != nil {
		err = fmt.Errorf("place order of session %s: %w", in.SessionID, err)
		return done, o.notPlaced(context.WithoutCancel(ctx), try, repeated, payment, session, p.Token, err)
	}
	done.answer = OrderAnswer{SessionID: in.SessionID, OrderID: placed.OrderID, RedirectURL: placed.RedirectURL}
	// What was captured with it, Order Management knows.
	done.record = o.recordOrder(p.Order.AutoCapture, journal.PaymentFact{
		EventID:         fmt.Sprintf("call:%s:placeOrder:%s", account.Name, placed.OrderID),
		MerchantAccount: account.Name, Cause: journal.Call, At: asked, Raw: placed.Raw,
		SessionID: in.SessionID, OrderID: placed.OrderID,
		Order: &journal.OrderFacts{FraudStatus: string(placed.FraudStatus), RedirectURL: placed.RedirectURL},
	})
	return done, nil
}

// placement is what is sent to place an order. It is on record before that: Klarna gives the first outcome to a repeat
// that is the very same, and refuses another body.
type placement struct {
	Token string
	Order klarna.PlaceOrderRequest
}

// placing is what to send: what was sent before if that may have become the order, else what the customer has
// authorised, unless that cannot become the order the caller wants.
func (o *Operations) placing(ctx context.Context, try attempt, in NewOrder, payment journal.Payment, session klarna.Session) (p placement, err error) {
	token := authorization(in, payment, session)
	completed := session.Status == klarna.SessionComplete
	if len(try.row.Answer) > 0 {
		if err := json.Unmarshal(try.row.Answer, &p); err != nil {
			return p, fmt.Errorf("decode what was sent: %w", err)
		}
		if completed || p.Token == token || p.Token == session.AuthorizationToken { // a caller with an older one may have come late
			return p, in.expects(p.Order.OrderAmount, p.Order.PurchaseCurrency)
		}
	}
	switch {
	case completed:
		return p, o.elsewhere(ctx, payment)
	case token == "":
		return p, refuse("NOT_AUTHORIZED", "the customer has not authorised the session")
	case payment.TokenCancelled && token == payment.Token:
		return p, refuse("AUTHORIZATION_TOKEN_INVALID", "the authorisation was cancelled or is spent; the customer has to authorise again")
	}
	in.AutoCapture = in.AutoCapture || payment.AutoCapture
	p = placement{Token: token, Order: placeRequest(in, payment, session)}
	if urls := p.Order.MerchantURLs; urls != nil { // they take the place of the session's
		urls.Notification = o.notificationURL(try.row.MerchantAccount)
	}
	if err := in.expects(session.OrderAmount, session.PurchaseCurrency); err != nil {
		return p, err
	}
	return p, o.sending(ctx, try, p)
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

// expects refuses an order over another amount than the caller believes.
func (in NewOrder) expects(amount int64, currency string) error {
	if in.ExpectedAmount != nil && (*in.ExpectedAmount != amount || in.Currency != currency) {
		return refuseField("expected_amount", "DIFFERS_FROM_AUTHORIZATION", "the customer authorised %d %s", amount, currency)
	}
	return nil
}

// elsewhere refuses a session whose order was placed past us, or so long ago that Klarna no longer tells which it was.
// A person has to look.
func (o *Operations) elsewhere(ctx context.Context, payment journal.Payment) error {
	const message = "Klarna shows the session as completed, by an order that is not on record here"
	if err := o.astray(ctx, payment, message); err != nil {
		return err
	}
	return refuse("SESSION_COMPLETED", message)
}

// astray tells a person that a session has an order, or may have one, that is not on record, unless it has been met
// meanwhile.
func (o *Operations) astray(ctx context.Context, payment journal.Payment, message string) error {
	if payment.ID == "" {
		return nil
	}
	return o.store.Do(ctx, func(tx store.Tx) error {
		now, err := o.journal.PaymentByIn(ctx, tx, payment.MerchantAccount, journal.KeySession, payment.SessionID)
		if err != nil || now.OrderID != "" {
			return err
		}
		_, err = o.journal.PaymentIn(ctx, tx, journal.PaymentFact{
			EventID:         fmt.Sprintf("elsewhere:%s:%s", payment.MerchantAccount, payment.SessionID),
			MerchantAccount: payment.MerchantAccount, Cause: journal.Reconciled, At: o.store.Now(), SessionID: payment.SessionID,
			Attention: &journal.Attention{Reason: journal.Conflict, Message: message},
		})
		return err
	})
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

// notPlaced takes a failure to place an order. An unknown outcome is looked for by reading the session, and one that was
// unknown before stays so until Klarna's word on it is known: a caller who is told that there is no order asks the customer
// again. A definite refusal means that the token is spent, and that is recorded. Klarna: a repeat under it gets the same
// refusal for ever.
func (o *Operations) notPlaced(ctx context.Context, try attempt, repeated bool, payment journal.Payment, session klarna.Session, token string, cause error) error {
	account, sessionID := try.row.MerchantAccount, try.row.ID
	refused, decided := decision(cause)
	_, spent := Spent(cause)
	switch {
	case errors.Is(cause, klarna.ErrOutcomeUnknown):
		return cause
	case session.Status == klarna.SessionComplete && (spent || decided && otherBody(refused)):
		return o.elsewhere(ctx, payment) // what was sent stays on record: by it the order is known when it is met
	case decided && repeated && !try.sure && !settles(refused): // Klarna may be at work on what was sent before
		return fmt.Errorf("%w: %w", klarna.ErrOutcomeUnknown, cause)
	case !spent:
		if !repeated { // nothing was done, now or before
			try.row.Answer = nil
		}
		return cause
	}
	try.row.Answer = nil
	_, err := o.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID:         fmt.Sprintf("refused:%s:%s:%s", account, sessionID, journal.TokenKey(token)),
		MerchantAccount: account, Cause: journal.Call, At: o.store.Now(), SessionID: sessionID,
		TokenCancelled: true, CancelledToken: token,
		Attention: &journal.Attention{Reason: journal.OrderNotPlaced, Message: "Klarna refused to make an order: " + refused.Code},
	})
	if err != nil {
		o.log.ErrorContext(ctx, "record refused order", "session_id", sessionID, "error", err)
	}
	return cause
}

// Spent tells whether a failure to place an order uses the authorisation up: Klarna's own refusal of it, not an answer about
// our credentials, rights or rate, nor one of something on the way to Klarna. A conflict leaves open which order it is with,
// so it is for the session to show.
func Spent(cause error) (refused *klarna.Error, spent bool) {
	refused, decided := decision(cause)
	return refused, decided && klarnasWords(refused) && !aboutUs(refused) && refused.Status != http.StatusConflict
}

// otherBody tells whether Klarna refused an order because another body than what was sent has become the order of its
// authorisation, or was authorised.
func otherBody(refused *klarna.Error) bool {
	return refused.Status == http.StatusConflict && refused.Code == "BAD_VALUE"
}

// Order reads an order from Klarna and records what is new. Pushed says that a push asked for it.
func (o *Operations) Order(ctx context.Context, merchantAccount, orderID string, cause journal.Cause) (klarna.Order, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return klarna.Order{}, err
	}
	if account, err = o.home(ctx, account, journal.KeyOrder, orderID); err != nil {
		return klarna.Order{}, err
	}
	asked := o.store.Now()
	order, err := account.Klarna.Order(ctx, orderID)
	if err != nil {
		return order, fmt.Errorf("read order %s: %w", orderID, err)
	}
	fact := orderFact(merchantAccount, order, asked)
	fact.Cause, fact.Pushed = cause, cause == journal.Push
	record, err := o.recordOf(ctx, merchantAccount, order)
	if err != nil {
		return order, err
	}
	if fact.SessionID, err = o.sessionOf(ctx, record, merchantAccount, order); err != nil {
		return order, err
	}
	if fact.SessionID == "" && record.order != nil && record.sole && !o.journal.News(*record.order, fact) {
		return order, nil
	}
	fact.EventID = fmt.Sprintf("read:%s:%s:%x", merchantAccount, orderID, o.store.Fingerprint(order.Raw, []byte(asked.Format(time.RFC3339Nano)))[:12])
	if fact.SessionID != "" {
		fact.Settled = journal.Conflict
	}
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

// readSoon adds the job to read what a write may have changed. It comes after the write, whose time may have run out.
func (o *Operations) readSoon(ctx context.Context, job, merchantAccount, key string) {
	ctx, now := context.WithoutCancel(ctx), o.store.Now()
	err := o.store.Do(ctx, func(tx store.Tx) error {
		return tx.AddJob(ctx, store.Job{
			Kind: job, MerchantAccount: merchantAccount, Key: key, RunAt: now.Add(5 * time.Second), CreatedAt: now,
		})
	})
	if err != nil {
		o.log.ErrorContext(ctx, "leave work for an unknown outcome", "job", job, "error", err)
	}
}

// paymentBy returns the payment on record under an identifying key; store.ErrNotFound if there is none.
func (o *Operations) paymentBy(ctx context.Context, merchantAccount, kind, value string) (journal.Payment, error) {
	return o.journal.PaymentBy(ctx, merchantAccount, kind, value)
}
