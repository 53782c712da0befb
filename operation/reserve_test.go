package operation_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// mover captures or refunds an amount of an order.
type mover func(w *World, id, order string, amount int64) error

func capturing(w *World, id, order string, amount int64) error {
	_, err := w.Operations.Capture(w.T.Context(), Request(id, fmt.Sprint(amount)), order, "EUR", klarna.CaptureRequest{CapturedAmount: amount})
	return err
}

func refunding(w *World, id, order string, amount int64) error {
	_, err := w.Operations.Refund(w.T.Context(), Request(id, fmt.Sprint(amount)), order, "EUR", klarna.RefundRequest{RefundedAmount: amount})
	return err
}

// ofTransaction is a movement of a transaction of the partner on record.
func ofTransaction(move func(w *World, id, partner, transaction string, amount int64) error) mover {
	return func(w *World, id, transaction string, amount int64) error {
		return move(w, id, w.NetworkPayment(journal.KeyTransaction, transaction).PartnerAccountID, transaction, amount)
	}
}

// movements are the ways for money to go, with what has to come before and how Klarna counts them. The id that prepare
// returns is an order's or a transaction's.
var movements = []struct {
	name     string          // Klarna's operation
	recorded store.RequestID // how requests are on record, without their id
	fund     store.Fund      // what they draw on, without its key
	short    string          // the reason when not enough is left
	prepare  func(w *World) (id string)
	move     mover
	moved    func(w *World, id string) int64
}{
	{
		"capture", store.RequestID{MerchantAccount: Shop, Operation: "captureOrder"}, store.Fund{MerchantAccount: Shop, Kind: "capture"}, "CAPTURE_NOT_ALLOWED",
		(*World).Placed, capturing, func(w *World, id string) int64 { return w.Order(id).Captured },
	},
	{
		"refund", store.RequestID{MerchantAccount: Shop, Operation: "refundOrder"}, store.Fund{MerchantAccount: Shop, Kind: "refund"}, "REFUND_NOT_ALLOWED",
		func(w *World) string {
			order := w.Placed()
			w.Must(capturing(w, "all", order, Amount))
			return order
		}, refunding, func(w *World, id string) int64 { return w.Order(id).Refunded },
	},
	{
		"captureTransaction", store.RequestID{MerchantAccount: Acquirer, Operation: "captureTransaction"}, store.Fund{MerchantAccount: Acquirer, Kind: "capture"}, "CAPTURE_NOT_ALLOWED",
		func(w *World) string { return w.Transacted(w.Onboarded()) }, ofTransaction((*World).Take), func(w *World, id string) int64 { return w.Transaction(id).Captured },
	},
	{
		"refundTransaction", store.RequestID{MerchantAccount: Acquirer, Operation: "refundTransaction"}, store.Fund{MerchantAccount: Acquirer, Kind: "refund"}, "REFUND_NOT_ALLOWED",
		func(w *World) string { return taken(w, w.Onboarded()) }, ofTransaction((*World).Return), func(w *World, id string) int64 { return w.Transaction(id).Refunded },
	},
}

// tooMuch checks that a movement was refused for want of money, and that the caller learns how much is left.
func tooMuch(w *World, err error, reason string, left, reserved int64) {
	w.T.Helper()
	w.Refused(err, reason, "amount.amount_minor")
	var refusal *operation.Refusal
	if !errors.As(err, &refusal) {
		return
	}
	got := refusal.Metadata()
	if got["remaining_amount_minor"] != fmt.Sprint(left) || got["reserved_amount_minor"] != fmt.Sprint(reserved) || got["currency_code"] != "EUR" ||
		!strings.Contains(refusal.Error(), fmt.Sprintf("%d EUR", left)) {
		w.T.Errorf("refused with %v, %v; want %d left and %d reserved", err, got, left, reserved)
	}
}

