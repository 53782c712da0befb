package server

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/store"
)

const (
	snapshot = gatewayv1.WatchStart_WATCH_START_SNAPSHOT
	earliest = gatewayv1.WatchStart_WATCH_START_EARLIEST
	now      = gatewayv1.WatchStart_WATCH_START_NOW
)

func TestWatch_OpensWithABookmarkBeforeAnythingHappens(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, begin := range []gatewayv1.WatchStart{now, earliest} {
		got := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(begin)}).caughtUp()
		if len(content(got)) != 0 {
			t.Errorf("%s of an empty log shows %v", begin, content(got))
		}
	}
	got := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(snapshot)}).caughtUp()
	if diff := cmp.Diff([]string{"snapshot_end"}, content(got)); diff != "" {
		t.Errorf("snapshot of an empty log (-want +got):\n%s", diff)
	}
	accounts := s.watchAccounts(&gatewayv1.WatchAccountStateRequest{From: &gatewayv1.WatchAccountStateRequest_Start{Start: now}})
	if first := accounts.next(); first.mark != "bookmark" || first.token == "" {
		t.Errorf("the watch of accounts opened with %v", first.whole)
	}
	s.record(opened("SO-1")) // the token of an empty snapshot's beginning shows the snapshot, and then this
	again := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromToken(got[0].token)}).caughtUp()
	if all := content(again); len(all) != 2 || all[0] != "snapshot_end" {
		t.Errorf("resumed at the beginning of an empty snapshot: %v, want its end and one event", all)
	}
}

func TestWatch_SnapshotAndTailHaveNoGapWhileWritersRace(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const writers, rounds = 4, 12
	for n := range writers {
		s.record(opened(fmt.Sprint("SO-", n)), placed(fmt.Sprint("SO-", n)))
	}
	var writing sync.WaitGroup
	for n := range writers {
		writing.Go(func() {
			for round := range rounds {
				s.record(captured(fmt.Sprint("SO-", n), 10), opened(fmt.Sprint("SO-", n, "-", round)))
			}
		})
	}
	watches := make([]*watching, 5)
	for i := range watches {
		watches[i] = s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(snapshot)})
	}
	writing.Wait()
	all, err := s.store.Events(t.Context(), store.Query{Stream: store.Payments, Limit: 1000})
	must(t, err)
	for _, w := range watches {
		checkNoGap(t, w, all)
	}
}

// checkNoGap reads a watch that began with a snapshot and compares it with the log.
func checkNoGap(t *testing.T, w *watching, all []store.Event) {
	t.Helper()
	shown, edge := map[string]int64{}, int64(-1) // newest position by payment
	var tail []string
	for last := int64(all[len(all)-1].Position); edge < last && (len(tail) == 0 || tail[len(tail)-1] != all[len(all)-1].ID); {
		switch got := w.next(); {
		case got.mark == "snapshot_end":
			edge = got.at
		case got.event != nil:
			if payment := got.payment().GetPaymentId(); got.at <= shown[payment] {
				t.Fatalf("payment %s goes back from %d to %d", payment, shown[payment], got.at)
			}
			shown[got.payment().GetPaymentId()] = got.at
			if edge >= 0 {
				tail = append(tail, got.id)
			}
		}
	}
	newest := map[string]int64{}
	var want []string
	for _, ev := range all {
		newest[ev.Subject] = int64(ev.Position)
		if int64(ev.Position) > edge {
			want = append(want, ev.ID)
		}
	}
	if diff := cmp.Diff(want, tail); diff != "" {
		t.Errorf("behind the snapshot at %d (-want +got):\n%s", edge, diff)
	}
	if diff := cmp.Diff(newest, shown); diff != "" {
		t.Errorf("newest events (-want +got):\n%s", diff)
	}
}

