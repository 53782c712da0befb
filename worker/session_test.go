package worker_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// count tells how many events of a kind there are.
func count(w *World, kind journal.PaymentKind) (n int) {
	for _, k := range w.Kinds(store.Payments) {
		if k == string(kind) {
			n++
		}
	}
	return n
}

func TestReadSession_MakesGoodACallbackThatNeverCame(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
	pool(w)
	session := w.Session("")
	w.Authorize(session)
	w.Settle()
	w.CalledTimes("readSession", 0)
	pass(w, 2*time.Minute, time.Minute)
	payment := w.Payment(journal.KeySession, session)
	if payment.State != journal.Ordered || count(w, journal.KindAuthorized) != 1 {
		t.Errorf("state %s, events %v", payment.State, w.Kinds(store.Payments))
	}
	w.CalledTimes("placeOrder", 1)
	if w.Order(payment.OrderID).Amount != Amount {
		t.Error("another order")
	}
}

func TestReadSession_ReadsLessAndLessOften(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	w.Session("")
	pass(w, 3*time.Hour, time.Minute)
	var gaps []time.Duration
	calls := w.Calls("readSession")
	for i, c := range calls {
		before := Start
		if i > 0 {
			before = calls[i-1].At
		}
		gaps = append(gaps, c.At.Sub(before))
	}
	want := []time.Duration{2, 2, 4, 8, 16, 30, 30, 30, 30}
	for i := range want {
		want[i] *= time.Minute
	}
	if !slices.Equal(gaps, want) {
		t.Errorf("read after %v, want %v", gaps, want)
	}
}

func TestReadSession_AnExpiredSessionIsToldOnce(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	session := w.Session("")
	pass(w, 50*time.Hour, 15*time.Minute)
	if got := w.Payment(journal.KeySession, session).State; got != journal.Expired || count(w, journal.KindExpired) != 1 {
		t.Errorf("state %s, events %v", got, w.Kinds(store.Payments))
	}
	if jobs := w.Jobs(""); len(jobs) != 0 {
		t.Errorf("jobs %+v", jobs)
	}
}

func TestReadSession_AnOrderIsNeverExpired(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	order := w.Placed()
	pass(w, 50*time.Hour, time.Hour)
	if got := w.Payment(journal.KeyOrder, order).State; got != journal.Ordered || count(w, journal.KindExpired) != 0 {
		t.Errorf("state %s, events %v", got, w.Kinds(store.Payments))
	}
}

// The caller does not repeat: the order exists at Klarna, and nobody would ever know of it.
func TestReadSession_FindsAnOrderWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	session := w.Session(journal.OrderByCaller)
	w.Authorize(session)
	w.LoseAnswer("placeOrder")
	_, err := w.Operations.CreateOrder(t.Context(), Request("o-1", "x"), operation.NewOrder{SessionID: session, Reference1: "SO-1"})
	w.Unknown(err)
	pass(w, 10*time.Second, 5*time.Second)
	payment := w.Payment(journal.KeySession, session)
	if payment.State != journal.Ordered || w.Order(payment.OrderID).Reference != "SO-1" {
		t.Errorf("on record %+v", payment)
	}
	pass(w, 49*time.Hour, time.Hour)
	if count(w, journal.KindExpired) != 0 || count(w, journal.KindOrderCreated) != 1 {
		t.Errorf("events %v", w.Kinds(store.Payments))
	}
}

// What was not placed stays so: it is for the caller to repeat.
func TestReadSession_PlacesNoOrderByItself(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	session := w.Session(journal.OrderByCaller)
	w.Authorize(session)
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Cut: true})
	_, err := w.Operations.CreateOrder(t.Context(), Request("o-1", "x"), operation.NewOrder{SessionID: session})
	w.Unknown(err)
	pass(w, 2*time.Hour, 10*time.Minute)
	w.CalledTimes("placeOrder", 1)
}

func TestReadSession_ACompletedSessionWithoutItsOrderNeedsAPersonAndEnds(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Authorize(session)
	w.LoseAnswer("placeOrder")
	_, err := w.Operations.CreateOrder(t.Context(), Request("o-1", "x"), operation.NewOrder{SessionID: session})
	w.Unknown(err)
	w.Klarna.Advance(61 * time.Minute) // the gateway is down; then the token is forgotten
	pool(w)
	pass(w, 50*time.Hour, time.Hour)
	payment := w.Payment(journal.KeySession, session)
	w.Attends(payment, journal.Conflict)
	if count(w, journal.KindExpired) != 0 {
		t.Errorf("events %v", w.Kinds(store.Payments))
	}
	if jobs := w.Jobs(journal.JobReadSession); len(jobs) != 0 {
		t.Errorf("jobs %+v", jobs)
	}
	// Whoever names the order to the gateway, a person or a notification, has it known by what was sent.
	ours := w.Klarna.Orders()[0]
	stranger, err := w.Klarna.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 500, Currency: "EUR", Country: "DE", Reference: "SO-88001"})
	w.Must(err)
	for _, order := range []string{stranger, ours} {
		_, err = w.Operations.Order(t.Context(), Shop, order, journal.Reconciled)
		w.Must(err)
		payment = w.Payment(journal.KeySession, session)
		if linked := order != stranger; linked && payment.OrderID != order || !linked && payment.OrderID != "" {
			t.Errorf("reading order %s made it order %q of the session", order, payment.OrderID)
		}
	}
	w.Attends(payment)
	made, err := w.Operations.CreateOrder(t.Context(), Request("o-1", "x"), operation.NewOrder{SessionID: session})
	if err != nil || made.OrderID != payment.OrderID {
		t.Errorf("the caller's repeat gets %+v, %v", made, err)
	}
}

