package journal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"payments.internal/klarna-gateway/store"
)

// Kinds of keys that address a payment. Session, order and payment id identify it; a reference may address several.
const (
	KeyPayment    = "payment_id"
	KeySession    = "session_id"
	KeyOrder      = "order_id"
	KeyToken      = "authorization_token" // its digest, see TokenKey
	KeyReference  = "merchant_reference"
	KeyPartner    = "partner_account_id"
	KeyHostedPage = "hosted_page_id"

	KeyRequest     = "payment_request_id"
	KeyTransaction = "payment_transaction_id"
)

// PaymentKind says what happened to a payment; empty is something that this version does not know.
type PaymentKind string

// The kinds of payment events.
const (
	KindSessionCreated         PaymentKind = "SESSION_CREATED"
	KindSessionUpdated         PaymentKind = "SESSION_UPDATED"
	KindAuthorized             PaymentKind = "AUTHORIZED"
	KindAuthorizationCancelled PaymentKind = "AUTHORIZATION_CANCELLED"
	KindOrderCreated           PaymentKind = "ORDER_CREATED"
	KindUnpaid                 PaymentKind = "UNPAID"
	KindPaid                   PaymentKind = "PAID"
	KindClosed                 PaymentKind = "CLOSED"
	KindCaptured               PaymentKind = "CAPTURED"
	KindRefunded               PaymentKind = "REFUNDED"
	KindCancelled              PaymentKind = "CANCELLED"
	KindExpired                PaymentKind = "EXPIRED"
	KindAcknowledged           PaymentKind = "ACKNOWLEDGED"
	KindLinked                 PaymentKind = "LINKED"
	KindAttention              PaymentKind = "ATTENTION"
	KindOrderChanged           PaymentKind = "ORDER_CHANGED"
	KindExpiresInSevenDays     PaymentKind = "EXPIRES_IN_SEVEN_DAYS"
	KindExpiresInOneDay        PaymentKind = "EXPIRES_IN_ONE_DAY"
	KindAuthorizationExpired   PaymentKind = "AUTHORIZATION_EXPIRED"
	KindAttentionEnded         PaymentKind = "ATTENTION_ENDED"
	KindInProgress             PaymentKind = "IN_PROGRESS"
	KindDeclined               PaymentKind = "DECLINED"
	KindChargedBack            PaymentKind = "CHARGED_BACK"
	KindDisputed               PaymentKind = "DISPUTED"
)

// PaymentFact is one thing learned about a payment. What is nil or zero was not told.
type PaymentFact struct {
	EventID         string // unique for ever: the same fact learned twice has the same id
	MerchantAccount string
	Cause           Cause
	At              time.Time // the source's time of the fact
	Type            string    // Klarna's event type, for notifications
	Raw             []byte    // Klarna's bytes
	TraceParent     string
	CorrelationID   string // Klarna's, of the call that taught it; empty: Config.CorrelationID tells

	// Known is the payment as it was looked at before, nil if it was not: one that stands so still is not decoded again.
	Known *Known

	SessionID string
	OrderID   string

	Network *NetworkFacts // of a payment on the Klarna Network, else nil

	Session        *SessionFacts
	HostedPageID   string // a page on which the session can be paid
	Token          string // a new authorisation token
	TokenCancelled bool
	CancelledToken string // which one; empty is the one on record
	SessionExpired bool
	TokenExpired   bool // the authorisation ran out; CancelledToken is which one
	Expiry         *ExpiryFacts
	Order          *OrderFacts
	Status         *StatusFacts
	Capture        *Movement
	Refund         *Movement
	Cancelled      bool // by our own call
	CancelTried    bool // by our own call, with unknown outcome
	Pushed         bool // Klarna Checkout waits for an acknowledgement
	Acknowledge    bool // the owning service wants it acknowledged
	Acknowledged   bool // Klarna has confirmed
	Orphan         OrphanKind
	Attention      *Attention
	Settled        AttentionReason // a matter that is open no more
	SettledRef     string          // its Ref
}

// SessionFacts is what a session's creation or update settled.
type SessionFacts struct {
	Currency        string
	OrderAmount     int64
	Reference1      string
	Reference2      string
	ExpiresAt       time.Time
	OrderPolicy     OrderPolicy
	AutoCapture     bool
	ConfirmationURL string
	Updated         bool // an update: policy and auto capture stay as they are
}

