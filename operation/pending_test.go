package operation_test

import (
	"testing"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
)

// Klarna puts the addresses of an order in the place of its session's, so both have to name it.
func TestPendingOrders_AreToldToTheMerchantAccountsStandingAddress(t *testing.T) {
	t.Parallel()
	for name, confirmation := range map[string]string{"order without addresses": "", "order with addresses": "https://shop.nordlicht.example/thanks"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{Callbacks: true})
			w.Klarna.DropCallbacks(1)
			w.Klarna.PendNext(1)
			cart := Cart()
			cart.Intent = "buy_and_tokenize"
			session := openedWith(w, cart, confirmation)
			w.Authorize(session)
			made, err := w.Operations.CreateOrder(t.Context(), Request("place", session), operation.NewOrder{SessionID: session})
			w.Must(err)
			if payment := w.Payment(journal.KeyOrder, made.OrderID); payment.FraudStatus != "PENDING" {
				t.Errorf("on record %+v", payment)
			}
			w.Must(w.Klarna.DecideFraud(made.OrderID, true))
			w.Must(w.Klarna.Idle(t.Context()))
			deliveries := w.Klarna.Deliveries()
			want := "http://127.0.0.1:9/pending/" + w.Store.Derive(journal.PurposeNotification, Shop)
			if last := deliveries[len(deliveries)-1]; last.URL != want {
				t.Errorf("told at %q, want %q", last.URL, want)
			}
			_, err = w.Operations.Order(t.Context(), Shop, made.OrderID, journal.Reconciled)
			w.Must(err)
			if payment := w.Payment(journal.KeyOrder, made.OrderID); payment.FraudStatus != "ACCEPTED" {
				t.Errorf("on record %+v", payment)
			}
		})
	}
}

// openedWith opens a session that may name a confirmation page.
func openedWith(w *World, cart klarna.Session, confirmation string) (sessionID string) {
	w.T.Helper()
	if confirmation != "" {
		cart.MerchantURLs = &klarna.MerchantURLs{Confirmation: confirmation}
	}
	made, err := w.Operations.CreateSession(w.T.Context(), Request("open", "cart"), operation.NewSession{Session: cart})
	w.Must(err)
	return made.Session.SessionID
}