func TestWatch_EveryTokenOfAStreamResumesWithExactlyTheRest(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for n := range 9 {
		ref := fmt.Sprint("SO-", n%6)
		s.record(opened(ref), placed(ref), captured(ref, 100), opened(fmt.Sprint("SO-1", n)))
	}
	for name, req := range map[string]*gatewayv1.WatchPaymentStatusRequest{
		"all":                  {From: fromStart(earliest)},
		"snapshot":             {From: fromStart(snapshot)},
		"by reference":         {From: fromStart(earliest), MerchantReferences: []string{"SO-1", "SO-13"}},
		"by state":             {From: fromStart(earliest), States: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_PART_CAPTURED}},
		"snapshot by state":    {From: fromStart(snapshot), States: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_SESSION_CREATED}},
		"by status, none":      {From: fromStart(snapshot), PaymentStatuses: []gatewayv1.PaymentStatus{gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID}},
		"of another account":   {From: fromStart(earliest), MerchantAccount: outlet},
		"snapshot with an end": {From: fromStart(snapshot), SessionIds: []string{id("session SO-14")}, UntilFinal: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			whole := s.watchPayments(req).caughtUp()
			if n := len(content(whole)); n == 0 && name != "of another account" {
				t.Fatal("nothing is shown")
			}
			for i, at := range whole {
				rest := s.watchPayments(resumed(req, at.token)).caughtUp()
				if diff := cmp.Diff(content(whole[i+1:]), content(rest)); diff != "" {
					t.Fatalf("resumed behind %v (-want +got):\n%s", at.whole, diff)
				}
			}
		})
	}
}

func TestWatch_ResumedInsideASnapshotLosesNothingThatMovedMeanwhile(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for n := range 5 {
		s.record(opened(fmt.Sprint("SO-", n)))
	}
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(snapshot)}
	first := s.watchPayments(req)
	first.next()
	first.next()
	at := first.next() // the second of five
	first.cancel()
	s.record(placed("SO-4"), opened("SO-5"), placed("SO-0"))
	var got []string
	for _, step := range s.watchPayments(resumed(req, at.token)).caughtUp() {
		switch {
		case step.event != nil:
			got = append(got, step.payment().GetMerchantReference1()+" "+step.payment().GetState().String())
		case step.mark != "bookmark":
			got = append(got, step.mark)
		}
	}
	want := []string{
		"SO-2 STATE_SESSION_CREATED", "SO-3 STATE_SESSION_CREATED", "snapshot_end",
		"SO-4 STATE_ORDERED", "SO-5 STATE_SESSION_CREATED", "SO-0 STATE_ORDERED",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rest of the snapshot and what came since (-want +got):\n%s", diff)
	}
}

func TestWatch_ASessionIDSeesOrderMoneyCaptureAndRefund(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	made, err := s.payments.CreatePaymentSession(t.Context(), with(sessionRequest("SO-1"), func(r *gatewayv1.CreatePaymentSessionRequest) {
		r.OrderPolicy = gatewayv1.OrderPolicy_ORDER_POLICY_AUTOMATIC
	}))
	must(t, err)
	session := made.GetSession().GetSessionId()
	w := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(snapshot), SessionIds: []string{session}, UntilFinal: true})
	reach := func(want gatewayv1.PaymentEventKind) *gatewayv1.PaymentEvent {
		t.Helper()
		for {
			if ev := w.event().event.(*gatewayv1.PaymentEvent); ev.GetKind() == want {
				return ev
			}
		}
	}
	reach(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_SESSION_CREATED)
	_, err = s.klarna.Authorize(session)
	must(t, err)
	reach(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_AUTHORIZED)
	order := "" // UNPAID may come before or behind the answer to placing the order
	for unpaid, ordered := false, false; !unpaid || !ordered; {
		ev := w.event().event.(*gatewayv1.PaymentEvent)
		unpaid = unpaid || ev.GetKind() == gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_UNPAID ||
			ev.GetPayment().GetPaymentStatus() == gatewayv1.PaymentStatus_PAYMENT_STATUS_UNPAID
		ordered = ordered || ev.GetKind() == gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ORDER_CREATED
		order = ev.GetPayment().GetOrderId()
	}
	must(t, s.klarna.Pay(order))
	reach(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_PAID)
	_, err = s.orders.CaptureOrder(t.Context(), &gatewayv1.CaptureOrderRequest{RequestId: id("capture"), OrderId: order, Amount: eur(12995)})
	must(t, err)
	reach(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_CAPTURED)
	_, err = s.orders.RefundOrder(t.Context(), &gatewayv1.RefundOrderRequest{RequestId: id("refund"), OrderId: order, Amount: eur(12995)})
	must(t, err)
	if ev := reach(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_REFUNDED); !ev.GetPayment().GetFinal() {
		t.Errorf("refunded in full, the payment is %v", ev.GetPayment())
	}
	if end := w.ending(); end[len(end)-1].mark != "FINAL" {
		t.Errorf("the watch ended with %s, want FINAL", end[len(end)-1].mark)
	}
}

