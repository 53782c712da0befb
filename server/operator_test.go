package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/webhook"
)

const (
	retry   = gatewayv1.AttentionAction_ATTENTION_ACTION_RETRY
	redrive = gatewayv1.AttentionAction_ATTENTION_ACTION_REDRIVE
	dismiss = gatewayv1.AttentionAction_ATTENTION_ACTION_DISMISS
)

// open lists the open matters that a request selects, by their reasons.
func (f *face) open(req *gatewayv1.ListAttentionRequest) (items []*gatewayv1.AttentionItem) {
	f.t.Helper()
	for {
		page, err := f.operator.ListAttention(f.t.Context(), req)
		must(f.t, err)
		items = append(items, page.GetItems()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return items
		}
	}
}

func reasonsOf(items []*gatewayv1.AttentionItem) (all []string) {
	for _, item := range items {
		all = append(all, wordOf(item.GetReason(), attentionPrefix))
	}
	return all
}

// act does something about a matter.
func (f *face) act(item *gatewayv1.AttentionItem, action gatewayv1.AttentionAction, note string) (*gatewayv1.AttentionItem, error) {
	res, err := f.operator.ActOnAttention(f.t.Context(), &gatewayv1.ActOnAttentionRequest{
		RequestId: uuid.NewString(), AttentionId: item.GetAttentionId(), Action: action, Note: note,
	})
	return res.GetItem(), err
}

// contradicted is a payment told PAID after CLOSED.
func (s *stack) contradicted(reference string) {
	s.t.Helper()
	s.record(opened(reference), placed(reference), told(reference, "CLOSED"), told(reference, "PAID"))
}

func TestAttention_IsListedDismissedAndAudited(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.contradicted("SO-1")
	items := s.open(&gatewayv1.ListAttentionRequest{IncludeHistory: true})
	if len(items) != 1 || items[0].GetOrderId() != id("order SO-1") || items[0].GetState() != gatewayv1.AttentionItem_STATE_OPEN {
		t.Fatalf("open: %v", items)
	}
	item := items[0]
	if kinds := kindsOf(item.GetHistory()); !slices.Equal(kinds, []string{"SESSION_CREATED", "ORDER_CREATED", "CLOSED", "PAID"}) {
		t.Errorf("history %v", kinds)
	}
	cause, err := s.operator.GetEvent(t.Context(), &gatewayv1.GetEventRequest{EventId: item.GetCauseEventId()})
	if err != nil || cause.GetEvent().GetSummary().GetKind() != "PAID" {
		t.Errorf("the cause is %v, error %v", cause, err)
	}
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)})
	watch.caughtUp()
	done, err := s.act(item, dismiss, "sent back by hand")
	must(t, err)
	if done.GetState() != gatewayv1.AttentionItem_STATE_DISMISSED || len(done.GetAllowedActions()) != 0 || len(s.open(&gatewayv1.ListAttentionRequest{})) != 0 {
		t.Errorf("after dismissal: %v", done)
	}
	if a := done.GetActions(); len(a) != 1 || a[0].GetNote() != "sent back by hand" || a[0].GetAction() != dismiss {
		t.Errorf("audited as %v", a)
	}
	ev := watch.event().event.(*gatewayv1.PaymentEvent)
	if ev.GetKind() != gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ATTENTION_ENDED || len(ev.GetPayment().GetAttentions()) != 0 ||
		ev.GetCause() != gatewayv1.EventCause_EVENT_CAUSE_OPERATOR {
		t.Errorf("the watch shows %v", ev)
	}
	audit, err := s.operator.GetEvent(t.Context(), &gatewayv1.GetEventRequest{Position: done.GetPosition()})
	must(t, err)
	if got := audit.GetEvent(); got.GetStream() != "attention" || got.GetSummary().GetCause() != gatewayv1.EventCause_EVENT_CAUSE_OPERATOR ||
		got.GetAttention().GetActions()[0].GetNote() != "sent back by hand" {
		t.Errorf("the log has %v", got)
	}
	if ended := s.open(&gatewayv1.ListAttentionRequest{Ended: true}); len(ended) != 1 || ended[0].GetAttentionId() != item.GetAttentionId() {
		t.Errorf("ended: %v", ended)
	}
}

