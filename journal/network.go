package journal

import (
	"slices"
	"strings"
	"time"

	"payments.internal/klarna-gateway/store"
)

// Klarna's states of payment requests and transactions that the journal acts on; others are kept as they come.
const (
	requestSubmitted  = "SUBMITTED"
	requestInProgress = "IN_PROGRESS"
	requestCompleted  = "COMPLETED"
	requestDeclined   = "DECLINED"
	requestExpired    = "EXPIRED"
	requestCanceled   = "CANCELED"

	transactionAuthorized = "AUTHORIZED"
	transactionCompleted  = "COMPLETED"
	transactionExpired    = "EXPIRED"
	transactionClosed     = "CLOSED"

	disputeClosed = "CLOSED"
)

// Network is what only a payment on the Klarna Network has. Its payment request plays the part of a session, its
// transaction that of an order: the transaction's state is the payment's order status.
type Network struct {
	RequestID            string     `json:"request_id,omitempty"`
	RequestReference     string     `json:"request_reference,omitempty"`
	RequestState         string     `json:"request_state,omitempty"` // Klarna's word
	RequestStateReason   string     `json:"request_state_reason,omitempty"`
	RequestAt            time.Time  `json:"request_at,omitzero"` // the source's time of the state
	TransactionID        string     `json:"transaction_id,omitempty"`
	TransactionReference string     `json:"transaction_reference,omitempty"`
	TransactionAt        time.Time  `json:"transaction_at,omitzero"`  // the source's time of its state
	Lapsed               bool       `json:"lapsed,omitempty"`         // the transaction's authorisation ran out
	DeclineReason        string     `json:"decline_reason,omitempty"` // of the newest authorisation that was declined, Klarna's word
	Chargebacks          []Movement `json:"chargebacks,omitempty"`
	Disputes             []Dispute  `json:"disputes,omitempty"`
}

// Dispute is a customer's objection to a payment.
type Dispute struct {
	ID     string    `json:"id"`
	State  string    `json:"state"`            // Klarna's word
	Reason string    `json:"reason,omitempty"` // Klarna's word
	At     time.Time `json:"at,omitzero"`      // the source's time of the state
}

// requestMoves and transactionMoves list what may follow a state. Where a state may come back, the source's later time
// wins. Klarna: an expired transaction may be authorised again for 7 days.
var (
	requestMoves = map[string][]string{
		requestSubmitted:  {requestInProgress, requestCompleted, requestDeclined, requestExpired, requestCanceled},
		requestInProgress: {requestSubmitted, requestCompleted, requestDeclined, requestExpired, requestCanceled},
		requestCompleted:  {}, requestDeclined: {}, requestExpired: {}, requestCanceled: {},
	}
	transactionMoves = map[string][]string{
		transactionAuthorized: {transactionExpired, transactionCompleted, transactionClosed},
		transactionExpired:    {transactionAuthorized, transactionCompleted, transactionClosed},
		transactionCompleted:  {transactionClosed},
		transactionClosed:     {},
	}
)

// moves tells whether a state that was told at a time follows the one on record.
func moves(table map[string][]string, from, to string, since, at time.Time) bool {
	if next, known := table[from]; to == "" || from == to || known && len(next) == 0 || !legalWord(table, from, to) {
		return false
	}
	return !slices.Contains(table[to], from) || !at.Before(since)
}

// requestFinal tells whether nothing can come after a payment request's state.
func requestFinal(state string) bool {
	next, known := requestMoves[state]
	return known && len(next) == 0
}

// transactionEnded tells whether nothing can be captured in a transaction's state.
func transactionEnded(state string) bool {
	return state == transactionCompleted || state == transactionExpired || state == transactionClosed
}

// hasOrder tells whether there is something to capture from: an order, or a transaction.
func (p *Payment) hasOrder() bool {
	return p.OrderID != "" || p.Network != nil && p.Network.TransactionID != ""
}

// mayBeExtended tells whether the authorisation ran out but may come back: such a payment is not at its end.
func (p *Payment) mayBeExtended() bool {
	return p.Network != nil && p.OrderStatus == transactionExpired
}

// ChargedBackAmount is what Klarna took back for the customer, in minor units.
func (n *Network) ChargedBackAmount() (total int64) {
	for _, m := range n.Chargebacks {
		total += m.Amount
	}
	return total
}