func TestWatch_ANotificationAheadOfItsSessionIsPartOfTheMergedState(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-1"))
	bySession := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(now), SessionIds: []string{id("session SO-1")}})
	byOrder := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(now), OrderIds: []string{id("order SO-1")}})
	bySession.caughtUp()
	byOrder.caughtUp()
	s.record(told("SO-1", journal.StatusPaid)) // names the order alone
	s.record(placed("SO-1"))                   // links it to the session
	if ev := byOrder.event(); ev.payment().GetSessionId() != "" {
		t.Errorf("the notification knows session %s", ev.payment().GetSessionId())
	}
	got := bySession.event()
	if p := got.payment(); p.GetOrderId() != id("order SO-1") || p.GetPaymentStatus() != gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID {
		t.Errorf("the watcher of the session sees %v, want its order, PAID", p)
	}
	if again := byOrder.event(); again.id != got.id {
		t.Errorf("the watcher of the order sees %s, the one of the session %s", again.id, got.id)
	}
}

func TestWatch_HeartbeatsComeWhereNothingMatchesAndResume(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	req := &gatewayv1.WatchPaymentStatusRequest{
		From: fromStart(now), MerchantReferences: []string{"SO-7"}, HeartbeatSeconds: 1,
		PaymentStatuses: []gatewayv1.PaymentStatus{gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID},
	}
	w := s.watchPayments(req)
	w.caughtUp()
	s.record(opened("SO-1"), opened("SO-7"), placed("SO-7"))
	began := time.Now()
	beat := w.next()
	if took := time.Since(began); beat.mark != "bookmark" || took > 2*time.Second {
		t.Fatalf("after %s came %v, want a bookmark within a second", took, beat.whole)
	}
	if head := beat.whole.(*gatewayv1.WatchPaymentStatusResponse).GetBookmark().GetHeadPosition(); head != 3 {
		t.Errorf("the bookmark names head %d, want 3", head)
	}
	w.cancel()
	s.record(told("SO-7", journal.StatusPaid))
	if rest := content(s.watchPayments(resumed(req, beat.token)).caughtUp()); len(rest) != 1 {
		t.Errorf("behind the bookmark came %v, want what was paid", rest)
	}
}

// A long way through events that are not shown must not look like a dead connection.
func TestWatch_BookmarksGoOutOnTheWayThroughEventsThatDoNotMatch(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	var sent []watchStep
	w := &watch{
		server: s.server, matches: func(*store.Event) bool { return false },
		ends: endsAt(nil), cursors: cursors{signer: newSigner("key")}, sent: s.server.keeper.clock(time.Now()), query: store.Query{Heartbeat: time.Hour},
		send: func(_ string, step watchStep) error { sent = append(sent, step); return nil },
	}
	must(t, w.event(t.Context(), &store.Event{}, place{After: 1}))
	if len(sent) != 0 || w.at.After != 1 {
		t.Fatalf("at once %v went out, at %d", sent, w.at.After)
	}
	w.sent -= int64(time.Hour)
	must(t, w.event(t.Context(), &store.Event{}, place{After: 2}))
	if len(sent) != 1 || sent[0].bookmark == nil || w.at.After != 2 {
		t.Errorf("after an hour %v went out, at %d", sent, w.at.After)
	}
}

// What could not be sent is in front of the token that a watch ends with when the gateway drains at that moment.
func TestWatch_AResponseThatCannotBeSentIsNotBehindAnyToken(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection lost")
	w := &watch{
		server: &Server{keeper: newKeeper(1, 1)}, ends: endsAt([]string{"CLOSED"}), cursors: cursors{signer: newSigner("key")}, at: place{After: 1},
		send:   func(string, watchStep) error { return lost },
		encode: func(*store.Event) ([]byte, error) { return nil, nil }, stream: &admitted{ServerStream: lostStream{err: lost}},
	}
	if err := w.event(t.Context(), &store.Event{State: "CLOSED"}, place{After: 2}); !errors.Is(err, lost) || w.at.After != 1 {
		t.Errorf("an event that was not sent: %v, the watch is at %d, want 1", err, w.at.After)
	}
	if err := w.finish(gatewayv1.StreamEnd_REASON_DRAINING, 0); !errors.Is(err, lost) {
		t.Errorf("an end that was not sent: %v", err)
	}
}

