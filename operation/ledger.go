package operation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// Request is a caller's wish to have something done once.
type Request struct {
	MerchantAccount string
	ID              string // the caller's request_id
	Caller          string // who asks; a repeat must come from the same
	Content         []byte // what is asked for, in a canonical form: a repeat must be equal
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
	key   string // Klarna-Idempotency-Key
	first bool   // nothing was sent before
	stale bool   // the key may be forgotten at Klarna: look before sending again
}

// once does a request at most once. The request is on record before call runs. A repeat with the same content gets
// the first answer; one that comes while the first is being worked on waits for it. If the outcome is unknown the
// record stays open and the next repeat goes to Klarna under the same key.
func once[A any](ctx context.Context, o *Operations, operation string, req Request,
	call func(ctx context.Context, try attempt) (effect[A], error),
) (answer A, err error) {
	id := store.RequestID{MerchantAccount: req.MerchantAccount, Operation: operation, ID: req.ID}
	for {
		claim, err := o.claim(ctx, id, req)
		if err != nil {
			return answer, err
		}
		switch {
		case claim.done:
			return answer, decodeAnswer(claim.row.Answer, &answer)
		case claim.wait != nil:
			if err := wait(ctx, claim.wait); err != nil {
				return answer, err
			}
		default:
			return fly(ctx, o, claim.row, claim.try, call)
		}
	}
}

// claim is where a request stands: answered, worked on by somebody (wait), or ours to try.
type claim struct {
	row  store.Request
	done bool
	wait <-chan struct{}
	try  attempt
}

// claim records the request or finds it on record. Whoever gets to try holds the lease and a place in o.flying.
func (o *Operations) claim(ctx context.Context, id store.RequestID, req Request) (c claim, err error) {
	o.mu.Lock()
	if landed, busy := o.flying[id]; busy {
		o.mu.Unlock()
		if err := o.repeatable(ctx, id, req); err != nil {
			return c, err
		}
		return claim{wait: landed}, nil
	}
	landed := make(chan struct{})
	o.flying[id] = landed
	o.mu.Unlock()

	err = o.store.Do(ctx, func(tx store.Tx) error {
		c, err = o.claimRow(ctx, tx, id, req)
		return err
	})
	if err != nil || c.done || c.wait != nil {
		o.land(id)
	}
	return c, err
}

func (o *Operations) claimRow(ctx context.Context, tx store.Tx, id store.RequestID, req Request) (c claim, err error) {
	now := o.store.Now()
	row, err := tx.Request(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		row = store.Request{
			RequestID: id, Caller: req.Caller, Fingerprint: o.store.Fingerprint(req.Content),
			KlarnaKey: IdempotencyKey(id.MerchantAccount, id.Operation, id.ID), State: store.RequestOpen, FirstSent: now,
		}
		c.try = attempt{key: row.KlarnaKey, first: true}
	case err != nil:
		return c, fmt.Errorf("read request: %w", err)
	default:
		if err := o.sameRequest(row, req); err != nil {
			return c, err
		}
		if row.State == store.RequestDone {
			return claim{row: row, done: true}, nil
		}
		if !o.single && row.LeasedUntil.After(now) {
			return claim{wait: after(min(row.LeasedUntil.Sub(now), 100*time.Millisecond))}, nil
		}
		row.Fingerprint = o.store.Fingerprint(req.Content)
		c.try = attempt{key: row.KlarnaKey, stale: now.Sub(row.FirstSent) > keyLife}
	}
	row.LeasedUntil, row.UpdatedAt = now.Add(callBudget), now
	c.row = row
	if err := tx.PutRequest(ctx, row); err != nil {
		return c, fmt.Errorf("record request: %w", err)
	}
	return c, nil
}

// repeatable checks a repeat against the record while the first one is under way.
func (o *Operations) repeatable(ctx context.Context, id store.RequestID, req Request) error {
	row, err := o.store.Request(ctx, id)
	if errors.Is(err, store.ErrNotFound) { // about to be recorded
		return nil
	}
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	return o.sameRequest(row, req)
}

// sameRequest refuses a repeat that is none. A request without a fingerprint was definitely refused by Klarna as
// invalid; it may be corrected under the same id, as Klarna advises.
func (o *Operations) sameRequest(row store.Request, req Request) error {
	if row.Caller != req.Caller {
		return refuse("REQUEST_ID_OF_ANOTHER_CALLER", "this request_id is in use")
	}
	if len(row.Fingerprint) > 0 && !bytes.Equal(row.Fingerprint, o.store.Fingerprint(req.Content)) {
		return refuseField("request_id", "REQUEST_ID_REUSED", "request_id was used for %s with other content before", row.Operation)
	}
	return nil
}

// fly tries the request at Klarna and records how it ended.
func fly[A any](ctx context.Context, o *Operations, row store.Request, try attempt,
	call func(ctx context.Context, try attempt) (effect[A], error),
) (answer A, err error) {
	defer o.land(row.RequestID)
	ctx, cancel := detached(ctx)
	defer cancel()
	done, err := call(ctx, try)
	if err != nil {
		return answer, o.release(ctx, row, err)
	}
	encoded, err := json.Marshal(done.answer)
	if err != nil {
		return answer, fmt.Errorf("encode answer: %w", err)
	}
	err = o.store.Do(ctx, func(tx store.Tx) error {
		row.State, row.Answer, row.LeasedUntil, row.UpdatedAt = store.RequestDone, encoded, time.Time{}, o.store.Now()
		if err := tx.PutRequest(ctx, row); err != nil {
			return fmt.Errorf("record answer: %w", err)
		}
		if done.record == nil {
			return nil
		}
		return done.record(ctx, tx)
	})
	if err != nil {
		// Klarna did it, our record of it failed: the request stays open, and a repeat gets Klarna's first answer.
		return answer, fmt.Errorf("%w: record %s: %w", klarna.ErrOutcomeUnknown, row.Operation, err)
	}
	return done.answer, nil
}

// release gives a request that failed back for another try.
func (o *Operations) release(ctx context.Context, row store.Request, cause error) error {
	var refused *klarna.Error
	if errors.As(cause, &refused) && refused.Status == http.StatusBadRequest {
		row.Fingerprint = nil // may be corrected
	}
	row.LeasedUntil, row.UpdatedAt = time.Time{}, o.store.Now()
	if err := o.store.Do(ctx, func(tx store.Tx) error { return tx.PutRequest(ctx, row) }); err != nil {
		o.log.ErrorContext(ctx, "release request", "operation", row.Operation, "error", err)
	}
	return cause
}

func (o *Operations) land(id store.RequestID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if landed, ok := o.flying[id]; ok {
		delete(o.flying, id)
		close(landed)
	}
}

func wait(ctx context.Context, landed <-chan struct{}) error {
	select {
	case <-landed:
		return nil
	case <-ctx.Done():
		return &Refusal{
			reason: "REQUEST_IN_PROGRESS", message: "the same request is being worked on; repeat it with the same request_id",
			retry: time.Second,
		}
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
