package journal

import (
	"cmp"
	"slices"
	"time"
)

// NetworkFacts is one thing learned about a payment on the Klarna Network. What is nil or zero was not told.
type NetworkFacts struct {
	Network                 // ids, references, the states and what is added to the lists
	PartnerAccountID string // whose payment it is
	Kind             PaymentKind
	Reread           bool // there is more to know than was told: the resource is to be read

	Request     *RequestFacts
	Transaction *OrderFacts // its state is the status
	Funding     string      // the payment status that the state of its funding amounts to
	Voided      bool        // by our own call
}

// RequestFacts is a payment request as Klarna shows it, or as opening or changing it settled. Its state and references are
// the Network's.
type RequestFacts struct {
	Currency          string
	Amount            int64
	PurchaseReference string
	ExpiresAt         time.Time
	Token             string // session token, a secret
}

// told is the reading whose sums count, nil if the fact is none.
func (f *PaymentFact) told() *OrderFacts {
	switch {
	case f.Order != nil && f.Order.Read:
		return f.Order
	case f.Network != nil && f.Network.Transaction != nil && f.Network.Transaction.Read:
		return f.Network.Transaction
	}
	return nil
}

// network takes what was learned of a payment on the Network.
func (c *change) network(p *Payment, f *PaymentFact, now time.Time) {
	was, told := p.Network, f.Network
	if was == nil {
		was = &Network{}
	}
	n := *was
	p.Network = &n
	fill(&p.PartnerAccountID, told.PartnerAccountID)
	fill(&n.RequestID, told.RequestID)
	if n.TransactionID == "" && told.TransactionID != "" {
		n.TransactionID = told.TransactionID
		p.settle(OrderNotPlaced)
		c.kind = KindOrderCreated
	}
	n.RequestReference = cmp.Or(told.RequestReference, n.RequestReference)
	n.TransactionReference = cmp.Or(told.TransactionReference, n.TransactionReference)
	if told.DeclineReason != "" {
		n.DeclineReason, c.kind = told.DeclineReason, KindDeclined
	}
	c.request(p, &n, f)
	if told.Transaction != nil {
		c.transaction(p, &n, f)
	}
	if told.Voided {
		p.CancelledByUs = true
	}
	n.Chargebacks = unite(n.Chargebacks, told.Chargebacks)
	for _, d := range told.Disputes {
		c.disputed(p, &n, d, now)
	}
	if told.Funding != "" && told.Funding != p.Status && !p.StatusAt.After(f.At) {
		c.status(p, &PaymentFact{At: f.At, Status: &StatusFacts{Status: told.Funding}}, now)
	}
	if told.Kind != "" {
		c.kind = told.Kind
	}
}

// request takes a payment request's state, and what it settled while there is no transaction.
func (c *change) request(p *Payment, n *Network, f *PaymentFact) {
	told := f.Network
	if moves(requestMoves, n.RequestState, told.RequestState, n.RequestAt, f.At) {
		if n.RequestState == "" && f.Network.Kind == "" {
			c.kind = KindSessionCreated
		}
		n.RequestState, n.RequestStateReason, n.RequestAt = told.RequestState, told.RequestStateReason, f.At
		c.kind = cmp.Or(requestKinds[told.RequestState], c.kind)
	}
	r := told.Request
	if r == nil {
		return
	}
	if n.TransactionID == "" {
		p.Currency = cmp.Or(r.Currency, p.Currency)
		p.OrderAmount = cmp.Or(r.Amount, p.OrderAmount)
		if !r.ExpiresAt.IsZero() {
			p.ExpiresAt = r.ExpiresAt
		}
	}
	p.Reference1 = cmp.Or(r.PurchaseReference, p.Reference1)
	if r.Token != "" && n.TransactionID == "" && p.Token != r.Token {
		p.Token, p.TokenAt, p.TokenCancelled = r.Token, f.At, false
	}
}

// requestKinds names an event by the state that a payment request came into.
var requestKinds = map[string]PaymentKind{
	requestInProgress: KindInProgress, requestCompleted: KindAuthorized, requestDeclined: KindDeclined,
	requestExpired: KindExpired, requestCanceled: KindCancelled,
}

