package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

func (f *face) settlements() gatewayv1.SettlementServiceClient {
	return gatewayv1.NewSettlementServiceClient(f.conn)
}

// sold is an order over 129.95 EUR, captured in full.
func (s *stack) sold(reference string) (orderID string) {
	s.t.Helper()
	orderID = s.order(reference)
	_, err := s.orders.CaptureOrder(s.t.Context(), &gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: orderID, Amount: eur(12995)})
	must(s.t, err)
	return orderID
}

// paidOut is the one payout of all that was sold.
func (s *stack) paidOut() klarnatest.Payout {
	s.t.Helper()
	paid := s.klarna.Payout()
	if len(paid) != 1 {
		s.t.Fatalf("%d payouts", len(paid))
	}
	return paid[0]
}

func TestSettlements_JoinWithThePaymentsOnRecord(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx := t.Context()
	order := s.sold("SO-1")
	refund, err := s.orders.RefundOrder(ctx, &gatewayv1.RefundOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(2995)})
	must(t, err)
	other := s.sold("SO-2")
	paid := s.paidOut()

	list, err := s.settlements().ListSettlementTransactions(ctx, &gatewayv1.ListSettlementTransactionsRequest{PaymentReference: paid.Reference})
	must(t, err)
	var rows []string
	payments := map[string]string{}
	for _, row := range list.GetTransactions() {
		rows = append(rows, fmt.Sprintf("%s %d", row.GetType(), row.GetAmount().GetAmountMinor()))
		payments[row.GetOrderId()] = row.GetPaymentId()
		if row.GetType() == "RETURN" && (row.GetRefundId() != refund.GetRefund().GetRefundId() || row.GetPaymentReference() != paid.Reference) {
			t.Errorf("%v", row)
		}
	}
	slices.Sort(rows)
	if got := strings.Join(rows, ", "); got != "FEE 388, FEE 388, RETURN 2995, SALE 12995, SALE 12995" || list.GetNextPageToken() != "" {
		t.Errorf("%s, next %q", got, list.GetNextPageToken())
	}
	for _, id := range []string{order, other} {
		status, err := s.payments.GetPaymentStatus(ctx, &gatewayv1.GetPaymentStatusRequest{Payment: &gatewayv1.GetPaymentStatusRequest_OrderId{OrderId: id}})
		must(t, err)
		if payments[id] == "" || payments[id] != status.GetPayments()[0].GetPaymentId() {
			t.Errorf("order %s belongs to payment %q", id, payments[id])
		}
	}
	one, err := s.settlements().ListSettlementTransactions(ctx, &gatewayv1.ListSettlementTransactionsRequest{MerchantAccount: outlet, OrderId: order})
	must(t, err)
	if len(one.GetTransactions()) != 3 || one.GetTransactions()[0].GetPaymentId() != "" {
		t.Errorf("another merchant account sees %v", one)
	}
}

func TestSettlements_ShowPayouts(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx := t.Context()
	s.sold("SO-1")
	paid := s.paidOut()
	got, err := s.settlements().GetPayout(ctx, &gatewayv1.GetPayoutRequest{PaymentReference: paid.Reference})
	must(t, err)
	if got.GetPayout().GetTotals().GetSettlementAmountMinor() != paid.Amount || got.GetPayout().GetCurrencyCode() != "EUR" {
		t.Errorf("%v, want %+v", got, paid)
	}
	at := got.GetPayout().GetPayoutTime()
	list, err := s.settlements().ListPayouts(ctx, &gatewayv1.ListPayoutsRequest{StartTime: at, EndTime: at, CurrencyCode: "EUR"})
	must(t, err)
	if len(list.GetPayouts()) != 1 || !proto.Equal(list.GetPayouts()[0], got.GetPayout()) {
		t.Errorf("%v, want %v", list, got)
	}
	later := timestamppb.New(at.AsTime().Add(time.Second))
	if list, err = s.settlements().ListPayouts(ctx, &gatewayv1.ListPayoutsRequest{StartTime: later}); err != nil || len(list.GetPayouts()) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	sum, err := s.settlements().GetPayoutSummary(ctx, &gatewayv1.GetPayoutSummaryRequest{StartTime: at, EndTime: later})
	must(t, err)
	if len(sum.GetSummaries()) != 1 || sum.GetSummaries()[0].GetTotals().GetSaleAmountMinor() != 12995 || sum.GetSummaries()[0].GetCurrencyCode() != "EUR" {
		t.Errorf("%v", sum)
	}

	rest := &gatewayv1.GetPayoutResponse{}
	s.readREST("/v1/settlements/payouts/"+paid.Reference, rest)
	if !proto.Equal(rest, got) {
		t.Errorf("REST shows %v", rest)
	}
	restSum := &gatewayv1.GetPayoutSummaryResponse{}
	s.readREST("/v1/settlements/payouts:summary?startTime=2000-01-01T00:00:00Z&endTime=2100-01-01T00:00:00Z", restSum)
	if !proto.Equal(restSum, sum) {
		t.Errorf("REST shows %v", restSum)
	}
}

// readREST reads a path into a response.
func (f *face) readREST(path string, into proto.Message) {
	f.t.Helper()
	res := f.get(path)
	body := bodyOf(f.t, res)
	if res.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %s: %s", path, res.Status, body)
	}
	must(f.t, protojson.Unmarshal(body, into))
}

