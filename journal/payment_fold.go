package journal

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// change is what a fact did to a payment.
type change struct {
	moved     bool        // something a watcher can see is different
	kind      PaymentKind // what to call it
	attention AttentionReason
}

// acknowledgeWithin is how long Klarna Checkout pushes for an order; it should be acknowledged by then.
const acknowledgeWithin = 48 * time.Hour

// fold takes a fact into a payment. It is the only place where the state of a payment changes.
func fold(p *Payment, f *PaymentFact, now time.Time) (c change) {
	before := *p
	p.Attentions = slices.Clone(p.Attentions)
	c.kind = KindOrderChanged
	if !c.identify(p, f, now) { // it is about another purchase: shown to a person, never applied
		c.moved = !sameBut(before, *p)
		return c
	}
	if f.Session != nil {
		c.session(p, f)
	}
	if f.HostedPageID != "" {
		p.addHostedPage(f.HostedPageID)
		c.kind = KindSessionUpdated
	}
	if f.Orphan != "" {
		p.Orphans = append(slices.Clone(p.Orphans), Orphan{Kind: f.Orphan, At: f.At})
		p.attend(OrphanPossible, "an answer was lost: at Klarna there may be another "+orphanNames[f.Orphan]+", which nobody has; it lapses by itself", now)
	}
	if f.Token != "" {
		c.token(p, f)
	}
	if f.TokenCancelled && p.Token != "" && !differ(f.CancelledToken, p.Token) && !p.hasOrder() {
		p.TokenCancelled = true
		c.kind = KindAuthorizationCancelled
	}
	if f.SessionExpired && p.OrderID == "" {
		p.SessionExpired = true
		c.kind = KindExpired
	}
	if f.TokenExpired {
		c.tokenExpired(p, f)
	}
	if f.Expiry != nil {
		c.expiry(p, f.Expiry, now)
	}
	if f.Order != nil {
		c.order(p, f, before)
	}
	if f.CancelTried {
		p.CancelledByUs = true
	}
	if f.Cancelled {
		p.CancelledByUs, p.OrderStatus = true, orderCancelled
		c.kind = KindCancelled
	}
	if f.Capture != nil {
		p.Captures = unite(p.Captures, []Movement{*f.Capture})
		c.kind = KindCaptured
	}
	if f.Refund != nil {
		p.Refunds = unite(p.Refunds, []Movement{*f.Refund})
		c.kind = KindRefunded
	}
	if f.Network != nil {
		c.network(p, f, now)
	}
	c.acknowledgement(p, f)
	if f.Status != nil {
		c.status(p, f, now)
	}
	p.count(f.told())
	if f.Settled != "" {
		p.settleOne(Attention{Reason: f.Settled, Ref: f.SettledRef})
		c.kind, c.attention = KindAttentionEnded, f.Settled
	}
	if f.Attention != nil {
		p.raise(Attention{Reason: f.Attention.Reason, Ref: f.Attention.Ref, Message: f.Attention.Message, At: now})
		c.kind, c.attention = KindAttention, f.Attention.Reason
	}
	c.advance(p, before)
	p.mend()
	if f.opaque() {
		c.kind = "" // a notification of a type we do not know: streamed as it is
	}
	c.moved = !sameBut(before, *p)
	return c
}

// identify takes over ids that were not known. Ids that contradict those on record are a matter for a person: the fact
// is not about this payment, and identify returns false.
func (c *change) identify(p *Payment, f *PaymentFact, now time.Time) bool {
	if f.Network != nil && contradict(p.Network, &f.Network.Network) {
		p.attend(Conflict, fmt.Sprintf("told to belong to payment request %q and transaction %q", f.Network.RequestID, f.Network.TransactionID), now)
		c.kind, c.attention = KindAttention, Conflict
		return false
	}
	if differ(p.SessionID, f.SessionID) || differ(p.OrderID, f.OrderID) {
		p.attend(Conflict, fmt.Sprintf("told to belong to session %q and order %q", f.SessionID, f.OrderID), now)
		c.kind, c.attention = KindAttention, Conflict
		return false
	}
	fill(&p.SessionID, f.SessionID)
	if p.OrderID == "" && f.OrderID != "" {
		p.OrderID = f.OrderID
		c.kind = KindOrderCreated
	}
	if p.OrderID != "" { // perhaps known before, to another subject that is this one now
		p.settle(OrderNotPlaced)
		p.settle(WorkGivenUp)
	}
	return true
}

