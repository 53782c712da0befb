package operation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// capture claims 50.00 EUR of an order for a request.
func capture(w *World, req operation.Request, orderID string) (operation.MovementAnswer, error) {
	return w.Operations.Capture(w.T.Context(), req, orderID, "EUR", klarna.CaptureRequest{CapturedAmount: 5000, Reference: req.ID})
}

func TestIdempotencyKey_NeverChanges(t *testing.T) {
	t.Parallel()
	const want = "cb1ac793-551e-5c42-a645-0b61e758e9c9"
	if got := operation.IdempotencyKey("nordlicht-de", "captureOrder", "f3c1f4f0-0d66-4f5a-8f0e-3d6a52a1c9b7"); got != want {
		t.Errorf("key %s, want %s: a repeat after an upgrade would be a second capture", got, want)
	}
	seen := map[string]bool{}
	for _, parts := range [][3]string{{"a", "b", "c"}, {"x", "b", "c"}, {"a", "x", "c"}, {"a", "b", "x"}} {
		seen[operation.IdempotencyKey(parts[0], parts[1], parts[2])] = true
	}
	if len(seen) != 4 {
		t.Error("merchant account, operation and request_id do not all count")
	}
}

func TestOnce_AnswersARepeatFromTheRecordAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	first, err := capture(w, Request("c-1", "50"), order)
	w.Must(err)
	for _, restart := range []bool{false, true} {
		if restart {
			w.Reopen()
		}
		again, err := capture(w, Request("c-1", "50"), order)
		w.Must(err)
		if again != first {
			t.Errorf("a repeat (after a restart: %t) got %+v, the first %+v", restart, again, first)
		}
	}
	w.CalledTimes("capture", 1)
	if got := w.Order(order); got.Captures != 1 || got.Captured != 5000 {
		t.Errorf("Klarna has %d captures of %d", got.Captures, got.Captured)
	}
}

func TestOnce_RefusesOtherContentUnderTheSameID(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	_, err := capture(w, Request("c-1", "50"), order)
	w.Must(err)
	_, err = capture(w, Request("c-1", "51"), order)
	w.Refused(err, "REQUEST_ID_REUSED", "request_id")
	w.CalledTimes("capture", 1)
	_, err = w.Operations.Refund(t.Context(), Request("c-1", "51"), order, "EUR", klarna.RefundRequest{RefundedAmount: 100})
	if err != nil {
		t.Errorf("the id was used for another operation only, but: %v", err)
	}
}

func TestOnce_TellsAnotherCallerNothing(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	made, err := capture(w, Request("c-1", "50"), order)
	w.Must(err)
	stranger := Request("c-1", "50")
	stranger.Caller = "someone-else"
	answer, err := capture(w, stranger, order)
	w.Refused(err, "REQUEST_ID_OF_ANOTHER_CALLER", "")
	if answer != (operation.MovementAnswer{}) || strings.Contains(err.Error(), made.ID) || strings.Contains(err.Error(), order) {
		t.Errorf("another caller got %+v, %v", answer, err)
	}
	w.CalledTimes("capture", 1)
}

func TestOnce_ARefusedRequestMayBeCorrectedUnderTheSameIDAndKey(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Status: 400})
	_, err := capture(w, Request("c-1", "50"), order)
	var refused *klarna.Error
	if !errors.As(err, &refused) || refused.Status != 400 {
		t.Fatalf("want Klarna's 400, got %v", err)
	}
	made, err := capture(w, Request("c-1", "corrected"), order)
	if err != nil || made.ID == "" {
		t.Errorf("corrected: %+v, %v", made, err)
	}
	w.SameKey("capture")
	_, err = capture(w, Request("c-1", "50"), order)
	w.Refused(err, "REQUEST_ID_REUSED", "request_id")
}

func TestOnce_WhatWeRefuseBeforeSendingMayBeCorrectedMoreThanOnce(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	for _, currency := range []string{"SEK", "NOK"} {
		_, err := w.Operations.Capture(t.Context(), Request("c-1", currency), order, currency, klarna.CaptureRequest{CapturedAmount: 5000})
		w.Refused(err, "INVALID_FIELD", "amount.currency_code")
	}
	w.CalledTimes("capture", 0)
	_, err := capture(w, Request("c-1", "EUR"), order)
	w.Must(err)
}

func TestOnce_OtherContentIsRefusedWhileTheOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.LoseAnswer("capture")
	_, err := capture(w, Request("c-1", "50"), order)
	w.Unknown(err)
	_, err = capture(w, Request("c-1", "51"), order)
	w.Refused(err, "REQUEST_ID_REUSED", "request_id")
}

