package operation_test

import (
	"context"
	"errors"
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

// outOfTime makes a call with little time, and with more where it was too little to come to the waiting.
func outOfTime(t *testing.T, call func(context.Context) error) (err error) {
	for limit := 100 * time.Microsecond; limit < 10*time.Second; limit *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err = call(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	return err
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
	w.Fail(klarnatest.Fault{Operation: "capture", Delay: 2 * time.Second})
	first := make(chan error, 1)
	go func() {
		_, err := capture(w, Request("c-1", "50"), order)
		first <- err
	}()
	w.Eventually("the call", func() bool { return w.Klarna.CallCount("capture") == 1 })
	err := outOfTime(t, func(ctx context.Context) error {
		_, err := w.Operations.Capture(ctx, Request("c-1", "50"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
		return err
	})
	w.Refused(err, "REQUEST_IN_PROGRESS", "")
	var refusal *operation.Refusal
	if errors.As(err, &refusal) && refusal.RetryDelay() <= 0 {
		t.Error("it is not told when to repeat")
	}
	w.Must(<-first)
}

// However little time it has beside another's call, and wherever it runs out: a caller is told to repeat.
func TestOnce_ACallerWithoutTimeBesideAnothersCallIsToldToRepeat(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Delay: 2 * time.Second})
	first := make(chan error, 1)
	go func() {
		_, err := capture(w, Request("c-1", "50"), order)
		first <- err
	}()
	w.Eventually("the call", func() bool { return w.Klarna.CallCount("capture") == 1 })
	none, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.Operations.Capture(none, Request("c-1", "50"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
	w.Refused(err, "REQUEST_IN_PROGRESS", "")
	w.Must(<-first)
}

// The time runs out while it looks again whether another replica is done.
func TestOnce_ACallerWhoseTimeRunsOutWhileItLooksAgainIsToldToRepeat(t *testing.T) {
	t.Parallel()
	var looks atomic.Int32
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	w := New(t, Options{Replicas: true, Engine: func(e store.Engine) store.Engine {
		return failing{e, func() bool {
			if looks.Add(-1) != 0 {
				return false
			}
			leave()
			return true
		}}
	}})
	order := w.Placed()
	interrupted(w, Request("c-1", "50"), "captureOrder")
	looks.Store(2)
	_, err := w.Operations.Capture(ctx, Request("c-1", "50"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
	w.Refused(err, "REQUEST_IN_PROGRESS", "")
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
	err := outOfTime(t, func(ctx context.Context) error {
		_, err := w.Operations.Capture(ctx, Request("c-1", "50"), order, "EUR", klarna.CaptureRequest{CapturedAmount: 5000})
		return err
	})
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