func TestPlaceOrder_RetriesThroughAnOutage(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Status: 503, Times: 2})
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Status: 403, Body: "<html>Request blocked</html>"}) // not Klarna's word
	w.Fail(klarnatest.Fault{Operation: "placeOrder", LoseAnswer: true})
	pool(w)
	session := w.Session("")
	w.Tell(session, w.Authorize(session))
	pass(w, 2*time.Minute, time.Second)
	w.CalledTimes("placeOrder", 5)
	payment := w.Payment(journal.KeySession, session)
	if payment.State != journal.Ordered {
		t.Errorf("state %s", payment.State)
	}
	w.Attends(payment)
}

func TestPlaceOrder_IsGivenUpWhenTheTokenHasRunOut(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Status: 503, Times: 1000})
	pool(w)
	session := w.Session("")
	w.Tell(session, w.Authorize(session))
	pass(w, 55*time.Minute, time.Minute)
	w.Attends(w.Payment(journal.KeySession, session))
	pass(w, 30*time.Minute, time.Minute)
	w.Attends(w.Payment(journal.KeySession, session), journal.WorkGivenUp)
	if jobs := w.Jobs(journal.JobPlaceOrder); len(jobs) != 0 || count(w, journal.KindAttention) != 1 {
		t.Errorf("jobs %+v, events %v", jobs, w.Kinds(store.Payments))
	}
}

func TestPlaceOrder_ARefusalIsFinal(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Status: 403, Code: "REJECTED"})
	pool(w)
	session := w.Session("")
	w.Tell(session, w.Authorize(session))
	pass(w, 30*time.Minute, 10*time.Minute)
	w.CalledTimes("placeOrder", 1)
	payment := w.Payment(journal.KeySession, session)
	w.Attends(payment, journal.OrderNotPlaced)
	if payment.State != journal.AuthorizationCancelled {
		t.Errorf("state %s", payment.State)
	}
	w.Tell(session, w.Authorize(session)) // the customer tries again
	w.Settle()
	payment = w.Payment(journal.KeySession, session)
	w.Attends(payment)
	if payment.State != journal.Ordered {
		t.Errorf("state %s", payment.State)
	}
}

// Klarna has shut the merchant account for some minutes: that is no word on the authorisation, and its order is placed.
func TestPlaceOrder_OutlastsAMerchantAccountThatIsInactiveForAWhile(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
	w.Fail(klarnatest.Fault{Operation: "placeOrder", Status: 403, Code: "MERCHANT_INACTIVE", Times: -1})
	pool(w)
	session := w.Session("")
	w.Tell(session, w.Authorize(session))
	pass(w, 5*time.Minute, 10*time.Second)
	w.Attends(w.Payment(journal.KeySession, session))
	w.Klarna.Heal()
	pass(w, 10*time.Minute, 10*time.Second)
	payment := w.Payment(journal.KeySession, session)
	w.Attends(payment)
	if payment.State != journal.Ordered {
		t.Errorf("state %s", payment.State)
	}
}

