package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/store"
)

// indexedEvent marks a log whose matters are all in the attention stream. It is the first event of a new one.
const indexedEvent = "attention:indexed"

// IndexMatters raises what an earlier version has kept of matters with payments and in the quarantine, once in the life of
// a log. Cut off, it begins again: a matter that is open already is left alone.
func (j *Journal) IndexMatters(ctx context.Context) error {
	done := false
	err := j.store.Do(ctx, func(tx store.Tx) error {
		_, err := tx.EventByID(ctx, indexedEvent)
		done = err == nil
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil || done {
		return err
	}
	if err := j.indexPayments(ctx); err != nil {
		return fmt.Errorf("index matters of payments: %w", err)
	}
	if err := j.indexQuarantine(ctx); err != nil {
		return fmt.Errorf("index quarantine: %w", err)
	}
	return j.store.Do(ctx, func(tx store.Tx) error {
		if _, err := tx.EventByID(ctx, indexedEvent); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		m := Matter{ID: uuid.NewSHA1(matterNamespace, []byte(indexedEvent)).String(), State: MatterResolved, Since: j.store.Now(), EndedAt: j.store.Now(), Message: "the list of open matters was begun"}
		return j.appendMatter(ctx, tx, store.Subject{}, m, MatterEnded, Clock, indexedEvent)
	})
}

const indexPage = 500

func (j *Journal) indexPayments(ctx context.Context) error {
	q := store.Query{Stream: store.Payments, Limit: indexPage}
	for {
		found, err := j.store.Subjects(ctx, q)
		if err != nil || len(found) == 0 {
			return err
		}
		err = j.store.Do(ctx, func(tx store.Tx) error {
			for _, subject := range found {
				if err := j.indexPayment(ctx, tx, subject); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		q.After = found[len(found)-1].Latest
	}
}

// indexPayment raises the matters of a payment, and has an order read within a day that nothing would be heard of otherwise.
func (j *Journal) indexPayment(ctx context.Context, tx store.Tx, subject store.Subject) error {
	entry, err := DecodePaymentEntry(subject.Body)
	if err != nil {
		return err
	}
	if p := &entry.Payment; p.OrderID != "" && !p.State.Final() {
		err := tx.AddJob(ctx, store.Job{
			Kind: JobReadOrder, MerchantAccount: p.MerchantAccount, Key: p.OrderID, RunAt: j.store.Now().Add(rand.N(24 * time.Hour)),
		})
		if err != nil {
			return fmt.Errorf("add job %s: %w", JobReadOrder, err)
		}
	}
	if len(entry.Payment.Attentions) == 0 {
		return nil
	}
	if subject, err = tx.Subject(ctx, subject.ID); err != nil { // it may have changed since the page was read
		return err
	}
	if entry, err = DecodePaymentEntry(subject.Body); err != nil {
		return err
	}
	for _, a := range entry.Payment.Attentions {
		if err := j.raise(ctx, tx, entry.Payment.matterOf(a), Clock, a.At); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) indexQuarantine(ctx context.Context) error {
	after := int64(0)
	for {
		found, err := j.store.Quarantined(ctx, after, indexPage)
		if err != nil || len(found) == 0 {
			return err
		}
		err = j.store.Do(ctx, func(tx store.Tx) error {
			for _, q := range found {
				if q.Erased { // which matter it was, its bytes would tell; it was raised before
					continue
				}
				if err := j.raise(ctx, tx, j.quarantinedMatter(q), Clock, q.ReceivedAt); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		after = found[len(found)-1].ID
	}
}
