package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// retain removes what has been kept for long enough, now and then, until ctx ends. Replicas do so one by one, more or
// less; two at a time do no harm.
func (p *Pool) retain(ctx context.Context) {
	keep := p.retention
	if keep.Events <= 0 && keep.EventCount <= 0 && keep.Raw <= 0 && keep.Final <= 0 {
		return
	}
	keep.FinalStates = map[store.Stream][]string{store.Payments: journal.FinalPaymentStates()}
	for wait := rand.N(p.retainEvery/10 + 1); ; wait = p.retainEvery + rand.N(p.retainEvery/10+1) {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		p.retainOnce(ctx, keep)
	}
}

func (p *Pool) retainOnce(ctx context.Context, keep store.Retention) {
	var done store.Retained
	err := func() (err error) {
		defer caught("retention", &err)
		done, err = p.store.Retain(ctx, keep)
		return err
	}()
	switch {
	case err != nil && ctx.Err() == nil:
		p.log.ErrorContext(ctx, "remove what was kept for long enough", "error", err)
	case done.TrimmedUpTo > 0 || done.Forgotten > 0:
		p.log.InfoContext(ctx, "removed what was kept for long enough", "trimmed_up_to", int64(done.TrimmedUpTo), "forgotten", done.Forgotten)
	}
}