// deriveNetwork computes the state of a payment of which nothing is captured.
func (p *Payment) deriveNetwork() PaymentState {
	n := p.Network
	switch {
	case n.TransactionID != "" && p.OrderStatus != transactionClosed:
		return Ordered
	case n.TransactionID != "" && n.Lapsed && !p.CancelledByUs:
		return Expired
	case n.TransactionID != "", n.RequestState == requestCanceled:
		return Cancelled
	case n.RequestState == requestDeclined:
		return Declined
	case n.RequestState == requestExpired:
		return Expired
	case p.TokenCancelled:
		return AuthorizationCancelled
	case n.RequestState == requestCompleted:
		return Authorized
	default:
		return SessionCreated
	}
}

// contradict tells whether two payments cannot be one.
func contradict(a, b *Network) bool {
	return a != nil && b != nil && (differ(a.RequestID, b.RequestID) || differ(a.TransactionID, b.TransactionID))
}

// identity lists the keys that say which payment it is.
func (n *Network) identity() (keys []store.Key) {
	if n.RequestID != "" {
		keys = append(keys, store.Key{Kind: KeyRequest, Value: n.RequestID})
	}
	if n.TransactionID != "" {
		keys = append(keys, store.Key{Kind: KeyTransaction, Value: n.TransactionID})
	}
	return keys
}

// Address is the key by which the payment is best found: by its transaction, its request, or a reference.
func (n *Network) Address() store.Key {
	if keys := n.identity(); len(keys) > 0 {
		return keys[len(keys)-1]
	}
	return store.Key{Kind: KeyReference, Value: n.TransactionReference}
}

// mergeNetworks takes what a younger payment knows into an older one, which was the same purchase.
func mergeNetworks(older, younger *Network) *Network {
	if older == nil || younger == nil {
		if older == nil {
			return younger
		}
		return older
	}
	n := *older
	fill(&n.RequestID, younger.RequestID)
	fill(&n.RequestReference, younger.RequestReference)
	fill(&n.TransactionID, younger.TransactionID)
	fill(&n.TransactionReference, younger.TransactionReference)
	fill(&n.DeclineReason, younger.DeclineReason)
	if moves(requestMoves, n.RequestState, younger.RequestState, n.RequestAt, younger.RequestAt) {
		n.RequestState, n.RequestStateReason, n.RequestAt = younger.RequestState, younger.RequestStateReason, younger.RequestAt
	}
	if younger.TransactionAt.After(n.TransactionAt) {
		n.TransactionAt = younger.TransactionAt
	}
	n.Lapsed = n.Lapsed || younger.Lapsed
	n.Chargebacks = unite(n.Chargebacks, younger.Chargebacks)
	for _, d := range younger.Disputes {
		n.dispute(d)
	}
	return &n
}

// dispute takes the newest state of a dispute. Klarna: its names differ by release, so the table is time's; what is closed
// stays so.
func (n *Network) dispute(d Dispute) (moved bool) {
	i := slices.IndexFunc(n.Disputes, func(known Dispute) bool { return known.ID == d.ID })
	switch {
	case i < 0:
		n.Disputes = append(slices.Clone(n.Disputes), d)
		return true
	case n.Disputes[i].State == disputeClosed || d.State == n.Disputes[i].State || d.At.Before(n.Disputes[i].At):
		return false
	}
	n.Disputes = slices.Clone(n.Disputes)
	if d.Reason == "" {
		d.Reason = n.Disputes[i].Reason
	}
	n.Disputes[i] = d
	return true
}

// untimed is what of it a watcher can see.
func (n *Network) untimed() *Network {
	if n == nil {
		return nil
	}
	visible := *n
	visible.RequestAt, visible.TransactionAt = time.Time{}, time.Time{}
	return &visible
}

// NetworkKey is the key of a job about something of a partner account. Klarna's ids hold no blanks.
func NetworkKey(partnerAccountID, id string) string { return partnerAccountID + " " + id }

// FromNetworkKey is what NetworkKey put together.
func FromNetworkKey(key string) (partnerAccountID, id string) {
	partnerAccountID, id, _ = strings.Cut(key, " ")
	return partnerAccountID, id
}
