package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// listed reads all pages of a selection of the log.
func (f *face) listed(req *gatewayv1.ListEventsRequest) (all []*gatewayv1.LogEvent) {
	f.t.Helper()
	for {
		page, err := f.operator.ListEvents(f.t.Context(), req)
		must(f.t, err)
		all = append(all, page.GetEvents()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all
		}
	}
}

func positionsOf(events []*gatewayv1.LogEvent) (all []int64) {
	for _, ev := range events {
		all = append(all, ev.GetSummary().GetPosition())
	}
	return all
}

func TestListEvents_IsTheLogOfAllStreamsInOrder(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.contradicted("SO-1") // payments, and a matter
	s.twoPartners()        // an account and a payment in turn
	early := s.store.Now()
	s.klarna.Advance(time.Minute)
	s.contradicted("SO-2")
	var want []store.Event
	for _, stream := range store.Streams() {
		want = append(want, s.events(stream)...)
	}
	slices.SortFunc(want, func(a, b store.Event) int { return int(a.Position - b.Position) })
	late := slices.IndexFunc(want, func(ev store.Event) bool { return ev.RecordedAt.After(early) })
	of := func(select_ func(store.Event) bool) (some []int64) {
		for _, ev := range want {
			if select_(ev) {
				some = append(some, int64(ev.Position))
			}
		}
		return some
	}
	for name, c := range map[string]struct {
		req    *gatewayv1.ListEventsRequest
		wanted func(store.Event) bool
	}{
		"all":          {&gatewayv1.ListEventsRequest{}, func(store.Event) bool { return true }},
		"of accounts":  {&gatewayv1.ListEventsRequest{Stream: "account"}, func(ev store.Event) bool { return ev.Stream == store.Accounts }},
		"of matters":   {&gatewayv1.ListEventsRequest{Stream: "attention"}, func(ev store.Event) bool { return ev.Stream == store.Attentions }},
		"of a shop":    {&gatewayv1.ListEventsRequest{MerchantAccount: acquirer}, func(ev store.Event) bool { return ev.MerchantAccount == acquirer }},
		"a part":       {&gatewayv1.ListEventsRequest{FromPosition: 3, UntilPosition: 5}, func(ev store.Event) bool { return ev.Position >= 3 && ev.Position <= 5 }},
		"from a time":  {&gatewayv1.ListEventsRequest{FromTime: timestamppb.New(early.Add(time.Second))}, func(ev store.Event) bool { return ev.Position >= want[late].Position }},
		"until a time": {&gatewayv1.ListEventsRequest{UntilTime: timestamppb.New(early.Add(time.Second))}, func(ev store.Event) bool { return ev.Position < want[late].Position }},
		"of a kind":    {&gatewayv1.ListEventsRequest{Kinds: []string{"PAID", "ONBOARDED"}}, func(ev store.Event) bool { return ev.Kind == "PAID" || ev.Kind == "ONBOARDED" }},
		"of an order": {&gatewayv1.ListEventsRequest{Subject: &gatewayv1.ListEventsRequest_OrderId{OrderId: id("order SO-1")}}, func(ev store.Event) bool {
			return slices.Contains(ev.Keys, store.Key{Kind: "order_id", Value: id("order SO-1")})
		}},
		"of a partner": {&gatewayv1.ListEventsRequest{Subject: &gatewayv1.ListEventsRequest_PartnerAccountId{PartnerAccountId: mine}}, func(ev store.Event) bool {
			return strings.HasSuffix(ev.ID, mine)
		}},
		"of nobody":    {&gatewayv1.ListEventsRequest{Subject: &gatewayv1.ListEventsRequest_OrderId{OrderId: "none"}}, func(store.Event) bool { return false }},
		"past the end": {&gatewayv1.ListEventsRequest{FromPosition: 4711}, func(store.Event) bool { return false }},
	} {
		expected := of(c.wanted)
		for size := range int32(4) {
			c.req.PageSize, c.req.NewestFirst = size, false
			if got := positionsOf(s.listed(c.req)); !slices.Equal(got, expected) {
				t.Errorf("%s, pages of %d: %v, want %v", name, size, got, expected)
			}
			c.req.NewestFirst = true
			backwards := slices.Clone(expected)
			slices.Reverse(backwards)
			if got := positionsOf(s.listed(c.req)); !slices.Equal(got, backwards) {
				t.Errorf("%s, newest first, pages of %d: %v, want %v", name, size, got, backwards)
			}
		}
		if (name == "all" || name == "of a partner") && len(expected) < 2 {
			t.Errorf("%s: only %v are there to be listed", name, expected)
		}
	}
	var over gatewayv1.ListEventsResponse
	s.readREST("/v1/events:list?stream=account&pageSize=1", &over)
	if len(over.GetEvents()) != 1 || over.GetEvents()[0].GetAccount().GetPartner().GetPartnerAccountId() != theirs || over.GetHeadPosition() == 0 {
		t.Errorf("over REST: %v", &over)
	}
	must(t, s.store.Trim(t.Context(), 4))
	trimmed, err := s.operator.ListEvents(t.Context(), &gatewayv1.ListEventsRequest{FromPosition: 2})
	must(t, err)
	if trimmed.GetTrimmedPosition() != 4 || trimmed.GetFromPosition() != 2 {
		t.Errorf("of a trimmed log: %v", trimmed)
	}
}

