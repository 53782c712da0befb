package worker_test

import (
	"fmt"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// matters are the matters on record, by reason; of several, the newest.
func matters(w *World) map[journal.AttentionReason]journal.Matter {
	w.T.Helper()
	all := map[journal.AttentionReason]journal.Matter{}
	for _, ev := range w.Events(store.Attentions) {
		m, err := journal.DecodeMatter(ev.Body)
		w.Must(err)
		all[m.Reason] = m
	}
	return all
}

// open checks whether a matter of a reason is open, resolved, or not there ("").
func open(w *World, reason journal.AttentionReason, want journal.MatterState) {
	w.T.Helper()
	if got := matters(w)[reason].State; got != want {
		w.T.Errorf("%s is %q, want %q; all: %v", reason, got, want, matters(w))
	}
	listed, err := w.Store.Subjects(w.T.Context(), store.Query{Stream: store.Attentions, Limit: 10, Keys: []store.Key{{Kind: journal.KeyOpenReason, Value: string(reason)}}})
	w.Must(err)
	if isOpen := want == journal.MatterOpen; (len(listed) == 1) != isOpen {
		w.T.Errorf("%d open matters are listed for %s", len(listed), reason)
	}
}

func act(w *World, reason journal.AttentionReason, action journal.Action) {
	w.T.Helper()
	w.Must(w.Store.Do(w.T.Context(), func(tx store.Tx) error {
		_, err := w.Journal.ActIn(w.T.Context(), tx, matters(w)[reason].ID, "", journal.MatterAction{
			Action: action, Caller: "anna", Note: "why", RequestID: fmt.Sprint(reason, action),
		}, false)
		return err
	}))
}

func TestAttend_WorkThatFailsForHoursIsTold(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	w.Fail(klarnatest.Fault{Operation: "readOrder", Status: 401, Times: -1})
	pool(w, unreconciled)
	pushed(w, order)
	w.Settle()
	pass(w, 5*time.Hour, 30*time.Minute)
	open(w, journal.WorkFailing, "")
	pass(w, 2*time.Hour, 30*time.Minute)
	open(w, journal.WorkFailing, journal.MatterOpen)
	if m := matters(w)[journal.WorkFailing]; m.About.OrderID != order || m.MerchantAccount != Shop {
		t.Errorf("it is about %+v", m.About)
	}
	act(w, journal.WorkFailing, journal.ActionDismiss)
	pass(w, 2*time.Hour, 30*time.Minute) // it fails on: that is no news
	open(w, journal.WorkFailing, journal.MatterDismissed)
	w.Klarna.Heal()
	pass(w, time.Hour, 30*time.Minute)
	if w.Payment(journal.KeyOrder, order).State != journal.Ordered || len(w.Jobs(journal.JobReadPushed)) != 0 {
		t.Errorf("jobs %+v", w.Jobs(""))
	}
}

func TestAttend_WorkThatSucceedsAgainEndsItsMatter(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	w.Fail(klarnatest.Fault{Operation: "readOrder", Status: 401, Times: -1})
	pool(w, unreconciled)
	pushed(w, order)
	w.Settle()
	pass(w, 7*time.Hour, 30*time.Minute)
	open(w, journal.WorkFailing, journal.MatterOpen)
	w.Klarna.Heal()
	act(w, journal.WorkFailing, journal.ActionRetry) // no need to wait for the backoff
	w.Settle()
	open(w, journal.WorkFailing, journal.MatterResolved)
	if a := matters(w)[journal.WorkFailing].Actions; len(a) != 1 || a[0].Caller != "anna" || a[0].Action != journal.ActionRetry {
		t.Errorf("audited %+v", a)
	}
}

func TestAttend_AnAcknowledgementThatFailsIsToldAfterFortyHoursAndTriedOn(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{AcknowledgeOrders: true}})
	order := w.Checkout()
	w.Fail(klarnatest.Fault{Operation: "acknowledge", Status: 401, Times: -1})
	pool(w, unreconciled)
	pushed(w, order)
	w.Settle()
	pass(w, 39*time.Hour, 3*time.Hour)
	open(w, journal.AcknowledgeOverdue, "")
	pass(w, 3*time.Hour, time.Hour)
	open(w, journal.AcknowledgeOverdue, journal.MatterOpen)
	w.Attends(w.Payment(journal.KeyOrder, order), journal.AcknowledgeOverdue)
	w.Klarna.Heal()
	pass(w, time.Hour, 20*time.Minute)
	open(w, journal.AcknowledgeOverdue, journal.MatterResolved)
	if p := w.Payment(journal.KeyOrder, order); !p.Acknowledged || len(p.Attentions) != 0 {
		t.Errorf("on record %+v", p)
	}
}

