package operation_test

import (
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
)

func TestCapture_IsRecordedWithItsAnswer(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	made, err := capture(w, Request("c-1", "50"), order)
	w.Must(err)
	payment := w.Payment(journal.KeyOrder, order)
	if payment.State != journal.PartCaptured || payment.CapturedAmount != 5000 || payment.RemainingAmount != Amount-5000 ||
		len(payment.Captures) != 1 || payment.Captures[0].ID != made.ID || made.Currency != "EUR" || made.Made.Amount != 5000 {
		t.Errorf("answer %+v, on record %+v", made, payment)
	}
	w.CalledTimes("readOrder", 0)
}

func TestMovements_InAnotherCurrencyAreRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "SEK", klarna.CaptureRequest{CapturedAmount: 5000})
	w.Refused(err, "INVALID_FIELD", "amount.currency_code")
	_, err = w.Operations.Refund(t.Context(), Request("r-1", "x"), order, "SEK", klarna.RefundRequest{RefundedAmount: 5000})
	w.Refused(err, "INVALID_FIELD", "amount.currency_code")
	w.CalledTimes("capture", 0)
	w.CalledTimes("refund", 0)
}

func TestCapture_ReadsAnOrderThatIsNotOnRecordFirst(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "SEK", klarna.CaptureRequest{CapturedAmount: 5000})
	w.Refused(err, "INVALID_FIELD", "amount.currency_code")
	_, err = capture(w, Request("c-2", "x"), order)
	w.Must(err)
	w.CalledTimes("readOrder", 1)
	if payment := w.Payment(journal.KeyOrder, order); payment.State != journal.PartCaptured || payment.OrderAmount != Amount || payment.Reference1 != "SO-88002" {
		t.Errorf("on record %+v", payment)
	}
}

func TestWrites_OfUnknownOutcomeAreLookedIntoSoon(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	for n, c := range []struct {
		operation, key string
		call           func() error
	}{
		{"cancelOrder", "cancelOrder x-1", func() error { return w.Operations.CancelOrder(t.Context(), Request("x-1", "x"), order) }},
		{"capture", "captureOrder c-1", func() error { _, err := capture(w, Request("c-1", "x"), order); return err }},
		{"refund", "refundOrder r-1", func() error {
			_, err := capture(w, Request("c-2", "x"), order)
			w.Must(err)
			_, err = w.Operations.Refund(t.Context(), Request("r-1", "x"), order, "EUR", klarna.RefundRequest{RefundedAmount: 100})
			return err
		}},
	} {
		w.Fail(klarnatest.Fault{Operation: c.operation, Cut: true})
		w.Unknown(c.call())
		jobs := w.Jobs(journal.JobResolve)
		if i := len(jobs) - 1; i != n || jobs[i].Key != c.key || jobs[i].RunAt.After(w.Store.Now().Add(time.Minute)) {
			t.Errorf("%s left %+v", c.operation, jobs)
		}
		w.Klarna.Advance(time.Minute)
	}
}

