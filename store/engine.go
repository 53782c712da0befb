package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors that callers act on.
var (
	ErrNotFound = errors.New("not found")
	// ErrTrimmed says that the log no longer reaches back to the position asked for.
	ErrTrimmed = errors.New("position is older than the log")
	// ErrUnavailable says that the database does not answer, or takes nothing now. It may do so soon.
	ErrUnavailable = errors.New("the database does not answer")
	// ErrKeyring says that the log is sealed with another keyring than the one at hand.
	ErrKeyring = errors.New("the log is sealed with another keyring")
)

// TrimmedError is an ErrTrimmed that says how far the log was trimmed.
type TrimmedError struct {
	After Position // asked for
	UpTo  Position // everything up to here is gone, but for the newest event of each subject
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("after %d, trimmed up to %d: %v", e.After, e.UpTo, ErrTrimmed)
}

func (e *TrimmedError) Unwrap() error { return ErrTrimmed }

// Trimmed is what Trim has done.
type Trimmed struct {
	Looked int64 // events that it looked at
	Gone   int64 // of them, deleted
}

// Query selects events or subjects of one stream.
type Query struct {
	Stream Stream
	// MerchantAccount restricts to one merchant account; empty means all.
	MerchantAccount string
	// Keys restricts to what at least one of them addresses; empty means all.
	Keys []Key
	// After and UpTo bound the position: After < position <= UpTo. UpTo 0 means no upper bound.
	After, UpTo Position
	// States restricts to these states; empty means all.
	States []string
	// Descending turns the order; After and UpTo keep their meaning.
	Descending bool
	// Limit is the largest number of results, at least 1.
	Limit int
	// Heartbeat is the time between the bookmarks of Follow; 0 means the Store's. Engines have no use for it.
	Heartbeat time.Duration
	// Head is the newest position, as Head gave it a moment ago to whoever follows: Follow then need not ask for it at its
	// beginning. 0 means that it has to. Engines have no use for it.
	Head Position
	// End ends Follow when somebody says so. Engines have no use for it.
	End *End
	// Sent lets Follow yield events of which little more is known than what is sent of them: see Event.Sent. Engines have no
	// use for it.
	Sent bool
}

