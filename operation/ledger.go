package operation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// Request is a caller's wish to have something done once.
type Request struct {
	MerchantAccount string
	ID              string // the caller's request_id
	Caller          string // who asks; a repeat must come from the same
	Content         []byte // what is asked for, in a canonical form: a repeat must be equal
	// Fields are the parts of the content by their path, in a canonical form: they name what differs in a repeat that is
	// none. Digests of them are kept.
	Fields []Field
	// Payment, if it is not nil, is set to the payment that the request was about, as the commit of the answer left it. It
	// stays as it was where there is no such commit: for a repeat, and for what is no payment's.
	Payment *journal.PaymentRecord

	trace string    // set by about
	whom  store.Key // of whom it concerns, where what it is about does not tell
	// with goes into the commit that puts the request on record: what has to be durable before Klarna is called, and is
	// known by then. Nil for nothing.
	with func(ctx context.Context, tx store.Tx, try attempt) error
}

// Field is what stands at a path of a request's content.
type Field struct {
	Path  string // of names, dots and numbers in brackets
	Value []byte
}

// about says what has to be read to learn what became of the request, should nobody be left to tell: a kind of job and
// its key.
func (r Request) about(job, key string) Request {
	r.trace = job + " " + key
	return r
}

// keyNamespace is the UUID namespace of every idempotency key. It and the recipe in IdempotencyKey never change:
// a repeat after an upgrade must find the same key at Klarna.
var keyNamespace = uuid.MustParse("6d1f3c0a-8f0e-5b52-9d53-2f6f1f2a7c11")

// IdempotencyKey is the Klarna-Idempotency-Key of an operation: UUIDv5 over v1|merchant_account|operation|request_id.
// Klarna remembers it for 24 h.
func IdempotencyKey(merchantAccount, operation, requestID string) string {
	return uuid.NewSHA1(keyNamespace, []byte("v1|"+merchantAccount+"|"+operation+"|"+requestID)).String()
}

// keyLife is how long after the first attempt a key is trusted; Klarna: 24 h, an hour is kept as a margin.
const keyLife = 23 * time.Hour

// effect is what a call to Klarna brought about: the answer, and what is to be recorded together with it.
type effect[A any] struct {
	answer A
	record func(ctx context.Context, tx store.Tx) error
}

// attempt is one try at a request.
type attempt struct {
	key   string         // Klarna-Idempotency-Key
	first bool           // nothing was sent before
	stale bool           // the key may be forgotten, or not be known where it goes now: look before sending again
	cut   bool           // the attempt before ended without a word: a crash cut it off
	sure  bool           // that the attempts before, if any, had no effect, or none that this one doubles
	row   *store.Request // as it is on record
	drew  *bool          // money is reserved for it
	whom  store.Key      // of whom it concerns, where what it is about does not tell
	own   bool           // a wish of the gateway's own: it may come up again
}

// flight is a request that is being worked on here.
type flight struct {
	req    Request
	landed chan struct{} // closed at its end
	err    error         // how it failed; set before landed is closed
}

// once does a request at most once. The request is on record before call runs. A repeat with the same content gets
// the first answer; one that comes while the first is being worked on waits for it and shares its failure too. If the
// outcome is unknown the record stays open and the next repeat goes to Klarna under the same key.
func once[A any](ctx context.Context, o *Operations, operation string, req Request,
	call func(ctx context.Context, try attempt) (effect[A], error),
) (answer A, err error) {
	id := store.RequestID{MerchantAccount: req.MerchantAccount, Operation: operation, ID: req.ID}
	for waited := false; ; waited = true {
		mine, other := o.board(id, req)
		if other != nil {
			if err := o.join(ctx, id, other, req); err != nil {
				return answer, err
			}
			continue // the answer is on record, or it is our turn
		}
		claim, err := o.claim(ctx, id, req)
		if err == nil && claim.try.row != nil {
			return fly(ctx, o, id, mine, claim.try, call)
		}
		o.land(id, mine, nil)
		switch {
		case err != nil && waited && ctx.Err() != nil:
			return answer, inProgress() // as if the time had run out a moment earlier, while it waited
		case err != nil:
			return answer, err
		case claim.refusal != nil:
			return answer, claim.refusal
		case claim.held > 0:
			if err := wait(ctx, after(claim.held)); err != nil {
				return answer, err
			}
		default:
			return answer, decodeAnswer(claim.answer, &answer)
		}
	}
}

