package server

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

func (s *operatorService) ErasePersonalData(ctx context.Context, req *gatewayv1.ErasePersonalDataRequest) (*gatewayv1.ErasePersonalDataResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	found, err := s.store.Subjects(ctx, erasable(account, req))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing is on record: %w", store.ErrNotFound)
	}
	var erased journal.Erasure
	err = s.store.Do(ctx, func(tx store.Tx) (err error) {
		erased, err = s.journal.EraseIn(ctx, tx, found[0].ID, s.store.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.listErasure(erased); err != nil {
		return nil, err
	}
	remains, err := s.journal.Scrub(ctx, erased, s.scrubFor) // if this fails, a job does it
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "personal data erased", "subject", erased.Subject, "merchant_account", found[0].MerchantAccount,
		"caller", callerOf(ctx).Name, "request_id", req.GetRequestId(), "note", req.GetNote(), "repeated", erased.Repeated, "remains", remains.Rows, "remains_pending", remains.Next != "")
	return &gatewayv1.ErasePersonalDataResponse{
		EraseTime: timestamppb.New(erased.At), Position: int64(erased.Position), Repeated: erased.Repeated,
		RemainsPending: remains.Next != "",
	}, nil
}

// listErasure puts an erasure on the list that is kept beside the backups. If that fails the caller is to repeat the
// request: it is put there then.
func (s *operatorService) listErasure(e journal.Erasure) error {
	if s.erasures == nil {
		return nil
	}
	err := s.erasures(store.Erasure{Subject: e.Subject, Stream: e.Stream, MerchantAccount: e.Account, Keys: e.Keys, ErasedAt: e.At})
	if err != nil {
		return fmt.Errorf("personal data is erased, and not on the list of erasures: %w", err)
	}
	return nil
}

// erasable selects what a request is about.
func erasable(account string, req *gatewayv1.ErasePersonalDataRequest) store.Query {
	q := store.Query{Stream: store.Payments, MerchantAccount: account, Limit: 1}
	switch about := req.GetSubject().(type) {
	case *gatewayv1.ErasePersonalDataRequest_PaymentId:
		q.Keys = keys(journal.KeyPayment, about.PaymentId)
	case *gatewayv1.ErasePersonalDataRequest_OrderId:
		q.Keys = keys(journal.KeyOrder, about.OrderId)
	case *gatewayv1.ErasePersonalDataRequest_SessionId:
		q.Keys = keys(journal.KeySession, about.SessionId)
	case *gatewayv1.ErasePersonalDataRequest_PaymentRequestId:
		q.Keys = keys(journal.KeyRequest, about.PaymentRequestId)
	case *gatewayv1.ErasePersonalDataRequest_PaymentTransactionId:
		q.Keys = keys(journal.KeyTransaction, about.PaymentTransactionId)
	case *gatewayv1.ErasePersonalDataRequest_PartnerAccountId:
		q.Stream, q.Keys = store.Accounts, keys(journal.KeyAccount, about.PartnerAccountId)
	}
	return q
}
