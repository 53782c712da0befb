package journal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"payments.internal/klarna-gateway/store"
)

// Kinds of keys that address an account.
const (
	KeyAccount          = "partner_account_id"
	KeyAccountReference = "partner_account_reference"
)

// AccountKind says what happened to an account; empty is something that this version does not know.
type AccountKind string

// The kinds of account events.
const (
	KindOnboarded           AccountKind = "ONBOARDED"
	KindOperational         AccountKind = "OPERATIONAL"
	KindDisabled            AccountKind = "DISABLED"
	KindEnabled             AccountKind = "ENABLED"
	KindProductDisabled     AccountKind = "PRODUCT_DISABLED"
	KindProductEnabled      AccountKind = "PRODUCT_ENABLED"
	KindBrandDataIncomplete AccountKind = "BRAND_DATA_INCOMPLETE"
	KindUpdated             AccountKind = "UPDATED"
	KindAccountLinked       AccountKind = "LINKED"
	KindChanged             AccountKind = "CHANGED"
)

// AccountFact is one thing learned about a partner account. What is nil or zero was not told.
type AccountFact struct {
	EventID         string
	MerchantAccount string
	Kind            AccountKind
	Cause           Cause
	At              time.Time // the source's time; for readings the time we asked
	Type            string    // Klarna's event type, for notifications
	Raw             []byte
	TraceParent     string
	CorrelationID   string // Klarna's, of the call that taught it; empty: Config.CorrelationID tells

	AccountID string
	Reference string
	State     string    // Klarna's word
	Products  []Product // StateAt is set from At
	Warning   *Warning
	Details   []byte // the account resource as Klarna answered
	Mended    string // brand id or reference whose data was changed: its warnings are settled
}

// AccountEntry is what an event of the account stream holds beside its envelope.
type AccountEntry struct {
	Account       Account `json:"account"`
	Type          string  `json:"type,omitempty"`
	CorrelationID string  `json:"correlation_id,omitempty"`
}

// AccountRecord is what became of a fact.
type AccountRecord struct {
	Account  Account
	Position store.Position
	Kind     AccountKind
	Outcome  Outcome
}

// DecodeAccountEntry reads the body of an event or subject of the account stream.
func DecodeAccountEntry(body []byte) (AccountEntry, error) {
	var e AccountEntry
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("decode account: %w", err)
	}
	return e, nil
}

// RecordAccount records a fact in a commit of its own.
func (j *Journal) RecordAccount(ctx context.Context, fact AccountFact) (rec AccountRecord, err error) {
	err = j.store.Do(ctx, func(tx store.Tx) (err error) {
		rec, err = j.AccountIn(ctx, tx, fact)
		return err
	})
	return rec, err
}

// AccountIn records a fact within a unit of work.
func (j *Journal) AccountIn(ctx context.Context, tx store.Tx, fact AccountFact) (rec AccountRecord, err error) {
	tx.Expect(fact.EventID, store.Accounts, fact.MerchantAccount, fact.identity())
	repeat, known, err := j.seen(ctx, tx, fact.MerchantAccount, fact.EventID, fact.Raw)
	if err != nil {
		return rec, err
	}
	if repeat != "" {
		return j.repeatedAccount(ctx, tx, known, repeat)
	}
	subject, merged, err := j.subject(ctx, tx, store.Accounts, fact.MerchantAccount, fact.identity(), mergeAccounts)
	if err != nil {
		return rec, fmt.Errorf("find account: %w", err)
	}
	before := Account{ID: newID(), MerchantAccount: fact.MerchantAccount, CreatedAt: j.store.Now()}
	if subject.Body != nil {
		entry, err := DecodeAccountEntry(subject.Body)
		if err != nil {
			return rec, err
		}
		before = entry.Account
	}
	return j.appendAccount(ctx, tx, subject, before, merged, fact)
}

func (j *Journal) repeatedAccount(ctx context.Context, tx store.Tx, known store.Event, outcome Outcome) (AccountRecord, error) {
	subject, err := tx.Subject(ctx, known.Subject)
	if err != nil {
		return AccountRecord{Outcome: outcome}, fmt.Errorf("read account: %w", err)
	}
	entry, err := DecodeAccountEntry(subject.Body)
	return AccountRecord{Account: entry.Account, Position: subject.Latest, Outcome: outcome}, err
}