// OrderFacts is an order as Order Management shows it, or as placing it answered. What was placed tells its amount,
// currency and references only where there is no session that did.
type OrderFacts struct {
	FraudStatus     string
	RedirectURL     string
	Currency        string
	Amount          int64
	Reference1      string
	Reference2      string
	Read            bool // a full reading: everything is set
	Status          string
	KlarnaReference string
	Captured        int64
	Refunded        int64
	Remaining       int64
	Captures        []Movement
	Refunds         []Movement
	ExpiresAt       time.Time
}

// StatusFacts is what a payment-status notification tells.
type StatusFacts struct {
	Status      string
	Currency    string
	OrderAmount int64
	Reference1  string
	Reference2  string
	Expected    []Transfer
	Received    []Transfer
}

// PaymentEntry is what an event of the payment stream holds beside its envelope.
type PaymentEntry struct {
	Payment        Payment         `json:"payment"`
	PreviousStatus string          `json:"previous_status,omitempty"`
	Type           string          `json:"type,omitempty"`
	Attention      AttentionReason `json:"attention,omitempty"`
	CorrelationID  string          `json:"correlation_id,omitempty"`
}

// PaymentRecord is what became of a fact.
type PaymentRecord struct {
	Payment  Payment
	Position store.Position // newest event of the payment
	Kind     PaymentKind
	Outcome  Outcome
}

// DecodePaymentEntry reads the body of an event or subject of the payment stream.
func DecodePaymentEntry(body []byte) (PaymentEntry, error) {
	var e PaymentEntry
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("decode payment: %w", err)
	}
	return e, nil
}

// TokenKey is the digest under which an authorisation token addresses its payment.
func TokenKey(token string) string {
	sum := sha256.Sum256([]byte("authorization token\x00" + token))
	return hex.EncodeToString(sum[:16])
}

// RecordPayment records a fact in a commit of its own.
func (j *Journal) RecordPayment(ctx context.Context, fact PaymentFact) (rec PaymentRecord, err error) {
	err = j.store.Do(ctx, func(tx store.Tx) (err error) {
		rec, err = j.PaymentIn(ctx, tx, fact)
		return err
	})
	return rec, err
}

// News tells whether recording a fact would change anything of a payment that was looked up: its state, the log, or the
// work that follows. In doubt it would. Without news there is no need of a commit: it would have left all as it was.
func (j *Journal) News(p Payment, fact PaymentFact) bool {
	follows := fact.Cause == Notification || fact.Session != nil || fact.Token != "" || fact.Orphan != "" || fact.Network != nil
	return follows || fold(&p, &fact, j.store.Now()).moved
}

// PaymentIn records a fact within a unit of work.
func (j *Journal) PaymentIn(ctx context.Context, tx store.Tx, fact PaymentFact) (rec PaymentRecord, err error) {
	tx.Expect(fact.EventID, store.Payments, fact.MerchantAccount, fact.identity())
	repeat, known, err := j.seen(ctx, tx, fact.MerchantAccount, fact.EventID, fact.Raw)
	if err != nil {
		return rec, err
	}
	if repeat != "" {
		return j.repeatedPayment(ctx, tx, known, repeat)
	}
	var taken []store.Subject // over by the oldest
	subject, merged, err := j.subject(ctx, tx, store.Payments, fact.MerchantAccount, fact.identity(), func(into *store.Subject, from store.Subject) error {
		err := mergePayments(into, from)
		if err == nil {
			taken = append(taken, from)
		}
		return err
	})
	if err == nil {
		err = j.endTaken(ctx, tx, taken, fact.Cause)
	}
	if err != nil {
		return rec, fmt.Errorf("find payment: %w", err)
	}
	var entry PaymentEntry
	switch {
	case subject.Body == nil:
		entry.Payment = Payment{ID: newID(), MerchantAccount: fact.MerchantAccount, CreatedAt: j.store.Now()}
	case !merged && fact.Known.stands(subject.Body):
		entry.Payment = fact.Known.Payment
	default:
		if entry, err = DecodePaymentEntry(subject.Body); err != nil {
			return rec, err
		}
	}
	if !merged {
		entry.PreviousStatus = entry.Payment.Status
	}
	return j.appendPayment(ctx, tx, subject, entry, merged, fact)
}