// reservedOf is what requests have reserved of a fund.
func reservedOf(w *World, fund store.Fund, key string) (amounts []int64) {
	w.T.Helper()
	fund.Key = key
	w.Must(w.Store.Do(w.T.Context(), func(tx store.Tx) error {
		amounts = nil
		held, err := tx.Reserved(w.T.Context(), fund)
		for _, r := range held {
			amounts = append(amounts, r.Amount)
		}
		return err
	}))
	return amounts
}

// A hundred requests at once, on two replicas, want 130 of 12995 each: 99 get it and one does not, to the cent.
func TestReserve_AHundredParallelMovementsMakeAnExactSum(t *testing.T) {
	t.Parallel()
	for _, m := range movements {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{Replicas: true})
			order := m.prepare(w)
			two := *w
			two.Operations = w.Replica()
			results := make([]error, 100)
			var moving sync.WaitGroup
			for i := range results {
				by := []*World{w, &two}[i%2]
				moving.Go(func() { results[i] = m.move(by, fmt.Sprintf("m-%d", i), order, 130) })
			}
			moving.Wait()
			refused := 0
			for _, err := range results {
				if err != nil {
					refused++
					w.Refused(err, m.short, "amount.amount_minor")
				}
			}
			if got := m.moved(w, order); refused != 1 || got != 99*130 {
				t.Errorf("%d were refused and %d moved at Klarna, want 1 and %d", refused, got, 99*130)
			}
			w.CalledTimes(m.name, 99)
			w.Must(m.move(w, "rest", order, Amount-99*130))
			tooMuch(w, m.move(w, "one more", order, 1), m.short, 0, 0)
			if held := reservedOf(w, m.fund, order); len(held) > 0 {
				t.Errorf("%v are still reserved", held)
			}
		})
	}
}

func TestReserve_NothingIsOverdrawnWhileAnOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	for _, m := range movements {
		for _, effect := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s made %t", m.name, effect), func(t *testing.T) {
				t.Parallel()
				w := New(t, Options{})
				order := m.prepare(w)
				w.Fail(klarnatest.Fault{Operation: m.name, LoseAnswer: effect, Cut: !effect})
				before := w.Klarna.CallCount(m.name)
				w.Unknown(m.move(w, "first", order, 10000))
				w.Reopen() // reservations outlive a restart
				if effect {
					tooMuch(w, m.move(w, "second", order, 3000), m.short, 2995, 0) // the reading before the refusal has shown it
				} else {
					tooMuch(w, m.move(w, "second", order, 3000), m.short, 2995, 10000)
				}
				w.CalledTimes(m.name, before+1)
				w.Must(m.move(w, "third", order, 2995))
				w.Must(m.move(w, "first", order, 10000)) // the caller gets the true answer
				if got := m.moved(w, order); got != Amount {
					t.Errorf("%d moved at Klarna", got)
				}
				if held := reservedOf(w, m.fund, order); len(held) > 0 {
					t.Errorf("%v are still reserved", held)
				}
			})
		}
	}
}

func TestReserve_IsGivenBackWithADefiniteAnswer(t *testing.T) {
	t.Parallel()
	for _, m := range movements {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			order := m.prepare(w)
			for i, status := range []int{400, 401, 403, 404, 429} {
				w.Fail(klarnatest.Fault{Operation: m.name, Status: status, Code: "ANY"})
				if err := m.move(w, fmt.Sprint("refused-", i), order, 9000); err == nil {
					t.Fatalf("status %d was taken for success", status)
				}
				if held := reservedOf(w, m.fund, order); len(held) > 0 {
					t.Errorf("after %d %v are still reserved", status, held)
				}
			}
			w.Fail(klarnatest.Fault{Operation: m.name, Cut: true})
			w.Unknown(m.move(w, "doubtful", order, 9000))
			w.Fail(klarnatest.Fault{Operation: m.name, Status: 401}) // our credentials: no word on the attempt before
			_ = m.move(w, "doubtful", order, 9000)
			if held := reservedOf(w, m.fund, order); len(held) != 1 {
				t.Errorf("the outcome is still unknown, but %v are reserved", held)
			}
		})
	}
}

