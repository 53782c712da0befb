package operation_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// create makes the order of a session for a request of its own.
func create(w *World, id string, in operation.NewOrder) (operation.OrderAnswer, error) {
	return w.Operations.CreateOrder(w.T.Context(), Request(id, fmt.Sprint(id, in)), in)
}

func TestPlaceOrder_WhoeverTriesGetsTheOneOrder(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Tell(session, w.Authorize(session))
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Delay: 50 * time.Millisecond})
	answers, errs := callers(21, func(i int) (operation.OrderAnswer, error) {
		if i == 0 { // what the worker does
			return w.Operations.PlaceOrder(t.Context(), Shop, operation.NewOrder{SessionID: session})
		}
		return create(w, fmt.Sprint("o-", i), operation.NewOrder{SessionID: session, Reference1: fmt.Sprint("SO-", i)})
	})
	for i := range answers {
		if errs[i] != nil || answers[i] != answers[0] || answers[i].OrderID == "" {
			t.Errorf("caller %d got %+v, %v", i, answers[i], errs[i])
		}
	}
	w.CalledTimes("placeOrder", 1)
	payment := w.Payment(journal.KeySession, session)
	if payment.State != journal.Ordered || payment.OrderID != answers[0].OrderID {
		t.Errorf("on record %+v", payment)
	}
	created := func(kind string) bool { return kind == string(journal.KindOrderCreated) }
	if kinds := w.Kinds(store.Payments); slices.IndexFunc(kinds, created) != len(kinds)-1 {
		t.Errorf("events %v", kinds)
	}
}

func TestPlaceOrder_OneCallersWishDoesNotFailAnother(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Tell(session, w.Authorize(session))
	w.Fail(klarnatest.Fault{Operation: "readSession", Delay: 100 * time.Millisecond})
	mistaken := make(chan error, 1)
	go func() {
		amount := int64(1)
		_, err := create(w, "o-1", operation.NewOrder{SessionID: session, ExpectedAmount: &amount, Currency: "EUR"})
		mistaken <- err
	}()
	w.Eventually("the mistaken call", func() bool { return w.Klarna.CallCount("readSession") == 1 })
	_, err := w.Operations.PlaceOrder(t.Context(), Shop, operation.NewOrder{SessionID: session}) // waits for it
	w.Must(err)
	w.Refused(<-mistaken, "DIFFERS_FROM_AUTHORIZATION", "expected_amount")
}

func TestPlaceOrder_WhatIsSentIsOnRecordBeforeKlarnaHearsOfIt(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	token := w.Authorize(session)
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Delay: 100 * time.Millisecond})
	made := make(chan error, 1)
	go func() {
		_, err := create(w, "o-1", operation.NewOrder{SessionID: session, Reference1: "SO-1"})
		made <- err
	}()
	w.Eventually("the call", func() bool { return w.Klarna.CallCount("placeOrder") == 1 })
	row, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Shop, Operation: "placeOrder", ID: session})
	w.Must(err)
	if row.State != store.RequestOpen || !bytes.Contains(row.Answer, []byte(token)) || !bytes.Contains(row.Answer, []byte("SO-1")) {
		t.Errorf("on record: %s, %s", row.State, row.Answer)
	}
	w.Must(<-made)
}

func TestPlaceOrder_ReplicasPlaceOneOrder(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Replicas: true})
	session := w.Session(journal.OrderByCaller)
	w.Tell(session, w.Authorize(session))
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Delay: 50 * time.Millisecond})
	replicas := []*operation.Operations{w.Operations, w.Replica(), w.Replica()}
	answers, errs := callers(9, func(i int) (operation.OrderAnswer, error) {
		return replicas[i%3].PlaceOrder(t.Context(), Shop, operation.NewOrder{SessionID: session})
	})
	for i := range answers {
		if errs[i] != nil || answers[i] != answers[0] {
			t.Errorf("caller %d got %+v, %v", i, answers[i], errs[i])
		}
	}
	w.CalledTimes("placeOrder", 1)
}

