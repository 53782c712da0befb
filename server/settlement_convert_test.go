package server

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

func TestPayoutFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	payout := payoutFromKlarna(*fixture(t, "payout.json", &klarna.Payout{}))
	complete(t, payout)
	complete(t, payout.GetTotals())
	checkGolden(t, "payout.json.golden", payout)
}

func TestPayoutSummaryFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	summary := payoutSummaryFromKlarna(*fixture(t, "payout_summary.json", &klarna.PayoutSummary{}))
	complete(t, summary.GetTotals(), "fee_refund_amount_minor", "tax_refund_amount_minor", "charge_amount_minor", "credit_amount_minor",
		"deposit_amount_minor", "opening_debt_balance_amount_minor", "closing_debt_balance_amount_minor")
	checkGolden(t, "payout_summary.json.golden", summary)
}

func TestSettlementTransactionsFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	row := *fixture(t, "settlement_transaction.json", &klarna.SettlementTransaction{})
	all := settlementTransactionsFromKlarna([]klarna.SettlementTransaction{row}, map[string]string{row.OrderID: "p-1", "other": "p-2"})
	complete(t, all[0])
	checkGolden(t, "settlement_transaction.json.golden", all[0])
}

func TestSettlementsFromKlarna_MakeNothingUp(t *testing.T) {
	t.Parallel()
	row := settlementTransactionsFromKlarna([]klarna.SettlementTransaction{{Type: "ODD"}}, nil)[0]
	if row.GetType() != "ODD" || row.GetSaleTime() != nil || row.GetCaptureTime() != nil || row.GetAmount() != nil || row.GetPaymentId() != "" {
		t.Errorf("%v", row)
	}
	if payout := payoutFromKlarna(klarna.Payout{}); payout.GetPayoutTime() != nil {
		t.Errorf("%v", payout)
	}
}

func TestReportToKlarna_SendsWhatTheReportNeeds(t *testing.T) {
	t.Parallel()
	start, end := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
	req := &gatewayv1.DownloadReportRequest{PaymentReference: "X", StartTime: timestamppb.New(start), EndTime: timestamppb.New(end)}
	for name, value := range gatewayv1.Report_value {
		if value == 0 {
			continue
		}
		req.Report = gatewayv1.Report(value)
		got := reportToKlarna(req)
		want := klarna.ReportRequest{Report: got.Report, Start: start, End: end}
		if value <= 2 {
			want = klarna.ReportRequest{Report: got.Report, PaymentReference: "X"}
		}
		if got.Report == "" || got != want || reportFromName(string(got.Report)) != req.GetReport() {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestPage_AsksKlarnaForItsOwnDefaultAndOffset(t *testing.T) {
	t.Parallel()
	if got := (page{size: defaultPage, offset: 40}).atKlarna(&gatewayv1.ListPayoutsRequest{}); got != (klarna.Paging{Size: 20, Offset: 40}) {
		t.Errorf("%+v", got)
	}
	if got := (page{}).atKlarna(&gatewayv1.ListPayoutsRequest{PageSize: 500}); got.Size != 500 {
		t.Errorf("%+v", got)
	}
	if token := (page{}).tokenAtKlarna(0); token != "" {
		t.Errorf("a next page behind the last: %s", token)
	}
}