func TestOnce_ALostAnswerIsLearnedByARepeat(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, c := range []struct {
		operation string // at Klarna
		prepare   func(w *World) (subject string)
		call      func(w *World, subject string) (answer any, err error)
		effects   func(w *World, subject string) int
	}{
		{"capture", (*World).Placed, func(w *World, order string) (any, error) {
			return capture(w, Request("r-1", "x"), order)
		}, func(w *World, order string) int { return w.Order(order).Captures }},
		{"refund", func(w *World) string {
			order := w.Placed()
			_, err := capture(w, Request("c-1", "50"), order)
			w.Must(err)
			return order
		}, func(w *World, order string) (any, error) {
			return w.Operations.Refund(ctx, Request("r-1", "x"), order, "EUR", klarna.RefundRequest{RefundedAmount: 100, Reference: "r-1"})
		}, func(w *World, order string) int { return w.Order(order).Refunds }},
		{"cancelOrder", (*World).Placed, func(w *World, order string) (any, error) {
			return nil, w.Operations.CancelOrder(ctx, Request("r-1", "x"), order)
		}, func(w *World, order string) int {
			if w.Order(order).Status == "CANCELLED" && w.Payment(journal.KeyOrder, order).State == journal.Cancelled {
				return 1
			}
			return 0
		}},
		{"acknowledge", (*World).Checkout, func(w *World, order string) (any, error) {
			return nil, w.Operations.Acknowledge(ctx, Shop, order)
		}, func(w *World, order string) int {
			if w.Order(order).Acknowledged && w.Payment(journal.KeyOrder, order).Acknowledged {
				return 1
			}
			return 0
		}},
		{"onboard", func(*World) string { return "mrc-000482" }, func(w *World, reference string) (any, error) {
			return w.Operations.Onboard(ctx, AcquirerRequest("r-1", "x"), Onboarding(reference))
		}, func(w *World, reference string) int { return len(w.Events(store.Accounts)) }},
	} {
		t.Run(c.operation, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			subject := c.prepare(w)
			w.LoseAnswer(c.operation)
			_, err := c.call(w, subject)
			w.Unknown(err)
			first, err := c.call(w, subject)
			w.Must(err)
			again, err := c.call(w, subject)
			w.Must(err)
			if fmt.Sprint(first) != fmt.Sprint(again) {
				t.Errorf("the repeats got %v and %v", first, again)
			}
			w.CalledTimes(c.operation, 2)
			w.SameKey(c.operation)
			if n := c.effects(w, subject); n != 1 {
				t.Errorf("%d effects, want one", n)
			}
		})
	}
}

func TestOnce_ACallThatWasCutOffOnTheWayIsMadeByTheRepeat(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Cut: true})
	_, err := capture(w, Request("c-1", "50"), order)
	w.Unknown(err)
	if got := w.Order(order).Captures; got != 0 {
		t.Fatalf("%d captures by a call that was cut off", got)
	}
	_, err = capture(w, Request("c-1", "50"), order)
	w.Must(err)
	w.SameKey("capture")
}

// failing is an engine that cannot commit at times.
type failing struct {
	store.Engine
	now func() bool
}

func (f failing) Commit(ctx context.Context, units []func(store.Tx) error) []error {
	if f.now() {
		return slices.Repeat([]error{errors.New("disk is full")}, len(units))
	}
	return f.Engine.Commit(ctx, units)
}

func TestOnce_IfTheAnswerCannotBeRecordedARepeatGetsIt(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	var w *World
	w = New(t, Options{Engine: func(e store.Engine) store.Engine {
		return failing{e, func() bool { return full.Load() && w.Klarna.CallCount("capture") > 0 }}
	}})
	order := w.Placed()
	full.Store(true)
	_, err := capture(w, Request("c-1", "50"), order)
	w.Unknown(err)
	full.Store(false)
	made, err := capture(w, Request("c-1", "50"), order)
	if err != nil || made.ID == "" {
		t.Errorf("the repeat got %+v, %v", made, err)
	}
	w.SameKey("capture")
	if got := w.Order(order).Captures; got != 1 {
		t.Errorf("%d captures", got)
	}
}

func TestOperations_RefuseAnAccountThatCannotDoIt(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	req := Request("c-1", "50")
	req.MerchantAccount = "nowhere"
	_, err := capture(w, req, "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417")
	w.Refused(err, "MERCHANT_ACCOUNT_UNKNOWN", "")
	_, err = capture(w, AcquirerRequest("c-1", "50"), "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417")
	w.Refused(err, "MERCHANT_ACCOUNT_UNSUITABLE", "")
}
