package server

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// step is a response of either watch, as tests look at it.
type step struct {
	token string
	event proto.Message // a PaymentEvent or an AccountEvent
	id    string        // of the event
	at    int64         // position of the event or the snapshot
	mark  string        // "bookmark", "snapshot_end", or the reason of a stream end
	whole proto.Message
}

func (s step) payment() *gatewayv1.Payment { return s.event.(*gatewayv1.PaymentEvent).GetPayment() }

// watching is an open watch.
type watching struct {
	t      *testing.T
	recv   func() (step, error)
	cancel context.CancelFunc
}

// watchPayments opens a watch, which ends with the test.
func (f *face) watchPayments(req *gatewayv1.WatchPaymentStatusRequest) *watching {
	f.t.Helper()
	return f.watchPaymentsIn(f.t.Context(), req)
}

func (f *face) watchPaymentsIn(ctx context.Context, req *gatewayv1.WatchPaymentStatusRequest) *watching {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	f.t.Cleanup(cancel)
	stream, err := f.payments.WatchPaymentStatus(ctx, req)
	must(f.t, err)
	return &watching{t: f.t, cancel: cancel, recv: func() (step, error) {
		res, err := stream.Recv()
		if err != nil {
			return step{}, err
		}
		got := step{token: res.GetResumeToken(), whole: res}
		switch m := res.GetMessage().(type) {
		case *gatewayv1.WatchPaymentStatusResponse_Event:
			got.event, got.id, got.at = m.Event, m.Event.GetEventId(), m.Event.GetPosition()
		default:
			got.mark, got.at = mark(res.GetBookmark(), res.GetSnapshotEnd(), res.GetStreamEnd())
		}
		return got, nil
	}}
}

// watchAccounts opens a watch, which ends with the test.
func (f *face) watchAccounts(req *gatewayv1.WatchAccountStateRequest) *watching {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	f.t.Cleanup(cancel)
	stream, err := f.partners.WatchAccountState(ctx, req)
	must(f.t, err)
	return &watching{t: f.t, cancel: cancel, recv: func() (step, error) {
		res, err := stream.Recv()
		if err != nil {
			return step{}, err
		}
		got := step{token: res.GetResumeToken(), whole: res}
		switch m := res.GetMessage().(type) {
		case *gatewayv1.WatchAccountStateResponse_Event:
			got.event, got.id, got.at = m.Event, m.Event.GetEventId(), m.Event.GetPosition()
		default:
			got.mark, got.at = mark(res.GetBookmark(), res.GetSnapshotEnd(), res.GetStreamEnd())
		}
		return got, nil
	}}
}

func mark(bookmark *gatewayv1.Bookmark, snapshotEnd *gatewayv1.SnapshotEnd, end *gatewayv1.StreamEnd) (string, int64) {
	switch {
	case bookmark != nil:
		return "bookmark", 0
	case snapshotEnd != nil:
		return "snapshot_end", snapshotEnd.GetPosition()
	}
	return strings.TrimPrefix(end.GetReason().String(), "REASON_"), 0
}

// next is the next response.
func (w *watching) next() step {
	w.t.Helper()
	got, err := w.recv()
	must(w.t, err)
	return got
}

// event is the next event; bookmarks and the end of the snapshot are passed over.
func (w *watching) event() step {
	w.t.Helper()
	for {
		got := w.next()
		if got.event != nil {
			return got
		}
		if got.mark != "bookmark" && got.mark != "snapshot_end" {
			w.t.Fatalf("the watch ended with %s", got.mark)
		}
	}
}

// caughtUp is everything from the opening bookmark to the bookmark that says there is no more now.
func (w *watching) caughtUp() (all []step) {
	w.t.Helper()
	all = append(all, w.next())
	if all[0].mark != "bookmark" {
		w.t.Fatalf("the watch opened with %v, want a bookmark at once", all[0].whole)
	}
	for {
		got := w.next()
		all = append(all, got)
		if got.mark == "bookmark" {
			return all
		}
	}
}

// ending is everything up to the end of the stream, which has to be a stream end.
func (w *watching) ending() (all []step) {
	w.t.Helper()
	for {
		got, err := w.recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(w.t, err)
		if n := len(all); n > 0 && all[n-1].mark != "" && all[n-1].mark != "bookmark" && all[n-1].mark != "snapshot_end" {
			w.t.Fatalf("%v came behind the stream end", got.whole)
		}
		all = append(all, got)
	}
}

// content names the steps that are not bookmarks.
func content(steps []step) (all []string) {
	for _, s := range steps {
		switch {
		case s.event != nil:
			all = append(all, s.id)
		case s.mark != "bookmark":
			all = append(all, s.mark)
		}
	}
	return all
}

func fromStart(start gatewayv1.WatchStart) *gatewayv1.WatchPaymentStatusRequest_Start {
	return &gatewayv1.WatchPaymentStatusRequest_Start{Start: start}
}

func fromToken(token string) *gatewayv1.WatchPaymentStatusRequest_ResumeToken {
	return &gatewayv1.WatchPaymentStatusRequest_ResumeToken{ResumeToken: token}
}

// resumed is a watch request that goes on behind a token.
func resumed(req *gatewayv1.WatchPaymentStatusRequest, token string) *gatewayv1.WatchPaymentStatusRequest {
	again := proto.CloneOf(req)
	again.From = fromToken(token)
	return again
}
