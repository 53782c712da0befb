package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// When a request of unknown outcome is looked into.
const (
	resolveAfter = 5 * time.Second  // the first time
	resolveMost  = 10 * time.Minute // between two times
	// effectTime is how long after an attempt Klarna may still be working on it. What does not show by then was not done.
	effectTime = 10 * time.Minute
	// doubtAfter is when a person is told that an outcome is still unknown.
	doubtAfter = time.Hour
	// unknownRead is how often it is looked whether somebody else has learned what cannot be asked for.
	unknownRead = 24 * time.Hour
)

// finding is what looking into a request has shown.
type finding int

const (
	unsure     finding = iota // not yet: look again
	found                     // done; there is an answer
	absent                    // not done, or what a repeat would do again does no harm
	unknowable                // Klarna offers nothing to look at, and will not tell by a repeat either
)

// resolvable tells whether looking at Klarna can settle the request. What is about a session meets in the session's own
// record and is looked for by reading that.
func (o *Operations) resolvable(row store.Request) bool {
	job, _, _ := strings.Cut(row.Subject, " ")
	return job == journal.JobReadOrder || job == journal.JobReadAccount || job == referenceSubject ||
		job == journal.JobReadRequest || job == journal.JobReadTransaction
}

// meetsElsewhere marks a request whose effect is the matter of another record, such as the one order of a session: a
// repeat of it is always safe, and gets what that record says.
const meetsElsewhere = "meets"

// referenceSubject marks a request about something that only the caller's reference names.
const referenceSubject = "reference"

// resolveSoon adds the job that finds out what became of a request whose outcome is not known, to be done after a while.
func (o *Operations) resolveSoon(ctx context.Context, tx store.Tx, row store.Request, after time.Duration) error {
	if row.State != store.RequestOpen || row.FirstSent.IsZero() {
		return nil
	}
	kind, key, _ := strings.Cut(row.Subject, " ")
	switch {
	case o.resolvable(row):
		kind, key = journal.JobResolve, resolveKey(row)
	case row.Operation == "placeOrder": // SettlePlacing does
	default: // nothing can be looked for, or it is another record's matter: a repeat is as good as any
		row.State = store.RequestUndone
		if err := tx.PutRequest(ctx, row); err != nil || kind != journal.JobReadSession {
			return err
		}
	}
	now := o.store.Now()
	return tx.AddJob(ctx, store.Job{
		Kind: kind, MerchantAccount: row.MerchantAccount, Key: key, RunAt: now.Add(after), CreatedAt: now,
	})
}

// resolveKey is the key of the job that finds out what became of a request.
func resolveKey(row store.Request) string { return row.Operation + " " + row.ID }

// Resolve looks at Klarna for what became of a request whose outcome is unknown, and once it is known settles the
// request: a repeat gets the true answer, or may try again, and what was reserved is given back. What the reading taught
// is recorded, so watchers hear of it. A time says when to look again. What cannot be known, or not for an hour, is
// raised as a matter for a person.
func (o *Operations) Resolve(ctx context.Context, merchantAccount, key string) (again time.Time, err error) {
	operation, id, _ := strings.Cut(key, " ")
	row, err := o.store.Request(ctx, store.RequestID{MerchantAccount: merchantAccount, Operation: operation, ID: id})
	now := o.store.Now()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return again, nil
	case err != nil:
		return again, fmt.Errorf("read request: %w", err)
	case row.State != store.RequestOpen || row.FirstSent.IsZero(): // its caller was faster
		return again, o.assure(ctx, row)
	case row.LeasedUntil.After(now):
		return row.LeasedUntil, nil
	}
	what, answer, err := o.lookInto(ctx, row)
	switch {
	case err != nil:
		if now.Sub(row.FirstSent) > doubtAfter {
			err = errors.Join(err, o.doubt(ctx, row))
		}
		return again, err
	case what == found, what == absent:
		return o.settle(ctx, row, what, answer)
	case what == unknowable && now.Sub(row.FirstSent) > o.keepAnswers: // a repeat is a new request by now
		return again, o.abandon(ctx, row)
	case what == unknowable: // unless a repeat or a notification tells yet
		return now.Add(unknownRead), o.doubt(ctx, row)
	}
	if now.Sub(row.FirstSent) > doubtAfter && !strings.HasPrefix(row.Subject, referenceSubject) { // else nothing would withdraw it
		err = o.doubt(ctx, row)
	}
	return now.Add(min(max(now.Sub(row.UpdatedAt), resolveAfter), resolveMost)), err
}

