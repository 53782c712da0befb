package server

import (
	"bytes"
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestTokens_ThatAreNotOfThisWatchAreRefused(t *testing.T) {
	t.Parallel()
	s, foreign := start(t, nil), start(t, nil)
	for _, s := range []*stack{s, foreign} {
		s.record(opened("SO-1"), opened("SO-2"), opened("SO-3"))
	}
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), SessionIds: []string{id("session SO-1")}}
	good := s.watchPayments(req).caughtUp()[0].token
	listed, err := s.payments.ListPayments(t.Context(), &gatewayv1.ListPaymentsRequest{PageSize: 1})
	must(t, err)
	accounts := s.watchAccounts(&gatewayv1.WatchAccountStateRequest{From: &gatewayv1.WatchAccountStateRequest_Start{Start: now}}).next().token
	cursors := s.server.paymentCursors(t, shop, req)
	stale := cursors
	log, epoch, err := s.store.Log(t.Context())
	must(t, err)
	stale.bound = bytes.Clone(stale.bound)
	copy(stale.bound[1:], s.server.digestOfLog(log, epoch-1))
	unborn := cursors
	unborn.bound = bytes.Clone(unborn.bound)
	unborn.bound[0]++

	const (
		invalid = gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_INVALID
		strange = gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_FOREIGN
	)
	for name, c := range map[string]struct {
		token  string
		reason gatewayv1.ErrorReason
		rule   string
	}{
		"garbage":                     {"!§", invalid, "is not a token of this gateway's"},
		"text":                        {"c29tZSB0ZXh0IHRoYXQgaXMgbG9uZyBlbm91Z2ggdG8gYmUgYSB0b2tlbg", invalid, "is not a token of this gateway's"},
		"cut off":                     {good[:len(good)-4], invalid, "is not a token of this gateway's"},
		"of another filter":           {s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)}).next().token, strange, "another filter"},
		"of another merchant account": {s.server.paymentCursors(t, outlet, req).token(place{After: 1}), strange, "another filter"},
		"of the other watch":          {accounts, strange, "belongs to WatchAccountState"},
		"of a list":                   {listed.GetNextPageToken(), strange, "belongs to ListPayments"},
		"of another log":              {foreign.watchPayments(req).next().token, invalid, "is not a token of this gateway's"},
		"of an earlier epoch":         {stale.token(place{After: 1}), strange, "belongs to another log"},
		"of a later version":          {unborn.token(place{After: 1}), invalid, "is of a version"},
		"ahead of the log":            {cursors.token(place{After: 4}), strange, "belongs to another log"},
		"of a snapshot ahead of it":   {cursors.token(place{Snapshot: true, UpTo: 4}), strange, "belongs to another log"},
	} {
		t.Run(name, func(t *testing.T) {
			s.on(t).refused(resumed(req, c.token), codes.InvalidArgument, http.StatusBadRequest, c.reason, map[string]string{"resume_token": c.rule})
		})
	}
}

func TestTokens_AreValidAsTheyAreAndNotAltered(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-1"))
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest)}
	token := s.watchPayments(req).next().token
	cursors := s.server.paymentCursors(t, shop, req)
	const invalid = gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_INVALID
	if _, err := cursors.read(token, "resume_token", invalid); err != nil {
		t.Fatal(err)
	}
	// Three lengths, since the last character of a text may hold bits that mean nothing.
	for _, token := range []string{token, cursors.token(place{After: 10}), cursors.token(place{After: 100})} {
		for i := range token {
			for _, c := range "ABQRf0129-_\n" {
				altered := token[:i] + string(c) + token[i+1:]
				if at, err := cursors.read(altered, "resume_token", invalid); altered != token && reasonOf(err) != "RESUME_TOKEN_INVALID" {
					t.Fatalf("with %q at %d the token reads as %v, %v", c, i, at, err)
				}
			}
		}
	}
}

func TestTokens_SurviveAChangeOfWhatIsNotTheFilter(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.DebtorData = true })
	s.record(opened("SO-1"), opened("SO-2"))
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest)}
	token := s.watchPayments(req).caughtUp()[1].token
	got := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{
		From: fromToken(token), MerchantAccount: shop, HeartbeatSeconds: 3, IncludeDebtorData: true,
		UntilStates: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_CLOSED},
	}).caughtUp()
	if len(content(got)) != 1 {
		t.Errorf("with the account's name, another heartbeat and an end: %v, want one event", content(got))
	}
}
