package operation_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// someone is who buys in these tests.
const someone = "Gunhild-Findsmich"

// erasePayment erases the payment that a key addresses.
func erasePayment(w *World, account, kind, value string) {
	w.T.Helper()
	var done journal.Erasure
	w.Must(w.Store.Do(w.T.Context(), func(tx store.Tx) error {
		found, err := tx.SubjectsByKeys(context.Background(), store.Payments, account, []store.Key{{Kind: kind, Value: value}})
		if err != nil || len(found) != 1 {
			return errors.Join(err, errors.New("not one payment"))
		}
		done, err = w.Journal.EraseIn(context.Background(), tx, found[0].ID, w.Store.Now())
		return err
	}))
	_, err := w.Journal.Scrub(w.T.Context(), done, time.Hour)
	w.Must(err)
}

// row is a request as it is on record.
func row(w *World, account, name, id string) store.Request {
	w.T.Helper()
	r, err := w.Store.Request(w.T.Context(), store.RequestID{MerchantAccount: account, Operation: name, ID: id})
	w.Must(err)
	return r
}

// bought is a session with somebody's address.
func bought() operation.NewSession {
	cart := Cart()
	cart.BillingAddress = &klarna.CustomerAddress{GivenName: someone, FamilyName: "Beispiel", Country: "DE"}
	return operation.NewSession{Session: cart, OrderPolicy: journal.OrderByCaller}
}

// Answers go with the payment that they concern. After an erasure what nobody is known by is answered as before, the rest
// is refused, and nothing is done a second time.
func TestOnce_ARepeatOfWhatWasErasedHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	open := func() (operation.SessionAnswer, error) {
		return w.Operations.CreateSession(t.Context(), Request("open", "cart"), bought())
	}
	made, err := open()
	w.Must(err)
	session := made.Session.SessionID
	payment := w.Payment(journal.KeySession, session)
	if r := row(w, Shop, "createSession", "open"); r.Concerns != payment.ID || !strings.Contains(string(r.Answer), someone) {
		t.Fatalf("on record: concerns %q, %s", r.Concerns, r.Answer)
	}
	if again, err := open(); err != nil || again.Session.BillingAddress.GivenName != someone {
		t.Fatalf("before: %+v, %v", again, err)
	}
	w.Tell(session, w.Authorize(session))
	order := operation.NewOrder{SessionID: session}
	placed, err := w.Operations.CreateOrder(t.Context(), Request("place", "order"), order)
	w.Must(err)
	captured, err := capture(w, Request("c-1", "50"), placed.OrderID)
	w.Must(err)

	erasePayment(w, Shop, journal.KeyOrder, placed.OrderID)
	for range 2 {
		_, err = open()
		w.Refused(err, "PERSONAL_DATA_ERASED", "")
		if again, err := w.Operations.CreateOrder(t.Context(), Request("place", "order"), order); err != nil || again != placed {
			t.Errorf("the order again: %+v, %v", again, err)
		}
		if again, err := w.Operations.CreateOrder(t.Context(), Request("place-2", "order"), order); err != nil || again.OrderID != placed.OrderID {
			t.Errorf("another wish for it: %+v, %v", again, err)
		}
		if again, err := capture(w, Request("c-1", "50"), placed.OrderID); err != nil || again != captured {
			t.Errorf("the capture again: %+v, %v", again, err)
		}
		w.Reopen()
	}
	for _, name := range []string{"createSession", "placeOrder", "capture"} {
		w.CalledTimes(name, 1)
	}
	if r := row(w, Shop, "createSession", "open"); r.Answer != nil || !r.Erased {
		t.Errorf("on record: %s", r.Answer)
	}
}

// What was sent to place an order stands sealed for the payment while nobody knows whether there is one. Erased, it is not
// sent again; what Klarna shows still settles it.
func TestPlaceOrder_WhatWasErasedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	made, err := w.Operations.CreateSession(t.Context(), Request("open", "cart"), bought())
	w.Must(err)
	session := made.Session.SessionID
	w.Tell(session, w.Authorize(session))
	w.LoseAnswer("placeOrder")
	_, err = w.Operations.PlaceOrder(t.Context(), Shop, operation.NewOrder{SessionID: session})
	w.Unknown(err)
	if r := row(w, Shop, "placeOrder", session); r.State != store.RequestOpen || r.Concerns == "" || !strings.Contains(string(r.Answer), someone) {
		t.Fatalf("on record: %s, concerns %q, %s", r.State, r.Concerns, r.Answer)
	}
	erasePayment(w, Shop, journal.KeySession, session)
	for range 2 {
		_, err = w.Operations.PlaceOrder(t.Context(), Shop, operation.NewOrder{SessionID: session})
		w.Refused(err, "PERSONAL_DATA_ERASED", "")
		w.Reopen()
		w.Klarna.Advance(time.Minute)
		w.Must(w.Operations.Sweep(t.Context()))
	}
	w.CalledTimes("placeOrder", 1)
}