func TestPlaceOrder_WithoutACallbackReadsTheAuthorisation(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	_, err := create(w, "o-1", operation.NewOrder{SessionID: session})
	w.Refused(err, "NOT_AUTHORIZED", "")
	token := w.Authorize(session)
	made, err := create(w, "o-2", operation.NewOrder{SessionID: session})
	w.Must(err)
	payment := w.Payment(journal.KeySession, session)
	if payment.OrderID != made.OrderID || payment.Token != token {
		t.Errorf("on record %+v", payment)
	}
}

func TestCreateOrder_FindsTheSessionOfAnAuthorisationOnRecord(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	token := w.Authorize(session)
	_, err := create(w, "o-1", operation.NewOrder{Token: token})
	w.Refused(err, "NOT_AUTHORIZED", "session_id")
	w.Tell(session, token)
	made, err := create(w, "o-1", operation.NewOrder{Token: token})
	w.Must(err)
	if made.SessionID != session {
		t.Errorf("session %s, want %s", made.SessionID, session)
	}
}

func TestPlaceOrder_ALostAnswerIsLearnedByWhoeverTriesNext(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(w *World, session string) (operation.OrderAnswer, error){
		"the same request": func(w *World, session string) (operation.OrderAnswer, error) {
			return create(w, "o-1", operation.NewOrder{SessionID: session, Reference1: "SO-1"})
		},
		"the same request after a restart": func(w *World, session string) (operation.OrderAnswer, error) {
			w.Reopen()
			return create(w, "o-1", operation.NewOrder{SessionID: session, Reference1: "SO-1"})
		},
		"another request that would send something else": func(w *World, session string) (operation.OrderAnswer, error) {
			return create(w, "o-2", operation.NewOrder{SessionID: session, Reference1: "SO-2"})
		},
		"the worker": func(w *World, session string) (operation.OrderAnswer, error) {
			return w.Operations.PlaceOrder(t.Context(), Shop, operation.NewOrder{SessionID: session})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			session := w.Session(journal.OrderByCaller)
			w.Authorize(session)
			w.LoseAnswer("placeOrder")
			_, err := create(w, "o-1", operation.NewOrder{SessionID: session, Reference1: "SO-1"})
			w.Unknown(err)
			if jobs := w.Jobs(journal.JobReadSession); len(jobs) != 1 || jobs[0].RunAt.After(w.Store.Now().Add(time.Minute)) {
				t.Errorf("no session is read soon: %+v", jobs)
			}
			made, err := next(w, session)
			w.Must(err)
			if got := w.Order(made.OrderID).Reference; got != "SO-1" {
				t.Errorf("the order has reference %s, not that of the first attempt", got)
			}
			payment := w.Payment(journal.KeySession, session)
			if payment.OrderID != made.OrderID || payment.State != journal.Ordered {
				t.Errorf("on record %+v", payment)
			}
			w.Attends(payment)
		})
	}
}

func TestPlaceOrder_AnOrderThatKlarnaNoLongerNamesNeedsAPerson(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Authorize(session)
	w.LoseAnswer("placeOrder")
	_, err := create(w, "o-1", operation.NewOrder{SessionID: session})
	w.Unknown(err)
	w.Klarna.Advance(61 * time.Minute) // the token is forgotten, the session is not
	for _, id := range []string{"o-1", "o-2"} {
		_, err = create(w, id, operation.NewOrder{SessionID: session})
		w.Refused(err, "SESSION_COMPLETED", "")
	}
	w.Attends(w.Payment(journal.KeySession, session), journal.Conflict)
}

