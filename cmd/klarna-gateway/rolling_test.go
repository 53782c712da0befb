package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"payments.internal/klarna-gateway/client"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// An upgrade, one replica after the other: each ends and another takes its place, while a watch is open and callers call.
// Callers repeat with the same request id, the watch goes on by its token; nothing is lost, doubled or out of order.
func TestReplicas_RestartedOneAfterTheOtherUnderAWatch(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, postgrestest.URL(t), nil)
	f.shop(func(klarna http.Handler) http.Handler { return klarna })
	f.manAll()
	conn := must[*grpc.ClientConn](t)(grpc.NewClient("passthrough:///gateway", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { // as a balancer in front of them
			p := f.living()
			if p == nil {
				return nil, errors.New("no gateway lives")
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", p.grpc)
		})))
	t.Cleanup(func() { _ = conn.Close() })
	payments := gatewayv1.NewPaymentServiceClient(conn)

	ctx, stop := context.WithCancel(t.Context())
	seen, over := make(chan string, 1000), make(chan error, 1)
	go func() {
		var last error
		request := &gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST}}
		for event, err := range client.New(conn, client.Options{}).WatchPayments(ctx, request) {
			if err != nil {
				last = err
				break
			}
			seen <- event.GetEventId()
		}
		over <- last
	}()

	open := func(reference string) {
		t.Helper()
		request := sessionRequest(reference, gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)
		var err error
		until(t, reference, func() bool {
			_, err = payments.CreatePaymentSession(t.Context(), request)
			return status.Code(err) != codes.Unavailable
		})
		if err != nil {
			t.Fatalf("%s: %v", reference, err)
		}
	}
	open("SO-before")
	for i, references := range [][3]string{{"SO-1a", "SO-1b", "SO-1c"}, {"SO-2a", "SO-2b", "SO-2c"}} {
		p := f.members[i].Load()
		p.signal(syscall.SIGTERM)
		open(references[0]) // while it drains
		select {
		case <-p.ended:
		case <-time.After(patience):
			t.Fatal("the gateway does not end")
		}
		if p.err != nil {
			t.Errorf("it ended with %v\n%s", p.err, p.log.String())
		}
		open(references[1]) // while one is away
		f.man(i)
		open(references[2])
	}

	kept := must[*gatewayv1.ListPaymentEventsResponse](t)(payments.ListPaymentEvents(t.Context(), &gatewayv1.ListPaymentEventsRequest{PageSize: 500})).GetEvents()
	var want, got []string
	for _, ev := range kept {
		want = append(want, ev.GetEventId())
	}
	if len(want) != 7 {
		t.Errorf("%d sessions are on record, 7 were opened", len(want))
	}
	until(t, "the watch to have all", func() bool {
		for {
			select {
			case id := <-seen:
				got = append(got, id)
			default:
				return len(got) >= len(want)
			}
		}
	})
	if !slices.Equal(got, want) {
		t.Errorf("the watch had %v, the log has %v", got, want)
	}
	stop()
	if err := <-over; err != nil && !errors.Is(err, context.Canceled) && status.Code(err) != codes.Canceled {
		t.Errorf("the watch ended with %v", err)
	}
	f.dismiss()
}