func (j *Journal) repeatedPayment(ctx context.Context, tx store.Tx, known store.Event, outcome Outcome) (PaymentRecord, error) {
	rec := PaymentRecord{Outcome: outcome, Position: known.Position}
	if known.Subject == "" {
		return rec, nil
	}
	subject, err := tx.Subject(ctx, known.Subject)
	if err != nil {
		return rec, fmt.Errorf("read payment: %w", err)
	}
	entry, err := DecodePaymentEntry(subject.Body)
	rec.Payment, rec.Position = entry.Payment, subject.Latest
	return rec, err
}

// appendPayment folds the fact into the state and stores what came out, with the work that follows. The entry is the
// payment as it was, after a merge as both amount to, with the status that watchers know.
func (j *Journal) appendPayment(ctx context.Context, tx store.Tx, subject store.Subject, entry PaymentEntry, merged bool, fact PaymentFact) (rec PaymentRecord, err error) {
	now := j.store.Now()
	before, after := entry.Payment, entry.Payment
	change := fold(&after, &fact, now)
	told := fact.Cause == Notification
	if !change.moved && !merged && !told {
		rec = PaymentRecord{Payment: before, Position: subject.Latest, Outcome: Unchanged}
		return rec, j.followPayment(ctx, tx, before, before, fact) // a token after the order changes nothing, but is given back
	}
	rec = PaymentRecord{Kind: change.kind, Outcome: Applied}
	if merged && change.kind == KindOrderChanged {
		rec.Kind = KindLinked
	}
	if opaque := fact.opaque(); !change.moved && !merged && !opaque {
		rec.Outcome = Superseded
	}
	after.UpdatedAt = now
	body, lasting, err := PaymentEntry{
		Payment: after, PreviousStatus: entry.PreviousStatus, Type: fact.Type, Attention: change.attention,
		CorrelationID: cmp.Or(fact.CorrelationID, j.correlationID(ctx)),
	}.encode()
	if err != nil {
		return rec, fmt.Errorf("encode payment: %w", err)
	}
	rec.Payment = after
	rec.Position, err = tx.Append(ctx, store.Event{
		ID: fact.EventID, Stream: store.Payments, MerchantAccount: fact.MerchantAccount, Subject: after.ID, New: subject.ID == "",
		Kind: string(rec.Kind), Cause: string(fact.Cause), State: string(after.State), PreviousState: subject.State,
		Superseded: rec.Outcome == Superseded, OccurredAt: fact.At, Keys: after.keys(), Body: body, Lasting: lasting, Raw: fact.Raw,
		TraceParent: fact.TraceParent,
	})
	if err != nil {
		return rec, fmt.Errorf("append payment event: %w", err)
	}
	if rec.Outcome == Superseded {
		j.log.WarnContext(ctx, "payment event came too late and was kept without effect", "event_id", fact.EventID, "position", int64(rec.Position), "kind", rec.Kind, "state", after.State)
	}
	if err := j.followAttentions(ctx, tx, before.Attentions, &after, fact.Cause, fact.EventID); err != nil {
		return rec, err
	}
	return rec, j.followPayment(ctx, tx, before, after, fact)
}

// opaque tells whether a fact is a notification of a type that we do not know.
func (f *PaymentFact) opaque() bool {
	return f.Type != "" && f.Status == nil && (f.Network == nil || f.Network.Kind == "")
}

// identity lists the keys that say which payment the fact is about.
func (f *PaymentFact) identity() (keys []store.Key) {
	if f.SessionID != "" {
		keys = append(keys, store.Key{Kind: KeySession, Value: f.SessionID})
	}
	if f.OrderID != "" {
		keys = append(keys, store.Key{Kind: KeyOrder, Value: f.OrderID})
	}
	if f.Network != nil {
		keys = append(keys, f.Network.identity()...)
	}
	return keys
}