func TestRetakeEvents_GoesOnWhereACallEnded(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	mark := strings.Replace(ofProduction, `"live":true`, `"live":false`, 1)
	s.arrive(mark)
	s.recordMany("SO-1", retaken)
	s.arrive(strings.Replace(mark, "evt-live", "evt-2", 1))
	head, _, err := s.store.Head(t.Context())
	must(t, err)
	for from, want := range map[int64][]int{1: {1, 1}, 3: {0, 1}, int64(head): {1}, int64(head) + 1: {0}} {
		var got []int
		for from > 0 {
			res, err := s.operator.RetakeEvents(t.Context(), &gatewayv1.RetakeEventsRequest{RequestId: uuid.NewString(), FromPosition: from, UntilPosition: max(int64(head), from)})
			must(t, err)
			got, from = append(got, len(res.GetEvents())), res.GetNextPosition()
		}
		if total := func(all []int) (n int) {
			for _, one := range all {
				n += one
			}
			return n
		}; total(got) != total(want) || len(got) > len(want) {
			t.Errorf("from there: %v posts, want %v", got, want)
		}
	}
	res, err := s.operator.RetakeEvents(t.Context(), &gatewayv1.RetakeEventsRequest{RequestId: uuid.NewString(), FromPosition: 1, UntilPosition: 1})
	if err != nil || len(res.GetEvents()) > 1 || res.GetNextPosition() != 0 {
		t.Errorf("up to the first: %v, error %v", res, err)
	}
}

