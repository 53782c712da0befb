package server

import (
	"context"
	"slices"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// narrow restricts a query to the partner accounts of the caller. What it returns tells whether the caller sees an event
// or subject by its body; nil means that it sees all. The query alone is not enough where it has keys of its own, as any
// of them selects.
func narrow(ctx context.Context, q *store.Query) (sees func(body []byte) bool) {
	partners, of := narrowed(ctx, q)
	if of == nil {
		return nil
	}
	return func(body []byte) bool { return slices.Contains(partners, of(body)) }
}

// narrowed is narrow in its parts: the partner accounts of the caller, and what finds that of a body; nil means that it sees
// all.
func narrowed(ctx context.Context, q *store.Query) (partners []string, of func(body []byte) string) {
	d := decisionOf(ctx)
	if d == nil {
		return nil, nil
	}
	partners, all := d.grant.Partners()
	if all {
		return nil, nil
	}
	kind, of := journal.KeyPartner, partnerOfPayment
	if q.Stream == store.Accounts {
		kind, of = journal.KeyAccount, partnerOfAccount
	}
	if len(q.Keys) == 0 {
		q.Keys = keys(kind, partners...)
	}
	return partners, of
}

// partnerOfPayment is empty if the payment has none, or cannot be read: then nobody with a restriction sees it.
func partnerOfPayment(body []byte) string {
	entry, err := journal.DecodePaymentEntry(body)
	if err != nil {
		return ""
	}
	return entry.Payment.PartnerAccountID
}

func partnerOfAccount(body []byte) string {
	entry, err := journal.DecodeAccountEntry(body)
	if err != nil {
		return ""
	}
	return entry.Account.AccountID
}

// narrow restricts the watch to what its caller may see. What it may not see does not end it, either. Whose an event is, is
// found out once for all watches.
func (w *watch) narrow(ctx context.Context) {
	partners, of := narrowed(ctx, &w.query)
	if of == nil {
		return
	}
	sees := func(ev *store.Event) bool {
		return slices.Contains(partners, ev.Memo(memoPartner, func() any { return of(ev.Body) }).(string))
	}
	w.query.Sent = false // which is not enough to tell
	matches, ends := w.matches, w.ends
	w.matches = func(ev *store.Event) bool { return sees(ev) && (matches == nil || matches(ev)) }
	w.ends = func(ev *store.Event) gatewayv1.StreamEnd_Reason {
		if !sees(ev) {
			return gatewayv1.StreamEnd_REASON_UNSPECIFIED
		}
		return ends(ev)
	}
}

// seenEvents keeps the events that the caller may see.
func seenEvents(found []store.Event, sees func([]byte) bool) []store.Event {
	if sees == nil {
		return found
	}
	return slices.DeleteFunc(found, func(ev store.Event) bool { return !sees(ev.Body) })
}

// seenOf keeps the subjects that the caller may see.
func seenOf(found []store.Subject, sees func([]byte) bool) []store.Subject {
	if sees == nil {
		return found
	}
	return slices.DeleteFunc(found, func(s store.Subject) bool { return !sees(s.Body) })
}