// status records what a payment-status notification tells.
func status(w *World, order, word string) {
	w.T.Helper()
	_, err := w.Journal.RecordPayment(w.T.Context(), journal.PaymentFact{
		EventID: "n:" + order + word, MerchantAccount: Shop, Cause: journal.Notification, At: w.Store.Now(), OrderID: order,
		Type: klarnatest.EventPaymentStatus, Raw: []byte(word), Status: &journal.StatusFacts{Status: word, Currency: "EUR", OrderAmount: Amount},
	})
	w.Must(err)
}

func TestAttend_APaymentThatStaysUnpaidWithoutAWordIsTold(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	order := w.Placed()
	status(w, order, journal.StatusUnpaid)
	pass(w, 6*day, 12*time.Hour)
	open(w, journal.SilentPayment, "")
	pass(w, 2*day, 12*time.Hour)
	open(w, journal.SilentPayment, journal.MatterOpen)
	status(w, order, journal.StatusPaid)
	open(w, journal.SilentPayment, journal.MatterResolved)
}

// Of a cancelled order it is concluded that the money never came.
func TestAttend_ASilentPaymentOfACancelledOrderIsClosedInstead(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	order := w.Placed()
	status(w, order, journal.StatusUnpaid)
	pass(w, 2*day, 12*time.Hour)
	w.Must(w.Client(Shop).CancelOrder(t.Context(), "past-the-gateway", order))
	pass(w, 6*day, 12*time.Hour)
	open(w, journal.SilentPayment, "")
	if p := w.Payment(journal.KeyOrder, order); p.Status != journal.StatusClosed || !p.StatusInferred {
		t.Errorf("on record %+v", p)
	}
}

func TestAttend_APendingOrderIsReadEveryHourAndToldAfterADay(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	w.Klarna.PendNext(1)
	cart := Cart()
	cart.Intent = "buy_and_tokenize" // Klarna: those of Pay Now Standalone are never pending
	made, err := w.Operations.CreateSession(t.Context(), Request("open", "cart"), operation.NewSession{Session: cart, OrderPolicy: journal.OrderByCaller})
	w.Must(err)
	w.Authorize(made.Session.SessionID)
	placed, err := w.Operations.CreateOrder(t.Context(), Request("place", "x"), operation.NewOrder{SessionID: made.Session.SessionID})
	w.Must(err)
	order := placed.OrderID
	pass(w, 20*time.Hour, time.Hour)
	open(w, journal.FraudPending, "")
	if reads := w.Klarna.CallCount("readOrder"); reads < 18 || reads > 22 {
		t.Errorf("read %d times", reads)
	}
	pass(w, 5*time.Hour, time.Hour)
	open(w, journal.FraudPending, journal.MatterOpen)
	w.Must(w.Klarna.DecideFraud(order, true))
	pass(w, 2*time.Hour, time.Hour)
	open(w, journal.FraudPending, journal.MatterResolved)
}

func TestAttend_AnAccountThatDoesNotBecomeOperationalIsTold(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w)
	made, err := w.Operations.Onboard(t.Context(), AcquirerRequest("on-1", "x"), Onboarding("mrc-000482"))
	w.Must(err)
	pass(w, 23*time.Hour, 30*time.Minute)
	open(w, journal.AccountNotOperational, "")
	pass(w, 2*time.Hour, 30*time.Minute)
	open(w, journal.AccountNotOperational, journal.MatterOpen)
	if m := matters(w)[journal.AccountNotOperational]; m.About.PartnerAccountID != made.AccountID {
		t.Errorf("it is about %+v", m.About)
	}
	w.Must(w.Klarna.Operational(made.AccountID))
	act(w, journal.AccountNotOperational, journal.ActionRetry)
	w.Settle()
	open(w, journal.AccountNotOperational, journal.MatterResolved)
}