func (j *Journal) appendAccount(ctx context.Context, tx store.Tx, subject store.Subject, before Account, merged bool, fact AccountFact) (rec AccountRecord, err error) {
	after := before
	late := foldAccount(&after, &fact)
	moved := !sameAccount(before, after) || subject.Body == nil
	told := fact.Cause == Notification
	if !moved && !merged && !told {
		return AccountRecord{Account: before, Position: subject.Latest, Outcome: Unchanged}, nil
	}
	rec = AccountRecord{Kind: fact.Kind, Outcome: Applied}
	if merged && !moved {
		rec.Kind = KindAccountLinked
	}
	if late && !merged || !moved && fact.Kind != "" && !merged {
		rec.Outcome = Superseded
	}
	after.UpdatedAt = j.store.Now()
	body, lasting, err := AccountEntry{Account: after, Type: fact.Type, CorrelationID: cmp.Or(fact.CorrelationID, j.correlationID(ctx))}.encode()
	if err != nil {
		return rec, fmt.Errorf("encode account: %w", err)
	}
	rec.Account = after
	rec.Position, err = tx.Append(ctx, store.Event{
		ID: fact.EventID, Stream: store.Accounts, MerchantAccount: fact.MerchantAccount, Subject: after.ID, New: subject.ID == "",
		Kind: string(rec.Kind), Cause: string(fact.Cause), State: after.State, PreviousState: subject.State,
		Superseded: rec.Outcome == Superseded, OccurredAt: fact.At, Keys: after.keys(), Body: body, Lasting: lasting, Raw: fact.Raw,
		TraceParent: fact.TraceParent,
	})
	if err != nil {
		return rec, fmt.Errorf("append account event: %w", err)
	}
	if before.State != after.State && after.State != AccountPartial && after.AccountID != "" {
		if err := j.EndIn(ctx, tx, after.matterID(), fact.Cause); err != nil {
			return rec, err
		}
	}
	return rec, j.followAccount(ctx, tx, after, late, fact)
}

func (a *Account) matterID() string {
	return MatterID(a.MerchantAccount, AccountNotOperational, a.AccountID)
}

// NotOperational raises an account that does not become operational as a matter for a person.
func (j *Journal) NotOperational(ctx context.Context, a Account) error {
	return j.store.Do(ctx, func(tx store.Tx) error {
		return j.RaiseAgainIn(ctx, tx, Matter{
			ID: a.matterID(), MerchantAccount: a.MerchantAccount, Reason: AccountNotOperational,
			Message: "still " + a.State + " since " + a.CreatedAt.UTC().Format(time.RFC3339) + "; Klarna sends a lost notification again for 21 hours at most",
			About:   MatterSubject{PartnerAccountID: a.AccountID, Work: Work{Kind: JobReadAccount, Key: a.AccountID}},
		}, Clock, a.CreatedAt)
	})
}

// followAccount reads the account when it does not become operational in time, and when what we were told and what
// we have read contradict each other.
func (j *Journal) followAccount(ctx context.Context, tx store.Tx, after Account, late bool, fact AccountFact) error {
	delay := j.accountReadDelay
	switch {
	case late && after.StateRead && fact.State != "":
		delay = 0
	case after.State == AccountPartial || after.State == "" && after.AccountID != "":
	default:
		return nil
	}
	now := j.store.Now()
	err := tx.AddJob(ctx, store.Job{
		Kind: JobReadAccount, MerchantAccount: after.MerchantAccount, Key: after.AccountID,
		RunAt: now.Add(delay), CreatedAt: now, TraceParent: fact.TraceParent,
	})
	if err != nil {
		return fmt.Errorf("add job %s: %w", JobReadAccount, err)
	}
	return nil
}

