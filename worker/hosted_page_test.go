package worker_test

import (
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// page opens a page for a session.
func page(w *World, session, profile string) (id string) {
	w.T.Helper()
	made, err := w.Operations.CreateHostedPage(w.T.Context(), Request("page", session), session, klarna.HostedPageRequest{ProfileID: profile})
	w.Must(err)
	return made.SessionID
}

// updated adds what the webhook adds for an update of a page.
func updated(w *World, id, session string) {
	w.T.Helper()
	add(w, store.Job{Kind: journal.JobReadHostedPage, MerchantAccount: Shop, Key: id, Payload: []byte(session)})
}

func TestPool_PlacesTheOrderOfASessionThatWasPaidOnAHostedPage(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
	pool(w)
	session := w.Session("")
	id := page(w, session, "")
	_, err := w.Klarna.CompletePage(id)
	w.Must(err)
	updated(w, id, session)
	w.Settle()
	if payment := w.Payment(journal.KeySession, session); payment.State != journal.Ordered || payment.OrderID == "" {
		t.Errorf("on record %+v", payment)
	}
	w.CalledTimes("placeOrder", 1)
}

func TestPool_TakesUpTheOrderThatKlarnaPlacedOnAHostedPage(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"told by an update": true, "update lost, found by reading the session": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			pool(w)
			session := w.Session(journal.OrderByCaller)
			id := page(w, session, klarnatest.ProfilePlaceOrder)
			_, err := w.Klarna.CompletePage(id)
			w.Must(err)
			if told {
				updated(w, id, session)
				w.Settle()
			} else {
				pass(w, 10*time.Minute, time.Minute)
			}
			payment := w.Payment(journal.KeySession, session)
			if payment.OrderID == "" || payment.OrderStatus != "AUTHORIZED" || payment.KlarnaReference == "" {
				t.Errorf("on record %+v", payment)
			}
			w.Attends(payment)
			w.CalledTimes("placeOrder", 0)
		})
	}
}

func TestPool_EndsTheJobOfAPageThatIsGone(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	updated(w, "9cbc9884-1fdb-45a8-9694-9340340d0436", "0b1bdf94-c76a-4f28-98e8-6f4a0d3f4f0a")
	w.Settle()
	if jobs := w.Jobs(journal.JobReadHostedPage); len(jobs) != 0 {
		t.Errorf("left %+v", jobs)
	}
}
