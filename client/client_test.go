package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"payments.internal/klarna-gateway/client"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// brisk is a client's haste in tests.
var brisk = client.Options{FirstDelay: time.Millisecond, LongestDelay: 50 * time.Millisecond}

func begin(start gatewayv1.WatchStart) *gatewayv1.WatchPaymentStatusRequest {
	return &gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: start}}
}

// TestWatchPayments_GoesThroughRestarts has one watch live through gateways that are drained and killed while events
// are recorded.
func TestWatchPayments_GoesThroughRestarts(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	const events = 120
	var progress atomic.Int64
	options := brisk
	options.Progress = func(p client.Progress) {
		if p.ResumeToken == "" {
			t.Error("progress without a token")
		}
		progress.Add(1)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := range events {
			g.record("pay-1", n)
			if n%30 == 20 { // half of them kindly
				g.stop(time.Duration(n%60) * time.Second / 20)
				g.record("pay-2", n)
				g.start()
			}
		}
	}()
	want := 0
	for event, err := range client.New(g.dial(), options).WatchPayments(ctx, begin(gatewayv1.WatchStart_WATCH_START_EARLIEST)) {
		if err != nil {
			t.Fatal(err)
		}
		if event.ResumeToken == "" {
			t.Error("an event without a token")
		}
		if event.GetPayment().GetSessionId() != "pay-1" {
			continue
		}
		if id := fmt.Sprint("pay-1-", want); event.GetEventId() != id {
			t.Fatalf("got %s, want %s", event.GetEventId(), id)
		}
		if want++; want == events {
			break
		}
	}
	<-written
	if want != events {
		t.Errorf("%d of %d events came", want, events)
	}
	if progress.Load() < events {
		t.Errorf("progress was told %d times", progress.Load())
	}
}

func TestWatchPayments_TellsOfTrimmedHistory(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *store.Config) { cfg.TailCount = 1 })
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	for n := range 6 {
		g.record("pay-1", n)
	}
	conn := g.dial()
	token := ""
	for event, err := range client.New(conn, brisk).WatchPayments(ctx, begin(gatewayv1.WatchStart_WATCH_START_EARLIEST)) {
		must(t, err)
		token = event.ResumeToken
		break
	}
	must(t, g.store.Trim(ctx, 4))
	behind := &gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_ResumeToken{ResumeToken: token}}

	var trimmed *client.TrimmedError
	for _, err := range client.New(conn, brisk).WatchPayments(ctx, behind) {
		if !errors.As(err, &trimmed) || trimmed.OldestPosition != 5 || status.Code(err) != codes.OutOfRange {
			t.Errorf("got %v", err)
		}
	}
	options := brisk
	options.SnapshotIfTrimmed = true
	for event, err := range client.New(conn, options).WatchPayments(ctx, behind) {
		must(t, err)
		if event.GetEventId() != "pay-1-5" {
			t.Errorf("the snapshot begins with %s", event.GetEventId())
		}
		break
	}
}

func TestWatchPayments_EndsWhereItIsToldAndWhereNothingHelps(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	g.record("pay-1", 0)
	c := client.New(g.dial(), brisk)
	until := begin(gatewayv1.WatchStart_WATCH_START_SNAPSHOT)
	until.UntilStates = []gatewayv1.Payment_State{gatewayv1.Payment_STATE_SESSION_CREATED}
	seen := 0
	for _, err := range c.WatchPayments(ctx, until) {
		must(t, err)
		seen++
	}
	if seen != 1 {
		t.Errorf("%d events came", seen)
	}
	errs := 0
	for _, err := range c.WatchPayments(ctx, &gatewayv1.WatchPaymentStatusRequest{}) {
		if errs++; status.Code(err) != codes.InvalidArgument {
			t.Errorf("a request without a start: %v", err)
		}
	}
	if errs != 1 {
		t.Errorf("%d errors came", errs)
	}
	enough := errors.New("enough")
	ctx, stop := context.WithCancelCause(ctx)
	stop(enough)
	for _, err := range c.WatchPayments(ctx, begin(gatewayv1.WatchStart_WATCH_START_NOW)) {
		if !errors.Is(err, enough) {
			t.Errorf("ended with %v", err)
		}
	}
}

// TestWatchPayments_GivesUpAStreamThatIsSilent watches a gateway whose heartbeats come too seldom.
func TestWatchPayments_GivesUpAStreamThatIsSilent(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *store.Config) { cfg.Heartbeat = time.Hour })
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	tokens := 0
	options := brisk
	options.Silence = 20 * time.Millisecond
	options.Progress = func(client.Progress) {
		if tokens++; tokens == 7 { // two a stream: it was opened four times
			g.record("pay-1", 0)
		}
	}
	for event, err := range client.New(g.dial(), options).WatchPayments(ctx, begin(gatewayv1.WatchStart_WATCH_START_NOW)) {
		must(t, err)
		if event.GetEventId() != "pay-1-0" {
			t.Errorf("got %s", event.GetEventId())
		}
		return
	}
	t.Error("nothing came")
}

func TestWatchAccounts_TellsOfAccounts(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	_, err := g.journal.RecordAccount(ctx, journal.AccountFact{
		EventID: "acc-1", MerchantAccount: "acquirer", AccountID: "krn:1", Cause: journal.Call, At: g.store.Now(),
	})
	must(t, err)
	req := &gatewayv1.WatchAccountStateRequest{From: &gatewayv1.WatchAccountStateRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_SNAPSHOT}}
	for event, err := range client.New(g.dial(), brisk).WatchAccounts(ctx, req) {
		must(t, err)
		if event.GetEventId() != "acc-1" || event.ResumeToken == "" {
			t.Errorf("got %v", event)
		}
		return
	}
}