func TestSettlements_PagesFollowKlarnas(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx := t.Context()
	order := s.sold("SO-1")
	for range 3 {
		_, err := s.orders.RefundOrder(ctx, &gatewayv1.RefundOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(1)})
		must(t, err)
	}
	for size := int32(1); size <= 6; size++ {
		var kinds []string
		pages, token := 0, ""
		for pages == 0 || token != "" && pages < 10 {
			res, err := s.settlements().ListSettlementTransactions(ctx, &gatewayv1.ListSettlementTransactionsRequest{PageSize: size, PageToken: token})
			must(t, err)
			for _, row := range res.GetTransactions() {
				kinds = append(kinds, row.GetType())
			}
			token = res.GetNextPageToken()
			pages++
		}
		if got := strings.Join(kinds, " "); got != "SALE FEE RETURN RETURN RETURN" || pages != int(5+size-1)/int(size) {
			t.Errorf("size %d: %s on %d pages", size, got, pages)
		}
	}
}

func TestSettlements_PageTokensBelongToTheirList(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx := t.Context()
	s.sold("SO-1")
	first, err := s.settlements().ListSettlementTransactions(ctx, &gatewayv1.ListSettlementTransactionsRequest{PageSize: 1})
	must(t, err)
	token := first.GetNextPageToken()
	for name, req := range map[string]*gatewayv1.ListSettlementTransactionsRequest{
		"another filter":  {PageToken: token, OrderId: "o"},
		"another account": {PageToken: token, MerchantAccount: outlet},
		"altered":         {PageToken: token[:len(token)-2] + "AA"},
		"made up":         {PageToken: "20"},
	} {
		if _, err := s.settlements().ListSettlementTransactions(ctx, req); takeApart(t, err).info.GetReason() != "PAGE_TOKEN_INVALID" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.settlements().ListPayouts(ctx, &gatewayv1.ListPayoutsRequest{PageToken: token}); takeApart(t, err).info.GetReason() != "PAGE_TOKEN_INVALID" {
		t.Errorf("another list: %v", err)
	}
	same := &gatewayv1.ListSettlementTransactionsRequest{PageToken: token, PageSize: 7, MerchantAccount: shop}
	if rest, err := s.settlements().ListSettlementTransactions(ctx, same); err != nil || len(rest.GetTransactions()) != 1 {
		t.Errorf("the default account by its name, another size: %v, %v", rest, err)
	}
}

func TestSettlements_RefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx, now := t.Context(), timestamppb.Now()
	get := func(reference, account string) error {
		_, err := s.settlements().GetPayout(ctx, &gatewayv1.GetPayoutRequest{PaymentReference: reference, MerchantAccount: account})
		return err
	}
	wantStatus(t, get("NONE", ""), codes.NotFound, "PAYOUT_NOT_FOUND")
	wantStatus(t, get("", ""), codes.InvalidArgument, "INVALID_FIELD")
	wantStatus(t, get("NONE", "nobody"), codes.NotFound, "MERCHANT_ACCOUNT_UNKNOWN")
	wantStatus(t, get("NONE", acquirer), codes.FailedPrecondition, "MERCHANT_ACCOUNT_UNSUITABLE")
	_, err := s.settlements().ListPayouts(ctx, &gatewayv1.ListPayoutsRequest{PageSize: 501, CurrencyCode: "eur"})
	if a := wantStatus(t, err, codes.InvalidArgument, "INVALID_FIELD"); len(a.violations) != 2 {
		t.Errorf("%v", a.violations)
	}
	_, err = s.settlements().GetPayoutSummary(ctx, &gatewayv1.GetPayoutSummaryRequest{StartTime: now})
	if a := wantStatus(t, err, codes.InvalidArgument, "INVALID_FIELD"); len(a.violations) != 1 || a.violations[0].GetField() != "end_time" {
		t.Errorf("%v", a.violations)
	}
	for operation, call := range map[string]func() error{
		"listPayouts":  func() error { _, err := s.settlements().ListPayouts(ctx, &gatewayv1.ListPayoutsRequest{}); return err },
		"reportPayout": func() error { _, _, err := s.download(pdfOf("X")); return err },
	} {
		for status, want := range map[int]string{400: "REFUSED_BY_KLARNA", 401: "KLARNA_CREDENTIALS_REFUSED", 403: "KLARNA_FORBIDDEN", 404: "PAYOUT_NOT_FOUND"} {
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: operation, Status: status}))
			if got := takeApart(t, call()).info.GetReason(); got != want {
				t.Errorf("%s %d: %s, want %s", operation, status, got, want)
			}
		}
		must(t, s.klarna.Fail(klarnatest.Fault{Operation: operation, Status: 503, Times: 10}))
		wantStatus(t, call(), codes.Unavailable, "KLARNA_UNAVAILABLE")
	}
}

func TestToStatus_NamesOurFieldsOfSettlements(t *testing.T) {
	t.Parallel()
	a := takeApart(t, toStatus(&klarna.Error{Family: klarna.Settlement, Operation: "getPayouts", Status: 400, Code: "BAD_VALUE", Violations: []klarna.Violation{
		{Parameter: "start_date"}, {Parameter: "end_date"}, {Parameter: "currency_code"},
	}}))
	fields := (&gatewayv1.ListPayoutsRequest{}).ProtoReflect().Descriptor()
	for i, want := range []string{"start_time", "end_time", "currency_code"} {
		if got := a.violations[i].GetField(); got != want || !hasField(fields, got) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	limited := &klarna.Error{Family: klarna.Settlement, Operation: "getPayouts", Status: 429, RetryAfter: 3 * time.Second}
	if a := wantStatus(t, limited, codes.ResourceExhausted, "KLARNA_RATE_LIMITED"); a.retry != 3*time.Second {
		t.Errorf("retry in %s", a.retry)
	}
}
