package server

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// settlementService implements SettlementService.
type settlementService struct {
	gatewayv1.UnimplementedSettlementServiceServer
	*Server
}

// settlements opens Klarna's settlements for the merchant account that a request names.
func (s *settlementService) settlements(ctx context.Context, req interface{ GetMerchantAccount() string }) (account string, source operation.Settlements, err error) {
	if account, err = s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI); err != nil {
		return "", nil, err
	}
	source, err = s.operations.Settlements(account)
	return account, source, err
}

func (s *settlementService) ListPayouts(ctx context.Context, req *gatewayv1.ListPayoutsRequest) (*gatewayv1.ListPayoutsResponse, error) {
	account, source, err := s.settlements(ctx, req)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListPayouts", account, req)
	if err != nil {
		return nil, err
	}
	payouts, next, err := source.Payouts(ctx, payoutFilterToKlarna(req), p.atKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListPayoutsResponse{Payouts: convertAll(payouts, payoutFromKlarna), NextPageToken: p.tokenAtKlarna(next)}, nil
}

func (s *settlementService) GetPayout(ctx context.Context, req *gatewayv1.GetPayoutRequest) (*gatewayv1.GetPayoutResponse, error) {
	_, source, err := s.settlements(ctx, req)
	if err != nil {
		return nil, err
	}
	payout, err := source.Payout(ctx, req.GetPaymentReference())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetPayoutResponse{Payout: payoutFromKlarna(payout)}, nil
}

func (s *settlementService) GetPayoutSummary(ctx context.Context, req *gatewayv1.GetPayoutSummaryRequest) (*gatewayv1.GetPayoutSummaryResponse, error) {
	_, source, err := s.settlements(ctx, req)
	if err != nil {
		return nil, err
	}
	summaries, err := source.PayoutSummaries(ctx, payoutFilterToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetPayoutSummaryResponse{Summaries: convertAll(summaries, payoutSummaryFromKlarna)}, nil
}

func (s *settlementService) ListSettlementTransactions(ctx context.Context, req *gatewayv1.ListSettlementTransactionsRequest) (*gatewayv1.ListSettlementTransactionsResponse, error) {
	account, source, err := s.settlements(ctx, req)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListSettlementTransactions", account, req)
	if err != nil {
		return nil, err
	}
	found, next, err := source.SettlementTransactions(ctx, transactionFilterToKlarna(req), p.atKlarna(req))
	if err != nil {
		return nil, err
	}
	payments, err := s.paymentsOfOrders(ctx, account, found)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListSettlementTransactionsResponse{
		Transactions: settlementTransactionsFromKlarna(found, payments), NextPageToken: p.tokenAtKlarna(next),
	}, nil
}

// paymentsOfOrders finds the payments on record of all transactions' orders at once. It gives their ids by order id.
func (s *Server) paymentsOfOrders(ctx context.Context, account string, found []klarna.SettlementTransaction) (map[string]string, error) {
	payments := map[string]string{}
	orders := keys(journal.KeyOrder, convertAll(found, func(t klarna.SettlementTransaction) string { return t.OrderID })...)
	if len(orders) == 0 {
		return payments, nil
	}
	subjects, err := s.store.Subjects(ctx, store.Query{Stream: store.Payments, MerchantAccount: account, Keys: orders, Limit: len(orders)})
	if err != nil {
		return nil, err
	}
	for _, subject := range subjects {
		entry, err := journal.DecodePaymentEntry(subject.Body)
		if err != nil {
			return nil, err
		}
		payments[entry.Payment.OrderID] = entry.Payment.ID
	}
	return payments, nil
}

// reportPiece is the largest piece of a report, in bytes.
const reportPiece = 32 << 10

// DownloadReport hands a report on piece by piece: no more than one is held, and Klarna is read no faster than the
// caller takes them. A report that breaks off ends in an error, after whatever was sent.
func (s *settlementService) DownloadReport(req *gatewayv1.DownloadReportRequest, stream grpc.ServerStreamingServer[gatewayv1.DownloadReportResponse]) error {
	_, source, err := s.settlements(stream.Context(), req)
	if err != nil {
		return err
	}
	contentType, report, err := source.Report(stream.Context(), reportToKlarna(req))
	if err != nil {
		return err
	}
	defer func() { _ = report.Close() }() // whatever it says, the bytes were read or are not wanted
	res := &gatewayv1.DownloadReportResponse{ContentType: contentType}
	for {
		piece := make([]byte, reportPiece) // a new one each time, since tracing may still look at the last
		n, err := report.Read(piece)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return fmt.Errorf("read report: %w", err)
		}
		if n > 0 || ended && res.GetContentType() != "" { // an empty report has a type too
			res.Data = piece[:n]
			if err := stream.Send(res); err != nil {
				return err
			}
			res = &gatewayv1.DownloadReportResponse{}
		}
		if ended {
			return nil
		}
	}
}