// Something on the way to Klarna gave up waiting, perhaps after it had passed the movement on.
func TestReserve_IsKeptWhileAMovementMayHavePassedAProxyThatGaveUp(t *testing.T) {
	t.Parallel()
	for _, m := range movements {
		for _, fault := range []klarnatest.Fault{
			{Status: 408, Body: blocked}, {Status: 499, NoBody: true}, {Status: 499, NoBody: true, LoseAnswer: true},
		} {
			t.Run(fmt.Sprintf("%s %d made %t", m.name, fault.Status, fault.LoseAnswer), func(t *testing.T) {
				t.Parallel()
				w := New(t, Options{})
				order := m.prepare(w)
				fault.Operation = m.name
				w.Fail(fault)
				w.Unknown(m.move(w, "first", order, 10000))
				if held := reservedOf(w, m.fund, order); len(held) != 1 {
					t.Errorf("%v are reserved", held)
				}
				if err := m.move(w, "second", order, 3000); err == nil {
					t.Error("money that may have moved was moved again")
				}
				w.Must(m.move(w, "first", order, 10000))
				if got := m.moved(w, order); got != 10000 {
					t.Errorf("%d moved at Klarna", got)
				}
			})
		}
	}
}

// What was captured or authorised past the gateway shows in Klarna's figures alone.
func TestReserve_KlarnasOwnFiguresCorrectTheRecord(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	past := w.Client(Shop)
	_, err := past.CaptureOrder(t.Context(), "in-the-portal", order, klarna.CaptureRequest{CapturedAmount: 10000})
	w.Must(err)
	// We know nothing of it yet: Klarna refuses, and the caller is told what is left nevertheless.
	err = capturing(w, "c-1", order, 5000)
	tooMuch(w, err, "CAPTURE_NOT_ALLOWED", 2995, 0)
	var refused *klarna.Error
	if !errors.As(err, &refused) || refused.Code != "CAPTURE_NOT_ALLOWED" {
		t.Errorf("Klarna's own refusal is lost: %v", err)
	}
	// Now it is on record, and nothing that cannot succeed is sent.
	calls := w.Klarna.CallCount("capture")
	tooMuch(w, capturing(w, "c-2", order, 5000), "CAPTURE_NOT_ALLOWED", 2995, 0)
	w.CalledTimes("capture", calls)
	// More was authorised in the portal: a reading finds out before the caller is refused.
	w.Must(past.UpdateAuthorization(t.Context(), "raise", order, klarna.AuthorizationUpdate{OrderAmount: Amount + 5000}))
	w.Must(capturing(w, "c-3", order, 5000))
	// And so it is for refunds.
	_, err = past.RefundOrder(t.Context(), "refund-in-the-portal", order, klarna.RefundRequest{RefundedAmount: 14000})
	w.Must(err)
	tooMuch(w, refunding(w, "r-1", order, 2000), "REFUND_NOT_ALLOWED", 1000, 0)
	w.Must(refunding(w, "r-2", order, 1000))
	if at, payment := w.Order(order), w.Payment(journal.KeyOrder, order); at.Captured != 15000 || at.Refunded != 15000 || payment.RefundedAmount != 15000 {
		t.Errorf("Klarna has captured %d and refunded %d, on record is %d", at.Captured, at.Refunded, payment.RefundedAmount)
	}
}

// A reading that shows the movement of an unknown outcome does not count it twice.
func TestReserve_WhatAReadingHasShownIsNotDeductedTwice(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.LoseAnswer("capture")
	w.Unknown(capturing(w, "c-1", order, 10000))
	_, err := w.Operations.Order(t.Context(), Shop, order, journal.Reconciled)
	w.Must(err)
	w.Must(capturing(w, "c-2", order, 2995))
	w.Klarna.Advance(time.Hour)
	w.Must(capturing(w, "c-1", order, 10000))
	w.CalledTimes("capture", 2) // the record shows the first: nothing is sent again
	if got := w.Order(order); got.Captured != Amount || got.Captures != 2 {
		t.Errorf("Klarna has %d captures of %d together", got.Captures, got.Captured)
	}
}
