// Package client watches a gateway from Go. It is for services that shall not have to know what resuming takes:
//
//	for event, err := range watcher.WatchPayments(ctx, &gatewayv1.WatchPaymentStatusRequest{…}) {
//
// goes on through restarts, drained instances and broken connections, and gives every event once, in order.
package client

import (
	"context"
	"fmt"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// Options of a Client. Zero fields have the defaults that are named.
type Options struct {
	// FirstDelay and LongestDelay bound the pause before a broken watch is opened again: it doubles from the first to the
	// longest, and half of it is random. 0 means 100 ms and 10 s. Where the gateway says how long to wait, that counts.
	FirstDelay, LongestDelay time.Duration
	// Silence is how long nothing may come, not even a heartbeat, before the connection is taken for dead; 0 means 45 s,
	// three heartbeats.
	Silence time.Duration
	// SnapshotIfTrimmed begins with a snapshot where the log no longer reaches back to the token, instead of ending with a
	// TrimmedError. What happened in between is then told by the newest event of each subject alone.
	SnapshotIfTrimmed bool
	// Progress hears of every token, also those of heartbeats: whoever keeps them goes on from there. It is called between
	// two events, on the goroutine that iterates; a token comes once all events before it were taken.
	Progress func(Progress)
}

// Progress is how far a watch has come.
type Progress struct {
	ResumeToken string
	// HeadPosition is the newest position of the log where a heartbeat told it; 0 otherwise.
	HeadPosition int64
}

// Client watches. It may be used by many goroutines at once.
type Client struct {
	payments gatewayv1.PaymentServiceClient
	partners gatewayv1.PartnerServiceClient
	options  Options
}

// New returns a Client over a connection, which stays the caller's.
func New(conn grpc.ClientConnInterface, options Options) *Client {
	or := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	or(&options.FirstDelay, 100*time.Millisecond)
	or(&options.LongestDelay, 10*time.Second)
	or(&options.Silence, 45*time.Second)
	return &Client{gatewayv1.NewPaymentServiceClient(conn), gatewayv1.NewPartnerServiceClient(conn), options}
}

// PaymentEvent is what became of a payment, and the token that continues behind it.
type PaymentEvent struct {
	*gatewayv1.PaymentEvent
	ResumeToken string
}

// AccountEvent is what became of a partner account, and the token that continues behind it.
type AccountEvent struct {
	*gatewayv1.AccountEvent
	ResumeToken string
}

// TrimmedError says that the log no longer reaches back to where the watch was: events may have been missed. Begin again
// with a snapshot, or see Options.SnapshotIfTrimmed.
type TrimmedError struct {
	// OldestPosition is the first position that a watch can still begin with; 0 if the gateway did not tell.
	OldestPosition int64
	status         error
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("the log begins at position %d, events may have been missed: %v", e.OldestPosition, e.status)
}

// Unwrap is the gateway's status.
func (e *TrimmedError) Unwrap() error { return e.status }

// EndedError says that the gateway ended the watch for a reason that going on would not change.
type EndedError struct{ Reason gatewayv1.StreamEnd_Reason }

func (e *EndedError) Error() string { return "the gateway ended the watch: " + e.Reason.String() }

// WatchPayments yields the events that the request selects, from where its start or resume token says: each once, in
// order, without a gap. It ends without an error where the request's until… says; with one when ctx ends, when the
// gateway refuses the request, with a TrimmedError, or with an EndedError. Anything else is gone through: the watch is
// opened again, behind the last event. The request is not changed.
func (c *Client) WatchPayments(ctx context.Context, req *gatewayv1.WatchPaymentStatusRequest) iter.Seq2[PaymentEvent, error] {
	return watch(ctx, c.options, source[PaymentEvent, *gatewayv1.WatchPaymentStatusResponse]{
		open: func(ctx context.Context, from from) (receiver[*gatewayv1.WatchPaymentStatusResponse], error) {
			one := proto.CloneOf(req)
			switch {
			case from.token != "":
				one.From = &gatewayv1.WatchPaymentStatusRequest_ResumeToken{ResumeToken: from.token}
			case from.snapshot:
				one.From = &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_SNAPSHOT}
			}
			return c.payments.WatchPaymentStatus(ctx, one)
		},
		event: func(res *gatewayv1.WatchPaymentStatusResponse) (PaymentEvent, int64, bool) {
			ev := res.GetEvent()
			return PaymentEvent{ev, res.GetResumeToken()}, ev.GetPosition(), ev != nil
		},
	})
}

// WatchAccounts does for partner accounts what WatchPayments does for payments.
func (c *Client) WatchAccounts(ctx context.Context, req *gatewayv1.WatchAccountStateRequest) iter.Seq2[AccountEvent, error] {
	return watch(ctx, c.options, source[AccountEvent, *gatewayv1.WatchAccountStateResponse]{
		open: func(ctx context.Context, from from) (receiver[*gatewayv1.WatchAccountStateResponse], error) {
			one := proto.CloneOf(req)
			switch {
			case from.token != "":
				one.From = &gatewayv1.WatchAccountStateRequest_ResumeToken{ResumeToken: from.token}
			case from.snapshot:
				one.From = &gatewayv1.WatchAccountStateRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_SNAPSHOT}
			}
			return c.partners.WatchAccountState(ctx, one)
		},
		event: func(res *gatewayv1.WatchAccountStateResponse) (AccountEvent, int64, bool) {
			ev := res.GetEvent()
			return AccountEvent{ev, res.GetResumeToken()}, ev.GetPosition(), ev != nil
		},
	})
}
