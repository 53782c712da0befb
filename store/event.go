package store

import (
	"slices"
	"strings"
	"time"
)

// Position orders the log. The first event has position 1; 0 stands before it.
// Positions grow by commit order and are never reassigned; gaps carry no meaning.
type Position int64

// Stream names a family of subjects that is watched together.
type Stream string

// The streams of the gateway.
const (
	Payments   Stream = "payment"
	Accounts   Stream = "account"
	Attentions Stream = "attention" // matters for a person
)

// Streams lists them.
func Streams() []Stream { return slices.Clone(streams) }

var streams = []Stream{Payments, Accounts, Attentions}

// Shares tells whether a key of a kind is shared by many subjects of the stream, as a partner is by its payments. Keys of all
// other kinds are names, whose values address one subject each, or a few: an engine may find the events of a name by way of its
// subjects. It stays as it is for ever, since engines keep events by it.
func (s Stream) Shares(kind string) bool { return slices.Contains(shared[s], kind) }

// shared are such kinds, in the journal's words.
var shared = map[Stream][]string{
	Payments:   {"partner_account_id"},
	Attentions: {"open", "open_reason", "open_partner", "open_partner_reason"},
}

// Key is one way to address a subject, such as {"session_id", "0b1b…"}. Keys are unique only within a stream
// and a merchant account, and some (merchant references) may address several subjects.
type Key struct {
	Kind  string
	Value string
}

// Event is one fact of the log with the whole state of its subject after it.
type Event struct {
	Position        Position // set by Append
	ID              string   // unique over all streams, for ever
	Stream          Stream
	MerchantAccount string
	Subject         string // id of the subject the event belongs to
	New             bool   // the subject's id was made for this event: nothing is on record of it. Not set by reads
	Kind            string // what happened, in the words of whoever appended it
	Cause           string // how it was learned or what brought it about, in the same words
	State           string // state after the event, in clear for filters
	PreviousState   string
	Superseded      bool // kept, but came too late to move the state
	OccurredAt      time.Time
	RecordedAt      time.Time // set by the Store, to the microsecond
	Keys            []Key     // everything that addresses the subject as of this event
	Body            []byte    // the state after the event; sealed at rest
	Lasting         []byte    // what of Body outlives an erasure of the subject, nil if all of it does; not set by reads
	Raw             []byte    // Klarna's bytes as received, nil if none or erased; sealed at rest
	Fingerprint     []byte    // keyed digest of Raw, tells a repeat from an id used twice; set by the Store
	TraceParent     string    // W3C trace context of whoever learned the fact; that of Append's ctx if empty

	// DataKey is the subject's, sealed. An engine keeps what Append brings, and returns what it has.
	DataKey []byte
	Erased  bool // the subject's personal data was erased, by now: Body is what lasts

	memo    *memo  // what its readers share; nil where they do not
	sent    []byte // see Sent
	lasting []byte // of an own event in the tail: what of Body outlives an erasure, all of it included
}

// Subject is the newest state of one payment or one account. Its keys are those of its newest event and the keys of
// every subject that was merged into it.
type Subject struct {
	ID              string
	Stream          Stream
	MerchantAccount string
	State           string
	Body            []byte    // as in the newest event; sealed at rest
	Lasting         []byte    // as in the newest event; not set by the Store
	DataKey         DataKey   // for engines and the Store
	Latest          Position  // newest event of the subject
	MergedInto      string    // set when another subject took this one over; empty otherwise
	CreatedAt       time.Time // RecordedAt of the first event
	UpdatedAt       time.Time // RecordedAt of the newest event
}

// Quarantined is a well-signed notification that cannot be applied: unparsable, of the wrong environment, or an
// event id seen before with other bytes. It is kept for a person to look at.
type Quarantined struct {
	ID              int64 // set by the engine
	MerchantAccount string
	EventID         string // empty if it could not be read
	Reason          string
	Raw             []byte // sealed at rest
	ReceivedAt      time.Time
	Erased          bool // Raw was erased together with whom it names, or is of somebody who is erased, and is not kept
}

// Why is the reason in words that hold nothing of the body; details may stand behind it.
func (q Quarantined) Why() string {
	why, _, _ := strings.Cut(q.Reason, ": ")
	return why
}