func (c *change) session(p *Payment, f *PaymentFact) {
	s := f.Session
	c.kind = KindSessionUpdated
	if !s.Updated {
		c.kind = KindSessionCreated
		p.OrderPolicy, p.AutoCapture = s.OrderPolicy, s.AutoCapture
	}
	if p.OrderID == "" { // Klarna: an update keeps what it does not name
		p.Currency, p.OrderAmount = s.Currency, s.OrderAmount
		p.Reference1, p.Reference2 = cmp.Or(s.Reference1, p.Reference1), cmp.Or(s.Reference2, p.Reference2)
	}
	if s.ConfirmationURL != "" {
		p.ConfirmationURL = s.ConfirmationURL
	}
	if p.Read == nil && !s.ExpiresAt.IsZero() {
		p.ExpiresAt = s.ExpiresAt
	}
}

// token takes a new authorisation. Once there is an order a further token is of no use; the worker gives it back.
func (c *change) token(p *Payment, f *PaymentFact) {
	if p.hasOrder() || p.Token == f.Token {
		return
	}
	p.Token, p.TokenAt, p.TokenCancelled = f.Token, f.At, false
	c.kind = KindAuthorized
}

// order takes what Klarna shows of the order. A reading that was asked for before the newest one tells nothing new,
// except captures and refunds, which never vanish.
func (c *change) order(p *Payment, f *PaymentFact, before Payment) {
	o := f.Order
	if !o.Read {
		c.kind = KindOrderCreated // even if a notification has told of the order before
		p.placed(o)
	}
	fill(&p.RedirectURL, o.RedirectURL)
	fill(&p.FraudStatus, o.FraudStatus)
	p.Captures, p.Refunds = unite(p.Captures, o.Captures), unite(p.Refunds, o.Refunds)
	if !o.Read || p.Read != nil && f.At.Before(p.Read.At) {
		return
	}
	ids := make([]string, len(o.Captures))
	for i, m := range o.Captures {
		ids[i] = m.ID
	}
	p.Read = &OrderRead{At: f.At, Remaining: o.Remaining, Captures: ids}
	if o.FraudStatus != "" {
		p.FraudStatus = o.FraudStatus
	}
	p.OrderStatus, p.KlarnaReference, p.Currency, p.OrderAmount = o.Status, o.KlarnaReference, o.Currency, o.Amount
	p.Reference1, p.Reference2 = o.Reference1, o.Reference2
	if !o.ExpiresAt.IsZero() {
		p.ExpiresAt = o.ExpiresAt
	}
	// Klarna cancels an uncaptured order whose money never came, and tells CLOSED. The order shows it even if that
	// notification is lost; so much may be concluded, and is marked.
	if o.Status == orderCancelled && before.OrderStatus != orderCancelled && !p.CancelledByUs && p.Status == StatusUnpaid {
		p.Status, p.StatusInferred, p.StatusAt = StatusClosed, true, f.At
		c.kind = KindClosed
	}
}

// placed fills in what no session has told of an order.
func (p *Payment) placed(o *OrderFacts) {
	fill(&p.Currency, o.Currency)
	fill(&p.Reference1, o.Reference1)
	fill(&p.Reference2, o.Reference2)
	if p.OrderAmount == 0 {
		p.OrderAmount = o.Amount
	}
}