func TestAttend_AnAuthorisationOnItsLastDayIsToldUntilNothingIsLeftOfIt(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	order := w.Placed()
	pass(w, 27*day+3*time.Hour, 3*time.Hour)
	open(w, journal.AuthorizationExpiring, journal.MatterOpen)
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: Amount})
	w.Must(err)
	open(w, journal.AuthorizationExpiring, journal.MatterResolved)
}

func TestAttend_AnAuthorisationThatRunsOutEndsItsMatter(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	w.Placed()
	pass(w, 29*day, 3*time.Hour)
	open(w, journal.AuthorizationExpiring, journal.MatterResolved)
}

func TestAttend_AnOrphanIsToldUntilItHasLapsed(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	pool(w, unreconciled)
	w.LoseAnswer("createSession")
	w.T.Helper()
	for range 2 {
		_, _ = w.Operations.CreateSession(t.Context(), Request("s-1", "x"), operation.NewSession{Session: Cart()})
	}
	open(w, journal.OrphanPossible, journal.MatterOpen)
	pass(w, 47*time.Hour, 6*time.Hour)
	open(w, journal.OrphanPossible, journal.MatterOpen)
	pass(w, 6*time.Hour, 2*time.Hour)
	open(w, journal.OrphanPossible, journal.MatterResolved)
}

func TestAttend_AnOrderOnRecordThatKlarnaDoesNotKnowIsTold(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "readOrder", Status: 404, Times: -1})
	pool(w, unreconciled)
	add(w, store.Job{Kind: journal.JobReadOrder, MerchantAccount: Shop, Key: order})
	pass(w, 20*time.Minute, time.Minute)
	open(w, journal.Conflict, journal.MatterOpen)
}

// Klarna does not show at once what it has: that is no matter, and the order is read all the same.
func TestAttend_AnOrderThatKlarnaDoesNotShowForAMomentIsReadAgain(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "readOrder", Status: 404, Times: 2})
	pool(w, unreconciled)
	add(w, store.Job{Kind: journal.JobReadOrder, MerchantAccount: Shop, Key: order})
	pass(w, 5*time.Minute, 10*time.Second)
	payment := w.Payment(journal.KeyOrder, order)
	w.Attends(payment)
	if payment.Read == nil {
		t.Error("the order was not read")
	}
}

// Two movements of one payment whose outcome is unknown are two matters: that one is known ends the one.
func TestAttend_EachUnknownOutcomeIsAMatterOfItsOwn(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	for _, id := range []string{"c-1", "c-2"} {
		w.Fail(klarnatest.Fault{Operation: "capture", Cut: true, Times: 3})
		_, err := w.Operations.Capture(t.Context(), Request(id, "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 100})
		w.Unknown(err)
	}
	w.Fail(klarnatest.Fault{Operation: "readOrder", Status: 401, Times: -1})
	pool(w, unreconciled)
	pass(w, 90*time.Minute, 10*time.Minute)
	if p := w.Payment(journal.KeyOrder, order); len(p.Attentions) != 2 {
		t.Fatalf("open: %v", p.Attentions)
	}
	first := w.Payment(journal.KeyOrder, order).Attentions[0]
	_, err := w.Journal.RecordPayment(t.Context(), journal.PaymentFact{
		EventID: "known", MerchantAccount: Shop, Cause: journal.Reconciled, At: w.Store.Now(), OrderID: order, Settled: first.Reason, SettledRef: first.Ref,
	})
	w.Must(err)
	if p := w.Payment(journal.KeyOrder, order); len(p.Attentions) != 1 || p.Attentions[0].Ref == first.Ref {
		t.Errorf("open: %v", p.Attentions)
	}
	w.Klarna.Heal()
	pass(w, time.Hour, 10*time.Minute)
	w.Attends(w.Payment(journal.KeyOrder, order))
	open(w, journal.OutcomeUnknown, journal.MatterResolved)
}
