package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

func TestParts_HaveOneEffectThoughTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	for name, w := range partWrites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			p := s.ready(w)
			req := w.req(p)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, LoseAnswer: true, Times: klarna.DefaultRetries + 1}))
			if _, st := s.overGRPC(req); st.Code() != codes.Unavailable || reasonOf(st.Err()) != "OUTCOME_UNKNOWN" {
				t.Fatalf("with a lost answer: %v", st)
			}
			if jobs, err := s.store.Jobs(t.Context(), journal.JobResolve, "", 10); err != nil || len(jobs) != 1 || jobs[0].RunAt.After(s.klarna.Now().Add(time.Minute)) {
				t.Errorf("jobs %+v, want it to be looked into soon; %v", jobs, err)
			}
			first, st := s.overGRPC(req)
			if st.Code() != codes.OK {
				t.Fatalf("repeated: %v", st)
			}
			if !w.done(s.onRecord("mrc-1")) {
				t.Errorf("on record is %v", s.onRecord("mrc-1"))
			}
			asked := s.klarna.CallCount(w.fault)
			again, st := s.overGRPC(req)
			if st.Code() != codes.OK || s.klarna.CallCount(w.fault) != asked || !proto.Equal(part(again), part(first)) {
				t.Errorf("a repeat of what is done: %v, %v after %v, asked %d times more", st, again, first, s.klarna.CallCount(w.fault)-asked)
			}
			if !w.done(s.atKlarna(p.id)) {
				t.Errorf("Klarna shows %v", s.atKlarna(p.id))
			}
		})
	}
}

// part is a response as far as a repeat has to give it again: an account is answered as it is now.
func part(res proto.Message) proto.Message {
	if turned, ok := res.(interface{ GetPartner() *gatewayv1.Partner }); ok {
		return turned.GetPartner().GetProducts()[0]
	}
	return res
}

func TestParts_HaveOneEffectThoughKlarnaForgotTheKey(t *testing.T) {
	t.Parallel()
	for name, w := range partWrites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			p := s.ready(w)
			req := w.req(p)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, LoseAnswer: true, Times: klarna.DefaultRetries + 1}))
			if _, st := s.overGRPC(req); st.Code() != codes.Unavailable {
				t.Fatalf("with a lost answer: %v", st)
			}
			s.klarna.Advance(25 * time.Hour)
			if _, st := s.overGRPC(req); st.Code() != codes.OK {
				t.Errorf("repeated: %v", st)
			}
			if got := s.atKlarna(p.id); !w.done(got) {
				t.Errorf("Klarna shows %v", got)
			}
		})
	}
}

func TestParts_AreMadeWhenKlarnaForgotTheKeyOfWhatItNeverDid(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"CreateStore", "CreatePaymentAccount", "DisablePaymentProduct"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, w := start(t, nil), partWrites[name]
			p := s.ready(w)
			req := w.req(p)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, Status: 503, Times: klarna.DefaultRetries + 1}))
			if _, st := s.overGRPC(req); st.Code() != codes.Unavailable {
				t.Fatalf("with an outage: %v", st)
			}
			s.klarna.Advance(25 * time.Hour)
			if _, st := s.overGRPC(req); st.Code() != codes.OK || !w.done(s.atKlarna(p.id)) {
				t.Errorf("repeated: %v; Klarna shows %v", st, s.atKlarna(p.id))
			}
		})
	}
}

func TestParts_WaitUntilTheAccountIsOperational(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.onboarded("mrc-1")
	past := s.pastTheGateway("mrc-2")
	for name, w := range partWrites {
		s.refused(w.req(p), codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_ACCOUNT_NOT_OPERATIONAL, nil)
		if n := s.klarna.CallCount(w.fault); n != 0 {
			t.Errorf("%s: Klarna was asked %d times", name, n)
		}
	}
	s.refused(partWrites["CreateBrand"].req(past), codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_ACCOUNT_NOT_OPERATIONAL, nil)
	must(t, s.klarna.Operational(p.id))
	s.klarna.Advance(time.Second)
	must(t, s.klarna.DisableAccount(p.id))
	s.atKlarna(p.id)
	s.refused(partWrites["EnablePaymentProduct"].req(p), codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_ACCOUNT_DISABLED, nil)
	if n := s.klarna.CallCount("createBrand") + s.klarna.CallCount("enableProduct"); n != 0 {
		t.Errorf("Klarna was asked %d times", n)
	}
}

// pastTheGateway onboards a merchant that is not on record here.
func (s *stack) pastTheGateway(reference string) partner {
	s.t.Helper()
	api := httptest.NewServer(s.klarna)
	defer api.Close()
	client, err := klarna.New(klarna.Config{BaseURL: api.URL, APIKey: "klarna_test_api_key", HTTPClient: api.Client()})
	must(s.t, err)
	made, err := client.Onboard(s.t.Context(), uuid.NewString(), onboardToKlarna(onboardRequest(s.t, reference)))
	must(s.t, err)
	details, err := json.Marshal(made)
	must(s.t, err)
	return partnerOf(partnerFromJournal(journal.Account{AccountID: made.PartnerAccountID, Details: details}, 0, false))
}

func TestParts_OverRESTAreWritten(t *testing.T) {
	t.Parallel()
	for name, w := range partWrites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			p := s.ready(w)
			if status, body, _ := s.overREST(w.req(p), nil); status != http.StatusOK || !w.done(s.onRecord("mrc-1")) {
				t.Errorf("status %d: %s", status, body)
			}
		})
	}
}

func TestParts_ChangedShowOnWatches(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	watch := s.watchAccounts(&gatewayv1.WatchAccountStateRequest{From: &gatewayv1.WatchAccountStateRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW}})
	watch.next() // it has begun
	for _, name := range []string{
		"UpdateStore", "CreatePaymentAccount", "UpdateStoreGroup", "CreateStore", "CreateStoreGroup", "UpdatePaymentAccount",
		"UpdateBusinessEntity", "CreateBusinessEntity", "CreateBrand",
	} {
		if _, st := s.overGRPC(partWrites[name].req(p)); st.Code() != codes.OK {
			t.Fatalf("%s: %v", name, st)
		}
		ev := watch.event().event.(*gatewayv1.AccountEvent)
		for ev.GetCause() != gatewayv1.EventCause_EVENT_CAUSE_CALL { // the account became operational a moment ago
			ev = watch.event().event.(*gatewayv1.AccountEvent)
		}
		if ev.GetKind() != gatewayv1.AccountEventKind_ACCOUNT_EVENT_KIND_UPDATED || !partWrites[name].done(ev.GetPartner()) {
			t.Errorf("%s: watchers got %v", name, ev)
		}
		if ev.GetPartner().GetContact() != nil {
			t.Errorf("%s: with the contact", name)
		}
	}
}

func TestParts_AddedAtTheSameTimeAllShowOnRecord(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	const n = 8
	done := make(chan error, n)
	for i := range n {
		go func() {
			_, err := s.partners.CreateBrand(t.Context(), &gatewayv1.CreateBrandRequest{
				RequestId: uuid.NewString(), PartnerAccountId: p.id, Brand: &gatewayv1.Brand{BrandReference: fmt.Sprint("b", i), DisplayName: "B"},
			})
			done <- err
		}()
	}
	for range n {
		must(t, <-done)
	}
	if brands := s.onRecord("mrc-1").GetBrands(); len(brands) != n+1 {
		t.Errorf("%d brands on record, want %d", len(brands), n+1)
	}
}
