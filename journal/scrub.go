package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

// scrubAfter is how long after an erasure a job looks for its remains: by then what was under way beside it has ended.
const scrubAfter = 2 * time.Minute

// scrubbing is the payload of a job that looks for the remains of an erasure.
type scrubbing struct {
	Remains store.Remains
	From    string // a place of the look; empty begins it
}

// remains says where to look for what the keys that an erasure destroyed do not reach.
func (e Erasure) remains() store.Remains {
	r := store.Remains{Stream: e.Stream, MerchantAccount: e.Account, Subjects: e.Subjects, Keys: e.Keys}
	for _, k := range e.keys {
		if k.Kind == KeyReference {
			r.References = append(r.References, k.Value)
		}
	}
	if e.Stream == store.Accounts { // payments name the account that they are of, and are another one's
		r.Others = paymentWords
	}
	return r
}

// Scrub takes away what the keys that an erasure destroyed do not reach: what older versions kept, and what is on record of
// requests and quarantined posts that name whom it was about. It looks for about the given time; if Next is set a job goes on
// from there. It may be run again at any time.
func (j *Journal) Scrub(ctx context.Context, e Erasure, within time.Duration) (store.Scrubbed, error) {
	return j.scrub(ctx, scrubbing{Remains: e.remains()}, within)
}

// ScrubOn goes on with the look of a job for about the given time. What is left to look at is another job's.
func (j *Journal) ScrubOn(ctx context.Context, job store.Job, within time.Duration) error {
	var look scrubbing
	if err := json.Unmarshal(job.Payload, &look); err != nil {
		return fmt.Errorf("read job %s: %w", job.Kind, err)
	}
	_, err := j.scrub(ctx, look, within)
	return err
}

func (j *Journal) scrub(ctx context.Context, look scrubbing, within time.Duration) (store.Scrubbed, error) {
	whose := look.Remains
	whose.Personal = j.personal
	done, err := j.store.Scrub(ctx, whose, look.From, within)
	if err != nil || done.Next == "" {
		return done, err
	}
	look.From = done.Next
	return done, j.store.Do(ctx, func(tx store.Tx) error { return scrubLater(ctx, tx, look, j.store.Now()) })
}

func scrubLater(ctx context.Context, tx store.Tx, look scrubbing, at time.Time) error {
	payload, err := json.Marshal(look)
	if err == nil {
		err = tx.AddJob(ctx, store.Job{Kind: JobScrub, MerchantAccount: look.Remains.MerchantAccount, Key: look.Remains.Subjects[0], Payload: payload, RunAt: at})
	}
	if err != nil {
		return fmt.Errorf("add job %s: %w", JobScrub, err)
	}
	return nil
}
