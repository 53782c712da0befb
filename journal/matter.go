package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/store"
)

// MatterState tells whether a matter is open.
type MatterState string

// The states of a matter. One that ended may come up again.
const (
	MatterOpen      MatterState = "OPEN"
	MatterResolved  MatterState = "RESOLVED"  // its cause is gone
	MatterDismissed MatterState = "DISMISSED" // a person has put it aside
)

// What happens to matters.
const (
	MatterRaised  = "RAISED"
	MatterChanged = "CHANGED"
	MatterActed   = "ACTED" // a person did something, and it is open still
	MatterEnded   = "ENDED"
)

// Kinds of keys that address matters. An open one has them, one that ended has none: they are the list of open matters.
const (
	KeyOpen              = "open" // the value is openMatter
	KeyOpenReason        = "open_reason"
	KeyOpenPartner       = "open_partner"
	KeyOpenPartnerReason = "open_partner_reason" // see PartnerReason
)

// OpenMatter is the value of KeyOpen.
const OpenMatter = "any"

// PartnerReason is a value of KeyOpenPartnerReason.
func PartnerReason(partnerAccountID string, reason AttentionReason) string {
	return string(reason) + " " + partnerAccountID
}

// Matter is something that a person has to look at. It is a subject of a stream of its own, so what happens to it, who
// does what about it and why, is in the log like everything else. Those that belong to a payment follow the payment's
// attentions, in the same commit; others stand for themselves.
type Matter struct {
	ID              string          `json:"id"`
	MerchantAccount string          `json:"merchant_account"`
	Reason          AttentionReason `json:"reason"`
	State           MatterState     `json:"state"`
	Message         string          `json:"message"`
	Since           time.Time       `json:"since"`
	EndedAt         time.Time       `json:"ended_at,omitzero"`
	CauseEventID    string          `json:"cause_event_id,omitempty"`
	About           MatterSubject   `json:"about"`
	Actions         []MatterAction  `json:"actions,omitempty"` // the newest ones, oldest first
}

// MatterSubject is what a matter is about. What does not apply is empty.
type MatterSubject struct {
	PaymentID        string             `json:"payment_id,omitempty"`
	SessionID        string             `json:"session_id,omitempty"`
	OrderID          string             `json:"order_id,omitempty"` // or transaction
	PartnerAccountID string             `json:"partner_account_id,omitempty"`
	Ref              string             `json:"ref,omitempty"` // see Attention.Ref
	RetryUntil       time.Time          `json:"retry_until,omitzero"`
	Work             Work               `json:"work,omitzero"` // what a retry does
	QuarantineID     int64              `json:"quarantine_id,omitempty"`
	SigningKey       store.SigningKeyID `json:"signing_key,omitzero"`
}

// Work is a job that is done at once when a person wants it.
type Work struct {
	Kind string `json:"kind,omitempty"`
	Key  string `json:"key,omitempty"`
}

// matterNamespace is the UUID namespace of matters' ids.
var matterNamespace = uuid.MustParse("0a8f4c55-6f0b-4d6b-9a3f-5d0c0e6f7b21")

// MatterID is the id of the matter of a reason about something: a payment's id, a quarantined body's digest, and so on.
func MatterID(merchantAccount string, reason AttentionReason, about string) string {
	return uuid.NewSHA1(matterNamespace, []byte(merchantAccount+"|"+string(reason)+"|"+about)).String()
}

// DecodeMatter reads the body of an event or subject of the attention stream.
func DecodeMatter(body []byte) (m Matter, err error) {
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("decode matter: %w", err)
	}
	return m, nil
}

// RaiseIn opens a matter within a unit of work. One that is open already keeps its time and takes over what is new.
func (j *Journal) RaiseIn(ctx context.Context, tx store.Tx, m Matter, cause Cause) error {
	return j.raise(ctx, tx, m, cause, j.store.Now())
}

func (j *Journal) raise(ctx context.Context, tx store.Tx, m Matter, cause Cause, since time.Time) error {
	subject, known, err := j.matter(ctx, tx, m.ID)
	if err != nil {
		return err
	}
	kind := MatterRaised
	m.State, m.Since, m.Actions = MatterOpen, since, known.Actions
	if known.State == MatterOpen {
		kind, m.Since, m.CauseEventID = MatterChanged, known.Since, known.CauseEventID
		if m.Message == known.Message && m.About == known.About {
			return nil
		}
	}
	return j.appendMatter(ctx, tx, subject, m, kind, cause, "")
}