// settle puts down how a request ended, unless somebody has taken it up meanwhile.
func (o *Operations) settle(ctx context.Context, row store.Request, what finding, answer any) (again time.Time, err error) {
	settled := row
	settled.State, settled.Answer, settled.LeasedUntil = store.RequestUndone, nil, time.Time{}
	if what == found {
		settled.State = store.RequestDone
		if settled.Answer, err = json.Marshal(answer); err != nil {
			return again, fmt.Errorf("encode answer: %w", err)
		}
	}
	err = o.store.Do(ctx, func(tx store.Tx) error {
		again = time.Time{}
		now, err := tx.Request(ctx, row.RequestID)
		if err != nil {
			return err
		}
		if now.State != store.RequestOpen || !now.UpdatedAt.Equal(row.UpdatedAt) || !now.LeasedUntil.Equal(row.LeasedUntil) {
			again = o.store.Now().Add(resolveAfter)
			return nil
		}
		if err := o.put(ctx, tx, &settled, store.Key{}); err != nil {
			return err
		}
		return tx.Unreserve(ctx, row.RequestID)
	})
	if err != nil || !again.IsZero() {
		return again, err
	}
	o.log.InfoContext(ctx, "outcome of a request is known", "operation", row.Operation, "request_id", row.ID,
		"merchant_account", row.MerchantAccount, "state", settled.State)
	return again, o.assure(ctx, row)
}

// lookInto reads at Klarna what a request was about.
func (o *Operations) lookInto(ctx context.Context, row store.Request) (what finding, answer any, err error) {
	job, key, _ := strings.Cut(row.Subject, " ")
	switch row.Operation {
	case "captureOrder", "captureTransaction":
		return o.lookForMovement(ctx, row, func(p journal.Payment) []journal.Movement { return p.Captures })
	case "refundOrder", "refundTransaction":
		return o.lookForMovement(ctx, row, func(p journal.Payment) []journal.Movement { return p.Refunds })
	case "chargeCustomerToken", "extendDueDate", "triggerSendOut": // nothing shows them, only a repeat under the key tells
		if o.store.Now().Sub(row.FirstSent) > keyLife {
			return unknowable, nil, nil
		}
		return unsure, nil, nil
	}
	switch job {
	case journal.JobReadAccount:
		return o.late(row), nil, o.Partner(ctx, row.MerchantAccount, key)
	case journal.JobReadRequest, journal.JobReadTransaction, referenceSubject:
		return o.lookIntoNetwork(ctx, row)
	}
	order, err := o.Order(ctx, row.MerchantAccount, key, journal.Reconciled)
	switch {
	case err != nil:
		return unsure, nil, err
	case row.Operation == "cancelOrder" && order.Status == klarna.OrderCancelled,
		row.Operation == "releaseRemainingAuthorization" && order.CapturedAmount > 0 && order.RemainingAuthorizedAmount == 0:
		return found, struct{}{}, nil
	}
	return o.late(row), nil, nil
}

// late takes what does not show for not done, once Klarna cannot be at it any more.
func (o *Operations) late(row store.Request) finding {
	if o.store.Now().Sub(row.UpdatedAt) < effectTime {
		return unsure
	}
	return absent
}

// sentMovement is what stands in the ledger of a capture or refund while its outcome is not known.
type sentMovement struct {
	Amount              int64
	Currency, Reference string
}

// lookForMovement reads what money moves of and looks for the capture or refund by its reference.
func (o *Operations) lookForMovement(ctx context.Context, row store.Request, of func(journal.Payment) []journal.Movement) (what finding, answer any, err error) {
	var sent sentMovement
	if len(row.Answer) == 0 { // cut off before money was reserved, so before anything was sent
		return absent, nil, nil
	}
	if err := json.Unmarshal(row.Answer, &sent); err != nil {
		return unsure, nil, fmt.Errorf("decode what was sent: %w", err)
	}
	m, account, err := o.movedBy(row)
	if err == nil {
		err = m.read(ctx, account)
	}
	if err != nil {
		return unsure, nil, err
	}
	payment, err := o.paymentBy(ctx, row.MerchantAccount, m.key, m.id)
	if err != nil {
		return unsure, nil, err
	}
	if made, ok := (balance{made: of(payment)}).find(sent.Reference, sent.Amount, row.FirstSent); ok {
		return found, MovementAnswer{ID: made.ID, Currency: sent.Currency, Made: made}, nil
	}
	return o.late(row), nil, nil
}

