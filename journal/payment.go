package journal

import (
	"slices"
	"time"

	"payments.internal/klarna-gateway/store"
)

// PaymentState is the state of a purchase as a whole.
type PaymentState string

// The states of a payment. The legal moves stand in paymentMoves.
const (
	SessionCreated         PaymentState = "SESSION_CREATED"
	Authorized             PaymentState = "AUTHORIZED"
	AuthorizationCancelled PaymentState = "AUTHORIZATION_CANCELLED"
	Ordered                PaymentState = "ORDERED"
	PartCaptured           PaymentState = "PART_CAPTURED"
	Captured               PaymentState = "CAPTURED"
	PartRefunded           PaymentState = "PART_REFUNDED"
	Refunded               PaymentState = "REFUNDED"
	Cancelled              PaymentState = "CANCELLED"
	Expired                PaymentState = "EXPIRED"
	Closed                 PaymentState = "CLOSED"
	Declined               PaymentState = "DECLINED" // of a payment request on the Network
)

// Payment statuses of Klarna's notifications (Pay Now). PAID and CLOSED are final.
// Klarna: PAID may be told before UNPAID; money after CLOSED goes back to the customer.
const (
	StatusUnpaid = "UNPAID"
	StatusPaid   = "PAID"
	StatusClosed = "CLOSED"
)

// Klarna's order statuses that the journal acts on; others are kept as they come.
const (
	orderCancelled = "CANCELLED"
	orderExpired   = "EXPIRED"
)

// fraudPending is Klarna's word for an order that it has not decided on yet.
const fraudPending = "PENDING"

// OrderPolicy says who places the order of a session; empty means the merchant account's policy.
type OrderPolicy string

// The order policies.
const (
	OrderAutomatic OrderPolicy = "AUTOMATIC"
	OrderByCaller  OrderPolicy = "BY_CALLER"
)

// Payment is everything on record about one purchase.
type Payment struct {
	ID                string       `json:"id"`
	MerchantAccount   string       `json:"merchant_account"`
	PartnerAccountID  string       `json:"partner_account_id,omitempty"`
	SessionID         string       `json:"session_id,omitempty"`
	OrderID           string       `json:"order_id,omitempty"`
	KlarnaReference   string       `json:"klarna_reference,omitempty"`
	Reference1        string       `json:"reference1,omitempty"`
	Reference2        string       `json:"reference2,omitempty"`
	State             PaymentState `json:"state"`
	Status            string       `json:"status,omitempty"` // payment status, Klarna's word
	StatusInferred    bool         `json:"status_inferred,omitempty"`
	StatusAt          time.Time    `json:"status_at,omitzero"`
	OrderStatus       string       `json:"order_status,omitempty"` // Klarna's word
	FraudStatus       string       `json:"fraud_status,omitempty"` // Klarna's word
	Currency          string       `json:"currency,omitempty"`
	OrderAmount       int64        `json:"order_amount"`
	Captures          []Movement   `json:"captures,omitempty"`
	Refunds           []Movement   `json:"refunds,omitempty"`
	CapturedAmount    int64        `json:"captured_amount"`
	RefundedAmount    int64        `json:"refunded_amount"`
	RemainingAmount   int64        `json:"remaining_amount"`
	Read              *OrderRead   `json:"read,omitempty"` // newest reading of the order
	Expected          []Transfer   `json:"expected,omitempty"`
	Received          []Transfer   `json:"received,omitempty"`
	OrderPolicy       OrderPolicy  `json:"order_policy,omitempty"`
	AutoCapture       bool         `json:"auto_capture,omitempty"`
	ConfirmationURL   string       `json:"confirmation_url,omitempty"`
	HostedPages       []string     `json:"hosted_pages,omitempty"` // ids of pages on which the session can be paid
	Token             string       `json:"token,omitempty"`        // authorisation token, a secret
	TokenAt           time.Time    `json:"token_at,omitzero"`
	TokenCancelled    bool         `json:"token_cancelled,omitempty"`
	SessionExpired    bool         `json:"session_expired,omitempty"`
	CancelledByUs     bool         `json:"cancelled_by_us,omitempty"`
	Checkout          bool         `json:"checkout,omitempty"` // an order of Klarna Checkout, to be acknowledged
	Acknowledged      bool         `json:"acknowledged,omitempty"`
	AcknowledgeWanted bool         `json:"acknowledge_wanted,omitempty"` // the owning service has said yes
	AcknowledgeBy     time.Time    `json:"acknowledge_by,omitzero"`
	RedirectURL       string       `json:"redirect_url,omitempty"`
	ExpiresAt         time.Time    `json:"expires_at,omitzero"`
	Network           *Network     `json:"network,omitempty"` // of a payment on the Klarna Network, else nil
	Expiry            *ExpiryFacts `json:"expiry,omitempty"`  // what watchers were told of ExpiresAt
	Attentions        []Attention  `json:"attentions,omitempty"`
	Orphans           []Orphan     `json:"orphans,omitempty"`  // what may exist at Klarna beside it, and nobody uses
	ErasedAt          time.Time    `json:"erased_at,omitzero"` // personal data
	CreatedAt         time.Time    `json:"created_at"`
	UpdatedAt         time.Time    `json:"updated_at"`
}

