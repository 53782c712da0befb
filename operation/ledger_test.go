package operation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// callers runs n calls at once and returns what each got.
func callers[A any](n int, call func(i int) (A, error)) (answers []A, errs []error) {
	answers, errs = make([]A, n), make([]error, n)
	start := make(chan struct{})
	var calling sync.WaitGroup
	for i := range n {
		calling.Go(func() {
			<-start
			answers[i], errs[i] = call(i)
		})
	}
	close(start)
	calling.Wait()
	return answers, errs
}

func TestOnce_ConcurrentRepeatsWaitForTheOneCall(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Delay: 50 * time.Millisecond})
	answers, errs := callers(50, func(int) (operation.MovementAnswer, error) { return capture(w, Request("c-1", "50"), order) })
	for i := range answers {
		if errs[i] != nil || answers[i] != answers[0] || answers[i].ID == "" {
			t.Errorf("caller %d got %+v, %v", i, answers[i], errs[i])
		}
	}
	w.CalledTimes("capture", 1)
}

func TestOnce_ConcurrentRepeatsShareARefusal(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Delay: 100 * time.Millisecond, Status: 403, Code: "CAPTURE_NOT_ALLOWED", Times: 50})
	_, errs := callers(50, func(int) (operation.MovementAnswer, error) { return capture(w, Request("c-1", "50"), order) })
	for i, err := range errs {
		var refused *klarna.Error
		if !errors.As(err, &refused) || refused.Code != "CAPTURE_NOT_ALLOWED" {
			t.Errorf("caller %d got %v", i, err)
		}
	}
	if n := w.Klarna.CallCount("capture"); n > 10 { // those who came after its end ask anew
		t.Errorf("%d calls for 50 callers that came together", n)
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

func TestOnce_RefusesOtherContentWhileTheFirstIsUnderWay(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	release := make(chan struct{})
	first := make(chan error, 1)
	w.Fail(klarnatest.Fault{Operation: "capture", Delay: 200 * time.Millisecond})
	go func() {
		defer close(release)
		_, err := capture(w, Request("c-1", "50"), order)
		first <- err
	}()
	w.Eventually("the first call", func() bool { return w.Klarna.CallCount("capture") == 1 })
	_, err := capture(w, Request("c-1", "51"), order)
	w.Refused(err, "REQUEST_ID_REUSED", "request_id")
	select {
	case <-release:
		t.Error("the refusal came after the first call, not beside it")
	default:
	}
	w.Must(<-first)
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

func TestOnce_WorkGoesOnWhenTheCallerIsGone(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Delay: 100 * time.Millisecond})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := w.Operations.Capture(ctx, Request("c-1", "50"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
		left <- err
	}()
	w.Eventually("the call", func() bool { return w.Klarna.CallCount("capture") == 1 })
	waiting, giveUp := context.WithCancel(t.Context())
	giveUp()
	_, err := w.Operations.Capture(waiting, Request("c-1", "50"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
	if err == nil {
		t.Error("a caller without time got an answer")
	}
	leave()
	w.Must(<-left)
	if got := w.Payment(journal.KeyOrder, order).CapturedAmount; got != 5000 {
		t.Errorf("%d on record as captured", got)
	}
}

func TestOnce_ACallerWhoseTimeRunsOutIsToldToRepeat(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Delay: 300 * time.Millisecond})
	first := make(chan error, 1)
	go func() {
		_, err := capture(w, Request("c-1", "50"), order)
		first <- err
	}()
	w.Eventually("the call", func() bool { return w.Klarna.CallCount("capture") == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := w.Operations.Capture(ctx, Request("c-1", "50"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
	w.Refused(err, "REQUEST_IN_PROGRESS", "")
	var refusal *operation.Refusal
	if errors.As(err, &refusal) && refusal.RetryDelay() <= 0 {
		t.Error("it is not told when to repeat")
	}
	w.Must(<-first)
}

// interrupted puts a request on record as a crash leaves it: open and leased.
func interrupted(w *World, req operation.Request, operationName string) {
	w.T.Helper()
	now := w.Store.Now()
	w.Must(w.Store.Do(w.T.Context(), func(tx store.Tx) error {
		return tx.PutRequest(w.T.Context(), store.Request{
			RequestID: store.RequestID{MerchantAccount: req.MerchantAccount, Operation: operationName, ID: req.ID},
			Caller:    req.Caller, Fingerprint: w.Store.Fingerprint(req.Content), State: store.RequestOpen, FirstSent: now,
			KlarnaKey: operation.IdempotencyKey(req.MerchantAccount, operationName, req.ID), LeasedUntil: now.Add(time.Minute),
		})
	}))
}

func TestOnce_TakesUpAtOnceWhatACrashOfTheOnlyReplicaCutOff(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	interrupted(w, Request("c-1", "50"), "captureOrder")
	made, err := capture(w, Request("c-1", "50"), order)
	if err != nil || made.ID == "" {
		t.Errorf("got %+v, %v", made, err)
	}
}

func TestOnce_WaitsForTheLeaseOfAnotherReplica(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Replicas: true})
	order := w.Placed()
	interrupted(w, Request("c-1", "50"), "captureOrder")
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	_, err := w.Operations.Capture(ctx, Request("c-1", "50"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
	w.Refused(err, "REQUEST_IN_PROGRESS", "")
	w.CalledTimes("capture", 0)
	w.Klarna.Advance(time.Minute)
	_, err = capture(w, Request("c-1", "50"), order)
	w.Must(err)
}

func TestOnce_ReplicasMakeOneCall(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Replicas: true})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Delay: 50 * time.Millisecond})
	replicas := []*operation.Operations{w.Operations, w.Replica(), w.Replica()}
	answers, errs := callers(12, func(i int) (operation.MovementAnswer, error) {
		return replicas[i%3].Capture(t.Context(), Request("c-1", "50"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
	})
	for i := range answers {
		if errs[i] != nil || answers[i] != answers[0] {
			t.Errorf("caller %d got %+v, %v", i, answers[i], errs[i])
		}
	}
	w.CalledTimes("capture", 1)
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