// RaiseAgainIn is RaiseIn, unless a person has put the matter aside since a time: what goes on is no new matter.
func (j *Journal) RaiseAgainIn(ctx context.Context, tx store.Tx, m Matter, cause Cause, began time.Time) error {
	_, known, err := j.matter(ctx, tx, m.ID)
	if err != nil || known.State == MatterDismissed && !known.EndedAt.Before(began) {
		return err
	}
	return j.raise(ctx, tx, m, cause, j.store.Now())
}

// EndIn ends a matter, if it is open, because its cause is gone.
func (j *Journal) EndIn(ctx context.Context, tx store.Tx, id string, cause Cause) error {
	subject, m, err := j.matter(ctx, tx, id)
	if err != nil || m.State != MatterOpen {
		return err
	}
	m.State, m.EndedAt = MatterResolved, j.store.Now()
	return j.appendMatter(ctx, tx, subject, m, MatterEnded, cause, "")
}

// matter reads a matter; one that never was has no state.
func (j *Journal) matter(ctx context.Context, tx store.Tx, id string) (subject store.Subject, m Matter, err error) {
	subject, err = tx.Subject(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Subject{}, m, nil
	case err != nil:
		return subject, m, fmt.Errorf("read matter: %w", err)
	case subject.Stream != store.Attentions:
		return store.Subject{}, m, nil
	}
	m, err = DecodeMatter(subject.Body)
	return subject, m, err
}

// appendMatter appends what happened to a matter.
func (j *Journal) appendMatter(ctx context.Context, tx store.Tx, subject store.Subject, m Matter, kind string, cause Cause, eventID string) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode matter: %w", err)
	}
	if eventID == "" {
		eventID = "attention:" + uuid.NewString()
	}
	_, err = tx.Append(ctx, store.Event{
		ID: eventID, Stream: store.Attentions, MerchantAccount: m.MerchantAccount, Subject: m.ID, Kind: kind, Cause: string(cause),
		State: string(m.State), PreviousState: subject.State, OccurredAt: j.store.Now(), Keys: m.keys(), Body: body,
	})
	if err != nil {
		return fmt.Errorf("append attention event: %w", err)
	}
	return nil
}

func (m *Matter) keys() (keys []store.Key) {
	if m.State != MatterOpen {
		return nil
	}
	keys = []store.Key{{Kind: KeyOpen, Value: OpenMatter}, {Kind: KeyOpenReason, Value: string(m.Reason)}}
	if partner := m.About.PartnerAccountID; partner != "" {
		keys = append(keys, store.Key{Kind: KeyOpenPartner, Value: partner},
			store.Key{Kind: KeyOpenPartnerReason, Value: PartnerReason(partner, m.Reason)})
	}
	return keys
}

// matterOf is the matter that an attention of a payment is.
func (p *Payment) matterOf(a Attention) Matter {
	m := Matter{
		ID: p.matterID(a.Reason, a.Ref), MerchantAccount: p.MerchantAccount, Reason: a.Reason, Message: a.Message,
		About: MatterSubject{
			PaymentID: p.ID, SessionID: p.SessionID, OrderID: p.OrderID, PartnerAccountID: p.PartnerAccountID, Ref: a.Ref,
		},
	}
	m.About.Work, m.About.RetryUntil = p.again(a)
	if p.Network != nil {
		m.About.OrderID = p.Network.TransactionID
	}
	return m
}

func (p *Payment) matterID(reason AttentionReason, ref string) string {
	return MatterID(p.MerchantAccount, reason, p.ID+ref)
}

// followAttentions makes the matters of a payment follow its attentions. before are all that may have a matter.
func (j *Journal) followAttentions(ctx context.Context, tx store.Tx, before []Attention, after *Payment, cause Cause, eventID string) error {
	for _, a := range after.Attentions {
		m := after.matterOf(a)
		m.CauseEventID = eventID
		if err := j.RaiseIn(ctx, tx, m, cause); err != nil {
			return err
		}
	}
	for _, a := range before {
		if slices.ContainsFunc(after.Attentions, a.same) {
			continue
		}
		if err := j.EndIn(ctx, tx, after.matterID(a.Reason, a.Ref), cause); err != nil {
			return err
		}
	}
	return nil
}

// endTaken ends the matters of payments that another one takes over with all that needs attention.
func (j *Journal) endTaken(ctx context.Context, tx store.Tx, taken []store.Subject, cause Cause) error {
	for _, subject := range taken {
		entry, err := DecodePaymentEntry(subject.Body)
		if err != nil {
			return err
		}
		for _, a := range entry.Payment.Attentions {
			if err := j.EndIn(ctx, tx, entry.Payment.matterID(a.Reason, a.Ref), cause); err != nil {
				return err
			}
		}
	}
	return nil
}