// foldAccount takes a fact into an account, and tells whether its state came too late to be taken.
func foldAccount(a *Account, f *AccountFact) (late bool) {
	fill(&a.AccountID, f.AccountID)
	if f.Reference != "" && (a.Reference == "" || f.Cause == Call) {
		a.Reference = f.Reference
	}
	if f.Details != nil {
		a.Details = f.Details
	}
	switch {
	case f.State == "":
	case f.State == a.State:
		a.StateAt = later(a.StateAt, f.At) // what was told to be before this is too late from now on
	default:
		// Legality decides first. Where a state may come back (disabled, enabled) the later time wins; nothing can be
		// too late for an account that has only just been onboarded, whatever the two clocks say.
		inTime := a.State == "" || a.State == AccountPartial || !f.At.Before(a.StateAt)
		if inTime && legalWord(accountMoves, a.State, f.State) {
			a.State, a.StateAt, a.StateRead = f.State, f.At, f.Cause != Notification
		} else {
			late = f.Cause == Notification
		}
	}
	a.Products = slices.Clone(a.Products)
	for _, p := range f.Products {
		late = foldProduct(a, p, f) || late
	}
	a.Warnings = slices.Clone(a.Warnings)
	if f.Warning != nil {
		a.warn(*f.Warning)
	}
	if f.Mended != "" {
		a.Warnings = slices.DeleteFunc(a.Warnings, func(w Warning) bool {
			return w.BrandID == f.Mended || w.BrandReference == f.Mended
		})
	}
	return late
}

func foldProduct(a *Account, told Product, f *AccountFact) (late bool) {
	if f.Cause != Call { // an onboarding answer shows where it began: nothing told can be older
		told.StateAt = f.At
	}
	i := slices.IndexFunc(a.Products, func(p Product) bool { return p.ID == told.ID })
	if i < 0 {
		a.Products = append(a.Products, told)
		return false
	}
	known := &a.Products[i]
	if told.State == "" || told.State == known.State {
		known.StateAt = later(known.StateAt, told.StateAt)
		return false
	}
	if told.StateAt.Before(known.StateAt) || !legalWord(productMoves, known.State, told.State) {
		return f.Cause == Notification
	}
	*known = told
	return false
}

// warn keeps the newest warning of each type about each brand.
func (a *Account) warn(told Warning) {
	a.Warnings = slices.DeleteFunc(a.Warnings, func(w Warning) bool {
		return w.Type == told.Type && w.BrandID == told.BrandID && w.BrandReference == told.BrandReference
	})
	a.Warnings = append(a.Warnings, told)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (f *AccountFact) identity() (keys []store.Key) {
	if f.AccountID != "" {
		keys = append(keys, store.Key{Kind: KeyAccount, Value: f.AccountID})
	}
	if f.Reference != "" {
		keys = append(keys, store.Key{Kind: KeyAccountReference, Value: f.Reference})
	}
	return keys
}

// mergeAccounts folds a younger account into the older one: told of by Klarna's id first, then answered to us.
func mergeAccounts(into *store.Subject, from store.Subject) error {
	older, err := DecodeAccountEntry(into.Body)
	if err != nil {
		return err
	}
	younger, err := DecodeAccountEntry(from.Body)
	if err != nil {
		return err
	}
	a, b := &older.Account, younger.Account
	if differ(a.AccountID, b.AccountID) {
		return errDistinct
	}
	state := a.State
	foldAccount(a, &AccountFact{
		AccountID: b.AccountID, Reference: b.Reference, State: b.State, At: b.StateAt, Details: b.Details,
	})
	for _, p := range b.Products {
		foldProduct(a, p, &AccountFact{At: p.StateAt})
	}
	if a.State != state {
		a.StateRead = b.StateRead
	}
	for _, w := range b.Warnings {
		a.warn(w)
	}
	into.Body, err = json.Marshal(older)
	return err
}

func sameAccount(a, b Account) bool {
	a.UpdatedAt, b.UpdatedAt, a.StateAt, b.StateAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	a.Products, b.Products = withoutTimes(a.Products), withoutTimes(b.Products)
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

func withoutTimes(products []Product) []Product {
	products = slices.Clone(products)
	for i := range products {
		products[i].StateAt = time.Time{}
	}
	return products
}