// Engine is what a database has to promise. Times go in and come out in UTC with at least microsecond precision.
// An engine never sees clear text of sealed fields. storetest holds every engine to this.
type Engine interface {
	// Commit runs the units in one write transaction and commits durably (the data has reached the disk when it
	// returns). What comes of it is as if they had run in order, one after the other, and after the transactions of all
	// replicas that committed before; in fact they may run side by side, and more than once. Each unit has its own
	// result: one that returns an error or panics leaves no trace, the others are committed. If the commit itself
	// fails, or ctx ends before it began, every unit gets that error. Positions become visible in order.
	Commit(ctx context.Context, units []func(Tx) error) []error

	// Log identifies this log: id is random, made with the schema; epoch is 1 until the log is restored from a
	// backup, and grows with each time.
	Log(ctx context.Context) (id string, epoch int64, err error)
	// NewEpoch raises the epoch by one, or to least if that is more, and returns it: the log was restored, and may lack what
	// others have seen of it. A log that is restored from the same backup twice needs another epoch the second time, which
	// only least can give it: the time will do.
	NewEpoch(ctx context.Context, least int64) (int64, error)
	// Keyring puts on record which keyring seals the log, by a digest, and returns the one that did so first.
	Keyring(ctx context.Context, digest []byte) (first []byte, err error)
	// Head returns the newest position, 0 in an empty log, and the newest position that was trimmed away.
	Head(ctx context.Context) (head, trimmed Position, err error)
	// Events returns matching events by position. An event matches Keys by the keys it carries itself, so what
	// matches never changes. Below the trimmed position only what Trim kept is left.
	Events(ctx context.Context, q Query) ([]Event, error)
	// Subjects returns matching subjects that are not merged away, by the position of their newest event;
	// After and UpTo bound that position.
	Subjects(ctx context.Context, q Query) ([]Subject, error)
	// Subject returns one subject by id, following merges to the one that took over. ErrNotFound if unknown.
	Subject(ctx context.Context, id string) (Subject, error)
	// Erasures returns subjects that were erased, by id, with ids greater than after.
	Erasures(ctx context.Context, after string, limit int) ([]Erasure, error)
	// Request returns a recorded request. ErrNotFound if unknown.
	Request(ctx context.Context, id RequestID) (Request, error)
	// Abandoned returns open requests whose lease ran out before the given time, longest ago first: whoever worked on
	// them is gone.
	Abandoned(ctx context.Context, before time.Time, limit int) ([]Request, error)
	// TrimRequests deletes up to limit requests that ended (whatever is not open) and were last updated before the given
	// time, oldest first, and returns how many. An open request is never trimmed.
	TrimRequests(ctx context.Context, before time.Time, limit int) (int, error)
	// Secret returns a secret by its digest. ErrNotFound if unknown.
	Secret(ctx context.Context, hash []byte) (Secret, error)
	// SigningKeys returns all signing keys by scheme, merchant account and id.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// Probe returns a probe of a webhook by its event type. ErrNotFound if unknown.
	Probe(ctx context.Context, merchantAccount, webhook, eventType string) (Probe, error)

	// Lease hands out up to n due jobs, oldest RunAt first, each leased until the given time with Attempt
	// increased. A job whose lease ran out by now is due again. Of one kind, merchant account and key at most one
	// job is leased at a time.
	Lease(ctx context.Context, now, until time.Time, n int) ([]Job, error)
	// Jobs returns jobs, waiting and leased, by RunAt; kind and merchant account restrict if not empty.
	Jobs(ctx context.Context, kind, merchantAccount string, limit int) ([]Job, error)

	// Quarantined returns what was quarantined, by id, with ids greater than after.
	Quarantined(ctx context.Context, after int64, limit int) ([]Quarantined, error)

	// Trim deletes events up to a position, but keeps the newest one of each subject; ids stay taken for ever. The
	// trimmed position is visible before the first event is gone, so a reader that asks Head after reading knows
	// whether it may have missed something. What it costs goes with what it trims: an event that stays is not looked at
	// again before its subject has a newer one.
	// Blocks that begin before the position go as a whole; one that was put meanwhile may stay until the next Trim.
	Trim(ctx context.Context, upTo Position) (Trimmed, error)

	// PutBlocks keeps blocks, but those that begin before the trimmed position. One that is there already stays as it is.
	PutBlocks(ctx context.Context, blocks []Block) error
	// Block returns the first block of a stream and a merchant account in a form that ends behind a position. ErrNotFound
	// if there is none.
	Block(ctx context.Context, stream Stream, merchantAccount, form string, after Position) (Block, error)
	// Packed returns where the last block of a stream in a form ends, of whatever merchant account; 0 if there is none.
	Packed(ctx context.Context, stream Stream, form string) (Position, error)
	// DropBlocks deletes up to limit blocks of a stream that are not in a form, and returns how many.
	DropBlocks(ctx context.Context, stream Stream, form string, limit int) (int, error)

	// Share grants a replica parts, from 0 to 1, of budgets by what it wants of them, in any unit, and what others do, for
	// as long as given. Parts that are granted at the same time never sum up to more than 1: who wants more, or comes
	// later, gets what the others leave when they ask next.
	Share(ctx context.Context, replica string, demands map[string]float64, life time.Duration) (map[string]float64, error)

	// DropRaw takes away the raw bodies of events up to a position; their fingerprints stay.
	DropRaw(ctx context.Context, upTo Position) error
	// Forget deletes up to limit subjects of a stream that are in one of the states and whose newest event is trimmed and
	// not behind a position, oldest first, with that event and their keys, and with the subjects that were merged into
	// them. It returns how many subjects are gone, 0 once none is left. Event ids stay taken for ever.
	Forget(ctx context.Context, stream Stream, states []string, upTo Position, limit int) (int, error)

	// Checkpoint returns a caller's checkpoint. ErrNotFound if unknown.
	Checkpoint(ctx context.Context, caller, name string) (Checkpoint, error)
	// Checkpoints returns a caller's checkpoints, by name, with names greater than after.
	Checkpoints(ctx context.Context, caller, after string, limit int) ([]Checkpoint, error)
	// CheckpointsBefore returns checkpoints of all callers before a position, the furthest behind first.
	CheckpointsBefore(ctx context.Context, position Position, limit int) ([]Checkpoint, error)

	// Sealed returns rows of a shelf in the order of Shelf.Row, behind the given one; nil is the beginning.
	Sealed(ctx context.Context, on Shelf, after []string, limit int) ([]SealedRow, error)

	// Stats tells what the engine holds at the given time. It reads every job there is: it is for a look now and then.
	Stats(ctx context.Context, now time.Time) (Stats, error)
	// CountKeys counts, by value, the subjects whose newest event has a key of a kind. Values that none has are left out.
	CountKeys(ctx context.Context, stream Stream, kind string) (map[string]int64, error)

	// Listen calls ring after each commit of this or another replica that appended events or that added, returned
	// or finished jobs, and once when it has begun to listen, so that nothing is missed before that. It calls from
	// its own goroutine and returns when ctx ends or listening breaks. A ring is a hint, it may come twice or late. own says
	// that this Engine has made the commit, and nothing is missed by who has been told of it by Commit.
	Listen(ctx context.Context, ring func(own bool)) error

	Close() error
}

