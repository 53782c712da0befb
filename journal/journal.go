// Package journal turns facts about payments and partner accounts into events of the log. Whoever learns a fact (told
// by Klarna, asked of Klarna, caused by a caller) records it here; the journal finds the subject it belongs to, links
// subjects that turn out to be one, moves the state along the table of legal moves, and adds the work that follows
// from it, all in one commit. What comes too late is kept and marked, never applied: a watcher sees no state go back.
//
// The journal knows no Klarna API and makes no calls.
package journal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/store"
)

// Cause says how a fact was learned.
type Cause string

// The causes.
const (
	Notification Cause = "NOTIFICATION" // a signed notification of Klarna's
	Callback     Cause = "CALLBACK"     // Klarna's authorisation callback
	Push         Cause = "PUSH"         // Klarna's checkout push
	Call         Cause = "CALL"         // a caller's request that we carried to Klarna
	Reconciled   Cause = "RECONCILED"   // we asked Klarna by ourselves
	Clock        Cause = "CLOCK"        // a deadline passed
)

// Outcome says what became of a fact.
type Outcome string

// The outcomes.
const (
	Applied    Outcome = "applied"    // it moved or filled the state
	Superseded Outcome = "superseded" // kept in the log, but came too late to move anything
	Unchanged  Outcome = "unchanged"  // told nothing new, nothing was stored
	Duplicate  Outcome = "duplicate"  // the same event id and bytes were stored before
	Mismatch   Outcome = "mismatch"   // the same event id came with other bytes: quarantined
)

// Policy is what a merchant account wants to follow from facts.
type Policy struct {
	// PlaceOrders lets the gateway place the order of an authorised session, unless the session says otherwise.
	PlaceOrders bool
	// AcknowledgeOrders lets the gateway acknowledge checkout orders once it has recorded them. Otherwise the owning
	// service does, and is reminded.
	AcknowledgeOrders bool
	// ExtendAuthorizations lets the gateway extend an order's authorisation on its last day while something is left to
	// capture.
	ExtendAuthorizations bool
}

// Config of a Journal.
type Config struct {
	Store *store.Store
	// Policy of a merchant account; nil means the zero Policy for all.
	Policy func(merchantAccount string) Policy
	// Logger for alarms; nil means slog.Default().
	Logger *slog.Logger
	// SessionReadDelay is how long Klarna's callback may take before the session is read; 0 means 2 minutes.
	SessionReadDelay time.Duration
	// AccountReadDelay is how long an account may take to become operational before it is read; 0 means 5 minutes.
	AccountReadDelay time.Duration
	// SilentPaymentAfter is how long an order may stay UNPAID without another word of Klarna's before that needs attention;
	// 0 means 7 days.
	SilentPaymentAfter time.Duration
	// CorrelationID is Klarna's, of the call under ctx that taught a fact; it is kept with the event. Nil: there is none.
	CorrelationID func(ctx context.Context) string
	// Personal tells of which operations' requests, in which state, something personal of a stream may be on record; nil: of
	// all.
	Personal func(stream store.Stream, operation string, state store.RequestState) bool
}

// Journal records facts. It is safe for concurrent use.
type Journal struct {
	store  *store.Store
	policy func(string) Policy
	log    *slog.Logger

	sessionReadDelay, accountReadDelay, silentAfter time.Duration

	correlationID func(context.Context) string
	personal      func(store.Stream, string, store.RequestState) bool
}

// New returns a Journal.
func New(cfg Config) *Journal {
	j := &Journal{
		store: cfg.Store, policy: cfg.Policy, log: cfg.Logger,
		sessionReadDelay: cfg.SessionReadDelay, accountReadDelay: cfg.AccountReadDelay, silentAfter: cfg.SilentPaymentAfter,
		correlationID: cfg.CorrelationID, personal: cfg.Personal,
	}
	if j.policy == nil {
		j.policy = func(string) Policy { return Policy{} }
	}
	if j.correlationID == nil {
		j.correlationID = func(context.Context) string { return "" }
	}
	if j.log == nil {
		j.log = slog.Default()
	}
	if j.sessionReadDelay == 0 {
		j.sessionReadDelay = 2 * time.Minute
	}
	if j.silentAfter == 0 {
		j.silentAfter = 7 * 24 * time.Hour
	}
	if j.accountReadDelay == 0 {
		j.accountReadDelay = 5 * time.Minute
	}
	return j
}

