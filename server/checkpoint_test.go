package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestCheckpoint_AWatchGoesOnBehindWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	checkpoints := gatewayv1.NewWatchServiceClient(s.conn)
	s.record(opened("SO-1"), opened("SO-2"), opened("SO-3"))
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), Checkpoint: "books"}
	first := s.watchPayments(req)
	one, two := first.event(), first.event()
	ack := func(token string) *gatewayv1.Checkpoint {
		t.Helper()
		res, err := checkpoints.AckWatch(t.Context(), &gatewayv1.AckWatchRequest{Checkpoint: "books", ResumeToken: token})
		must(t, err)
		return res.GetCheckpoint()
	}
	if got := ack(two.token); got.GetPosition() != 2 || got.GetWatch() != "WatchPaymentStatus" || got.GetResumeToken() != two.token {
		t.Errorf("acknowledged: %v", got)
	}
	if got := ack(one.token); got.GetPosition() != 2 {
		t.Errorf("an older token moved the checkpoint back to %d", got.GetPosition())
	}
	if got := s.watchPayments(req).event().payment().GetMerchantReference1(); got != "SO-3" {
		t.Errorf("the watch goes on with %s, want SO-3", got)
	}
	token := proto.CloneOf(req)
	token.From = fromToken(one.token)
	if got := s.watchPayments(token).event().payment().GetMerchantReference1(); got != "SO-2" {
		t.Errorf("with a token of its own the watch goes on with %s, want SO-2", got)
	}
	foreign := gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_FOREIGN
	s.refused(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(now), Checkpoint: "books", MerchantReferences: []string{"SO-1"}},
		codes.InvalidArgument, http.StatusBadRequest, foreign, map[string]string{"checkpoint": "another filter"})
	s.refused(&gatewayv1.WatchAccountStateRequest{From: &gatewayv1.WatchAccountStateRequest_Start{Start: now}, Checkpoint: "books"},
		codes.InvalidArgument, http.StatusBadRequest, foreign, map[string]string{"checkpoint": "belongs to WatchPaymentStatus"})

	must(t, s.store.Trim(t.Context(), 3))
	tooOld := gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_TOO_OLD
	s.refused(req, codes.OutOfRange, http.StatusBadRequest, tooOld, nil)
	s.refused(&gatewayv1.AckWatchRequest{Checkpoint: "books", ResumeToken: two.token}, codes.OutOfRange, http.StatusBadRequest, tooOld, nil)
}

func TestCheckpoint_IsListedAndDeletedAlsoOverREST(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-1"), opened("SO-2"))
	payments := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest)}).event().token
	accounts := s.watchAccounts(&gatewayv1.WatchAccountStateRequest{From: &gatewayv1.WatchAccountStateRequest_Start{Start: now}}).next().token
	for name, token := range map[string]string{"b": accounts, "a.1": payments} {
		res := s.do(http.MethodPost, "/v1/checkpoints/"+name+":ack", strings.NewReader(`{"resumeToken":"`+token+`"}`), nil)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("ack %s: %d", name, res.StatusCode)
		}
	}
	list := func() string {
		body, err := io.ReadAll(s.get("/v1/checkpoints").Body)
		must(t, err)
		return string(body)
	}
	if got := list(); strings.Index(got, `"a.1"`) > strings.Index(got, `"b"`) || !strings.Contains(got, "WatchAccountState") || !strings.Contains(got, payments) {
		t.Errorf("the list is %s", got)
	}
	for range 2 {
		if res := s.do(http.MethodPost, "/v1/checkpoints/b:delete", strings.NewReader(`{}`), nil); res.StatusCode != http.StatusOK {
			t.Errorf("delete: %d", res.StatusCode)
		}
	}
	if got := list(); strings.Contains(got, `"b"`) || !strings.Contains(got, `"a.1"`) {
		t.Errorf("after the deletion the list is %s", got)
	}
}

func TestCheckpoint_RefusesWhatIsNoTokenOfAWatch(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-1"), opened("SO-2"))
	listed, err := s.payments.ListPayments(t.Context(), &gatewayv1.ListPaymentsRequest{PageSize: 1})
	must(t, err)
	invalid := gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_INVALID
	for _, token := range []string{"nonsense", listed.GetNextPageToken()} {
		s.refused(&gatewayv1.AckWatchRequest{Checkpoint: "books", ResumeToken: token}, codes.InvalidArgument, http.StatusBadRequest, invalid, map[string]string{"resume_token": "is not"})
	}
	s.refused(&gatewayv1.AckWatchRequest{Checkpoint: "no name", ResumeToken: "x"}, codes.InvalidArgument, http.StatusBadRequest,
		gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"checkpoint": "does not match"})
}
