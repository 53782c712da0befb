package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"payments.internal/klarna-gateway/store"
)

// The kinds of the event that tells of an erasure.
const (
	KindPersonalDataErased        PaymentKind = "PERSONAL_DATA_ERASED"
	KindAccountPersonalDataErased AccountKind = "PERSONAL_DATA_ERASED"
)

// Erasure is what became of a wish to erase personal data.
type Erasure struct {
	Subject  string
	Stream   store.Stream
	Account  string         // the merchant account
	Keys     []store.Key    // that identify it
	Position store.Position // of the event that tells of it
	At       time.Time
	Repeated bool     // it was erased before
	Subjects []string // it, and what was merged into it

	keys []store.Key // all
}

// EraseIn erases what is personal about a payment or a partner account, in the log and in the state: the key that it is
// sealed with goes, and an event tells watchers. State, amounts and ids stay. What is learned later is kept without what is
// personal of it. Erasing again changes nothing. Where the key does not reach Scrub looks, and in any case a job that goes
// with the erasure. store.ErrNotFound if the subject is unknown.
func (j *Journal) EraseIn(ctx context.Context, tx store.Tx, subject string, at time.Time) (Erasure, error) {
	done, err := j.eraseIn(ctx, tx, subject, at)
	if err == nil {
		err = scrubLater(ctx, tx, scrubbing{Remains: done.remains()}, j.store.Now().Add(scrubAfter))
	}
	return done, err
}

func (j *Journal) eraseIn(ctx context.Context, tx store.Tx, subject string, at time.Time) (Erasure, error) {
	s, err := tx.Subject(ctx, subject)
	if err != nil {
		return Erasure{}, fmt.Errorf("erase: %w", err)
	}
	done := Erasure{Subject: s.ID, Stream: s.Stream, Account: s.MerchantAccount, At: at}
	if done.keys, err = keysOf(s); err != nil {
		return done, err
	}
	done.Keys = identifying(s.Stream, done.keys)
	if before := s.DataKey.ErasedAt; !before.IsZero() {
		done.Position, done.At, done.Repeated = s.Latest, before, true
		done.Subjects, err = tx.Erase(ctx, s.ID, at)
		return done, err
	}
	ev := store.Event{
		ID: "erased:" + s.ID, Stream: s.Stream, MerchantAccount: s.MerchantAccount, Subject: s.ID, Cause: string(Operator),
		State: s.State, PreviousState: s.State, OccurredAt: at,
	}
	switch s.Stream {
	case store.Payments:
		err = erasePayment(&ev, s.Body, at)
	case store.Accounts:
		err = eraseAccount(&ev, s.Body, at)
	default:
		err = fmt.Errorf("%s: %w", s.ID, store.ErrNotFound)
	}
	if err != nil {
		return Erasure{}, err
	}
	if done.Subjects, err = tx.Erase(ctx, s.ID, at); err != nil {
		return Erasure{}, err
	}
	done.Position, err = tx.Append(ctx, ev)
	return done, err
}

// ReplayErasure erases once more what was erased before the log was brought back from a backup: the subject by its id or,
// where it has been heard of anew since, by what identifies it. store.ErrNotFound if nothing is on record of it.
func (j *Journal) ReplayErasure(ctx context.Context, e store.Erasure) (done Erasure, err error) {
	var all []Erasure
	err = j.store.Do(ctx, func(tx store.Tx) error {
		done, err = j.EraseIn(ctx, tx, e.Subject, e.ErasedAt)
		if all = []Erasure{done}; err == nil || !errors.Is(err, store.ErrNotFound) || len(e.Keys) == 0 {
			return err
		}
		all = nil
		found, err := tx.SubjectsByKeys(ctx, e.Stream, e.MerchantAccount, e.Keys)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("erase: %w", store.ErrNotFound)
		}
		for _, s := range found {
			if done, err = j.EraseIn(ctx, tx, s.ID, e.ErasedAt); err != nil {
				return err
			}
			all = append(all, done)
		}
		return nil
	})
	if err != nil {
		return done, err
	}
	for _, one := range all {
		if _, err := j.Scrub(ctx, one, 24*time.Hour); err != nil {
			return done, err
		}
	}
	return done, nil
}

func keysOf(s store.Subject) ([]store.Key, error) {
	if s.Stream == store.Accounts {
		entry, err := DecodeAccountEntry(s.Body)
		return entry.Account.keys(), err
	}
	entry, err := DecodePaymentEntry(s.Body)
	return entry.Payment.keys(), err
}