// However Klarna refuses without a word on the authorisation, and whatever is in doubt: with the authorisation's hour the
// work ends, and a person is told.
func TestPlaceOrder_WithoutAWordOnTheAuthorisationEndsWithItsHour(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		doubt bool
		fault klarnatest.Fault
	}{
		{false, klarnatest.Fault{Status: 403, Code: "MERCHANT_INACTIVE"}},
		{false, klarnatest.Fault{Status: 409}},
		{true, klarnatest.Fault{Status: 409}},
		{true, klarnatest.Fault{Status: 403, Code: "REJECTED"}},
		{true, klarnatest.Fault{Status: 404}},
	} {
		t.Run(fmt.Sprint(c.doubt, c.fault.Status, c.fault.Code), func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
			if c.doubt {
				w.Fail(klarnatest.Fault{Operation: "placeOrder", Cut: true})
			}
			c.fault.Operation, c.fault.Times = "placeOrder", -1
			w.Fail(c.fault)
			pool(w)
			session := w.Session("")
			w.Tell(session, w.Authorize(session))
			pass(w, 72*time.Minute, 2*time.Minute) // attempts are up to 10 minutes apart
			w.Attends(w.Payment(journal.KeySession, session), journal.WorkGivenUp)
			if jobs := w.Jobs(journal.JobPlaceOrder); len(jobs) != 0 {
				t.Errorf("jobs %+v", jobs)
			}
			pass(w, time.Hour, 5*time.Minute) // Klarna shows the session without an order
			row, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Shop, Operation: "placeOrder", ID: session})
			w.Must(err)
			if row.State != store.RequestUndone {
				t.Errorf("placing the order is %s", row.State)
			}
			pass(w, 49*time.Hour, 30*time.Minute)
			if jobs := w.Jobs(""); len(jobs) != 0 {
				t.Errorf("jobs %+v", jobs)
			}
		})
	}
}

func TestReleaseToken_GivesBackAnAuthorisationThatCameAfterTheOrder(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	opened, err := w.Operations.CreateSession(t.Context(), Request("open-2", "cart"), operation.NewSession{Session: Cart()})
	w.Must(err)
	late := w.Authorize(opened.Session.SessionID) // stands in for a second authorisation of the first session
	w.Fail(klarnatest.Fault{Operation: "cancelAuthorization", Status: 503})
	pool(w)
	w.Tell(w.Payment(journal.KeyOrder, order).SessionID, late)
	pass(w, 10*time.Second, time.Second)
	calls := w.Calls("cancelAuthorization")
	if len(calls) != 2 || calls[1].Status != 204 {
		t.Errorf("calls %+v", calls)
	}
	if jobs := w.Jobs(journal.JobReleaseToken); len(jobs) != 0 {
		t.Errorf("jobs %+v", jobs)
	}
}

// A session of before a change that took over cannot be read any more. Its job waits for the session's end, and does not
// ask in vain until then.
func TestReadSession_OfAProfileThatHasEndedWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Change: &Change{From: Start.Add(time.Minute), TakesOver: true, Offers: klarna.KustomOffers}})
	pool(w)
	session := w.Session("")
	pass(w, 3*time.Minute, time.Minute)
	jobs := w.Jobs(journal.JobReadSession)
	if len(jobs) != 1 || jobs[0].RunAt.Before(Start.Add(47*time.Hour)) || jobs[0].LastError != "" {
		t.Fatalf("jobs %+v", jobs)
	}
	pass(w, 49*time.Hour, 30*time.Minute)
	if got := w.Payment(journal.KeySession, session).State; got != journal.Expired || len(w.Jobs(journal.JobReadSession)) != 0 {
		t.Errorf("state %s, jobs %+v", got, w.Jobs(journal.JobReadSession))
	}
	w.CalledTimes("readSession", 0)
}

// The answer to placing the order was lost, and the gateway was away until Klarna no longer showed the session. It does not
// say that the payment ran out: there may be an order.
func TestReadSession_AnOrderThatMayHaveBeenMadeUnseenNeedsAPerson(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	w.Authorize(session)
	w.LoseAnswer("placeOrder")
	_, err := w.Operations.CreateOrder(t.Context(), Request("o-1", "x"), operation.NewOrder{SessionID: session})
	w.Unknown(err)
	w.Klarna.Advance(72 * time.Hour)
	pool(w)
	w.Settle()
	payment := w.Payment(journal.KeySession, session)
	w.Attends(payment, journal.Conflict)
	if payment.State.Final() {
		t.Errorf("the payment is %s", payment.State)
	}
	if row, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Shop, Operation: "placeOrder", ID: session}); err != nil || row.State != store.RequestUndone {
		t.Errorf("placing the order is %s, %v", row.State, err)
	}
	order := w.Klarna.Orders()[0]
	_, err = w.Operations.Order(t.Context(), Shop, order, journal.Reconciled)
	w.Must(err)
	payment = w.Payment(journal.KeySession, session)
	w.Attends(payment)
	if payment.OrderID != order || payment.State != journal.Ordered {
		t.Errorf("the payment is %s, by order %q", payment.State, payment.OrderID)
	}
}

// Klarna does not find the session for a moment: the authorisation is still good, and its order is placed.
func TestPlaceOrder_TriesAgainWhenTheSessionIsNotFound(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
	pool(w)
	session := w.Session("")
	w.Fail(klarnatest.Fault{Operation: "readSession", Status: 404, Times: 3})
	w.Tell(session, w.Authorize(session))
	pass(w, time.Minute, time.Second)
	if payment := w.Payment(journal.KeySession, session); payment.State != journal.Ordered {
		t.Errorf("the payment is %s", payment.State)
	}
}
