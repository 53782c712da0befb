package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// retold is what an event's line says of it.
type retold struct{ EventID, Position, Kind string }

// retoldIn reads lines of JSON.
func retoldIn(t *testing.T, out string) (all []retold) {
	t.Helper()
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		var one retold
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		all = append(all, one)
	}
	return all
}

// A consumer that lost something gets it again, as a watch would have told it, of payments and of accounts.
func TestOperator_ReadsTheLogAgainFromAnyPlace(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	walker := travel(t, l)
	if err := walker.onboarding(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := walker.payNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := l.gateway.grpcListener.Addr().String()
	tail := func(args ...string) (string, error) {
		out, _, err := operates(t, "", append([]string{"events", "tail", "-address", at, "-o", "json"}, args...)...)
		return out, err
	}
	kept := must[*gatewayv1.ListPaymentEventsResponse](t)(walker.payments.ListPaymentEvents(t.Context(), &gatewayv1.ListPaymentEventsRequest{PageSize: 500})).GetEvents()
	var want []retold
	for _, ev := range kept {
		want = append(want, retold{ev.GetEventId(), fmt.Sprint(ev.GetPosition()), ev.GetKind().String()})
	}
	first, last := want[0].Position, want[len(want)-1].Position
	live, err := tail("-start", "earliest", "-until", "captured")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := tail("-from", first, "-until", last)
	if err != nil || !slices.Equal(retoldIn(t, stored), want) {
		t.Errorf("%v\n%s", err, stored)
	}
	if !strings.HasPrefix(stored, live) {
		t.Errorf("the log says otherwise than the watch did:\n%s\n%s", stored, live)
	}
	for _, tc := range []struct {
		name string
		args []string
		want []retold
	}{
		{"a part", []string{"-from", want[1].Position, "-until", want[2].Position}, want[1:3]},
		{"until a state", []string{"-from", first, "-until", "authorized"}, want[:slices.IndexFunc(want, func(e retold) bool { return strings.HasSuffix(e.Kind, "_AUTHORIZED") })+1]},
		{"of an order", []string{"-from", first, "-until", last, "-order", "none"}, nil},
		{"by time", []string{"-from", "2020-01-01T00:00:00Z", "-until", "2020-01-02T00:00:00Z"}, nil},
	} {
		out, err := tail(tc.args...)
		if got := retoldIn(t, out); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, error %v, want %v", tc.name, got, err, tc.want)
		}
	}
	accounts, err := tail("-stream", "account", "-from", "1", "-until", last)
	if got := retoldIn(t, accounts); err != nil || len(got) < 2 || got[0].Kind != "ACCOUNT_EVENT_KIND_ONBOARDED" {
		t.Errorf("accounts: %v\n%s", err, accounts)
	}
	listed := printed[[]struct{ Stream string }](t, "events", "list", "-stream", "account", "-newest", "-limit", "1", "-address", at)
	if len(listed) != 1 || listed[0].Stream != "account" {
		t.Errorf("listed: %v", listed)
	}
	// What is on record is known, however often somebody has it taken in again.
	again := printed[[]struct{ EventID, Outcome string }](t, "events", "replay", "-from", "1", "-address", at)
	if len(again) < 2 || slices.ContainsFunc(again, func(e struct{ EventID, Outcome string }) bool { return e.Outcome != "OUTCOME_ON_RECORD" }) {
		t.Errorf("taken in again: %v", again)
	}
	if after := must[*gatewayv1.ListPaymentEventsResponse](t)(walker.payments.ListPaymentEvents(t.Context(), &gatewayv1.ListPaymentEventsRequest{PageSize: 500})); len(after.GetEvents()) != len(kept) {
		t.Errorf("%d events, %d before", len(after.GetEvents()), len(kept))
	}
}

// Without an end the log is followed.
func TestOperator_FollowsTheLogFromAPosition(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	walker := travel(t, l)
	at := l.gateway.grpcListener.Addr().String()
	var out, errOut output
	stop := background(t, &out, &errOut, "events", "tail", "-from", "1", "-address", at)
	for _, reference := range []string{"SO-1", "SO-2"} {
		if _, err := walker.payments.CreatePaymentSession(t.Context(), sessionRequest(reference, gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)); err != nil {
			t.Fatal(err)
		}
		until(t, reference, func() bool { return strings.Contains(out.String(), reference) })
	}
	if err := l.gateway.store.Trim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, _, err := operates(t, "", "events", "tail", "-from", "2", "-until", "3", "-address", at); err == nil || !strings.Contains(err.Error(), "trimmed up to 2") {
		t.Errorf("of what is gone: %v", err)
	}
	if err := stop(); err != nil || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%v\n%s%s", err, out.String(), errOut.String())
	}
}

func TestOperator_RefusesPlacesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ args, want string }{
		{"events tail -from yesterday", `"yesterday" is no position`},
		{"events tail -from -3h", "is no position"},
		{"events tail -until 17", "goes with -from"},
		{"events tail -until soon", "no state of a payment"},
		{"events tail -from 1 -resume x", "none of the others can be"},
		{"events tail -from 1 -order a,b", "one payment or account at a time"},
		{"events tail -stream account -order a", "-order"},
		{"events tail -stream all", "one of payment, account"},
		{"events list -order a -session b", "none of the others can be"},
		{"events replay", "name a quarantined post"},
		{"events replay 17 -from 3", "name a quarantined post"},
		{"events replay -until 3", "name a quarantined post"},
	} {
		_, _, err := operates(t, "", append(strings.Fields(tc.args), "-address", "127.0.0.1:1", "-timeout", "5s")...)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.args, err, tc.want)
		}
	}
}

// tailed stands between a tail and the gateway, and is called before each page but the first.
type tailed struct {
	gatewayv1.UnimplementedOperatorServiceServer
	gateway gatewayv1.OperatorServiceClient
	pages   atomic.Int32
	before  func()
}

func (s *tailed) ListEvents(ctx context.Context, req *gatewayv1.ListEventsRequest) (*gatewayv1.ListEventsResponse, error) {
	if s.pages.Add(1) == 2 {
		s.before()
	}
	return s.gateway.ListEvents(ctx, req)
}

// What is trimmed before a tail comes to it is told: it does not go on as if nothing had been there.
func TestOperator_ATailThatFallsBehindTheLogSaysSo(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	walker := travel(t, l)
	session := func(reference string) {
		if _, err := walker.payments.CreatePaymentSession(t.Context(), sessionRequest(reference, gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)); err != nil {
			t.Error(err)
		}
	}
	session("SO-1")
	conn, err := grpc.NewClient(l.gateway.grpcListener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	between := grpc.NewServer()
	gatewayv1.RegisterOperatorServiceServer(between, &tailed{gateway: gatewayv1.NewOperatorServiceClient(conn), before: func() {
		session("SO-2")
		session("SO-3")
		if err := l.gateway.store.Trim(t.Context(), 4); err != nil {
			t.Error(err)
		}
	}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = between.Serve(listener) }()
	defer between.Stop()
	out, _, err := operates(t, "", "events", "tail", "-from", "1", "-until", "4", "-address", listener.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "positions 3 to 4") || strings.Count(out, "\n") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}
