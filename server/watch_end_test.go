package server

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
)

func TestWatch_EndsWhereTheRequestSays(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const ref = "SO-1"
	// The payment is PAID while ORDERED, and then captured; a second one stays behind and is never final.
	s.record(opened("SO-0"), opened(ref), placed(ref), told(ref, journal.StatusUnpaid), told(ref, journal.StatusPaid), captured(ref, 12995),
		journal.PaymentFact{Cause: journal.Call, OrderID: id("order " + ref), Refund: &journal.Movement{ID: "refund", Amount: 12995}})
	refs := []string{"SO-0", ref}
	paid := []gatewayv1.PaymentStatus{gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID}
	for name, c := range map[string]struct {
		req   *gatewayv1.WatchPaymentStatusRequest
		why   string
		shown int // events before the end
	}{
		"until a state":                  {&gatewayv1.WatchPaymentStatusRequest{UntilStates: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_CAPTURED}}, "UNTIL_REACHED", 6},
		"until a payment status":         {&gatewayv1.WatchPaymentStatusRequest{UntilPaymentStatuses: paid}, "UNTIL_REACHED", 5},
		"until final":                    {&gatewayv1.WatchPaymentStatusRequest{UntilFinal: true}, "FINAL", 7},
		"the first of several":           {&gatewayv1.WatchPaymentStatusRequest{UntilFinal: true, UntilPaymentStatuses: paid}, "UNTIL_REACHED", 5},
		"at a state that is not shown":   {&gatewayv1.WatchPaymentStatusRequest{States: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_ORDERED}, UntilStates: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_CAPTURED}}, "UNTIL_REACHED", 3},
		"at a status that is not shown":  {&gatewayv1.WatchPaymentStatusRequest{PaymentStatuses: []gatewayv1.PaymentStatus{gatewayv1.PaymentStatus_PAYMENT_STATUS_UNPAID}, UntilPaymentStatuses: paid}, "UNTIL_REACHED", 1},
		"final, where it is not shown":   {&gatewayv1.WatchPaymentStatusRequest{States: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_SESSION_CREATED}, UntilFinal: true}, "FINAL", 2},
		"final, without naming payments": {&gatewayv1.WatchPaymentStatusRequest{UntilFinal: true, MerchantAccount: shop}, "FINAL", 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.on(t)
			c.req.From = fromStart(earliest)
			if c.req.GetMerchantAccount() == "" {
				c.req.MerchantReferences = refs
			}
			all := s.watchPayments(c.req).ending()
			last := all[len(all)-1]
			if got := content(all); last.mark != c.why || len(got)-1 != c.shown {
				t.Errorf("ended with %s behind %v, want %s behind %d events", last.mark, got, c.why, c.shown)
			}
		})
	}
}

func TestWatch_EndsAlthoughTheEndWasReachedBeforeTheToken(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-0"), opened("SO-1"), opened("SO-2"), placed("SO-1"), told("SO-1", journal.StatusClosed), placed("SO-0"))
	for name, req := range map[string]*gatewayv1.WatchPaymentStatusRequest{
		"final":           {UntilFinal: true},
		"state":           {UntilStates: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_CLOSED}},
		"payment status":  {UntilPaymentStatuses: []gatewayv1.PaymentStatus{gatewayv1.PaymentStatus_PAYMENT_STATUS_CLOSED}},
		"hidden by state": {UntilFinal: true, States: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_ORDERED}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.on(t)
			req.From, req.SessionIds = fromStart(earliest), []string{id("session SO-0"), id("session SO-1"), id("session SO-2")}
			all := s.watchPayments(req).ending()
			end := all[len(all)-1]
			again := s.watchPayments(resumed(req, end.token)).ending()
			if got := content(again); !slices.Equal(got[max(len(got)-1, 0):], []string{end.mark}) {
				t.Errorf("resumed behind %s: %v, want the end again", end.mark, got)
			}
			fresh := proto.CloneOf(req)
			fresh.From = fromStart(now)
			if got := content(s.watchPayments(fresh).ending()); !slices.Equal(got, []string{end.mark}) {
				t.Errorf("begun afterwards: %v, want %s", got, end.mark)
			}
		})
	}
}