// Store returns the store that the journal records in, for units of work that hold more than facts.
func (j *Journal) Store() *store.Store { return j.store }

// Policy is what a merchant account wants to follow from facts.
func (j *Journal) Policy(merchantAccount string) Policy { return j.policy(merchantAccount) }

// newID is the id of a new subject. It begins with the time, so that in an engine's indexes what is new stands side by side,
// however long the log.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// seen tells whether the fact with this id was recorded before: "" if not, else Duplicate or Mismatch. A mismatch is
// quarantined on the spot.
func (j *Journal) seen(ctx context.Context, tx store.Tx, merchantAccount, id string, raw []byte) (Outcome, store.Event, error) {
	before, err := tx.EventByID(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", before, nil
	case err != nil:
		return "", before, fmt.Errorf("look for event %s: %w", id, err)
	case raw == nil || string(before.Fingerprint) == string(j.store.Fingerprint(raw)):
		return Duplicate, before, nil
	}
	j.log.ErrorContext(ctx, "event id came with other content; quarantined", "event_id", id, "merchant_account", merchantAccount)
	err = j.Quarantine(ctx, tx, merchantAccount, id, reusedReason, raw)
	return Mismatch, before, err
}

// reusedReason marks rows of the quarantine whose event id is taken.
const reusedReason = "event id seen before with other content"

// Quarantine keeps a well-signed notification that cannot be applied, and raises it as a matter for a person. A repeat is
// kept again; it is the same matter.
func (j *Journal) Quarantine(ctx context.Context, tx store.Tx, merchantAccount, eventID, reason string, raw []byte) error {
	kept := store.Quarantined{MerchantAccount: merchantAccount, EventID: eventID, Reason: reason, Raw: raw, ReceivedAt: j.store.Now()}
	matter := j.quarantinedMatter(kept)
	var err error
	if kept.Erased, err = namesErased(ctx, tx, merchantAccount, raw); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	if matter.About.QuarantineID, err = tx.Quarantine(ctx, kept); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	return j.RaiseIn(ctx, tx, matter, Notification)
}

// quarantinedMatter is the matter that a row of the quarantine is. It is named by the content: the same bytes again are
// no other matter.
func (j *Journal) quarantinedMatter(q store.Quarantined) Matter {
	why := QuarantinedPost
	if q.Reason == reusedReason {
		why = EventIDReused
	}
	return Matter{
		ID: MatterID(q.MerchantAccount, why, hex.EncodeToString(j.store.Fingerprint(q.Raw))), MerchantAccount: q.MerchantAccount, Reason: why,
		Message: strings.TrimSuffix("notification "+q.EventID, " ") + ": " + q.Why(), About: MatterSubject{QuarantineID: q.ID},
	}
}

// QuarantinedMatter is the id of the matter that a row of the quarantine is.
func (j *Journal) QuarantinedMatter(q store.Quarantined) string { return j.quarantinedMatter(q).ID }

// errDistinct is what a merge of two subjects answers that cannot be one.
var errDistinct = errors.New("not the same")

// subject finds the one subject that the identifying keys address, merging several into the oldest. merge folds the
// body of a younger one into the older one's, or refuses with errDistinct: then both stay. State is the oldest one's
// before the merge. A subject that is not there yet has an empty Body.
func (j *Journal) subject(ctx context.Context, tx store.Tx, stream store.Stream, merchantAccount string, keys []store.Key,
	merge func(into *store.Subject, from store.Subject) error,
) (found store.Subject, merged bool, err error) {
	subjects, err := tx.SubjectsByKeys(ctx, stream, merchantAccount, keys)
	if err != nil || len(subjects) == 0 {
		return found, false, err
	}
	found = subjects[0]
	for _, younger := range subjects[1:] {
		err := merge(&found, younger)
		if errors.Is(err, errDistinct) {
			j.log.ErrorContext(ctx, "a fact names two subjects that cannot be one", "stream", stream, "subject", found.ID, "other", younger.ID)
			continue
		}
		if err != nil {
			return found, merged, err
		}
		if err := tx.Merge(ctx, younger.ID, found.ID); err != nil {
			return found, merged, fmt.Errorf("merge %s into %s: %w", younger.ID, found.ID, err)
		}
		merged = true
	}
	return found, merged, nil
}
