package server

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// partnerService implements PartnerService.
type partnerService struct {
	gatewayv1.UnimplementedPartnerServiceServer
	*Server
}

func (s *partnerService) OnboardPartner(ctx context.Context, req *gatewayv1.OnboardPartnerRequest) (*gatewayv1.OnboardPartnerResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	if err := duplicateReferences(req); err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.Onboard(ctx, what, onboardToKlarna(req))
	if err != nil {
		return nil, err
	}
	partner, err := s.partner(ctx, account, made.AccountID)
	return &gatewayv1.OnboardPartnerResponse{Partner: partner}, err
}

func (s *partnerService) GetPartner(ctx context.Context, req *gatewayv1.GetPartnerRequest) (*gatewayv1.GetPartnerResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	if err := s.operations.Partner(ctx, account, req.GetPartnerAccountId()); err != nil {
		return nil, err
	}
	partner, err := s.partner(ctx, account, req.GetPartnerAccountId())
	return &gatewayv1.GetPartnerResponse{Partner: partner}, err
}

func (s *partnerService) ListPartners(ctx context.Context, req *gatewayv1.ListPartnersRequest) (*gatewayv1.ListPartnersResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListPartners", account, req)
	if err != nil {
		return nil, err
	}
	q := store.Query{Stream: store.Accounts, MerchantAccount: account, States: partnerStateToWords(req.GetStates())}
	q.Keys = keys(journal.KeyAccountReference, req.GetPartnerAccountReference())
	found, next, err := s.subjects(ctx, p, q)
	if err != nil {
		return nil, err
	}
	res := &gatewayv1.ListPartnersResponse{NextPageToken: next}
	for _, subject := range found {
		partner, err := partnerFromSubject(subject)
		if err != nil {
			return nil, err
		}
		res.Partners = append(res.Partners, partner)
	}
	return res, nil
}

func (s *partnerService) UpdatePartner(ctx context.Context, req *gatewayv1.UpdatePartnerRequest) (*gatewayv1.UpdatePartnerResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.UpdatePartner(ctx, what, req.GetPartnerAccountId(), partnerUpdateToKlarna(req)); err != nil {
		return nil, err
	}
	partner, err := s.partner(ctx, account, req.GetPartnerAccountId())
	return &gatewayv1.UpdatePartnerResponse{Partner: partner}, err
}

func (s *partnerService) UpdateBrand(ctx context.Context, req *gatewayv1.UpdateBrandRequest) (*gatewayv1.UpdateBrandResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	brand, err := s.operations.UpdateBrand(ctx, what, req.GetPartnerAccountId(), req.GetBrandId(), brandUpdateToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.UpdateBrandResponse{Brand: brandFromKlarna(brand)}, nil
}

func (s *partnerService) WatchAccountState(req *gatewayv1.WatchAccountStateRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchAccountStateResponse]) error {
	w, err := s.openAccountWatch(req, stream)
	if err != nil {
		return err
	}
	return w.run(stream)
}

// openAccountWatch makes a watch of a request.
func (s *Server) openAccountWatch(req *gatewayv1.WatchAccountStateRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchAccountStateResponse]) (*watch, error) {
	account, err := s.merchantAccount(stream.Context(), req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	w := s.accountWatch(req, store.Query{
		Stream: store.Accounts, MerchantAccount: account, Heartbeat: heartbeat(req), Sent: true,
		Keys: append(keys(journal.KeyAccount, req.GetPartnerAccountIds()...), keys(journal.KeyAccountReference, req.GetPartnerAccountReferences()...)...),
	})
	w.cursors, err = s.cursors(stream.Context(), "WatchAccountState", account, filterOf(req, "until_states"))
	if err != nil {
		return nil, err
	}
	w.encode = encodedAccount
	w.send = func(token string, step watchStep) error {
		res := &gatewayv1.WatchAccountStateResponse{ResumeToken: token}
		switch {
		case step.bookmark != nil:
			res.Message = &gatewayv1.WatchAccountStateResponse_Bookmark{Bookmark: step.bookmark}
		case step.snapshotEnd != nil:
			res.Message = &gatewayv1.WatchAccountStateResponse_SnapshotEnd{SnapshotEnd: step.snapshotEnd}
		default:
			res.Message = &gatewayv1.WatchAccountStateResponse_StreamEnd{StreamEnd: step.streamEnd}
		}
		return stream.Send(res)
	}
	w.at, err = w.begin(stream.Context(), req)
	return w, err
}

// accountWatch says what a watch request selects and where it ends.
func (s *Server) accountWatch(req *gatewayv1.WatchAccountStateRequest, q store.Query) *watch {
	until := partnerStateToWords(req.GetUntilStates())
	w := &watch{server: s, query: q, ends: endsAt(until)}
	w.show(partnerStateToWords(req.GetStates()), len(until) > 0, until)
	return w
}

// partner is an account as it is on record.
func (s *Server) partner(ctx context.Context, merchantAccount, accountID string) (*gatewayv1.Partner, error) {
	found, err := s.store.Subjects(ctx, store.Query{
		Stream: store.Accounts, MerchantAccount: merchantAccount, Keys: keys(journal.KeyAccount, accountID), Descending: true, Limit: 1,
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("partner account: %w", store.ErrNotFound)
	}
	return partnerFromSubject(found[0])
}

func partnerFromSubject(subject store.Subject) (*gatewayv1.Partner, error) {
	entry, err := journal.DecodeAccountEntry(subject.Body)
	if err != nil {
		return nil, err
	}
	return partnerFromJournal(entry.Account, subject.Latest, true), nil
}

// duplicateReferences checks what Klarna would: references are unique in their array. References to things that are
// not in the request are left to Klarna, which may know them from an earlier one.
func duplicateReferences(req *gatewayv1.OnboardPartnerRequest) error {
	var found []*errdetails.BadRequest_FieldViolation
	check := func(array, field string, reference func(int) string, n int) {
		seen := map[string]int{}
		for i := range n {
			if first, dup := seen[reference(i)]; dup {
				found = append(found, violation(fmt.Sprintf("%s[%d].%s", array, i, field),
					fmt.Sprintf("is used by %s[%d] as well; references are unique", array, first), "reference.unique"))
				continue
			}
			seen[reference(i)] = i
		}
	}
	check("brands", "brand_reference", func(i int) string { return req.GetBrands()[i].GetBrandReference() }, len(req.GetBrands()))
	check("store_groups", "store_group_reference", func(i int) string { return req.GetStoreGroups()[i].GetStoreGroupReference() }, len(req.GetStoreGroups()))
	check("business_entities", "partner_business_entity_reference", func(i int) string { return req.GetBusinessEntities()[i].GetPartnerBusinessEntityReference() }, len(req.GetBusinessEntities()))
	for i, p := range req.GetProducts() {
		check(fmt.Sprintf("products[%d].payment_accounts", i), "payment_account_reference",
			func(k int) string { return p.GetPaymentAccounts()[k].GetPaymentAccountReference() }, len(p.GetPaymentAccounts()))
	}
	if len(found) == 0 {
		return nil
	}
	return reason(codes.InvalidArgument, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, "references are not unique",
		&errdetails.BadRequest{FieldViolations: found})
}
