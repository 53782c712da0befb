package store

import "time"

// Job is work that outlives a crash. At most one job of a kind waits per (MerchantAccount, Key): adding another
// one pulls the waiting one's RunAt forward. A job added while one is being worked waits for its own turn: it is not
// handed out before the other is finished or given back.
type Job struct {
	ID              int64 // set by the engine
	Kind            string
	MerchantAccount string
	Key             string
	Payload         []byte    // what the work needs beyond Key; sealed at rest; a waiting job takes over a newer one's payload
	RunAt           time.Time // not before
	Deadline        time.Time // zero for none; past it the worker gives up and raises attention; the later of two that meet
	Attempt         int       // how often it was leased
	LeasedUntil     time.Time // zero while waiting; a lease that ran out puts the job up again
	LastError       string    // what stopped the last attempt; never payloads or personal data
	FailingSince    time.Time // when the first of the attempts was due that have failed in a row; zero if the last one has not
	CreatedAt       time.Time // set by the Store if zero
	TraceParent     string    // W3C trace context of whoever added it last; that of AddJob's ctx if empty
}
