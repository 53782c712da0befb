package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"payments.internal/klarna-gateway/store"
)

// Action is something that a person can do about a matter.
type Action string

// The actions.
const (
	ActionRetry   Action = "RETRY"   // do its work again at once
	ActionRedrive Action = "REDRIVE" // take a quarantined notification in again
	ActionDismiss Action = "DISMISS" // put it aside
)

// MatterAction is what a person did about a matter.
type MatterAction struct {
	Action    Action    `json:"action"`
	Caller    string    `json:"caller,omitempty"`
	Note      string    `json:"note,omitempty"`
	Result    string    `json:"result,omitempty"`
	RequestID string    `json:"request_id"`
	At        time.Time `json:"at"`
}

// keepActions is how many actions a matter shows; the log has all.
const keepActions = 20

// Operator is the cause of what a person did.
const Operator Cause = "OPERATOR"

// The errors of an action. NotAllowedError says more.
var (
	ErrNoMatter      = errors.New("no such matter")
	ErrActionReused  = errors.New("the request_id was used for another action")
	ErrActionForeign = errors.New("the request_id was used by another caller")
)

// NotAllowedError says why a matter does not take an action.
type NotAllowedError struct{ Why string }

func (e *NotAllowedError) Error() string { return e.Why }

// Allowed lists what a matter takes at a time.
func (m *Matter) Allowed(now time.Time) (all []Action) {
	for _, action := range []Action{ActionRetry, ActionRedrive, ActionDismiss} {
		if m.refusal(action, now) == "" {
			all = append(all, action)
		}
	}
	return all
}

// refusal says why a matter does not take an action; empty if it does.
func (m *Matter) refusal(action Action, now time.Time) string {
	switch {
	case m.State != MatterOpen:
		return "it is not open"
	case action == ActionDismiss:
		return ""
	case action == ActionRedrive && m.Reason == EventIDReused:
		return "an event with its id is on record, and stands: it can only be dismissed"
	case action == ActionRedrive && m.About.QuarantineID == 0:
		return "only quarantined notifications are taken in again"
	case action == ActionRedrive:
		return ""
	case m.About.Work.Kind == "":
		return "there is no work that could be done again"
	case !m.About.RetryUntil.IsZero() && !now.Before(m.About.RetryUntil):
		return "it is too late since " + m.About.RetryUntil.UTC().Format(time.RFC3339) + ": the customer has to authorise again"
	}
	return ""
}

// CheckAction tells whether an action can go on: nil if it can; done if the same request did it before. Nothing is
// written.
func (j *Journal) CheckAction(ctx context.Context, tx store.Tx, id, merchantAccount string, act MatterAction) (m Matter, done bool, err error) {
	_, m, err = j.matter(ctx, tx, id)
	switch {
	case err != nil:
		return m, false, err
	case m.State == "" || merchantAccount != "" && m.MerchantAccount != merchantAccount:
		return m, false, ErrNoMatter
	}
	before, err := tx.EventByID(ctx, act.eventID(m.MerchantAccount))
	switch {
	case err == nil:
		return m, true, m.sameAction(before, act)
	case !errors.Is(err, store.ErrNotFound):
		return m, false, fmt.Errorf("look for action: %w", err)
	}
	if why := m.refusal(act.Action, j.store.Now()); why != "" {
		return m, false, &NotAllowedError{Why: why}
	}
	return m, false, nil
}

// sameAction tells whether what is on record under a request_id is what is asked for now. Of an action that is not shown
// any more no more than its matter is known.
func (m *Matter) sameAction(before store.Event, act MatterAction) error {
	if before.Subject != m.ID {
		return ErrActionReused
	}
	for _, a := range m.Actions {
		switch {
		case a.RequestID != act.RequestID:
		case a.Caller != act.Caller:
			return ErrActionForeign
		case a.Action != act.Action || a.Note != act.Note:
			return ErrActionReused
		}
	}
	return nil
}

func (act *MatterAction) eventID(merchantAccount string) string {
	return fmt.Sprintf("operator:%s:%s", merchantAccount, act.RequestID)
}