func kindsOf(history []*gatewayv1.EventSummary) (all []string) {
	for _, ev := range history {
		all = append(all, ev.GetKind())
	}
	return all
}

func TestAttention_FiltersAndPages(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, reference := range []string{"SO-1", "SO-2", "SO-3"} {
		s.contradicted(reference)
	}
	s.klarna.Advance(2 * time.Hour)
	foreign := opened("SO-9")
	foreign.MerchantAccount = outlet
	foreign.Attention = &journal.Attention{Reason: journal.Disputed, Message: "disputed"}
	s.record(foreign)
	closed := gatewayv1.AttentionReason_ATTENTION_REASON_PAID_AFTER_CLOSED
	disputed := gatewayv1.AttentionReason_ATTENTION_REASON_DISPUTED
	for name, c := range map[string]struct {
		req  *gatewayv1.ListAttentionRequest
		want int
	}{
		"all":              {&gatewayv1.ListAttentionRequest{}, 4},
		"of a shop":        {&gatewayv1.ListAttentionRequest{MerchantAccount: shop}, 3},
		"by reason":        {&gatewayv1.ListAttentionRequest{Reasons: []gatewayv1.AttentionReason{closed}}, 3},
		"by reasons":       {&gatewayv1.ListAttentionRequest{Reasons: []gatewayv1.AttentionReason{closed, disputed}}, 4},
		"of shop, other":   {&gatewayv1.ListAttentionRequest{MerchantAccount: shop, Reasons: []gatewayv1.AttentionReason{disputed}}, 0},
		"old":              {&gatewayv1.ListAttentionRequest{MinAge: durationpb.New(time.Hour)}, 3},
		"of a partner":     {&gatewayv1.ListAttentionRequest{PartnerAccountId: "krn:none"}, 0},
		"partner, reasons": {&gatewayv1.ListAttentionRequest{PartnerAccountId: "krn:none", Reasons: []gatewayv1.AttentionReason{closed}}, 0},
	} {
		for size := range int32(4) {
			c.req.PageSize = size
			items := s.open(c.req)
			slices.SortFunc(items, func(a, b *gatewayv1.AttentionItem) int {
				return strings.Compare(a.GetAttentionId(), b.GetAttentionId())
			})
			items = slices.CompactFunc(items, func(a, b *gatewayv1.AttentionItem) bool { return a.GetAttentionId() == b.GetAttentionId() })
			if len(items) != c.want {
				t.Errorf("%s, pages of %d: %v", name, size, reasonsOf(items))
			}
		}
	}
}

func TestAttention_ActionsAreDoneOnceAndRefusedWithAReason(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.contradicted("SO-1")
	item := s.open(&gatewayv1.ListAttentionRequest{})[0]
	events := func() int { return len(s.events(store.Attentions)) }
	before := events()
	_, err := s.act(item, redrive, "")
	wantReason(t, err, codes.FailedPrecondition, "ATTENTION_ACTION_NOT_ALLOWED")
	_, err = s.act(item, dismiss, "")
	wantReason(t, err, codes.InvalidArgument, "INVALID_FIELD")
	_, err = s.act(&gatewayv1.AttentionItem{AttentionId: uuid.NewString()}, dismiss, "no such")
	wantReason(t, err, codes.NotFound, "ATTENTION_NOT_FOUND")
	if events() != before {
		t.Error("a refused action is on record")
	}
	req := &gatewayv1.ActOnAttentionRequest{RequestId: uuid.NewString(), AttentionId: item.GetAttentionId(), Action: dismiss, Note: "done"}
	first, err := s.operator.ActOnAttention(t.Context(), req)
	must(t, err)
	again, err := s.operator.ActOnAttention(t.Context(), req)
	must(t, err)
	if again.GetItem().GetPosition() != first.GetItem().GetPosition() || events() != before+1 {
		t.Errorf("a repeat acted again: %v, then %v", first, again)
	}
	req.Note = "another"
	_, err = s.operator.ActOnAttention(t.Context(), req)
	wantReason(t, err, codes.FailedPrecondition, "REQUEST_ID_REUSED")
	_, err = s.act(item, dismiss, "twice")
	wantReason(t, err, codes.FailedPrecondition, "ATTENTION_ACTION_NOT_ALLOWED")
}

