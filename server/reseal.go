package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// resealTime is about how long one call walks.
const resealTime = 2 * time.Second

func (s *operatorService) Reseal(ctx context.Context, req *gatewayv1.ResealRequest) (*gatewayv1.ResealResponse, error) {
	if _, err := s.anyAccount(ctx, ""); err != nil {
		return nil, err
	}
	walk := s.store.Reseal
	if req.GetCountOnly() {
		walk = s.store.CountSealed
	}
	part, err := walk(ctx, req.GetPageToken(), resealTime)
	if errors.Is(err, store.ErrPlace) {
		return nil, badToken(gatewayv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID, "page_token", "is not one of this walk's")
	}
	if err != nil {
		return nil, err
	}
	if part.Resealed > 0 {
		s.log.InfoContext(ctx, "sealed anew", "rows", part.Resealed, "caller", callerOf(ctx).Name, "request_id", req.GetRequestId())
	}
	known, seals := s.store.SealingKeys()
	return &gatewayv1.ResealResponse{
		NextPageToken: part.Next, Rows: part.Rows, RowsResealed: part.Resealed, SubjectValues: part.Subjects,
		Keys: sealingKeyUses(part, known, seals),
	}, nil
}

// sealingKeyUses lists the keys of the key file in their order, and behind them others that were met.
func sealingKeyUses(part store.Resealing, known []store.KeyID, seals store.KeyID) (uses []*gatewayv1.SealingKeyUse) {
	met := slices.SortedFunc(maps.Keys(part.Keyring), func(a, b store.KeyID) int { return cmp.Compare(a, b) })
	for _, id := range slices.Concat(known, met) {
		missing := !slices.Contains(known, id)
		if missing || len(uses) < len(known) {
			uses = append(uses, &gatewayv1.SealingKeyUse{KeyId: fmt.Sprint(id), Seals: id == seals, Missing: missing, Values: part.Keyring[id]})
		}
	}
	return uses
}