// ActIn does what a person wants about a matter, within a unit of work: a retry pulls its work forward, what is dismissed
// leaves its payment's attentions too. redriven says that a notification was taken in, and what came of it. Who did what
// and why stands in the log from then on.
func (j *Journal) ActIn(ctx context.Context, tx store.Tx, id, merchantAccount string, act MatterAction, redriven bool) (m Matter, err error) {
	m, done, err := j.CheckAction(ctx, tx, id, merchantAccount, act)
	if err != nil || done {
		return m, err
	}
	now := j.store.Now()
	act.At = now
	kind := MatterActed
	switch {
	case act.Action == ActionRetry:
		act.Result = "work is begun: " + m.About.Work.Kind
		err = tx.AddJob(ctx, store.Job{
			Kind: m.About.Work.Kind, MerchantAccount: m.MerchantAccount, Key: m.About.Work.Key, RunAt: now, Deadline: m.About.RetryUntil, CreatedAt: now,
		})
	case act.Action == ActionDismiss:
		kind, m.State, m.EndedAt, act.Result = MatterEnded, MatterDismissed, now, "dismissed"
	case redriven:
		kind, m.State, m.EndedAt = MatterEnded, MatterResolved, now
	}
	if err != nil {
		return m, fmt.Errorf("add job %s: %w", m.About.Work.Kind, err)
	}
	m.Actions = append(slices.Clone(m.Actions), act)
	m.Actions = m.Actions[max(0, len(m.Actions)-keepActions):]
	subject, err := tx.Subject(ctx, m.ID)
	if err != nil {
		return m, fmt.Errorf("read matter: %w", err)
	}
	if err := j.appendMatter(ctx, tx, subject, m, kind, Operator, act.eventID(m.MerchantAccount)); err != nil {
		return m, err
	}
	if act.Action == ActionDismiss && m.About.PaymentID != "" {
		return m, j.dismissed(ctx, tx, m, act)
	}
	return m, nil
}

// dismissed takes a matter out of its payment's attentions, so that watchers see it go.
func (j *Journal) dismissed(ctx context.Context, tx store.Tx, m Matter, act MatterAction) error {
	subject, err := tx.Subject(ctx, m.About.PaymentID)
	if err != nil {
		return fmt.Errorf("read payment: %w", err)
	}
	entry, err := DecodePaymentEntry(subject.Body)
	if err != nil {
		return err
	}
	entry.PreviousStatus = entry.Payment.Status
	_, err = j.appendPayment(ctx, tx, subject, entry, false, PaymentFact{
		EventID: "dismissed:" + act.eventID(m.MerchantAccount), MerchantAccount: m.MerchantAccount, Cause: Operator, At: act.At,
		Settled: m.Reason, SettledRef: m.About.Ref,
	})
	return err
}

// again is the work that a retry of an attention does, and until when it makes sense; zero for ever.
func (p *Payment) again(a Attention) (w Work, until time.Time) {
	n := p.Network
	switch {
	case a.Reason == OutcomeUnknown && a.Ref != "":
		return Work{Kind: JobResolve, Key: a.Ref}, until
	case a.Reason == OrphanPossible: // it cannot be looked for
		return w, until
	case (a.Reason == OrderNotPlaced || a.Reason == WorkGivenUp) && p.SessionID != "" && !p.TokenAt.IsZero():
		return Work{Kind: JobPlaceOrder, Key: p.SessionID}, p.TokenAt.Add(TokenLife)
	case n != nil && n.TransactionID != "":
		return Work{Kind: JobReadTransaction, Key: NetworkKey(p.PartnerAccountID, n.TransactionID)}, until
	case n != nil && n.RequestID != "":
		return Work{Kind: JobReadRequest, Key: NetworkKey(p.PartnerAccountID, n.RequestID)}, until
	case p.OrderID != "":
		return Work{Kind: JobReadOrder, Key: p.OrderID}, until
	case p.SessionID != "":
		return Work{Kind: JobReadSession, Key: p.SessionID}, until
	}
	return w, until
}
