package operation

import (
	"context"
	"io"

	"payments.internal/klarna-gateway/klarna"
)

// Settlements is what a merchant account may ask Klarna about its payouts. Nothing of it changes anything, and nothing
// is recorded.
type Settlements interface {
	Payouts(ctx context.Context, filter klarna.PayoutFilter, part klarna.Paging) (payouts []klarna.Payout, next int64, err error)
	Payout(ctx context.Context, paymentReference string) (klarna.Payout, error)
	PayoutSummaries(ctx context.Context, filter klarna.PayoutFilter) ([]klarna.PayoutSummary, error)
	SettlementTransactions(ctx context.Context, filter klarna.TransactionFilter, part klarna.Paging) (transactions []klarna.SettlementTransaction, next int64, err error)
	Report(ctx context.Context, which klarna.ReportRequest) (contentType string, body io.ReadCloser, err error)
}

// Settlements opens the settlements of a merchant account.
func (o *Operations) Settlements(merchantAccount string) (Settlements, error) {
	account, err := o.account(merchantAccount, RegionalAPI)
	if err != nil {
		return nil, err
	}
	return account.Klarna, nil
}