// board takes the one place in the air for a request, or says who has it.
func (o *Operations) board(id store.RequestID, req Request) (mine, other *flight) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if other, busy := o.flying[id]; busy {
		return nil, other
	}
	mine = &flight{req: req, landed: make(chan struct{})}
	o.flying[id] = mine
	return mine, nil
}

func (o *Operations) land(id store.RequestID, mine *flight, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.flying, id)
	mine.err = err
	close(mine.landed)
}

// join waits for the flight of another one. A failure is shared by those who asked for the very same; what the gateway
// asks for itself has no content that would say so.
func (o *Operations) join(ctx context.Context, id store.RequestID, other *flight, req Request) error {
	row, err := o.store.Request(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound): // about to be recorded
	case err != nil && ctx.Err() != nil:
		return inProgress()
	case err != nil:
		return fmt.Errorf("read request: %w", err)
	default:
		if err := o.sameRequest(row, req); err != nil {
			return err
		}
	}
	if err := wait(ctx, other.landed); err != nil {
		return err
	}
	if len(req.Content) > 0 && req.Caller == other.req.Caller && bytes.Equal(req.Content, other.req.Content) {
		return other.err
	}
	return nil
}

// claim is where a request stands: ours to try, held by another replica, answered, or refused for good.
type claim struct {
	try     attempt       // without a row if it is not
	held    time.Duration // until it is worth looking again
	answer  []byte
	refusal error
}

// claim records the request or finds it on record.
func (o *Operations) claim(ctx context.Context, id store.RequestID, req Request) (c claim, err error) {
	fingerprint, fields := o.store.Fingerprint(req.Content), o.digests(req.Fields) // here: units run one after the other
	err = o.store.Do(ctx, func(tx store.Tx) (err error) {
		c, err = o.claimRow(ctx, tx, id, req, fingerprint, fields)
		return err
	})
	return c, err
}

func (o *Operations) claimRow(ctx context.Context, tx store.Tx, id store.RequestID, req Request, fingerprint, fields []byte) (c claim, err error) {
	now := o.store.Now()
	row, err := tx.Request(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		row = store.Request{
			RequestID: id, Caller: req.Caller, KlarnaKey: IdempotencyKey(id.MerchantAccount, id.Operation, id.ID),
			State: store.RequestOpen,
		}
	case err != nil:
		return c, fmt.Errorf("read request: %w", err)
	default:
		if err := o.sameRequest(row, req); err != nil {
			return c, err
		}
		switch {
		case row.Erased:
			return claim{refusal: erased(row)}, nil
		case row.State == store.RequestDone:
			return claim{answer: row.Answer}, nil
		case row.State == store.RequestRefused:
			return claim{refusal: decodeRefusal(row.Answer)}, nil
		}
		if left := row.LeasedUntil.Sub(now); left > 0 && !o.single {
			return claim{held: min(left, 100*time.Millisecond)}, nil
		}
	}
	first := row.FirstSent.IsZero()
	if first {
		row.FirstSent = now
	}
	cut, sure := !row.LeasedUntil.IsZero(), first || row.State == store.RequestUndone
	row.Fingerprint, row.Fields, row.Subject = fingerprint, fields, req.trace
	row.State, row.LeasedUntil = store.RequestOpen, now.Add(leaseTime)
	try := attempt{
		key: row.KlarnaKey, first: first, cut: cut, sure: sure, row: &row, drew: new(bool), whom: req.whom, own: len(req.Content) == 0,
		stale: now.Sub(row.FirstSent) > keyLife || o.accounts[id.MerchantAccount].changed(row.FirstSent, now),
	}
	if req.with != nil {
		if err := req.with(ctx, tx, try); err != nil {
			return c, err
		}
	}
	if err := tx.PutRequest(ctx, row); err != nil {
		return c, fmt.Errorf("record request: %w", err)
	}
	return claim{try: try}, nil
}