func TestPlaceOrder_ARefusalSpendsTheTokenAndANewAuthorisationWorks(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Tell(session, w.Authorize(session))
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Status: 403, Code: "REJECTED"})
	_, err := create(w, "o-1", operation.NewOrder{SessionID: session})
	var refused *klarna.Error
	if !errors.As(err, &refused) || refused.Code != "REJECTED" {
		t.Fatalf("got %v", err)
	}
	payment := w.Payment(journal.KeySession, session)
	if payment.State != journal.AuthorizationCancelled {
		t.Errorf("state %s", payment.State)
	}
	w.Attends(payment, journal.OrderNotPlaced)
	_, err = create(w, "o-2", operation.NewOrder{SessionID: session})
	w.Refused(err, "AUTHORIZATION_TOKEN_INVALID", "")
	w.CalledTimes("placeOrder", 1)

	w.Authorize(session)
	made, err := create(w, "o-3", operation.NewOrder{SessionID: session})
	w.Must(err)
	payment = w.Payment(journal.KeySession, session)
	if payment.State != journal.Ordered || payment.OrderID != made.OrderID {
		t.Errorf("on record %+v", payment)
	}
	w.Attends(payment)
}

func TestPlaceOrder_ARefusedTokenDoesNotSpendANewerOne(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	old := w.Authorize(session)
	w.Tell(session, old)
	w.Tell(session, w.Authorize(session))
	_, err := create(w, "o-1", operation.NewOrder{SessionID: session, Token: old})
	var refused *klarna.Error
	if !errors.As(err, &refused) || refused.Status != 404 {
		t.Fatalf("got %v", err)
	}
	if got := w.Payment(journal.KeySession, session).State; got != journal.Authorized {
		t.Errorf("state %s", got)
	}
	_, err = create(w, "o-2", operation.NewOrder{SessionID: session})
	w.Must(err)
}

func TestPlaceOrder_ANewAuthorisationReplacesOneThatNeverArrived(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Authorize(session)
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Cut: true})
	_, err := create(w, "o-1", operation.NewOrder{SessionID: session})
	w.Unknown(err)
	w.Authorize(session)
	made, err := create(w, "o-1", operation.NewOrder{SessionID: session})
	w.Must(err)
	if payment := w.Payment(journal.KeySession, session); payment.OrderID != made.OrderID {
		t.Errorf("on record %+v", payment)
	}
}

// A browser comes back with an authorisation that a newer one has replaced, while the order of the newer one may be on its
// way: what was sent is not forgotten over it.
func TestPlaceOrder_AnOlderAuthorisationDoesNotTakeThePlaceOfOneInDoubt(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	older := w.Authorize(session)
	w.Authorize(session)
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Cut: true})
	_, err := w.Operations.CreateOrder(t.Context(), Request("o-1", "x"), operation.NewOrder{SessionID: session})
	w.Unknown(err)
	made, err := w.Operations.CreateOrder(t.Context(), Request("o-2", "y"), operation.NewOrder{SessionID: session, Token: older})
	w.Must(err)
	if payment := w.Payment(journal.KeySession, session); payment.OrderID != made.OrderID || len(w.Klarna.Orders()) != 1 {
		t.Errorf("order %q is on record, %v at Klarna", payment.OrderID, w.Klarna.Orders())
	}
}

// The order of a session is met while another attempt is told that the session is completed: that attempt gets it, and
// nobody has to look.
func TestPlaceOrder_AnOrderThatIsMetMeanwhileIsTheAnswer(t *testing.T) {
	t.Parallel()
	var meet func()
	w := New(t, Options{Before: func(r *http.Request) {
		if met := meet; met != nil && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/sessions/") {
			meet = nil
			met()
		}
	}})
	session := w.Session(journal.OrderByCaller)
	token, cart := w.Authorize(session), Cart()
	past, err := w.Client(Shop).PlaceOrder(t.Context(), token, klarna.PlaceOrderRequest{
		PurchaseCountry: cart.PurchaseCountry, PurchaseCurrency: cart.PurchaseCurrency, Locale: cart.Locale,
		OrderAmount: cart.OrderAmount, OrderTaxAmount: cart.OrderTaxAmount, OrderLines: cart.OrderLines,
	})
	w.Must(err)
	meet = func() {
		_, err := w.Journal.RecordPayment(t.Context(), journal.PaymentFact{
			EventID: "met", MerchantAccount: Shop, Cause: journal.Reconciled, At: w.Store.Now(), SessionID: session, OrderID: past.OrderID,
		})
		w.Must(err)
	}
	made, err := w.Operations.CreateOrder(t.Context(), Request("o-1", "x"), operation.NewOrder{SessionID: session})
	if err != nil || made.OrderID != past.OrderID {
		t.Errorf("got order %q, %v; want %q", made.OrderID, err, past.OrderID)
	}
	w.Attends(w.Payment(journal.KeySession, session))
}