// A repeat more than 23 h after an unknown outcome comes when Klarna may have forgotten the key.
func TestMovements_AStaleRepeatLooksBeforeItSendsAgain(t *testing.T) {
	t.Parallel()
	capturing := func(w *World, order string) (operation.MovementAnswer, error) {
		return capture(w, Request("m-1", "x"), order)
	}
	refunding := func(w *World, order string) (operation.MovementAnswer, error) {
		return w.Operations.Refund(t.Context(), Request("m-1", "x"), order, "EUR", klarna.RefundRequest{RefundedAmount: 1000, Reference: "m-1"})
	}
	for _, c := range []struct {
		name, operation string
		call            func(w *World, order string) (operation.MovementAnswer, error)
		fault           klarnatest.Fault
		calls           int
	}{
		{"capture that was made", "capture", capturing, klarnatest.Fault{LoseAnswer: true}, 1},
		{"capture that was not made", "capture", capturing, klarnatest.Fault{Cut: true}, 2},
		{"refund that was made", "refund", refunding, klarnatest.Fault{LoseAnswer: true}, 1},
		{"refund that was not made", "refund", refunding, klarnatest.Fault{Cut: true}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			order, before := w.Placed(), 0
			if c.operation == "refund" {
				_, err := capture(w, Request("c-1", "x"), order)
				w.Must(err)
			}
			c.fault.Operation = c.operation
			w.Fail(c.fault)
			_, err := c.call(w, order)
			w.Unknown(err)
			w.Klarna.Advance(25 * time.Hour)
			made, err := c.call(w, order)
			w.Must(err)
			again, err := c.call(w, order)
			w.Must(err)
			w.CalledTimes(c.operation, before+c.calls)
			at, payment := w.Order(order), w.Payment(journal.KeyOrder, order)
			list, count := payment.Captures, at.Captures
			if c.operation == "refund" {
				list, count = payment.Refunds, at.Refunds
			}
			if count != 1 || len(list) != 1 || list[0].ID != made.ID || again.ID != made.ID {
				t.Errorf("Klarna has %d, on record %+v, answers %+v and %+v", count, list, made, again)
			}
		})
	}
}

func TestMovements_NeedAReferenceOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	capturing := func(id, reference string) error {
		_, err := w.Operations.Capture(t.Context(), Request(id, "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 2000, Reference: reference})
		return err
	}
	w.Must(capturing("c-1", "delivery"))
	w.Refused(capturing("c-2", "delivery"), "REFERENCE_IN_USE", "reference")
	w.LoseAnswer("capture")
	w.Unknown(capturing("c-3", "delivery 2"))
	w.Refused(capturing("c-4", "delivery 2"), "REFERENCE_IN_USE", "reference")
	w.Must(capturing("c-3", "delivery 2"))
	w.Must(capturing("c-5", ""))
	if made := w.Payment(journal.KeyOrder, order).Captures; len(made) != 3 || made[2].Reference != "c-5" {
		t.Errorf("captures on record %+v", made)
	}
	_, err := w.Operations.Refund(t.Context(), Request("r-1", "x"), order, "EUR", klarna.RefundRequest{RefundedAmount: 2000, Reference: "delivery"})
	w.Must(err) // a refund is not a capture
}

func TestCancelOrder_AStaleRepeatSeesThatTheOrderIsCancelled(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.LoseAnswer("cancelOrder")
	w.Unknown(w.Operations.CancelOrder(t.Context(), Request("x-1", "x"), order))
	w.Klarna.Advance(25 * time.Hour)
	w.Must(w.Operations.CancelOrder(t.Context(), Request("x-1", "x"), order))
	w.CalledTimes("cancelOrder", 1)
	if got := w.Payment(journal.KeyOrder, order).State; got != journal.Cancelled {
		t.Errorf("state %s", got)
	}
}

func TestCancelOrder_OfUnknownOutcomeIsNotTakenForMoneyThatNeverCame(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	_, err := w.Journal.RecordPayment(t.Context(), journal.PaymentFact{
		EventID: "unpaid", MerchantAccount: Shop, Cause: journal.Notification, At: w.Store.Now(), Type: klarnatest.EventPaymentStatus, OrderID: order,
		Status: &journal.StatusFacts{Status: journal.StatusUnpaid, Currency: "EUR", OrderAmount: Amount},
	})
	w.Must(err)
	w.LoseAnswer("cancelOrder")
	w.Unknown(w.Operations.CancelOrder(t.Context(), Request("x-1", "x"), order))
	_, err = w.Operations.Order(t.Context(), Shop, order, journal.Reconciled) // what the job does
	w.Must(err)
	if got := w.Payment(journal.KeyOrder, order); got.State != journal.Cancelled || got.Status != journal.StatusUnpaid {
		t.Errorf("state %s, status %s: we cancelled the order, it did not lapse", got.State, got.Status)
	}
}