// fly tries the request at Klarna and records how it ended, also when its time has run out over it.
func fly[A any](ctx context.Context, o *Operations, id store.RequestID, mine *flight, try attempt,
	call func(ctx context.Context, try attempt) (effect[A], error),
) (answer A, err error) {
	defer func() { o.land(id, mine, err) }()
	ctx = klarna.Correlated(ctx)
	working, cancel := detached(ctx)
	defer cancel()
	done, err := call(working, try)
	if err != nil && o.rotate(working, try, err) {
		try.key = try.row.KlarnaKey
		done, err = call(working, try)
	}
	try.row.CorrelationID = cmp.Or(klarna.CorrelationID(ctx), try.row.CorrelationID)
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		return answer, o.release(ctx, try, err)
	}
	o.failpoint(AfterAnswer, id.Operation)
	encoded, err := json.Marshal(done.answer)
	if err != nil {
		return answer, fmt.Errorf("encode answer: %w", err)
	}
	row := *try.row
	row.State, row.Answer, row.LeasedUntil = store.RequestDone, encoded, time.Time{}
	var payment journal.PaymentRecord
	recording := context.WithValue(ctx, paymentKey{}, &payment)
	err = o.store.Do(ctx, func(tx store.Tx) error {
		if done.record != nil {
			if err := done.record(recording, tx); err != nil {
				return err
			}
		}
		if err := o.put(ctx, tx, &row, try.whom); err != nil {
			return fmt.Errorf("record answer: %w", err)
		}
		return try.unreserve(ctx, tx)
	})
	if err != nil {
		// Klarna did it, our record of it failed: the request stays open, and a repeat gets Klarna's first answer.
		return answer, fmt.Errorf("%w: record %s: %w", klarna.ErrOutcomeUnknown, row.Operation, err)
	}
	o.failpoint(AfterCommit, id.Operation)
	if mine.req.Payment != nil && payment.Payment.ID != "" {
		*mine.req.Payment = payment
	}
	return done.answer, nil
}

// paymentKey is where recordPayment leaves what it recorded, for the answer.
type paymentKey struct{}

// sending puts on record what is about to be sent, where a repeat has to be the very same. It stands in the place of
// the answer until there is one, or until the call clears it because nothing came of it.
func (o *Operations) sending(ctx context.Context, try attempt, what any) (err error) {
	if try.row.Answer, err = json.Marshal(what); err != nil {
		return fmt.Errorf("encode what is sent: %w", err)
	}
	if err = o.store.Do(ctx, func(tx store.Tx) error { return o.put(ctx, tx, try.row, try.whom) }); err != nil {
		return fmt.Errorf("record what is sent: %w", err)
	}
	return nil
}

func wait(ctx context.Context, landed <-chan struct{}) error {
	select {
	case <-landed:
		return nil
	case <-ctx.Done():
		return inProgress()
	}
}

// inProgress tells a caller whose time ran out while another one works on the same request.
func inProgress() error {
	return &Refusal{
		reason: "REQUEST_IN_PROGRESS", message: "the same request is being worked on; repeat it with the same request_id",
		retry: time.Second,
	}
}

func after(d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	return c
}

func decodeAnswer(encoded []byte, answer any) error {
	if err := json.Unmarshal(encoded, answer); err != nil {
		return fmt.Errorf("decode recorded answer: %w", err)
	}
	return nil
}