// OrphanKind is what an orphan is.
type OrphanKind string

// The kinds of orphans.
const (
	OrphanSession    OrphanKind = "SESSION"
	OrphanHostedPage OrphanKind = "HOSTED_PAGE"
)

// orphanNames are for people.
var orphanNames = map[OrphanKind]string{OrphanSession: "session", OrphanHostedPage: "hosted page"}

// Orphan is something that Klarna may have made in an attempt whose answer was lost, where it takes no idempotency key: it
// cannot be looked for, nobody has its id, and it expires by itself.
type Orphan struct {
	Kind OrphanKind `json:"kind"`
	At   time.Time  `json:"at"` // when another one was made in its place
}

// Movement is one capture or refund.
type Movement struct {
	ID        string    `json:"id"`
	Reference string    `json:"reference,omitempty"`
	Amount    int64     `json:"amount"`
	At        time.Time `json:"at,omitzero"`
}

// OrderRead is what Order Management said when it was asked.
type OrderRead struct {
	At        time.Time `json:"at"` // when we asked, so that an older answer cannot win
	Remaining int64     `json:"remaining"`
	Captures  []string  `json:"captures,omitempty"` // ids the answer knew
}

// Transfer is one payment from a customer's bank. Debtor is personal data.
type Transfer struct {
	Amount     int64     `json:"amount"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	Debtor     Debtor    `json:"debtor,omitzero"`
}

// Debtor is the holder of the account that pays. All of it is personal data.
type Debtor struct {
	AccountHolderName string `json:"account_holder_name,omitempty"`
	IBAN              string `json:"iban,omitempty"`
	AccountNumber     string `json:"account_number,omitempty"`
	BankCode          string `json:"bank_code,omitempty"`
	BIC               string `json:"bic,omitempty"`
	BankName          string `json:"bank_name,omitempty"`
}

// AttentionReason says what needs a person or the owning service.
type AttentionReason string

// The attention reasons.
const (
	PaidAfterClosed    AttentionReason = "PAID_AFTER_CLOSED"
	ClosedAfterPaid    AttentionReason = "CLOSED_AFTER_PAID"
	AcknowledgeOverdue AttentionReason = "ACKNOWLEDGE_OVERDUE"
	PaymentDiffers     AttentionReason = "PAYMENT_DIFFERS"
	OrderNotPlaced     AttentionReason = "ORDER_NOT_PLACED"
	Conflict           AttentionReason = "CONFLICT"
	WorkGivenUp        AttentionReason = "WORK_GIVEN_UP"
	OutcomeUnknown     AttentionReason = "OUTCOME_UNKNOWN"
	Disputed           AttentionReason = "DISPUTED"

	SilentPayment         AttentionReason = "SILENT_PAYMENT"
	AuthorizationExpiring AttentionReason = "AUTHORIZATION_EXPIRING"
	OrphanPossible        AttentionReason = "ORPHAN_POSSIBLE"
	FraudPending          AttentionReason = "FRAUD_PENDING"

	// Of no payment.
	QuarantinedPost       AttentionReason = "QUARANTINED"
	EventIDReused         AttentionReason = "EVENT_ID_REUSED"
	SigningKeyOverdue     AttentionReason = "SIGNING_KEY_OVERDUE"
	AccountNotOperational AttentionReason = "ACCOUNT_NOT_OPERATIONAL"
	WorkFailing           AttentionReason = "WORK_FAILING"
)

// Attention is an open matter. Message is for people and holds no personal data.
type Attention struct {
	Reason  AttentionReason `json:"reason"`
	Ref     string          `json:"ref,omitempty"` // tells matters of one reason apart, such as the request of an unknown outcome
	Message string          `json:"message"`
	At      time.Time       `json:"at"`
}

// same tells whether two attentions are one matter.
func (a Attention) same(b Attention) bool { return a.Reason == b.Reason && a.Ref == b.Ref }

// paymentMoves lists the states that may follow a state. A state without an entry is final. Skipping states forward is
// legal, since we may hear of the later one first.
var paymentMoves = map[PaymentState][]PaymentState{
	SessionCreated:         {Authorized, AuthorizationCancelled, Ordered, PartCaptured, Captured, PartRefunded, Refunded, Cancelled, Expired, Closed, Declined},
	Authorized:             {AuthorizationCancelled, Ordered, PartCaptured, Captured, PartRefunded, Refunded, Cancelled, Expired, Closed},
	AuthorizationCancelled: {Authorized, Ordered, PartCaptured, Captured, PartRefunded, Refunded, Cancelled, Expired, Closed},
	Ordered:                {PartCaptured, Captured, PartRefunded, Refunded, Cancelled, Expired, Closed},
	PartCaptured:           {Captured, PartRefunded, Refunded, Closed},
	Captured:               {PartRefunded, Refunded, Closed},
	PartRefunded:           {Refunded, Closed},
}

// legalMove tells whether a payment may go from one state to the other. Staying is always legal.
func legalMove(from, to PaymentState) bool {
	return from == "" || from == to || slices.Contains(paymentMoves[from], to)
}

// Final tells whether nothing can come after this state.
func (s PaymentState) Final() bool { return s != "" && paymentMoves[s] == nil }

// FinalPaymentStates lists the states after which nothing more can come to a payment.
func FinalPaymentStates() (all []string) {
	for _, next := range paymentMoves {
		for _, state := range next {
			if state.Final() && !slices.Contains(all, string(state)) {
				all = append(all, string(state))
			}
		}
	}
	slices.Sort(all)
	return all
}

// keys lists everything that addresses the payment.
func (p *Payment) keys() []store.Key {
	keys := []store.Key{{Kind: KeyPayment, Value: p.ID}}
	add := func(kind, value string) {
		k := store.Key{Kind: kind, Value: value}
		if value != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	add(KeySession, p.SessionID)
	add(KeyOrder, p.OrderID)
	for _, id := range p.HostedPages {
		add(KeyHostedPage, id)
	}
	add(KeyReference, p.Reference1)
	add(KeyReference, p.Reference2)
	add(KeyPartner, p.PartnerAccountID)
	if p.Token != "" {
		add(KeyToken, TokenKey(p.Token))
	}
	if n := p.Network; n != nil {
		add(KeyRequest, n.RequestID)
		add(KeyTransaction, n.TransactionID)
		add(KeyReference, n.RequestReference)
		add(KeyReference, n.TransactionReference)
	}
	return keys
}

// derive computes the state from everything that is known.
func (p *Payment) derive() PaymentState {
	whole := p.Read != nil || p.OrderAmount > 0 // else what is left is not known
	switch {
	case p.Status == StatusClosed:
		return Closed
	case p.OrderStatus == orderCancelled:
		return Cancelled
	case p.RefundedAmount > 0 && p.RefundedAmount >= p.CapturedAmount && p.RemainingAmount == 0 && whole && !p.mayBeExtended():
		return Refunded
	case p.RefundedAmount > 0:
		return PartRefunded
	case p.CapturedAmount > 0 && (p.RemainingAmount > 0 || !whole || p.mayBeExtended()) && p.OrderStatus != "CAPTURED":
		return PartCaptured
	case p.CapturedAmount > 0:
		return Captured
	case p.Network != nil:
		return p.deriveNetwork()
	case p.OrderStatus == orderExpired:
		return Expired
	case p.OrderID != "":
		return Ordered
	case p.SessionExpired:
		return Expired
	case p.Token != "" && !p.TokenCancelled:
		return Authorized
	case p.TokenCancelled:
		return AuthorizationCancelled
	default:
		return SessionCreated
	}
}

// count brings the sums in line with what is known of captures and refunds: told sums and our own list, whichever is
// larger, since either may know of a movement first and none ever vanishes.
func (p *Payment) count(told *OrderFacts) {
	sum := func(list []Movement) (total int64) {
		for _, m := range list {
			total += m.Amount
		}
		return total
	}
	p.CapturedAmount = max(p.CapturedAmount, sum(p.Captures))
	p.RefundedAmount = max(p.RefundedAmount, sum(p.Refunds))
	if told != nil {
		p.CapturedAmount = max(p.CapturedAmount, told.Captured)
		p.RefundedAmount = max(p.RefundedAmount, told.Refunded)
	}
	switch {
	case p.Network != nil && transactionEnded(p.OrderStatus):
		p.RemainingAmount = 0
	case p.Read != nil:
		p.RemainingAmount = p.Read.Remaining
		for _, c := range p.Captures {
			if !slices.Contains(p.Read.Captures, c.ID) {
				p.RemainingAmount -= c.Amount
			}
		}
		p.RemainingAmount = max(p.RemainingAmount, 0)
	case p.OrderStatus == orderCancelled, p.Status == StatusClosed:
		p.RemainingAmount = 0
	case p.hasOrder():
		p.RemainingAmount = max(p.OrderAmount-p.CapturedAmount, 0)
	}
}

// addHostedPage adds a page, once.
func (p *Payment) addHostedPage(id string) {
	if !slices.Contains(p.HostedPages, id) {
		p.HostedPages = append(slices.Clone(p.HostedPages), id)
	}
}

// Difference is what was received minus what was expected; ok is false until something was received.
func (p *Payment) Difference() (diff int64, ok bool) {
	if len(p.Received) == 0 {
		return 0, false
	}
	for _, t := range p.Received {
		diff += t.Amount
	}
	for _, t := range p.Expected {
		diff -= t.Amount
	}
	return diff, true
}

// attend adds an open matter, once.
func (p *Payment) attend(reason AttentionReason, message string, at time.Time) {
	p.raise(Attention{Reason: reason, Message: message, At: at})
}

func (p *Payment) raise(a Attention) {
	if !slices.ContainsFunc(p.Attentions, a.same) {
		p.Attentions = append(p.Attentions, a)
	}
}

// settle removes the open matters of a reason.
func (p *Payment) settle(reason AttentionReason) {
	p.Attentions = slices.DeleteFunc(p.Attentions, func(a Attention) bool { return a.Reason == reason })
}

// settleOne removes one open matter.
func (p *Payment) settleOne(which Attention) {
	p.Attentions = slices.DeleteFunc(p.Attentions, which.same)
}

func unite(list, more []Movement) []Movement {
	for _, m := range more {
		if !slices.ContainsFunc(list, func(known Movement) bool { return known.ID == m.ID }) {
			list = append(slices.Clone(list), m)
		}
	}
	return list
}