// Tx is a unit's view of the write transaction; it sees what the unit and the units before it wrote. It is for the
// unit's own goroutine, until the unit returns. Its methods lend the context's values and ignore its end: a unit that
// was begun is run to its end, for a statement cut off would take the other units of the batch with it.
type Tx interface {
	// EventByID returns an event's position and fingerprint (Position, ID, Fingerprint and Subject are set).
	// ErrNotFound if the id is new.
	EventByID(ctx context.Context, id string) (Event, error)
	// Subject returns one subject by id, following merges. ErrNotFound if unknown.
	Subject(ctx context.Context, id string) (Subject, error)
	// SubjectsByKeys returns every live subject that at least one of the keys addresses, oldest first.
	SubjectsByKeys(ctx context.Context, stream Stream, merchantAccount string, keys []Key) ([]Subject, error)
	// Expect says that the unit is about to ask EventByID, and then SubjectsByKeys, for these. It changes no answer: an engine
	// that has a round trip to make for each question makes one for both.
	Expect(eventID string, stream Stream, merchantAccount string, keys []Key)
	// Append numbers and stores an event, and makes its Body, Lasting, State and Keys those of its subject, which is created
	// if new. A DataKey becomes that of the subject, which must have none. The event's id must be new, and its subject not merged away;
	// nothing may be on record of a subject that it calls new.
	Append(ctx context.Context, ev Event) (Position, error)
	// Merge marks from as taken over by into; from's keys address into from now on. Events stay where they are.
	// Both stand for whoever took them over already; merging a subject into itself does nothing. ErrNotFound if one
	// is unknown.
	Merge(ctx context.Context, from, into string) error

	// DataKey returns the data key of a subject, which is not followed through merges. ErrNotFound if it has none.
	DataKey(ctx context.Context, subject string) (DataKey, error)
	// PutDataKey gives a subject that has none its data key.
	PutDataKey(ctx context.Context, subject string, key []byte) error
	// Reseal puts other values into a row of a shelf, if it holds what was read of it still. Where values are taken away
	// the disk keeps nothing of them, as of keys that Erase destroys.
	Reseal(ctx context.Context, on Shelf, row SealedRow, values [][]byte) error
	// Erase destroys the data keys of a subject, following merges, and of all that were merged into it, and puts on
	// record when; those that had none get none any more. It returns the subjects. ErrNotFound if it is unknown. Where
	// the engine has a say in what the disk keeps of a key that is gone, nothing is left once the unit is committed.
	Erase(ctx context.Context, subject string, at time.Time) ([]string, error)

	// AddJob adds a job, or pulls a waiting one forward: see Job. ID, Attempt, LeasedUntil and LastError are ignored.
	AddJob(ctx context.Context, job Job) error
	// FinishJob removes a job; a no-op if it is gone.
	FinishJob(ctx context.Context, id int64) error
	// RetryJob gives a leased job back to run again at runAt. If another one of its kind and key waits already,
	// that one stays and runs no later than runAt. A no-op if the job is gone or waits. FailingSince follows lastError.
	RetryJob(ctx context.Context, id int64, runAt time.Time, lastError string) error

	// Request returns a recorded request. ErrNotFound if unknown.
	Request(ctx context.Context, id RequestID) (Request, error)
	// PutRequest inserts or replaces a request.
	PutRequest(ctx context.Context, r Request) error

	// Reserved returns what is reserved of a fund, oldest first, and locks the fund until the unit is committed: a unit
	// that locks it next, on any replica, sees what this one wrote, the events it appended included. So of those who
	// reserve at the same time each sees the ones before. Where rows are locked one by one, the fund needs a row of its
	// own (there may be no reservation yet), and a deadlock with the log's head is the engine's to resolve, by running
	// the units again.
	Reserved(ctx context.Context, fund Fund) ([]Reservation, error)
	// Reserve inserts the request's reservation of a fund or replaces it. It locks the fund as Reserved does.
	Reserve(ctx context.Context, r Reservation) error
	// Unreserve removes all reservations of a request; a no-op if there is none. It locks their funds as Reserved does.
	Unreserve(ctx context.Context, id RequestID) error

	// PutSecret inserts a secret or replaces the one with its digest.
	PutSecret(ctx context.Context, s Secret) error
	// Secret returns a secret by its digest. ErrNotFound if unknown.
	Secret(ctx context.Context, hash []byte) (Secret, error)

	// SigningKey returns a signing key. ErrNotFound if unknown.
	SigningKey(ctx context.Context, id SigningKeyID) (SigningKey, error)
	// PutSigningKey inserts or replaces a signing key.
	PutSigningKey(ctx context.Context, k SigningKey) error

	// Probe returns a probe of a webhook by its event type. ErrNotFound if unknown.
	Probe(ctx context.Context, merchantAccount, webhook, eventType string) (Probe, error)
	// PutProbe inserts a probe or replaces the one of its merchant account, webhook and event type.
	PutProbe(ctx context.Context, p Probe) error

	// Checkpoint returns a caller's checkpoint. ErrNotFound if unknown.
	Checkpoint(ctx context.Context, caller, name string) (Checkpoint, error)
	// PutCheckpoint inserts or replaces a checkpoint.
	PutCheckpoint(ctx context.Context, c Checkpoint) error
	// DeleteCheckpoint removes a checkpoint; a no-op if it is gone.
	DeleteCheckpoint(ctx context.Context, caller, name string) error

	// Quarantine keeps what cannot be applied and returns its id.
	Quarantine(ctx context.Context, q Quarantined) (int64, error)
	// PutQuarantined replaces reason and bytes of what was quarantined; a no-op if it is gone. The disk keeps nothing of bytes
	// that are taken away, as of keys that Erase destroys.
	PutQuarantined(ctx context.Context, q Quarantined) error
}
