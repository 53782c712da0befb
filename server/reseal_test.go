package server

import (
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestReseal_CountsAndGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.paid("SO-1")
	res, err := s.operator.Reseal(t.Context(), &gatewayv1.ResealRequest{RequestId: uuid.NewString(), CountOnly: true})
	must(t, err)
	if keys := res.GetKeys(); len(keys) != 1 || !keys[0].GetSeals() || keys[0].GetMissing() || keys[0].GetValues() < 5 || len(keys[0].GetKeyId()) != 8 ||
		res.GetNextPageToken() != "" || res.GetRows() < 5 || res.GetSubjectValues() < 1 {
		t.Errorf("%v", res)
	}
	again, err := s.operator.Reseal(t.Context(), &gatewayv1.ResealRequest{RequestId: uuid.NewString()})
	must(t, err)
	if again.GetRowsResealed() != 0 || again.GetRows() != res.GetRows() {
		t.Errorf("%v", again)
	}
	s.refused(&gatewayv1.ResealRequest{RequestId: uuid.NewString(), PageToken: "nowhere"}, codes.InvalidArgument, 400,
		gatewayv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID, map[string]string{"page_token": "is not one of this walk's"})
}

func TestReseal_IsForThoseWhoAreForAllMerchantAccounts(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, `
roles: {one: {rpcs: [OperatorService/Reseal], merchant_accounts: [shop]}, all: {rpcs: [OperatorService/Reseal], merchant_accounts: ["*"]}}
bindings: [{callers: [clerk], roles: [one]}, {callers: [chief], roles: [all]}]`, "clerk", "chief"))
	for caller, want := range map[string]codes.Code{"clerk": codes.PermissionDenied, "chief": codes.OK} {
		if _, st := s.overGRPC(&gatewayv1.ResealRequest{RequestId: uuid.NewString()}, "authorization", "Bearer "+caller+"-token"); st.Code() != want {
			t.Errorf("%s: %v", caller, st)
		}
	}
}
