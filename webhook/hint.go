package webhook

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// What comes through these doors is a hint: nothing in it is believed but an id, and a job reads the truth from Klarna.
// Repeats meet in that job, so they need not be told apart.

// hostedPage takes the unsigned update that something happened on a hosted page. The one-time secret in the URL tells
// whose page it is and of which session. Klarna: any 2xx within 3 s is taken for an acknowledgement, else the update
// comes again, four times in all.
func (r *Receiver) hostedPage(ctx context.Context, d delivery) answer {
	secret, err := r.callbackSecret(ctx, journal.PurposeHostedPage, d.path("secret"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return refuse(http.StatusNotFound, "secret unknown or expired")
	case err != nil:
		return fail("", "", err)
	}
	update, err := klarna.ParseHostedPageUpdate(d.body)
	if err != nil || len(update.Session.SessionID) > maxCallbackID {
		return refuse(http.StatusBadRequest, "body cannot be read")
	}
	return r.hint(ctx, http.StatusNoContent, store.Job{
		Kind: journal.JobReadHostedPage, MerchantAccount: secret.MerchantAccount, Key: update.Session.SessionID,
		Payload: []byte(secret.Key), TraceParent: d.trace,
	})
}

// pendingOrder takes the unsigned notification that Klarna has decided on a pending order. Klarna: it comes every 10
// minutes for 24 hours, or until it is answered with exactly 200.
func (r *Receiver) pendingOrder(ctx context.Context, d delivery) answer {
	account := whose(r.notificationSecrets, d.path("secret"))
	if account == "" {
		return refuse(http.StatusNotFound, "secret unknown")
	}
	n, err := klarna.ParsePendingOrder(d.body)
	if err != nil || len(n.OrderID) != len(uuid.Nil.String()) || uuid.Validate(n.OrderID) != nil {
		return refuse(http.StatusBadRequest, "body cannot be read")
	}
	return r.hint(ctx, http.StatusOK, store.Job{
		Kind: journal.JobReadOrder, MerchantAccount: account, Key: n.OrderID, TraceParent: d.trace,
	})
}

// hint leaves a job that is due now.
func (r *Receiver) hint(ctx context.Context, status int, job store.Job) answer {
	job.RunAt = r.store.Now()
	err := r.store.Do(ctx, func(tx store.Tx) error { return tx.AddJob(ctx, job) })
	return recorded(status, job.MerchantAccount, "", journal.Applied, err)
}
