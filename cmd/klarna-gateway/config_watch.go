package main

import (
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

// retentionConfig says how long what is kept; zero fields keep for ever.
type retentionConfig struct {
	Events        time.Duration `yaml:"events"`         // events recorded longer ago are trimmed, save the newest of each payment and account
	EventCount    int64         `yaml:"event_count"`    // more events are trimmed
	RawBodies     time.Duration `yaml:"raw_bodies"`     // the bytes that Klarna sent, of events recorded longer ago
	FinalPayments time.Duration `yaml:"final_payments"` // payments that nothing more can come to, since their last event; not less than keep_answers
}

func (r *retentionConfig) store(behind func(store.Checkpoint, bool)) store.Retention {
	return store.Retention{Events: r.Events, EventCount: r.EventCount, Raw: r.RawBodies, Final: r.FinalPayments, Behind: behind}
}

// check tells everything that is wrong.
func (r *retentionConfig) check(keepAnswers time.Duration) (flaws []error) {
	for _, limit := range []struct {
		name string
		time time.Duration
	}{{"events", r.Events}, {"raw_bodies", r.RawBodies}, {"final_payments", r.FinalPayments}} {
		if limit.time < 0 {
			flaws = append(flaws, fmt.Errorf("retention.%s: %s is negative", limit.name, limit.time))
		}
	}
	if r.EventCount < 0 {
		flaws = append(flaws, fmt.Errorf("retention.event_count: %d is negative", r.EventCount))
	}
	if r.FinalPayments > 0 && r.Events == 0 && r.EventCount == 0 {
		flaws = append(flaws, fmt.Errorf("retention.final_payments: a payment goes with its last event, so events or event_count is needed"))
	}
	if r.FinalPayments > 0 && r.FinalPayments < keepAnswers {
		flaws = append(flaws, fmt.Errorf("retention.final_payments: %s is less than keep_answers, %s; answers about a payment go with it, and a repeat would be refused", r.FinalPayments, keepAnswers))
	}
	return flaws
}