func wantReason(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code || reasonOf(err) != reason {
		t.Errorf("%v %s, want %v %s", err, reasonOf(err), code, reason)
	}
}

// arrive hands the door a notification of the Network with a valid signature.
func (s *stack) arrive(body string) {
	s.t.Helper()
	post := httptest.NewRequest(http.MethodPost, "/klarna/network", strings.NewReader(body))
	post.Header.Set(klarna.HeaderSigningKeyID, configuredKeyID)
	post.Header.Set(klarna.HeaderSignature, klarna.SignNetwork([]byte("network-key"), []byte(body)))
	answer := httptest.NewRecorder()
	s.door.ServeHTTP(answer, post)
	if answer.Code != http.StatusOK {
		s.t.Fatalf("the door answers %d", answer.Code)
	}
}

// ofProduction is a notification that a playground account does not take.
const ofProduction = `{"metadata":{"event_type":"partner.account.state-change.operational","event_id":"evt-live","event_version":"v2",
	"occurred_at":"2026-07-01T10:00:00Z","subject_account_id":"krn:partner:global:account:live:MKPMV6MS","live":true},
	"payload":{"contact":"Erika Mustermann"}}`

func TestAttention_QuarantinedNotificationIsRedriven(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.arrive(ofProduction)
	s.arrive(ofProduction)
	items := s.open(&gatewayv1.ListAttentionRequest{Reasons: []gatewayv1.AttentionReason{gatewayv1.AttentionReason_ATTENTION_REASON_QUARANTINED}})
	if len(items) != 1 || !slices.Contains(items[0].GetAllowedActions(), redrive) || strings.Contains(items[0].String(), "Mustermann") {
		t.Fatalf("open: %v", items)
	}
	item := items[0]
	kept, err := s.operator.GetQuarantined(t.Context(), &gatewayv1.GetQuarantinedRequest{QuarantineId: item.GetQuarantineId()})
	if err != nil || kept.GetQuarantined().GetAttentionId() != item.GetAttentionId() || len(kept.GetQuarantined().GetRaw()) > 0 {
		t.Errorf("kept %v, error %v", kept, err)
	}
	after, err := s.act(item, redrive, "as it is")
	must(t, err)
	if after.GetState() != gatewayv1.AttentionItem_STATE_OPEN || len(after.GetActions()) != 1 || after.GetActions()[0].GetResult() == "" {
		t.Errorf("a redrive without effect: %v", after)
	}
	if rows, _ := s.store.Quarantined(t.Context(), 0, 10); len(rows) != 2 {
		t.Errorf("a redrive is kept again: %d rows", len(rows))
	}
	mended, err := webhook.New(webhook.Config{Journal: s.journal, Accounts: map[string]webhook.Account{acquirer: {Live: true}}})
	must(t, err)
	f := s.serve(func(c *Config) { c.Door = mended })
	after, err = f.act(item, redrive, "the account is of production after all")
	must(t, err)
	if after.GetState() != gatewayv1.AttentionItem_STATE_RESOLVED || len(after.GetActions()) != 2 || len(s.open(&gatewayv1.ListAttentionRequest{})) != 0 {
		t.Errorf("after the redrive: %v", after)
	}
	if got := s.events(store.Accounts); len(got) != 1 || got[0].Kind != "OPERATIONAL" || got[0].Cause != "NOTIFICATION" {
		t.Errorf("the log has %v", got)
	}
}