// What is recorded between two pages is in none of them, newest first or not, and no page says otherwise.
func TestListEvents_ItsPagesAreOfOneLog(t *testing.T) {
	t.Parallel()
	for _, newest := range []bool{false, true} {
		s := start(t, nil)
		s.recordMany("SO-1", 3)
		head, _, err := s.store.Head(t.Context())
		must(t, err)
		req, seen := &gatewayv1.ListEventsRequest{PageSize: 1, NewestFirst: newest}, 0
		for seen <= int(head) {
			page, err := s.operator.ListEvents(t.Context(), req)
			must(t, err)
			if seen += len(page.GetEvents()); page.GetHeadPosition() != int64(head) {
				t.Errorf("newest first %t: after %d events the head is %d, want %d", newest, seen, page.GetHeadPosition(), head)
			}
			s.record(opened(fmt.Sprint("SO-later-", seen)))
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		if seen != int(head) {
			t.Errorf("newest first %t: %d events up to %d", newest, seen, head)
		}
	}
}

// trimmedMeanwhile is a log that is trimmed as its events are about to be read.
type trimmedMeanwhile struct {
	store.Engine
	trim atomic.Pointer[func()]
}

func (l *trimmedMeanwhile) Events(ctx context.Context, q store.Query) ([]store.Event, error) {
	if trim := l.trim.Swap(nil); trim != nil {
		(*trim)()
	}
	return l.Engine.Events(ctx, q)
}

func TestListEvents_TellsWhatIsTrimmedAsItIsRead(t *testing.T) {
	t.Parallel()
	var log trimmedMeanwhile
	s := startOver(t, func(engine store.Engine) store.Engine { log.Engine = engine; return &log }, nil)
	s.recordMany("SO-1", 3)
	trim := func() { must(t, s.store.Trim(context.Background(), 2)) }
	log.trim.Store(&trim)
	page, err := s.operator.ListEvents(t.Context(), &gatewayv1.ListEventsRequest{FromPosition: 1})
	must(t, err)
	if got := positionsOf(page.GetEvents()); slices.Contains(got, 1) || page.GetTrimmedPosition() != 2 {
		t.Errorf("of positions %v it is told that all up to %d are trimmed, want 2", got, page.GetTrimmedPosition())
	}
}

func TestListEvents_RefusesWhatContradictsItself(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, req := range []*gatewayv1.ListEventsRequest{
		{FromPosition: 1, FromTime: timestamppb.Now()}, {UntilPosition: 1, UntilTime: timestamppb.Now()}, {Stream: "payments"}, {FromPosition: -1},
		{Subject: &gatewayv1.ListEventsRequest_PaymentId{PaymentId: "x"}}, {PageSize: 501}, {FromPosition: 2, UntilPosition: 1},
		{FromTime: timestamppb.New(time.Unix(2, 0)), UntilTime: timestamppb.New(time.Unix(1, 0))},
		{Stream: "attention", Subject: &gatewayv1.ListEventsRequest_PartnerAccountId{PartnerAccountId: mine}},
		{Stream: "attention", Subject: &gatewayv1.ListEventsRequest_OrderId{OrderId: "o"}},
		{Stream: "account", Subject: &gatewayv1.ListEventsRequest_OrderId{OrderId: "o"}},
		{Stream: "payment", Subject: &gatewayv1.ListEventsRequest_PartnerAccountReference{PartnerAccountReference: "r"}},
	} {
		_, err := s.operator.ListEvents(t.Context(), req)
		wantReason(t, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	for _, req := range []*gatewayv1.ListEventsRequest{
		{FromPosition: 2, UntilPosition: 2}, {FromTime: timestamppb.New(time.Unix(1, 0)), UntilTime: timestamppb.New(time.Unix(1, 0))},
		{Stream: "account", Subject: &gatewayv1.ListEventsRequest_PartnerAccountId{PartnerAccountId: mine}},
		{Stream: "account", Subject: &gatewayv1.ListEventsRequest_PartnerAccountReference{PartnerAccountReference: "r"}},
		{Stream: "payment", Subject: &gatewayv1.ListEventsRequest_PartnerAccountId{PartnerAccountId: mine}},
		{Stream: "payment", Subject: &gatewayv1.ListEventsRequest_OrderId{OrderId: "o"}},
	} {
		_, err := s.operator.ListEvents(t.Context(), req)
		must(t, err)
	}
	_, err := s.operator.ListEvents(t.Context(), &gatewayv1.ListEventsRequest{IncludeRaw: true})
	wantReason(t, err, codes.PermissionDenied, "DEBTOR_DATA_NOT_PERMITTED")
	_, err = s.operator.ListEvents(t.Context(), &gatewayv1.ListEventsRequest{PageToken: "x"})
	wantReason(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID")
	for _, req := range []*gatewayv1.RetakeEventsRequest{
		{}, {EventIds: []string{"a"}, FromPosition: 1}, {EventIds: []string{"a"}, UntilPosition: 1}, {UntilPosition: 4}, {EventIds: []string{"a", "a"}}, {FromPosition: 2, UntilPosition: 1},
	} {
		req.RequestId = uuid.NewString()
		_, err := s.operator.RetakeEvents(t.Context(), req)
		wantReason(t, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	_, err = s.operator.RetakeEvents(t.Context(), &gatewayv1.RetakeEventsRequest{RequestId: uuid.NewString(), EventIds: []string{"none"}})
	wantReason(t, err, codes.NotFound, "EVENT_NOT_FOUND")
}

func TestListEvents_WhoIsForOnePartnerSeesNoOther(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, onePartner, "portal"))
	s.twoPartners()
	portal := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer portal-token")
	about := func(partner string) *gatewayv1.ListEventsRequest {
		return &gatewayv1.ListEventsRequest{MerchantAccount: acquirer, Subject: &gatewayv1.ListEventsRequest_PartnerAccountId{PartnerAccountId: partner}}
	}
	own, err := s.operator.ListEvents(portal, about(mine))
	if err != nil || len(own.GetEvents()) != 1 || own.GetEvents()[0].GetSummary().GetEventId() != "account "+mine {
		t.Errorf("its own: %v, error %v", own, err)
	}
	for _, req := range []*gatewayv1.ListEventsRequest{about(theirs), {MerchantAccount: acquirer}, {}, {MerchantAccount: acquirer,
		Subject: &gatewayv1.ListEventsRequest_MerchantReference{MerchantReference: "of both"}}} {
		_, err := s.operator.ListEvents(portal, req)
		wantReason(t, err, codes.PermissionDenied, "PERMISSION_MISSING")
	}
	_, err = s.operator.RetakeEvents(portal, &gatewayv1.RetakeEventsRequest{MerchantAccount: acquirer, RequestId: uuid.NewString(), FromPosition: 1})
	wantReason(t, err, codes.PermissionDenied, "PERMISSION_MISSING")
}

// What Klarna posted is taken in again as often as somebody likes. That nothing at all follows from it, the door's test shows.
func TestRetakeEvents_NothingIsDoubled(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, order := s.paid("SO-1")
	s.arrive(strings.Replace(ofProduction, `"live":true`, `"live":false`, 1))
	told := func() (count int) { // by Klarna: the worker may read meanwhile
		for _, stream := range store.Streams() {
			for _, ev := range s.events(stream) {
				if ev.Cause == "NOTIFICATION" {
					count++
				}
			}
		}
		return count
	}
	before := told()

	again := func(req *gatewayv1.RetakeEventsRequest) (all []*gatewayv1.RetakenEvent) {
		t.Helper()
		for {
			req.RequestId = uuid.NewString()
			res, err := s.operator.RetakeEvents(t.Context(), req)
			must(t, err)
			all = append(all, res.GetEvents()...)
			if req.FromPosition = res.GetNextPosition(); req.FromPosition == 0 {
				return all
			}
		}
	}
	for range 2 {
		posts := again(&gatewayv1.RetakeEventsRequest{FromPosition: 1})
		if len(posts) < 3 { // UNPAID, PAID, the account
			t.Fatalf("taken in again: %v", posts)
		}
		for _, one := range posts {
			if one.GetOutcome() != gatewayv1.RetakenEvent_OUTCOME_ON_RECORD || one.GetMessage() == "" {
				t.Errorf("taken in again: %v", one)
			}
		}
	}
	first := s.events(store.Payments)[0]
	if named := again(&gatewayv1.RetakeEventsRequest{EventIds: []string{first.ID}}); len(named) != 1 || named[0].GetOutcome() != gatewayv1.RetakenEvent_OUTCOME_NO_POST {
		t.Errorf("a call of ours: %v", named)
	}
	_, err := s.operator.ErasePersonalData(t.Context(), &gatewayv1.ErasePersonalDataRequest{
		RequestId: uuid.NewString(), Subject: &gatewayv1.ErasePersonalDataRequest_OrderId{OrderId: order},
	})
	must(t, err)
	if left := again(&gatewayv1.RetakeEventsRequest{FromPosition: 1}); len(left) != 1 || !strings.HasPrefix(left[0].GetEventId(), "network:") {
		t.Errorf("after the erasure: %v", left)
	}
	if after := told(); after != before {
		t.Errorf("%d notifications are on record, %d before", after, before)
	}
	s.logged("operator had events taken in again")
}

// An event whose id the door would make another of now is recorded; what it would not apply stays as it is.
func TestRetakeEvents_SaysWhatTheDoorMakesOfEach(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-1"), placed("SO-1"), told("SO-1", "UNPAID")) // its bytes are nothing that Klarna sends
	res, err := s.operator.RetakeEvents(t.Context(), &gatewayv1.RetakeEventsRequest{RequestId: uuid.NewString(), FromPosition: 1})
	must(t, err)
	if all := res.GetEvents(); len(all) != 1 || all[0].GetOutcome() != gatewayv1.RetakenEvent_OUTCOME_NOT_TAKEN || all[0].GetMessage() != "body cannot be read" {
		t.Errorf("taken in again: %v", all)
	}
	if rows, _ := s.store.Quarantined(t.Context(), 0, 10); len(rows) != 0 {
		t.Errorf("%d are quarantined", len(rows))
	}
	body := []byte(`{"event_id":"evt-new","event_type":"` + klarna.EventPaymentStatusUpdated + `","occurred_at":"2026-07-01T10:00:00Z","payload":{"order_id":"` +
		id("order SO-1") + `","payment_status":"PAID","purchase_currency":"EUR","order_amount":12995}}`)
	fact := told("SO-1", "UNPAID")
	fact.Raw, fact.EventID = body, "of an older version"
	s.record(fact)
	res, err = s.operator.RetakeEvents(t.Context(), &gatewayv1.RetakeEventsRequest{RequestId: uuid.NewString(), EventIds: []string{fact.EventID}})
	must(t, err)
	if all := res.GetEvents(); len(all) != 1 || all[0].GetOutcome() != gatewayv1.RetakenEvent_OUTCOME_RECORDED {
		t.Errorf("taken in again: %v", all)
	}
	if all := s.events(store.Payments); all[len(all)-1].ID != "payment-status:"+shop+":evt-new" {
		t.Errorf("the log ends with %v", all[len(all)-1])
	}
}