// lostStream is a stream on which nothing gets through.
type lostStream struct {
	grpc.ServerStream
	err error
}

func (s lostStream) SendMsg(any) error { return s.err }

func TestWatch_ASlowReaderHoldsUpNobodyAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)}
	slow, quick := s.watchPayments(req), s.watchPayments(req)
	slow.next()
	quick.caughtUp()
	var want []string
	for batch := range 3 {
		var facts []journal.PaymentFact
		for n := range 200 {
			fact := opened(fmt.Sprint("SO-", batch, "-", n))
			fact.EventID = id(fmt.Sprint("event ", batch, "-", n))
			facts, want = append(facts, fact), append(want, fact.EventID)
		}
		s.record(facts...)
	}
	for _, w := range []*watching{quick, slow} {
		var got []string
		for range want {
			got = append(got, w.event().id)
		}
		if !slices.Equal(want, got) {
			t.Errorf("of %d events in order %d came", len(want), len(got))
		}
	}
}

func TestWatch_OfAccountsFollowsOneFromOnboardingToOperational(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	req := &gatewayv1.WatchAccountStateRequest{
		From:                     &gatewayv1.WatchAccountStateRequest_Start{Start: now},
		PartnerAccountReferences: []string{"mrc-1"}, UntilStates: []gatewayv1.Partner_State{gatewayv1.Partner_STATE_OPERATIONAL},
	}
	w := s.watchAccounts(req)
	w.caughtUp()
	made, err := s.partners.OnboardPartner(t.Context(), onboardRequest(t, "mrc-1"))
	must(t, err)
	_, err = s.partners.OnboardPartner(t.Context(), onboardRequest(t, "mrc-2"))
	must(t, err)
	must(t, s.klarna.Operational(made.GetPartner().GetPartnerAccountId()))
	all := w.ending()
	var got []string
	for _, step := range all {
		if ev, ok := step.event.(*gatewayv1.AccountEvent); ok {
			got = append(got, ev.GetPartner().GetPartnerAccountReference()+" "+ev.GetKind().String())
		} else if step.mark != "bookmark" {
			got = append(got, step.mark)
		}
	}
	want := []string{"mrc-1 ACCOUNT_EVENT_KIND_ONBOARDED", "mrc-1 ACCOUNT_EVENT_KIND_OPERATIONAL", "UNTIL_REACHED"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again := proto.CloneOf(req)
	again.From = &gatewayv1.WatchAccountStateRequest_ResumeToken{ResumeToken: all[len(all)-1].token}
	if rest := content(s.watchAccounts(again).ending()); !slices.Equal(rest, []string{"UNTIL_REACHED"}) {
		t.Errorf("resumed behind its end: %v, want the end again", rest)
	}
}

func TestWatch_OfACheckoutOrderTellsOfThePush(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	w := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(now), MerchantReferences: []string{"KCO-1"}})
	w.caughtUp()
	order, err := s.klarna.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 5000, Currency: "EUR", Country: "DE", Reference: "KCO-1"})
	must(t, err)
	s.klarna.Advance(2*time.Minute + time.Second)
	ev := w.event().event.(*gatewayv1.PaymentEvent)
	if ev.GetPayment().GetOrderId() != order || ev.GetCause() != gatewayv1.EventCause_EVENT_CAUSE_PUSH || ev.GetPayment().GetAcknowledged() {
		t.Errorf("came %v, want the order by its push, not acknowledged", ev)
	}
}

// paymentCursors are those of a payment watch.
func (s *Server) paymentCursors(t *testing.T, account string, req *gatewayv1.WatchPaymentStatusRequest) cursors {
	t.Helper()
	c, err := s.cursors(t.Context(), "WatchPaymentStatus", account,
		filterOf(req, "until_states", "until_payment_statuses", "until_final", "include_debtor_data"))
	must(t, err)
	return c
}