func TestWatch_DrainEndsItAndAnotherServerGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	other := s.serve(nil)
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)}
	w := s.watchPayments(req)
	w.caughtUp()
	s.record(opened("SO-1"))
	w.event()
	s.server.Drain()
	all := w.ending()
	end := all[len(all)-1]
	if delay := end.whole.(*gatewayv1.WatchPaymentStatusResponse).GetStreamEnd().GetRetryDelay().AsDuration(); end.mark != "DRAINING" || delay <= 0 {
		t.Errorf("the watch ended with %v, want DRAINING and a delay", end.whole)
	}
	health, err := s.health.Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health is %v, %v, want NOT_SERVING", health, err)
	}
	if res := s.get("/healthz"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/healthz answers %d, want 503", res.StatusCode)
	}
	if _, err := s.payments.ListPayments(t.Context(), &gatewayv1.ListPaymentsRequest{}); err != nil {
		t.Errorf("a call while draining: %v, want it served", err)
	}
	late := s.watchPayments(req).ending() // begun while draining
	if late[len(late)-1].mark != "DRAINING" {
		t.Errorf("a watch begun while draining ended with %v", late[len(late)-1].whole)
	}
	s.record(opened("SO-2"))
	rest := other.watchPayments(resumed(req, end.token)).caughtUp()
	if got := content(rest); len(got) != 1 || rest[1].payment().GetMerchantReference1() != "SO-2" {
		t.Errorf("on the other server came %v, want SO-2 alone", got)
	}
}

func TestWatch_EndsAtItsAge(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.StreamAge = 50 * time.Millisecond })
	s.record(opened("SO-1"))
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest)}
	all := s.watchPayments(req).ending()
	if end := all[len(all)-1]; end.mark != "MAX_AGE" {
		t.Errorf("the watch ended with %v, want MAX_AGE", end.whole)
	}
	if got := content(s.watchPayments(resumed(req, all[len(all)-1].token)).ending()); !slices.Equal(got, []string{"MAX_AGE"}) {
		t.Errorf("resumed: %v, want nothing but the next end", got)
	}
}

func TestWatch_TrimmedLogRefusesTokensThatAreTooOld(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for n := range 3 {
		s.record(opened(fmt.Sprint("SO-", n)))
	}
	all := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest)}
	shot := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(snapshot)}
	whole, inside := s.watchPayments(all).caughtUp(), s.watchPayments(shot).caughtUp()
	s.record(placed("SO-0"), placed("SO-1"))
	head, _, err := s.store.Head(t.Context())
	must(t, err)
	must(t, s.store.Trim(t.Context(), head-1))

	tooOld := gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_TOO_OLD
	s.refused(resumed(all, whole[1].token), codes.OutOfRange, http.StatusBadRequest, tooOld, nil)
	s.refused(resumed(shot, inside[1].token), codes.OutOfRange, http.StatusBadRequest, tooOld, nil) // inside the snapshot
	_, st := s.overGRPC(resumed(all, whole[1].token))
	if oldest := takeApart(t, st.Err()).info.GetMetadata()["oldest_position"]; oldest != fmt.Sprint(head) {
		t.Errorf("the oldest position is given as %q, want %d", oldest, head)
	}
	newest := s.watchPayments(shot).caughtUp()
	if got := content(newest); len(got) != 4 {
		t.Errorf("a new snapshot shows %v, want three payments and its end", got)
	}
	if got := content(s.watchPayments(resumed(shot, newest[0].token)).caughtUp()); len(got) != 4 {
		t.Errorf("a snapshot of the trimmed log resumes with %v", got)
	}
}

func TestWatch_TrimmedWhileItIsBehindEndsWithAnErrorAndNoHole(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-1"))
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)}
	w := s.watchPayments(req)
	w.next()
	want := map[string]int{}
	for batch := range 3 {
		var facts []journal.PaymentFact
		for n := range 200 {
			fact := opened("SO-1")
			fact.EventID, fact.Session.OrderAmount, fact.Session.Updated = id(fmt.Sprint(batch, "-", n)), int64(batch*1000+n+1), true
			want[fact.EventID] = len(want)
			facts = append(facts, fact)
		}
		s.record(facts...)
	}
	head, _, err := s.store.Head(t.Context())
	must(t, err)
	must(t, s.store.Trim(t.Context(), head))
	for n := 0; ; {
		got, err := w.recv()
		if err != nil {
			if status.Code(err) != codes.OutOfRange || reasonOf(err) != "RESUME_TOKEN_TOO_OLD" {
				t.Errorf("the watch ended with %v, want OUT_OF_RANGE", err)
			}
			return
		}
		if got.event == nil {
			continue
		}
		if want[got.id] != n {
			t.Fatalf("event %d came where %d was due", want[got.id], n)
		}
		if n++; n == len(want) {
			t.Fatal("the watch was not behind: nothing is tested")
		}
	}
}

func TestServer_AClientThatLeavesFreesTheWatch(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	w := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)})
	w.caughtUp()
	res := s.get("/v1/payments:watch?start=WATCH_START_NOW")
	_, err := io.ReadFull(res.Body, make([]byte, 10))
	must(t, err)
	w.cancel()
	_ = res.Body.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.server.grpc.GracefulStop() // waits for every call; nothing was drained
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("watches are served whose clients have left")
		s.server.grpc.Stop()
		<-done
	}
}