func TestAttention_AnEventIDWithOtherContentIsDismissedOnly(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	body := strings.Replace(ofProduction, `"live":true`, `"live":false`, 1)
	s.arrive(body)
	s.arrive(strings.Replace(body, "Erika", "Max", 1))
	items := s.open(&gatewayv1.ListAttentionRequest{})
	if got := reasonsOf(items); !slices.Equal(got, []string{"EVENT_ID_REUSED"}) {
		t.Fatalf("open: %v", got)
	}
	if got := items[0].GetAllowedActions(); !slices.Equal(got, []gatewayv1.AttentionAction{dismiss}) {
		t.Errorf("allowed: %v", got)
	}
	_, err := s.act(items[0], redrive, "")
	wantReason(t, err, codes.FailedPrecondition, "ATTENTION_ACTION_NOT_ALLOWED")
	_, err = s.act(items[0], dismiss, "a test of Klarna's")
	must(t, err)
}

func TestVerifySignature_TellsTheKeyOrTheFlaw(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	body := []byte(`{"event_id":"evt-1"}`)
	good := klarna.SignPaymentStatus([]byte("status-key"), "1", s.klarna.Now(), body)
	for name, c := range map[string]struct {
		headers map[string]string
		account string
		body    []byte
		want    gatewayv1.VerifySignatureResponse_Flaw
	}{
		"good":          {map[string]string{"payload-signature": good}, shop, body, 0},
		"any account":   {map[string]string{"Payload-Signature": good}, "", body, 0},
		"other account": {map[string]string{"Payload-Signature": good}, outlet, body, gatewayv1.VerifySignatureResponse_FLAW_KEY_UNKNOWN},
		"other bytes":   {map[string]string{"Payload-Signature": good}, shop, []byte(`{}`), gatewayv1.VerifySignatureResponse_FLAW_SIGNATURE_DIFFERS},
		"none":          {nil, shop, body, gatewayv1.VerifySignatureResponse_FLAW_HEADER_MISSING},
		"malformed":     {map[string]string{"Payload-Signature": "v=1"}, shop, body, gatewayv1.VerifySignatureResponse_FLAW_HEADER_MALFORMED},
		"unknown key": {map[string]string{"Klarna-Signing-Key-Id": "krn:none", "Klarna-Signature": "00"}, "", body,
			gatewayv1.VerifySignatureResponse_FLAW_KEY_UNKNOWN},
	} {
		res, err := s.operator.VerifySignature(t.Context(), &gatewayv1.VerifySignatureRequest{MerchantAccount: c.account, Body: c.body, Headers: c.headers})
		must(t, err)
		if res.GetFlaw() != c.want || res.GetValid() != (c.want == 0) || res.GetMessage() == "" {
			t.Errorf("%s: %v", name, res)
		}
	}
	encoded, err := json.Marshal(map[string]any{"body": base64.StdEncoding.EncodeToString(body), "headers": map[string]string{"Payload-Signature": good}})
	must(t, err)
	res := s.do(http.MethodPost, "/v1/signatures:verify", strings.NewReader(string(encoded)), nil)
	if res.StatusCode != http.StatusOK {
		t.Errorf("over REST: %d", res.StatusCode)
	}
}