// transaction takes what Klarna shows of a transaction. As with orders, captures and refunds never vanish, and of all else
// the newest reading counts.
func (c *change) transaction(p *Payment, n *Network, f *PaymentFact) {
	t := f.Network.Transaction
	p.Captures, p.Refunds = unite(p.Captures, t.Captures), unite(p.Refunds, t.Refunds)
	if moves(transactionMoves, p.OrderStatus, t.Status, n.TransactionAt, f.At) {
		late := t.Status == transactionClosed && !p.ExpiresAt.IsZero() && !f.At.Before(p.ExpiresAt)
		n.Lapsed = t.Status != transactionAuthorized && (n.Lapsed || t.Status == transactionExpired || late)
		p.OrderStatus, n.TransactionAt = t.Status, f.At
		if t.Status == transactionExpired {
			c.kind = KindExpired
		}
	}
	newest := t.Read && (p.Read == nil || !f.At.Before(p.Read.At))
	if newest || p.Read == nil {
		p.Currency, p.OrderAmount = cmp.Or(t.Currency, p.Currency), cmp.Or(t.Amount, p.OrderAmount)
		if !t.ExpiresAt.IsZero() {
			p.ExpiresAt = t.ExpiresAt
		}
	}
	p.Reference1 = cmp.Or(t.Reference1, p.Reference1)
	if !newest {
		return
	}
	ids := make([]string, len(t.Captures))
	for i, m := range t.Captures {
		ids[i] = m.ID
	}
	p.Read = &OrderRead{At: f.At, Remaining: t.Remaining, Captures: ids}
}

// disputed takes a dispute's state. While one is open, somebody has to look.
func (c *change) disputed(p *Payment, n *Network, d Dispute, now time.Time) {
	if !n.dispute(d) {
		return
	}
	c.kind = KindDisputed
	if slices.ContainsFunc(n.Disputes, func(d Dispute) bool { return d.State != disputeClosed }) {
		p.attend(Disputed, "the customer disputes the payment; Klarna's dispute process waits for an answer", now)
		c.attention = Disputed
		return
	}
	p.settle(Disputed)
}

// followNetwork adds the work that follows from a change of a payment on the Network.
func (j *Journal) followNetwork(follow func(wanted bool, kind, key string, at, deadline time.Time), before, after Payment, fact PaymentFact) {
	n := after.Network
	if n == nil || after.PartnerAccountID == "" {
		return
	}
	was := Network{}
	if before.Network != nil {
		was = *before.Network
	}
	now, reread := j.store.Now(), fact.Network != nil && fact.Network.Reread
	request, transaction := NetworkKey(after.PartnerAccountID, n.RequestID), NetworkKey(after.PartnerAccountID, n.TransactionID)
	open := n.RequestID != "" && n.TransactionID == "" && !after.State.Final()
	tokenless := n.RequestState == requestCompleted && after.Token == ""
	follow(open && was.RequestID == "", JobReadRequest, request, now.Add(j.sessionReadDelay), time.Time{})
	follow(open && n.RequestState == requestCompleted && was.RequestState != requestCompleted && !tokenless, JobReadRequest, request, now.Add(SessionTokenLife+expiryGrace), time.Time{})
	follow(open && (reread || tokenless && fact.Cause == Notification), JobReadRequest, request, now, time.Time{})

	told := after.Read != nil && !after.ExpiresAt.IsZero()
	follow(n.TransactionID != "" && was.TransactionID == "" && told, JobReadTransaction, transaction, ExpiryMoment(now, after.ExpiresAt), time.Time{})
	follow(n.TransactionID != "" && (reread || was.TransactionID == "" && !told), JobReadTransaction, transaction, now, time.Time{})
}

// Kinds of work on the Network. Their keys are made by NetworkKey.
const (
	JobReadRequest     = "read_payment_request" // the notification may be lost: read the payment request
	JobReadTransaction = "read_transaction"     // read the truth about a transaction
)

// SessionTokenLife is how long a completed payment request's token is good for. Klarna: an hour.
const SessionTokenLife = time.Hour