// The answer to a caller is what the order's commit left, where it was this call that placed it.
func TestCreateOrder_TellsThePaymentOfItsCommit(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Authorize(session)
	creating := func(id string) (string, journal.PaymentRecord) {
		req := Request(id, "x")
		req.Payment = new(journal.PaymentRecord)
		made, err := w.Operations.CreateOrder(t.Context(), req, operation.NewOrder{SessionID: session})
		w.Must(err)
		return made.OrderID, *req.Payment
	}
	order, left := creating("o-1")
	if left.Payment.OrderID != order || left.Payment.State != journal.Ordered || left.Position == 0 {
		t.Errorf("order %s left %+v at %d", order, left.Payment, left.Position)
	}
	for _, id := range []string{"o-1", "o-2"} { // it was there before
		if again, left := creating(id); again != order || left.Payment.ID != "" {
			t.Errorf("%s got order %s, and a payment as another call's commit left it: %+v", id, again, left.Payment)
		}
	}
}

func TestCreateOrder_RefusesAnotherAmountThanExpected(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Authorize(session)
	expect := func(id string, amount int64, currency string) error {
		_, err := create(w, id, operation.NewOrder{SessionID: session, ExpectedAmount: &amount, Currency: currency})
		return err
	}
	w.Refused(expect("o-1", Amount-1, "EUR"), "DIFFERS_FROM_AUTHORIZATION", "expected_amount")
	w.Refused(expect("o-2", Amount, "SEK"), "DIFFERS_FROM_AUTHORIZATION", "expected_amount")
	w.CalledTimes("placeOrder", 0)
	w.Must(expect("o-3", Amount, "EUR"))
	// Also of an order that somebody else has placed.
	w.Refused(expect("o-4", Amount-1, "EUR"), "DIFFERS_FROM_AUTHORIZATION", "expected_amount")
	w.Must(expect("o-5", Amount, "EUR"))
	w.CalledTimes("placeOrder", 1)
}

func TestAutoCapture_NeedsAContract(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	_, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), operation.NewSession{Session: Cart(), AutoCapture: true})
	w.Refused(err, "AUTO_CAPTURE_NOT_ALLOWED", "auto_capture")
	session := w.Session(journal.OrderByCaller)
	w.Authorize(session)
	_, err = create(w, "o-1", operation.NewOrder{SessionID: session, AutoCapture: true})
	w.Refused(err, "AUTO_CAPTURE_NOT_ALLOWED", "auto_capture")
	w.CalledTimes("placeOrder", 0)
}

func TestAutoCapture_ReadsWhatWasCaptured(t *testing.T) {
	t.Parallel()
	w := New(t, Options{AutoCapture: true})
	opened, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), operation.NewSession{Session: Cart(), AutoCapture: true})
	w.Must(err)
	w.Authorize(opened.Session.SessionID)
	made, err := create(w, "o-1", operation.NewOrder{SessionID: opened.Session.SessionID})
	w.Must(err)
	if got := w.Order(made.OrderID).Captured; got != Amount {
		t.Errorf("%d captured", got)
	}
	if jobs := w.Jobs(journal.JobReadOrder); len(jobs) != 1 || jobs[0].RunAt.After(w.Store.Now()) {
		t.Errorf("the order is not read at once: %+v", jobs)
	}
}

func TestOrder_ReadingRecordsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	for range 3 {
		_, err := w.Operations.Order(t.Context(), Shop, order, journal.Reconciled)
		w.Must(err)
		w.Klarna.Advance(time.Minute)
	}
	changed := 0
	for _, kind := range w.Kinds(store.Payments) {
		if kind == string(journal.KindOrderChanged) {
			changed++
		}
	}
	if changed > 1 {
		t.Errorf("%d events of three readings: %v", changed, w.Kinds(store.Payments))
	}
}