func TestOperator_BytesAsReceivedNeedTheScopeForPersonalData(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.arrive(ofProduction)
	s.arrive(strings.Replace(ofProduction, `"live":true`, `"live":false`, 1))
	told := s.events(store.Accounts)[0]
	item := s.open(&gatewayv1.ListAttentionRequest{})[0]
	event := &gatewayv1.GetEventRequest{EventId: told.ID, IncludeRaw: true}
	row := &gatewayv1.GetQuarantinedRequest{QuarantineId: item.GetQuarantineId(), IncludeRaw: true}
	_, err := s.operator.GetEvent(t.Context(), event)
	wantReason(t, err, codes.PermissionDenied, "DEBTOR_DATA_NOT_PERMITTED")
	_, err = s.operator.GetQuarantined(t.Context(), row)
	wantReason(t, err, codes.PermissionDenied, "DEBTOR_DATA_NOT_PERMITTED")
	plain, err := s.operator.GetEvent(t.Context(), &gatewayv1.GetEventRequest{Position: int64(told.Position)})
	if err != nil || len(plain.GetEvent().GetRaw()) > 0 || !plain.GetEvent().GetHasRaw() || plain.GetEvent().GetSummary().GetEventId() != told.ID {
		t.Errorf("without: %v, error %v", plain, err)
	}
	f := s.serve(func(c *Config) { c.DebtorData = true })
	shown, err := f.operator.GetEvent(t.Context(), event)
	must(t, err)
	kept, err := f.operator.GetQuarantined(t.Context(), row)
	must(t, err)
	if string(shown.GetEvent().GetRaw()) != string(told.Raw) || string(kept.GetQuarantined().GetRaw()) != ofProduction {
		t.Errorf("shown: %s, %s", shown.GetEvent().GetRaw(), kept.GetQuarantined().GetRaw())
	}
	for _, missing := range []*gatewayv1.GetEventRequest{{EventId: "nothing"}, {Position: 4711}, {EventId: told.ID, MerchantAccount: shop}} {
		_, err = s.operator.GetEvent(t.Context(), missing)
		wantReason(t, err, codes.NotFound, "EVENT_NOT_FOUND")
	}
	_, err = s.operator.GetQuarantined(t.Context(), &gatewayv1.GetQuarantinedRequest{QuarantineId: "4711"})
	wantReason(t, err, codes.NotFound, "QUARANTINED_NOT_FOUND")
}

func TestOperator_ActsAndListsOverREST(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.stopWork() // the jobs stay as they were recorded
	s.contradicted("SO-1")
	s.record(opened("SO-2"), placed("SO-2"))
	var list gatewayv1.ListAttentionResponse
	s.readREST("/v1/attention?reasons=ATTENTION_REASON_PAID_AFTER_CLOSED&includeHistory=true", &list)
	if len(list.GetItems()) != 1 || len(list.GetItems()[0].GetHistory()) != 4 {
		t.Fatalf("open: %v", &list)
	}
	body := `{"requestId":"` + uuid.NewString() + `","action":"ATTENTION_ACTION_DISMISS","note":"by hand"}`
	res := s.do(http.MethodPost, "/v1/attention/"+list.GetItems()[0].GetAttentionId()+":act", strings.NewReader(body), nil)
	if res.StatusCode != http.StatusOK {
		t.Errorf("acting answers %d", res.StatusCode)
	}
	var ended gatewayv1.ListAttentionResponse
	s.readREST("/v1/attention?ended=true", &ended)
	if len(ended.GetItems()) != 1 || ended.GetItems()[0].GetActions()[0].GetNote() != "by hand" {
		t.Errorf("ended: %v", &ended)
	}
	var jobs, first gatewayv1.ListJobsResponse
	s.readREST("/v1/jobs?kind=read_order", &jobs)
	if keys := keysOf(jobs.GetJobs()); !slices.Equal(keys, []string{id("order SO-1"), id("order SO-2")}) || jobs.GetMore() || jobs.GetJobs()[1].GetDueTime() == nil {
		t.Errorf("jobs, what is due first at first: %v", &jobs)
	}
	s.readREST("/v1/jobs?kind=read_order&limit=1", &first)
	if keys := keysOf(first.GetJobs()); !slices.Equal(keys, []string{id("order SO-1")}) || !first.GetMore() {
		t.Errorf("the first of them: %v", &first)
	}
	for _, path := range []string{"/v1/events?position=1", "/v1/events/" + list.GetItems()[0].GetCauseEventId(), "/v1/quarantine"} {
		if res := s.get(path); res.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", path, res.StatusCode)
		}
	}
}

func keysOf(jobs []*gatewayv1.Job) (all []string) {
	for _, j := range jobs {
		all = append(all, j.GetKey())
	}
	return all
}