// identifying are those keys of a subject that no other one has.
func identifying(stream store.Stream, keys []store.Key) (kept []store.Key) {
	shared := []string{KeyReference, KeyPartner, KeyToken}
	if stream == store.Accounts {
		shared = nil
	}
	for _, k := range keys {
		if !slices.Contains(shared, k.Kind) {
			kept = append(kept, k)
		}
	}
	return kept
}

func erasePayment(ev *store.Event, body []byte, at time.Time) error {
	entry, err := DecodePaymentEntry(body)
	if err != nil {
		return err
	}
	entry = PaymentEntry{Payment: entry.Payment.impersonal(), PreviousStatus: entry.Payment.Status}
	entry.Payment.ErasedAt, entry.Payment.UpdatedAt = at, at
	ev.Kind, ev.Keys = string(KindPersonalDataErased), entry.Payment.keys()
	ev.Body, err = json.Marshal(entry)
	return err
}

func eraseAccount(ev *store.Event, body []byte, at time.Time) error {
	entry, err := DecodeAccountEntry(body)
	if err != nil {
		return err
	}
	entry = AccountEntry{Account: entry.Account.impersonal()}
	entry.Account.ErasedAt, entry.Account.UpdatedAt = at, at
	ev.Kind, ev.Keys = string(KindAccountPersonalDataErased), entry.Account.keys()
	ev.Body, err = json.Marshal(entry)
	return err
}

// impersonal is the payment without what is personal of it. It shares nothing with the payment that it changes.
func (p Payment) impersonal() Payment {
	p.Expected, p.Received = withoutDebtors(p.Expected), withoutDebtors(p.Received)
	return p
}

func withoutDebtors(transfers []Transfer) []Transfer {
	transfers = slices.Clone(transfers)
	for i := range transfers {
		transfers[i].Debtor = Debtor{}
	}
	return transfers
}

func (p *Payment) personal() bool {
	has := func(t Transfer) bool { return t.Debtor != Debtor{} }
	return slices.ContainsFunc(p.Expected, has) || slices.ContainsFunc(p.Received, has)
}

// encode makes the body of the entry, and of what outlives an erasure if that is less.
func (e PaymentEntry) encode() (body, lasting []byte, err error) {
	if body, err = json.Marshal(e); err != nil || !e.Payment.personal() {
		return body, nil, err
	}
	e.Payment = e.Payment.impersonal()
	lasting, err = json.Marshal(e)
	return body, lasting, err
}

// impersonal is the account without what is personal of it.
func (a Account) impersonal() Account {
	a.Details, _ = withoutMembers(a.Details, personalMembers)
	return a
}

// encode makes the body of the entry, and of what outlives an erasure if that is less.
func (e AccountEntry) encode() (body, lasting []byte, err error) {
	if body, err = json.Marshal(e); err != nil {
		return nil, nil, err
	}
	var personal bool
	if e.Account.Details, personal = withoutMembers(e.Account.Details, personalMembers); personal {
		lasting, err = json.Marshal(e)
	}
	return body, lasting, err
}

// Lasting is what of a body outlives an erasure of its subject, nil if all of it does: see store.Config.
func Lasting(stream store.Stream, body []byte) (lasting []byte, err error) {
	switch stream {
	case store.Payments:
		entry, err := DecodePaymentEntry(body)
		if err != nil {
			return nil, err
		}
		_, lasting, err = entry.encode()
		return lasting, err
	case store.Accounts:
		entry, err := DecodeAccountEntry(body)
		if err != nil {
			return nil, err
		}
		_, lasting, err = entry.encode()
		return lasting, err
	}
	return nil, nil // what is for a person to see to names nobody
}

// personalMembers are the members of Klarna's account resource that hold personal data, at whatever depth they stand.
var personalMembers = map[string]bool{
	"partner_account_contact": true, "supplementary_account_data": true, "supplementary_business_data": true,
}

// withoutMembers is a JSON text without some members, and whether there were any. A text that is no JSON is none of
// Klarna's, and taken for personal as a whole.
func withoutMembers(text []byte, names map[string]bool) (rest []byte, any bool) {
	if len(text) == 0 {
		return nil, false
	}
	var value interface{}
	if json.Unmarshal(text, &value) != nil {
		return nil, true
	}
	if !dropMembers(value, names) {
		return text, false
	}
	rest, err := json.Marshal(value)
	if err != nil { // it was decoded a moment ago
		return nil, true
	}
	return rest, true
}

func dropMembers(value any, names map[string]bool) (dropped bool) {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if names[name] {
				delete(value, name)
				dropped = true
			} else if dropMembers(inner, names) {
				dropped = true
			}
		}
	case []any:
		for _, inner := range value {
			if dropMembers(inner, names) {
				dropped = true
			}
		}
	}
	return dropped
}
