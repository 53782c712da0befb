package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// The kinds of funds that requests draw on. Their keys are Klarna's ids.
const (
	fundCapture = "capture" // what is authorised and not captured
	fundRefund  = "refund"  // what is captured and not refunded
)

// draft is money that a request is about to move.
type draft struct {
	fund      store.Fund
	reference string // unique within the fund: by it Klarna's figures show that the money has moved
	amount    int64  // minor units
	currency  string
	// balance tells from what is on record, in the same commit, what the fund holds.
	balance func(ctx context.Context, tx store.Tx) (balance, error)
	// sent is put on record with the reservation, to look for later if the outcome stays unknown.
	sent any
	// short is the reason for which the request is refused if not enough is left, such as CAPTURE_NOT_ALLOWED.
	short string
}

// balance is what the log knows of a fund. What is reserved is not deducted.
type balance struct {
	left int64              // minor units
	made []journal.Movement // what was moved out of it before, and is deducted
}

// find looks for the movement of a reference, made since the given time.
func (b balance) find(reference string, amount int64, since time.Time) (journal.Movement, bool) {
	i := slices.IndexFunc(b.made, func(m journal.Movement) bool {
		return reference != "" && m.Reference == reference && m.Amount == amount && m.At.After(since.Add(-clockSkew))
	})
	if i < 0 {
		return journal.Movement{}, false
	}
	return b.made[i], true
}

// reserve sets money aside for a request before Klarna is called, so that parallel requests cannot draw on it while the
// outcome is not known. The ledger gives it back in the commit that records how the request ended; an unknown outcome
// keeps it. An attempt that repeats an earlier one may learn that the money has moved: then made is how, and there is
// nothing left to send.
//
// What is left comes from the log, which Klarna's own figures correct with each reading of theirs, so what was moved in
// Klarna's portal counts too. A reservation whose movement such a reading has shown already is not deducted twice.
func (o *Operations) reserve(ctx context.Context, try attempt, d draft) (made *journal.Movement, err error) {
	sent, err := json.Marshal(d.sent)
	if err != nil {
		return nil, fmt.Errorf("encode what is sent: %w", err)
	}
	err = o.store.Do(ctx, func(tx store.Tx) (err error) {
		if made, err = o.draw(ctx, tx, try, d); err != nil || made != nil {
			return err
		}
		row := *try.row
		row.Answer = sent
		if err := tx.PutRequest(ctx, row); err != nil {
			return fmt.Errorf("record what is sent: %w", err)
		}
		return nil
	})
	if err == nil {
		*try.drew = true
		if made == nil {
			try.row.Answer = sent
		}
	}
	return made, err
}

// draw is reserve within a unit; what is sent is for the caller to put on record.
func (o *Operations) draw(ctx context.Context, tx store.Tx, try attempt, d draft) (made *journal.Movement, err error) {
	held, err := tx.Reserved(ctx, d.fund) // from here on nobody else draws on the fund
	if err != nil {
		return nil, fmt.Errorf("read reservations: %w", err)
	}
	of, err := d.balance(ctx, tx)
	if err != nil {
		return nil, err
	}
	if m, known := of.find(d.reference, d.amount, try.row.FirstSent); known && !try.first {
		return &m, nil
	}
	reserved, err := d.reservedBy(held, of, try)
	if err != nil {
		return nil, err
	}
	if left := max(of.left-reserved, 0); d.amount > left {
		return nil, d.tooMuch(left, reserved)
	}
	return nil, tx.Reserve(ctx, store.Reservation{
		Request: try.row.RequestID, Fund: d.fund, Reference: d.reference, Amount: d.amount, CreatedAt: try.row.FirstSent,
	})
}

// drawFirst reserves in the commit that puts a first attempt on record, which saves a commit. Whatever is in the way is
// left to drawOn, which knows what to do about it.
func (o *Operations) drawFirst(d draft) func(context.Context, store.Tx, attempt) error {
	return func(ctx context.Context, tx store.Tx, try attempt) error {
		sent, err := json.Marshal(d.sent)
		if err != nil || !try.first {
			return nil
		}
		if _, err := o.draw(ctx, tx, try, d); err == nil {
			*try.drew, try.row.Answer = true, sent
		}
		return nil
	}
}

// reservedBy is what others have reserved and what no reading has shown yet. A first attempt may not use a reference
// that stands for something else.
func (d draft) reservedBy(held []store.Reservation, of balance, try attempt) (reserved int64, err error) {
	taken := slices.ContainsFunc(of.made, func(m journal.Movement) bool { return m.Reference == d.reference })
	for _, r := range held {
		if r.Request == try.row.RequestID {
			continue
		}
		taken = taken || r.Reference == d.reference
		if _, shown := of.find(r.Reference, r.Amount, r.CreatedAt); !shown {
			reserved += r.Amount
		}
	}
	if taken && try.first && d.reference != "" {
		return 0, refuseField("reference", "REFERENCE_IN_USE", "another capture or refund of the same has this reference; by it one whose answer was lost is found again, so each needs its own")
	}
	return reserved, nil
}

// overdraft is the refusal of more than is left.
type overdraft struct{ *Refusal }

func (e overdraft) Unwrap() error { return e.Refusal }

func (d draft) tooMuch(left, reserved int64) error {
	r := refuseField("amount.amount_minor", d.short, "%d %s (minor units) are left to %s", left, d.currency, d.fund.Kind)
	if reserved > 0 {
		r.message += fmt.Sprintf("; %d more are reserved by requests whose outcome is not known yet", reserved)
	}
	r.metadata = map[string]string{
		"remaining_amount_minor": strconv.FormatInt(left, 10), "reserved_amount_minor": strconv.FormatInt(reserved, 10), "currency_code": d.currency,
	}
	return overdraft{r}
}

// drawOn reserves, and if not enough is left lets read correct the log by Klarna's own figures and tries again: more may
// have been authorised or captured past us.
func (o *Operations) drawOn(ctx context.Context, try attempt, d draft, read func() error) (made *journal.Movement, err error) {
	if *try.drew { // as it was put on record
		return nil, nil
	}
	made, err = o.reserve(ctx, try, d)
	var short overdraft
	if !errors.As(err, &short) {
		return made, err
	}
	if err := read(); err != nil {
		return nil, err
	}
	return o.reserve(ctx, try, d)
}

// shortAfterAll says what is left after Klarna refused a movement that the log would have allowed: the log was behind,
// and read has corrected it. Klarna's refusal stays what it is if that does not explain it.
func (o *Operations) shortAfterAll(ctx context.Context, try attempt, d draft, refusal error, read func() error) error {
	if read() != nil {
		return refusal
	}
	var short overdraft
	if _, err := o.reserve(ctx, try, d); errors.As(err, &short) {
		return fmt.Errorf("%w: %w", short.Refusal, refusal)
	}
	return refusal
}

// unreserve gives back what the attempt has reserved.
func (t attempt) unreserve(ctx context.Context, tx store.Tx) error {
	if !*t.drew {
		return nil
	}
	if err := tx.Unreserve(ctx, t.row.RequestID); err != nil {
		return fmt.Errorf("give back what was reserved: %w", err)
	}
	return nil
}
