package operation_test

import (
	"testing"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// correlations are the ids of what is on record, by the kind of event.
func correlations(w *World) map[string]string {
	w.T.Helper()
	ids := map[string]string{}
	for _, stream := range []store.Stream{store.Payments, store.Accounts} {
		for _, ev := range w.Events(stream) {
			if stream == store.Payments {
				entry, err := journal.DecodePaymentEntry(ev.Body)
				w.Must(err)
				ids[ev.Kind] = entry.CorrelationID
				continue
			}
			entry, err := journal.DecodeAccountEntry(ev.Body)
			w.Must(err)
			ids[ev.Kind] = entry.CorrelationID
		}
	}
	return ids
}

func TestCorrelation_EventsAndRequestsKeepKlarnasId(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
	w.Must(err)
	w.Must(w.Operations.UpdateMerchantReferences(t.Context(), Request("u-1", "x"), order, klarna.MerchantReferences{MerchantReference1: new("SO-9")}))
	_, err = w.Operations.Onboard(t.Context(), AcquirerRequest("o-1", "x"), Onboarding("mrc-1"))
	w.Must(err)
	ids := correlations(w)
	for kind, operation := range map[string]string{
		"SESSION_CREATED": "createSession", "ORDER_CREATED": "placeOrder", "CAPTURED": "capture", "ORDER_CHANGED": "updateReferences", "ONBOARDED": "onboard",
	} {
		if calls := w.Calls(operation); len(calls) != 1 || ids[kind] == "" || ids[kind] != calls[0].CorrelationID {
			t.Errorf("%s is under %q, Klarna knows %+v", kind, ids[kind], calls)
		}
	}
	w.Fail(klarnatest.Fault{Operation: "capture", Status: 500})
	_, err = w.Operations.Capture(t.Context(), Request("c-2", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 1})
	w.Unknown(err)
	last := w.Calls("capture")[1].CorrelationID
	for id, want := range map[string]string{"c-1": ids["CAPTURED"], "c-2": last} {
		row, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Shop, Operation: "captureOrder", ID: id})
		w.Must(err)
		if row.CorrelationID != want || want == "" {
			t.Errorf("request %s is under %q, Klarna knows %q", id, row.CorrelationID, want)
		}
	}
}

func TestCorrelation_OfAReadingIsKeptWithWhatItTaught(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	_, err := w.Operations.Order(klarna.Correlated(t.Context()), Shop, order, journal.Push)
	w.Must(err)
	if got, want := correlations(w)["ORDER_CREATED"], w.Calls("readOrder")[0].CorrelationID; got != want || want == "" {
		t.Errorf("the order is under %q, Klarna knows %q", got, want)
	}
}
