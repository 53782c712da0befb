package operation_test

import (
	"errors"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
)

// changing is a world whose shop gets another profile after an hour.
func changing(t *testing.T, change func(*Change)) *World {
	c := Change{From: Start.Add(time.Hour)}
	if change != nil {
		change(&c)
	}
	return New(t, Options{Change: &c, Callbacks: true})
}

func TestChange_TakesEffectWhileRunningAndOrdersStayWhereTheyWereMade(t *testing.T) {
	t.Parallel()
	w := changing(t, nil)
	early := w.Placed()
	w.Klarna.Advance(time.Hour - time.Second)
	before, err := w.Operations.CreateSession(t.Context(), Request("before", "x"), operation.NewSession{Session: Cart()})
	w.Must(err)
	w.Klarna.Advance(time.Second)
	after, err := w.Operations.CreateSession(t.Context(), Request("after", "x"), operation.NewSession{Session: Cart()})
	w.Must(err)
	if w.Klarna.CallCount("createSession") != 2 || w.Next.CallCount("createSession") != 1 {
		t.Fatalf("opened %d sessions at the old place, %d at the new", w.Klarna.CallCount("createSession"), w.Next.CallCount("createSession"))
	}
	w.Authorize(before.Session.SessionID)
	_, err = w.Next.Authorize(after.Session.SessionID)
	w.Must(err)
	orders := []string{early}
	for _, id := range []string{before.Session.SessionID, after.Session.SessionID} {
		made, err := w.Operations.CreateOrder(t.Context(), Request("order-"+id, "x"), operation.NewOrder{SessionID: id})
		w.Must(err)
		orders = append(orders, made.OrderID)
	}
	for i, order := range orders {
		_, err := w.Operations.Capture(t.Context(), Request("c-"+order, "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: Amount, Reference: order})
		w.Must(err)
		_, err = w.Operations.Refund(t.Context(), Request("r-"+order, "x"), order, "EUR", klarna.RefundRequest{RefundedAmount: 5, Reference: order})
		w.Must(err)
		_, err = w.Operations.Order(t.Context(), Shop, order, journal.Reconciled)
		w.Must(err)
		_, there := w.Klarna.Order(order)
		if _, here := w.Next.Order(order); here != (i == 2) || there == here {
			t.Errorf("order %d is at the old place: %v, at the new: %v", i, there, here)
		}
	}
	if old, next := w.Klarna.CallCount("capture"), w.Next.CallCount("capture"); old != 2 || next != 1 {
		t.Errorf("captured %d times at the old place, %d at the new: the first try did not go where the order lives", old, next)
	}
}

func TestChange_CheckoutOrderOpenedBeforeAndToldOfAfterIsFound(t *testing.T) {
	t.Parallel()
	w := changing(t, nil)
	order := w.Checkout()
	w.Klarna.Advance(2 * time.Hour)
	_, err := w.Operations.Order(t.Context(), Shop, order, journal.Push)
	w.Must(err)
	w.Must(w.Operations.Acknowledge(t.Context(), Shop, order))
	_, err = w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: Amount})
	w.Must(err)
	if got := w.Order(order); got.Captured != Amount {
		t.Errorf("Klarna has %+v", got)
	}
	_, err = w.Operations.Order(t.Context(), Shop, "00000000-0000-4000-8000-000000000000", journal.Push)
	var refused *klarna.Error
	if !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("an order that nobody knows: %v", err)
	}
}

func TestChange_ThatTakesOverLeavesNothingWhereItWas(t *testing.T) {
	t.Parallel()
	w := changing(t, func(c *Change) { c.TakesOver = true })
	order := w.Placed()
	w.Klarna.Advance(time.Hour)
	before := len(w.Klarna.Calls())
	if _, err := w.Operations.Order(t.Context(), Shop, order, journal.Reconciled); err == nil {
		t.Error("read where it has never been") // the simulator's orders do not move
	}
	if len(w.Klarna.Calls()) != before || w.Next.CallCount("readOrder") != 1 {
		t.Errorf("%d calls to a profile that has ended, %d to the one that took over", len(w.Klarna.Calls())-before, w.Next.CallCount("readOrder"))
	}
}

func TestChange_RepeatOfAnUnknownOutcomeLooksBeforeItSends(t *testing.T) {
	t.Parallel()
	w := changing(t, nil)
	order := w.Placed()
	w.LoseAnswer("capture")
	in := klarna.CaptureRequest{CapturedAmount: 5000, Reference: "c-1"}
	_, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", in)
	w.Unknown(err)
	w.Klarna.Advance(2 * time.Hour) // Klarna still knows the key, another host would not
	made, err := w.Operations.Capture(t.Context(), Request("c-1", "x"), order, "EUR", in)
	w.Must(err)
	w.CalledTimes("capture", 1)
	if payment := w.Payment(journal.KeyOrder, order); len(payment.Captures) != 1 || payment.Captures[0].ID != made.ID || w.Next.CallCount("capture") != 0 {
		t.Errorf("answered %+v, on record %+v", made, payment.Captures)
	}
	w.LoseAnswer("capture")
	_, err = w.Operations.Capture(t.Context(), Request("c-2", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 1, Reference: "c-2"})
	w.Unknown(err)
	_, err = w.Operations.Capture(t.Context(), Request("c-2", "x"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 1, Reference: "c-2"})
	w.Must(err)
	if got := w.Order(order); got.Captures != 2 || got.Captured != 5001 {
		t.Errorf("Klarna has %+v", got)
	}
}

func TestChange_CallInHandFinishesWhereItBegan(t *testing.T) {
	t.Parallel()
	w := changing(t, nil)
	w.Fail(klarnatest.Fault{Operation: "createSession", Delay: 300 * time.Millisecond})
	done := make(chan error)
	go func() {
		_, err := w.Operations.CreateSession(t.Context(), Request("open", "x"), operation.NewSession{Session: Cart()})
		done <- err
	}()
	w.Eventually("the call", func() bool { return w.Klarna.CallCount("createSession") == 1 })
	w.Klarna.Advance(time.Hour)
	w.Must(<-done)
	if n := len(w.Next.Calls()); n != 0 {
		t.Errorf("%d calls to the new profile", n)
	}
}

func TestChange_RefusesWhatTheProfileInForceDoesNotOffer(t *testing.T) {
	t.Parallel()
	w := changing(t, func(c *Change) { c.Offers = klarna.KustomOffers })
	open := func(content string) error {
		_, err := w.Operations.CreateSession(t.Context(), Request("open", content), operation.NewSession{Session: Cart()})
		return err
	}
	w.Must(open("cart"))
	w.Klarna.Advance(time.Hour)
	w.Must(open("cart")) // from the record
	opened := Request("another", "cart")
	_, err := w.Operations.CreateSession(t.Context(), opened, operation.NewSession{Session: Cart()})
	if !errors.Is(err, klarna.ErrNotOffered) {
		t.Errorf("a session at Kustom: %v", err)
	}
	opened.Content = []byte("another cart") // nothing was sent: it may be corrected
	if _, err := w.Operations.CreateSession(t.Context(), opened, operation.NewSession{Session: Cart()}); !errors.Is(err, klarna.ErrNotOffered) {
		t.Errorf("with other content: %v", err)
	}
	_, err = w.Operations.CreateCheckoutOrder(t.Context(), Request("basket", "x"), basket())
	w.Must(err)
	if n := len(w.Next.Calls()); n != 1 {
		t.Errorf("%d calls", n)
	}
}