func (c *change) acknowledgement(p *Payment, f *PaymentFact) {
	if f.Pushed && !p.Checkout {
		p.Checkout = true
		p.AcknowledgeBy = f.At.Add(acknowledgeWithin)
	}
	if f.Acknowledge {
		p.AcknowledgeWanted = true
	}
	if f.Acknowledged && !p.Acknowledged {
		p.Acknowledged = true
		p.settle(AcknowledgeOverdue)
		c.kind = KindAcknowledged
	}
}

// status takes a payment-status notification. Klarna promises no order: rank decides, time only between equals.
func (c *change) status(p *Payment, f *PaymentFact, now time.Time) {
	s := f.Status
	c.kind = statusKind(s.Status)
	fill(&p.Currency, s.Currency)
	fill(&p.Reference1, s.Reference1)
	fill(&p.Reference2, s.Reference2)
	if p.OrderAmount == 0 {
		p.OrderAmount = s.OrderAmount
		p.count(nil)
	}
	was, is := statusRank(p.Status), statusRank(s.Status)
	switch {
	case was == 2 && is == 2 && p.Status != s.Status: // both final: the first one stands, and a person must look
		reason := PaidAfterClosed
		if s.Status == StatusClosed {
			reason = ClosedAfterPaid
		}
		p.attend(reason, fmt.Sprintf("Klarna told %s after %s", s.Status, p.Status), now)
		c.attention = reason
	case is > was, is == was && f.At.After(p.StatusAt), p.StatusInferred && p.Status == s.Status:
		p.Status, p.StatusInferred, p.StatusAt = s.Status, false, f.At
		p.Expected = s.Expected
		if len(s.Received) > 0 {
			p.Received = s.Received
		}
		c.differs(p, now)
	}
}

// differs raises attention when the money that came is not what was expected.
func (c *change) differs(p *Payment, now time.Time) {
	if diff, ok := p.Difference(); ok && diff != 0 {
		p.attend(PaymentDiffers, fmt.Sprintf("received differs from expected by %+d minor units", diff), now)
		c.attention = PaymentDiffers
	}
}

// advance moves the state to what everything known amounts to, if that move is legal, and names the event by it.
func (c *change) advance(p *Payment, before Payment) {
	next := p.derive()
	if legalMove(before.State, next) {
		p.State = next
	} else {
		p.State = before.State
	}
	if c.kind != KindOrderChanged {
		return
	}
	moved := p.State != before.State
	switch {
	case moved && p.State == Cancelled:
		c.kind = KindCancelled
	case moved && p.State == Expired:
		c.kind = KindExpired
	case moved && p.State == Closed:
		c.kind = KindClosed
	case p.RefundedAmount > before.RefundedAmount:
		c.kind = KindRefunded
	case p.CapturedAmount > before.CapturedAmount:
		c.kind = KindCaptured
	}
}

// mend ends what needed attention and does not any more.
func (p *Payment) mend() {
	over := p.State.Final()
	for reason, mended := range map[AttentionReason]bool{
		AcknowledgeOverdue:    p.Acknowledged,
		FraudPending:          p.FraudStatus != fraudPending,
		SilentPayment:         p.Status != StatusUnpaid,
		AuthorizationExpiring: p.RemainingAmount == 0 || p.Expiry == nil || p.Expiry.Within == 0 || p.ExpiresAt.After(p.Expiry.At),
	} {
		if over || mended {
			p.settle(reason)
		}
	}
}

// statusRank orders payment statuses: none, words we do not know, UNPAID, and the two final ones.
func statusRank(status string) int {
	switch status {
	case StatusPaid, StatusClosed:
		return 2
	case StatusUnpaid:
		return 1
	case "":
		return -1
	default:
		return 0
	}
}

func statusKind(status string) PaymentKind {
	switch status {
	case StatusUnpaid:
		return KindUnpaid
	case StatusPaid:
		return KindPaid
	case StatusClosed:
		return KindClosed
	default:
		return ""
	}
}
