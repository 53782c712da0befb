package store

import "time"

// RequestState tells how far a caller's request has come.
type RequestState string

// The states of a request.
const (
	RequestOpen    RequestState = "open"    // recorded, perhaps sent: the outcome is not known here
	RequestDone    RequestState = "done"    // answered: Answer holds what every repeat gets
	RequestRefused RequestState = "refused" // refused for good: Answer holds the refusal that every repeat gets
	RequestUndone  RequestState = "undone"  // had no effect, or one that a repeat cannot double: a repeat tries it
)

// RequestID names one request of a caller.
type RequestID struct {
	MerchantAccount string
	Operation       string
	ID              string // the caller's request_id
}

// Request is a caller's mutation, recorded before Klarna is called, so that a crash leaves a trace and a repeat
// gets the first answer.
type Request struct {
	RequestID
	Caller      string // identity of the caller, empty without authentication
	Fingerprint []byte // keyed digest of the request's content
	Fields      []byte // keyed digests of the content's parts, in its owner's words
	Refused     string // what Klarna refused under KlarnaKey before, in its owner's words; empty if nothing
	Subject     string // what to read to learn what became of it, in its owner's words; may be empty
	Concerns    string // id of the subject of the log whose key seals Answer; empty: the keyring does
	KlarnaKey   string // Klarna-Idempotency-Key of every attempt
	State       RequestState
	Answer      []byte // sealed at rest; while open, what was sent, if a repeat has to be the very same
	// CorrelationID is what Klarna calls the last attempt's write, else its read; empty as long as Klarna named none.
	CorrelationID string
	FirstSent     time.Time // zero as long as nothing went to Klarna
	LeasedUntil   time.Time // whoever works on it holds it until then
	UpdatedAt     time.Time // set by the Store

	DataKey DataKey // of the subject that it concerns; for engines and the Store
	Erased  bool    // Answer was erased together with that subject; set by reads, and kept as long as there is no other
}

// Secret is a one-time or standing secret that stands in a callback URL, kept as a digest.
type Secret struct {
	Hash            []byte // SHA-256 of the secret
	Purpose         string
	MerchantAccount string
	Key             string // what it proves something about, such as a request or session id
	ExpiresAt       time.Time
}