// abandon ends a request whose outcome will never be known. What a person was told of it stays.
func (o *Operations) abandon(ctx context.Context, row store.Request) error {
	row.State, row.LeasedUntil = store.RequestUndone, time.Time{}
	return o.store.Do(ctx, func(tx store.Tx) error {
		if err := tx.PutRequest(ctx, row); err != nil {
			return err
		}
		return tx.Unreserve(ctx, row.RequestID)
	})
}

// doubt tells a person that it is not known what became of a request; once.
func (o *Operations) doubt(ctx context.Context, row store.Request) error {
	if strings.HasPrefix(row.Subject, journal.JobReadAccount+" ") { // no payment's matter, and a repeat does no harm
		o.log.ErrorContext(ctx, "outcome of a request is still unknown", "operation", row.Operation, "request_id", row.ID, "merchant_account", row.MerchantAccount)
		return nil
	}
	message := fmt.Sprintf("it is not known whether %s under request_id %s was done at Klarna", row.Operation, row.ID)
	fact := o.aboutRequest(row, "doubt", journal.PaymentFact{
		Cause: journal.Clock, Attention: &journal.Attention{Reason: journal.OutcomeUnknown, Ref: resolveKey(row), Message: message},
	})
	return o.store.Do(ctx, func(tx store.Tx) error {
		if now, err := tx.Request(ctx, row.RequestID); err != nil || now.State != store.RequestOpen { // it is known by now
			return ignoreNotFound(err)
		}
		_, err := o.journal.PaymentIn(ctx, tx, fact)
		return err
	})
}

// assure ends that matter once it is known.
func (o *Operations) assure(ctx context.Context, row store.Request) error {
	fact := o.aboutRequest(row, "assured", journal.PaymentFact{Cause: journal.Reconciled, Settled: journal.OutcomeUnknown})
	key := store.Key{Kind: journal.KeyOrder, Value: fact.OrderID}
	if fact.Network != nil {
		key = fact.Network.Address()
	}
	payment, err := o.paymentBy(ctx, row.MerchantAccount, key.Kind, key.Value)
	i := slices.IndexFunc(payment.Attentions, func(a journal.Attention) bool {
		return a.Reason == journal.OutcomeUnknown && (a.Ref == resolveKey(row) || a.Ref == "") // versions before had one for all
	})
	if err != nil || i < 0 {
		return ignoreNotFound(err)
	}
	fact.SettledRef = payment.Attentions[i].Ref
	_, err = o.journal.RecordPayment(ctx, fact)
	return err
}

// aboutRequest makes a fact about the payment that a request was about. A charge by a customer token has none yet: the
// fact then stands for itself, under the caller's references.
func (o *Operations) aboutRequest(row store.Request, what string, fact journal.PaymentFact) journal.PaymentFact {
	job, key, _ := strings.Cut(row.Subject, " ")
	fact.EventID = fmt.Sprintf("%s:%s:%s:%s", what, row.MerchantAccount, row.Operation, row.ID)
	fact.MerchantAccount, fact.At = row.MerchantAccount, o.store.Now()
	switch job {
	case journal.JobReadOrder:
		fact.OrderID = key
	case journal.JobReadRequest, journal.JobReadTransaction:
		partnerID, id := journal.FromNetworkKey(key)
		fact.Network = &journal.NetworkFacts{PartnerAccountID: partnerID}
		if job == journal.JobReadRequest {
			fact.Network.RequestID = id
		} else {
			fact.Network.TransactionID = id
		}
	case referenceSubject:
		fact.Order = &journal.OrderFacts{Reference1: key}
		if partnerID, reference := journal.FromNetworkKey(key); reference != "" && row.Operation != "chargeCustomerToken" {
			fact.Order = nil
			fact.Network = &journal.NetworkFacts{PartnerAccountID: partnerID, Network: journal.Network{TransactionReference: reference}}
		}
	}
	return fact
}

func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