// mergePayments folds a younger payment into the older one: it was the same purchase, first heard of by another id.
func mergePayments(into *store.Subject, from store.Subject) error {
	older, err := DecodePaymentEntry(into.Body)
	if err != nil {
		return err
	}
	younger, err := DecodePaymentEntry(from.Body)
	if err != nil {
		return err
	}
	p, q := &older.Payment, younger.Payment
	if differ(p.SessionID, q.SessionID) || differ(p.OrderID, q.OrderID) || contradict(p.Network, q.Network) {
		return errDistinct
	}
	older.PreviousStatus = p.Status
	fill(&p.PartnerAccountID, q.PartnerAccountID)
	fill(&p.SessionID, q.SessionID)
	fill(&p.OrderID, q.OrderID)
	fill(&p.KlarnaReference, q.KlarnaReference)
	fill(&p.Reference1, q.Reference1)
	fill(&p.Reference2, q.Reference2)
	fill(&p.OrderStatus, q.OrderStatus)
	fill(&p.FraudStatus, q.FraudStatus)
	fill(&p.Currency, q.Currency)
	fill(&p.OrderPolicy, q.OrderPolicy)
	fill(&p.ConfirmationURL, q.ConfirmationURL)
	fill(&p.RedirectURL, q.RedirectURL)
	if p.Token == "" {
		p.Token, p.TokenAt, p.TokenCancelled = q.Token, q.TokenAt, q.TokenCancelled
	}
	if p.OrderAmount == 0 {
		p.OrderAmount = q.OrderAmount
	}
	if statusRank(q.Status) > statusRank(p.Status) {
		p.Status, p.StatusInferred, p.StatusAt, p.Expected, p.Received = q.Status, q.StatusInferred, q.StatusAt, q.Expected, q.Received
	}
	if q.Read != nil && (p.Read == nil || q.Read.At.After(p.Read.At)) {
		p.Read, p.OrderStatus, p.ExpiresAt = q.Read, q.OrderStatus, q.ExpiresAt
		p.Currency, p.OrderAmount = q.Currency, q.OrderAmount
	}
	if p.ExpiresAt.IsZero() {
		p.ExpiresAt = q.ExpiresAt
	}
	if p.Expiry == nil {
		p.Expiry = q.Expiry
	}
	p.SessionExpired, p.AutoCapture = p.SessionExpired || q.SessionExpired, p.AutoCapture || q.AutoCapture
	for _, id := range q.HostedPages {
		p.addHostedPage(id)
	}
	p.Captures, p.Refunds = unite(p.Captures, q.Captures), unite(p.Refunds, q.Refunds)
	p.CapturedAmount, p.RefundedAmount = max(p.CapturedAmount, q.CapturedAmount), max(p.RefundedAmount, q.RefundedAmount)
	p.Checkout, p.Acknowledged = p.Checkout || q.Checkout, p.Acknowledged || q.Acknowledged
	p.AcknowledgeWanted, p.CancelledByUs = p.AcknowledgeWanted || q.AcknowledgeWanted, p.CancelledByUs || q.CancelledByUs
	if p.AcknowledgeBy.IsZero() {
		p.AcknowledgeBy = q.AcknowledgeBy
	}
	for _, a := range q.Attentions {
		p.raise(a)
	}
	p.Network = mergeNetworks(p.Network, q.Network)
	p.count(nil)
	if next := p.derive(); legalMove(p.State, next) {
		p.State = next
	}
	into.Body, err = json.Marshal(older)
	return err
}

// differ tells whether two ids are both known and not the same.
func differ(a, b string) bool { return a != "" && b != "" && a != b }

func fill[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}

// sameBut tells whether two payments are equal in everything a watcher can see: as they are, or else as they are encoded.
func sameBut(a, b Payment) bool {
	if a.State != b.State || a.Status != b.Status || a.OrderID != b.OrderID || a.OrderStatus != b.OrderStatus ||
		len(a.Captures) != len(b.Captures) || len(a.Refunds) != len(b.Refunds) {
		return false // as most facts are; the rest is compared as it is written
	}
	a.UpdatedAt, b.UpdatedAt = time.Time{}, time.Time{}
	a.StatusAt, b.StatusAt = time.Time{}, time.Time{}
	a.Read, b.Read = nil, nil
	a.Network, b.Network = a.Network.untimed(), b.Network.untimed()
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
