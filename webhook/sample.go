package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// sample takes the sample event that Klarna was asked to post to a webhook. It proves that posts arrive and is nothing
// that happened, so it goes beside the log. Klarna marks it by nothing: while one is awaited, an event of its type at its
// webhook is taken for it, unless it is about an account on record. taken is false for all others.
func (r *Receiver) sample(ctx context.Context, account, keyID string, n klarna.NetworkNotification, body []byte) (a answer, taken bool) {
	meta := n.Metadata
	if meta.WebhookID == "" {
		return a, false
	}
	probe, err := r.store.Probe(ctx, account, meta.WebhookID, meta.EventType)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && r.store.Now().After(probe.Until):
		return a, false
	case err != nil:
		return fail(account, meta.EventID, fmt.Errorf("look up probe: %w", err)), true
	}
	_, err = r.journal.AccountBy(ctx, account, journal.KeyAccount, meta.SubjectAccountID)
	switch {
	case err == nil:
		return a, false
	case !errors.Is(err, store.ErrNotFound):
		return fail(account, meta.EventID, err), true
	}
	flaw := ""
	if meta.Live != nil && *meta.Live != r.live[account] {
		flaw = otherEnvironment
	}
	err = r.store.Do(ctx, func(tx store.Tx) error {
		probe, err := tx.Probe(ctx, account, meta.WebhookID, meta.EventType)
		if err != nil || !probe.ReceivedAt.IsZero() { // a repeat: what came first counts
			return err
		}
		probe.ReceivedAt, probe.EventID, probe.SigningKey, probe.Flaw, probe.Raw = r.store.Now(), meta.EventID, keyID, flaw, body
		return tx.PutProbe(ctx, probe)
	})
	if err != nil {
		return fail(account, meta.EventID, fmt.Errorf("record probe: %w", err)), true
	}
	a = answer{status: http.StatusOK, outcome: Stored, merchantAccount: account, eventID: meta.EventID}
	if !probe.ReceivedAt.IsZero() {
		a.outcome = Duplicate
	}
	return a, true
}