// An authorisation on the Network whose outcome is unknown is settled by what is told, or by a person; not by a guess.
func TestAuthorize_WhatWasErasedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	request := w.Asked(partner)
	w.Complete(request)
	in := ByRequest(partner, request)
	in.Request.RequestPaymentTransaction.PaymentTransactionReference = "T-1"
	in.Request.SupplementaryPurchaseData = &klarna.PurchaseData{Customer: json.RawMessage(`{"given_name":"` + someone + `"}`)}
	w.LoseAnswer("authorizePayment")
	ask := func() error {
		_, err := w.Operations.Authorize(t.Context(), AcquirerRequest("a-1", "x"), in)
		return err
	}
	w.Unknown(ask())
	if r := row(w, Acquirer, "authorizePayment", "a-1"); r.Concerns == "" || !strings.Contains(string(r.Answer), someone) {
		t.Fatalf("on record: concerns %q, %s", r.Concerns, r.Answer)
	}
	erasePayment(w, Acquirer, journal.KeyRequest, request)
	w.Refused(ask(), "PERSONAL_DATA_ERASED", "")
	w.CalledTimes("authorizePayment", 1)
	transaction := w.Klarna.Transactions(partner)[0]
	_, err := w.Journal.RecordPayment(t.Context(), journal.PaymentFact{ // a webhook tells what came of it
		EventID: "told", MerchantAccount: Acquirer, Cause: journal.Notification, At: w.Store.Now(),
		Network: &journal.NetworkFacts{PartnerAccountID: partner, Kind: journal.KindOrderCreated, Network: journal.Network{
			RequestID: request, TransactionID: transaction, TransactionReference: "T-1",
		}},
	})
	w.Must(err)
	for range 3 {
		w.Klarna.Advance(time.Hour)
		_, err := w.Operations.Resolve(t.Context(), Acquirer, "authorizePayment a-1")
		w.Must(err)
		if r := row(w, Acquirer, "authorizePayment", "a-1"); r.State == store.RequestUndone {
			t.Errorf("taken for not done")
		}
		w.Refused(ask(), "PERSONAL_DATA_ERASED", "")
	}
	w.CalledTimes("authorizePayment", 1)
}

// An answer that is recorded after the erasure, since its call was under way, is not kept.
func TestOnce_AnAnswerAfterTheErasureIsNotKept(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	request := w.Asked(partner)
	erasePayment(w, Acquirer, journal.KeyRequest, request)
	update := func() error {
		_, err := w.Operations.UpdatePaymentRequest(t.Context(), AcquirerRequest("u-1", "x"), partner, request, klarna.PaymentRequestUpdate{SupplementaryPurchaseData: Ask().SupplementaryPurchaseData})
		return err
	}
	w.Must(update())
	if r := row(w, Acquirer, "updatePaymentRequest", "u-1"); !r.Erased || r.State != store.RequestDone || r.Concerns == "" {
		t.Errorf("on record: %+v", r)
	}
	calls := len(w.Klarna.Calls())
	w.Refused(update(), "PERSONAL_DATA_ERASED", "")
	if got := len(w.Klarna.Calls()); got != calls {
		t.Errorf("%d calls for a repeat", got-calls)
	}
}

// What versions before kept under the keyring is found by the payment's ids when it is erased.
func TestScrub_FindsAnswersOfOlderVersions(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	made, err := w.Operations.CreateSession(t.Context(), Request("open", "cart"), bought())
	w.Must(err)
	old := row(w, Shop, "createSession", "open")
	w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error {
		old.Concerns = ""
		return tx.PutRequest(context.Background(), old)
	}))
	erasePayment(w, Shop, journal.KeySession, made.Session.SessionID)
	_, err = w.Operations.CreateSession(t.Context(), Request("open", "cart"), bought())
	w.Refused(err, "PERSONAL_DATA_ERASED", "")
	w.CalledTimes("createSession", 1)
}
