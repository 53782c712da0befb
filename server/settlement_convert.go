package server

import (
	"cmp"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// klarnaPage is the size of a page of settlements where the request names none.
const klarnaPage = 20

// atKlarna is the page for lists that Klarna keeps: its tokens hold Klarna's own offset, so that Klarna says what comes
// next.
func (p page) atKlarna(req pageRequest) klarna.Paging {
	return klarna.Paging{Size: cmp.Or(int(req.GetPageSize()), klarnaPage), Offset: p.offset}
}

// tokenAtKlarna is the token of the page that begins at Klarna's offset; empty for 0, which is none.
func (p page) tokenAtKlarna(offset int64) string {
	if offset == 0 {
		return ""
	}
	return p.cursors.token(place{Offset: offset})
}

// payoutRequest is what requests for payouts share.
type payoutRequest interface {
	GetStartTime() *timestamppb.Timestamp
	GetEndTime() *timestamppb.Timestamp
	GetCurrencyCode() string
}

func payoutFilterToKlarna(req payoutRequest) klarna.PayoutFilter {
	return klarna.PayoutFilter{Start: timeOf(req.GetStartTime()), End: timeOf(req.GetEndTime()), Currency: req.GetCurrencyCode()}
}

func transactionFilterToKlarna(req *gatewayv1.ListSettlementTransactionsRequest) klarna.TransactionFilter {
	return klarna.TransactionFilter{PaymentReference: req.GetPaymentReference(), OrderID: req.GetOrderId()}
}

// reportNames are the reports in Klarna's words, which our REST paths share.
var reportNames = map[gatewayv1.Report]klarna.ReportName{
	gatewayv1.Report_REPORT_PAYOUT_WITH_TRANSACTIONS:          klarna.ReportPayoutWithTransactions,
	gatewayv1.Report_REPORT_PAYOUT:                            klarna.ReportPayout,
	gatewayv1.Report_REPORT_PAYOUTS_SUMMARY_WITH_TRANSACTIONS: klarna.ReportPayoutsSummaryWithTransactions,
	gatewayv1.Report_REPORT_PAYOUTS_SUMMARY:                   klarna.ReportPayoutsSummary,
}

// reportToKlarna leaves out what is not for the kind of report.
func reportToKlarna(req *gatewayv1.DownloadReportRequest) klarna.ReportRequest {
	report := klarna.ReportRequest{Report: reportNames[req.GetReport()]}
	switch report.Report {
	case klarna.ReportPayoutWithTransactions, klarna.ReportPayout:
		report.PaymentReference = req.GetPaymentReference()
	default:
		report.Start, report.End = timeOf(req.GetStartTime()), timeOf(req.GetEndTime())
	}
	return report
}

func payoutFromKlarna(p klarna.Payout) *gatewayv1.Payout {
	t := p.Totals
	return &gatewayv1.Payout{
		PaymentReference:                  p.PaymentReference,
		PayoutTime:                        timestampOf(p.PayoutDate.Time),
		CurrencyCode:                      p.CurrencyCode,
		MerchantId:                        p.MerchantID,
		MerchantSettlementType:            p.MerchantSettlementType,
		CurrencyCodeOfRegistrationCountry: p.CurrencyOfRegistrationCountry,
		Totals: &gatewayv1.PayoutTotals{
			SaleAmountMinor:               t.Sale,
			ReturnAmountMinor:             t.Return,
			ReversalAmountMinor:           t.Reversal,
			FeeAmountMinor:                t.Fee,
			FeeCorrectionAmountMinor:      t.FeeCorrection,
			FeeRefundAmountMinor:          t.FeeRefund,
			TaxAmountMinor:                t.Tax,
			TaxRefundAmountMinor:          t.TaxRefund,
			CommissionAmountMinor:         t.Commission,
			CommissionReversalAmountMinor: t.CommissionReversal,
			ChargeAmountMinor:             t.Charge,
			CreditAmountMinor:             t.Credit,
			HoldbackAmountMinor:           t.Holdback,
			ReleaseAmountMinor:            t.Release,
			RepayAmountMinor:              t.Repay,
			DepositAmountMinor:            t.Deposit,
			OpeningDebtBalanceAmountMinor: t.OpeningDebtBalance,
			ClosingDebtBalanceAmountMinor: t.ClosingDebtBalance,
			SettlementAmountMinor:         t.Settlement,
		},
	}
}

// payoutSummaryFromKlarna shows a summary. Klarna: it has no totals of charges, credits and debts.
func payoutSummaryFromKlarna(s klarna.PayoutSummary) *gatewayv1.PayoutSummary {
	return &gatewayv1.PayoutSummary{
		CurrencyCode: s.Currency,
		Totals: &gatewayv1.PayoutTotals{
			SaleAmountMinor:               s.Sale,
			ReturnAmountMinor:             s.Return,
			ReversalAmountMinor:           s.Reversal,
			FeeAmountMinor:                s.Fee,
			FeeCorrectionAmountMinor:      s.FeeCorrection,
			TaxAmountMinor:                s.Tax,
			CommissionAmountMinor:         s.Commission,
			CommissionReversalAmountMinor: s.CommissionReversal,
			HoldbackAmountMinor:           s.Holdback,
			ReleaseAmountMinor:            s.Release,
			RepayAmountMinor:              s.Repay,
			SettlementAmountMinor:         s.Settlement,
		},
	}
}

// settlementTransactionsFromKlarna shows transactions with the payments that their orders belong to.
func settlementTransactionsFromKlarna(found []klarna.SettlementTransaction, payments map[string]string) []*gatewayv1.SettlementTransaction {
	return convertAll(found, func(t klarna.SettlementTransaction) *gatewayv1.SettlementTransaction {
		return &gatewayv1.SettlementTransaction{
			Type:                     t.Type,
			DetailedType:             t.DetailedType,
			Amount:                   moneyOf(t.Amount, t.CurrencyCode),
			OrderId:                  t.OrderID,
			ShortOrderId:             t.ShortOrderID,
			CaptureId:                t.CaptureID,
			RefundId:                 t.RefundID,
			SaleTime:                 timestampOf(t.SaleDate.Time),
			CaptureTime:              timestampOf(t.CaptureDate.Time),
			PaymentReference:         t.PaymentReference,
			MerchantReference1:       t.MerchantReference1,
			MerchantReference2:       t.MerchantReference2,
			MerchantCaptureReference: t.MerchantCaptureReference,
			MerchantRefundReference:  t.MerchantRefundReference,
			PurchaseCountry:          t.PurchaseCountry,
			VatAmountMinor:           t.VATAmount,
			VatRateBasisPoints:       t.VATRate,
			InitialPaymentMethodType: t.InitialPaymentMethodType,
			PaymentId:                payments[t.OrderID],
		}
	})
}
