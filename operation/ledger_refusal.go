package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// release puts down how a request failed. What was refused for its content, by Klarna or, before anything was sent, by
// us, may be corrected under the same id; a final refusal is kept and given to every repeat; an unknown outcome is left
// to be resolved. Of all else the request is given back for another try.
func (o *Operations) release(ctx context.Context, try attempt, cause error) error {
	refused, decided := decision(cause)
	row := *try.row
	doubtful := !decided && !nothingSent(cause)
	over := !doubtful && try.sure || decided && settles(refused) // it had no effect, in this attempt or before
	if over {
		row.State = store.RequestUndone
	}
	switch {
	case try.first && nothingSent(cause):
		row.FirstSent, row.Fingerprint, row.Fields = time.Time{}, nil, nil
	case decided && refused.Status == http.StatusBadRequest:
		row.Fingerprint, row.Fields, row.Refused = nil, nil, refused.ID
	case decided && final(refused) && !try.own:
		answer, err := encodeRefusal(cause)
		if err != nil {
			return err
		}
		row.State, row.Answer, row.Concerns = store.RequestRefused, answer, ""
	}
	if decided && try.first {
		row.FirstSent = time.Time{} // nothing was done, and nothing is in doubt
	}
	row.LeasedUntil = time.Time{}
	err := o.store.Do(ctx, func(tx store.Tx) error {
		if err := tx.PutRequest(ctx, row); err != nil {
			return err
		}
		if over {
			return try.unreserve(ctx, tx)
		}
		return o.resolveSoon(ctx, tx, row, resolveAfter) // what is reserved may still be spent, by this attempt or one before
	})
	if err != nil {
		o.log.ErrorContext(ctx, "release request", "operation", row.Operation, "error", err)
	}
	return cause
}

// decision is Klarna's definite refusal of a write, if that is the cause: this attempt had no effect.
func decision(cause error) (refused *klarna.Error, decided bool) {
	decided = errors.As(cause, &refused) && !refused.Read && refused.Status < http.StatusInternalServerError &&
		!errors.Is(cause, klarna.ErrOutcomeUnknown) && !errors.Is(cause, klarna.ErrRateLimited)
	return refused, decided
}

// nothingSent tells whether the attempt ended before a write left for Klarna: by a refusal of ours, at a reading that
// comes before the write, or for want of a connection or of our share of Klarna's quota.
func nothingSent(cause error) bool {
	var ours *Refusal
	var misdirected *klarna.MisdirectedError
	var refused *klarna.Error
	_, decided := decision(cause)
	return !decided && !errors.Is(cause, klarna.ErrOutcomeUnknown) && (errors.As(cause, &ours) || errors.As(cause, &misdirected) ||
		errors.Is(cause, klarna.ErrUnavailable) || errors.Is(cause, klarna.ErrRateLimited) || errors.As(cause, &refused) && refused.Read)
}

// settles tells whether a refusal is a word on earlier attempts at the same too, as it is if the request is at fault. What
// is gone or not allowed any more where no key is sent may be so by our own doing. All else is none: above all a conflict,
// with which Klarna may be at work on the earlier attempt still.
func settles(refused *klarna.Error) bool {
	if !klarnasWords(refused) || aboutUs(refused) {
		return false
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	case http.StatusForbidden:
		return refused.Family != klarna.Network && refused.Family != klarna.Payments
	case http.StatusNotFound:
		return refused.Family != klarna.Payments
	}
	return false
}

// aboutUs tells whether a refusal is about our credentials, rights or rate. It comes before Klarna looks at the request.
func aboutUs(refused *klarna.Error) bool {
	switch refused.Status {
	case http.StatusUnauthorized, http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
		return refused.Code == "FORBIDDEN" || refused.Code == "MERCHANT_INACTIVE"
	}
	return false
}

// klarnasWords tells whether a refusal names a code of Klarna's. One that does not may come from a proxy or a shield before
// Klarna, which has not seen the request then.
func klarnasWords(refused *klarna.Error) bool { return !strings.HasPrefix(refused.Code, "HTTP_") }

// final tells whether a refusal stands for its request, whatever changes later: Klarna's decision on the state that it
// met, under a key whose repeats get the same from Klarna for a day. Without it on record a repeat after that day might do
// what its caller was told is not done. These are none:
//   - what is no word on earlier attempts: credentials, rights, rate, conflicts, answers that are not Klarna's;
//   - the request's form (400, 413, 422), which may be corrected, and what is not there yet (404 of an order);
//   - refusals without a key behind them (sessions, hosted pages, checkout orders): after an answer that was lost they may
//     be the trace of what the request itself has done. An authorisation that was refused an order is kept as spent;
//   - on the Network 403: Klarna documents it as a missing right on the resource, and not that it stands under its key.
func final(refused *klarna.Error) bool {
	if !settles(refused) {
		return false
	}
	switch refused.Family {
	case klarna.OrderManagement:
		return refused.Status == http.StatusForbidden && strings.HasSuffix(refused.Code, "NOT_ALLOWED")
	case klarna.CustomerTokens: // charges alone have a key
		return refused.Operation == "createOrder" && (refused.Status == http.StatusForbidden || refused.Status == http.StatusNotFound)
	default:
		return false
	}
}

// keptRefusal is a final refusal as it stands in the ledger.
type keptRefusal struct {
	Klarna *klarna.Error
	Ours   *keptReason `json:",omitempty"` // what we could say beyond Klarna's words
}

type keptReason struct {
	Reason, Message, Field string
	Metadata               map[string]string
}

func encodeRefusal(cause error) ([]byte, error) {
	var kept keptRefusal
	var ours *Refusal
	errors.As(cause, &kept.Klarna)
	if errors.As(cause, &ours) {
		kept.Ours = &keptReason{ours.reason, ours.message, ours.field, ours.metadata}
	}
	encoded, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("encode refusal: %w", err)
	}
	return encoded, nil
}

// decodeRefusal is the refusal again, as the first caller got it.
func decodeRefusal(encoded []byte) error {
	var kept keptRefusal
	if err := json.Unmarshal(encoded, &kept); err != nil || kept.Klarna == nil {
		return fmt.Errorf("decode recorded refusal: %w", errors.Join(err, errors.New("there is none")))
	}
	if kept.Ours == nil {
		return kept.Klarna
	}
	ours := &Refusal{reason: kept.Ours.Reason, message: kept.Ours.Message, field: kept.Ours.Field, metadata: kept.Ours.Metadata}
	return fmt.Errorf("%w: %w", ours, kept.Klarna)
}

// rotate gives a corrected request a new key, once. Klarna advises to send what it refused as invalid again under the
// same key, and says elsewhere that a key stands for its first answer: if it now gives the very refusal of the request
// before the correction, or calls the correction a misuse of the key, the key is bound and another has to be taken.
// Nothing was done under the old one.
func (o *Operations) rotate(ctx context.Context, try attempt, cause error) bool {
	refused, decided := decision(cause)
	bound := decided && refused.Family == klarna.Network && try.row.Refused != "" &&
		(refused.Status == http.StatusBadRequest && refused.ID == try.row.Refused || refused.Status == http.StatusConflict)
	if !bound {
		return false
	}
	row := *try.row
	row.KlarnaKey, row.Refused = uuid.NewSHA1(keyNamespace, []byte(row.KlarnaKey+"|corrected")).String(), ""
	if err := o.store.Do(ctx, func(tx store.Tx) error { return tx.PutRequest(ctx, row) }); err != nil {
		o.log.ErrorContext(ctx, "record another key", "operation", row.Operation, "error", err)
		return false
	}
	*try.row = row
	return true
}
