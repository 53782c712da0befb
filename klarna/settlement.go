package klarna

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Settlement is the Settlements API: what Klarna has paid out. It is read-only.
const Settlement Family = "settlement"

const settlementPath = "/settlements/v1"

// SettlementTime is a time in the Settlements API. Klarna: a date alone is its first moment in UTC; empty texts stand
// for what a transaction does not have, such as the sale of a charge.
type SettlementTime struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *SettlementTime) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	t.Time = time.Time{}
	if text == "" {
		return nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			t.Time = at
			return nil
		}
	}
	return errors.New("not a time of a form that is known")
}

// Payout is one payment of Klarna's to the merchant.
type Payout struct {
	PaymentReference              string         `json:"payment_reference"`
	PayoutDate                    SettlementTime `json:"payout_date"`
	CurrencyCode                  string         `json:"currency_code"`
	CurrencyOfRegistrationCountry string         `json:"currency_code_of_registration_country,omitempty"`
	MerchantSettlementType        string         `json:"merchant_settlement_type"` // NET, GROSS, GROSS_FEE or another word
	MerchantID                    string         `json:"merchant_id"`
	Totals                        PayoutTotals   `json:"totals"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// PayoutTotals are sums in minor units. Klarna: settlement = sale - return - reversal - fee + fee_correction +
// commission - tax - charge + credit - repay - holdback + release + fee_refund.
type PayoutTotals struct {
	Sale               int64 `json:"sale_amount"`
	Return             int64 `json:"return_amount"`
	Reversal           int64 `json:"reversal_amount"`
	Fee                int64 `json:"fee_amount"`
	FeeCorrection      int64 `json:"fee_correction_amount"`
	FeeRefund          int64 `json:"fee_refund_amount"`
	Tax                int64 `json:"tax_amount"`
	TaxRefund          int64 `json:"tax_refund_amount"`
	Commission         int64 `json:"commission_amount"`
	CommissionReversal int64 `json:"commission_reversal_amount"`
	Charge             int64 `json:"charge_amount"`
	Credit             int64 `json:"credit_amount"`
	Holdback           int64 `json:"holdback_amount"`
	Release            int64 `json:"release_amount"`
	Repay              int64 `json:"repay_amount"`
	Deposit            int64 `json:"deposit_amount"`
	OpeningDebtBalance int64 `json:"opening_debt_balance_amount"`
	ClosingDebtBalance int64 `json:"closing_debt_balance_amount"`
	Settlement         int64 `json:"settlement_amount"`
}

// PayoutSummary sums up the payouts of a time in one currency, in minor units. Klarna: it has fewer totals than a payout.
type PayoutSummary struct {
	Currency           string `json:"summary_settlement_currency"`
	Sale               int64  `json:"summary_total_sale_amount"`
	Return             int64  `json:"summary_total_return_amount"`
	Reversal           int64  `json:"summary_total_reversal_amount"`
	Fee                int64  `json:"summary_total_fee_amount"`
	FeeCorrection      int64  `json:"summary_total_fee_correction_amount"`
	Tax                int64  `json:"summary_total_tax_amount"`
	Commission         int64  `json:"summary_total_commission_amount"`
	CommissionReversal int64  `json:"summary_total_commission_reversal_amount"`
	Holdback           int64  `json:"summary_total_holdback_amount"`
	Release            int64  `json:"summary_total_release_amount"`
	Repay              int64  `json:"summary_total_repay_amount"`
	Settlement         int64  `json:"summary_total_settlement_amount"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// SettlementTransaction is one row of what a payout is made of. The order id joins it with its order.
type SettlementTransaction struct {
	Type                     string         `json:"type"`                    // SALE, RETURN, FEE or another word
	DetailedType             string         `json:"detailed_type,omitempty"` // such as PAYMENT_DEFAULT
	Amount                   int64          `json:"amount"`                  // minor units
	CurrencyCode             string         `json:"currency_code"`
	OrderID                  string         `json:"order_id"`
	ShortOrderID             string         `json:"short_order_id,omitempty"`
	CaptureID                string         `json:"capture_id,omitempty"` // sales and fees only
	RefundID                 string         `json:"refund_id,omitempty"`
	SaleDate                 SettlementTime `json:"sale_date"`
	CaptureDate              SettlementTime `json:"capture_date"`
	PaymentReference         string         `json:"payment_reference,omitempty"` // once paid out
	MerchantReference1       string         `json:"merchant_reference1,omitempty"`
	MerchantReference2       string         `json:"merchant_reference2,omitempty"`
	MerchantCaptureReference string         `json:"merchant_capture_reference,omitempty"`
	MerchantRefundReference  string         `json:"merchant_refund_reference,omitempty"`
	PurchaseCountry          string         `json:"purchase_country"`
	VATRate                  int64          `json:"vat_rate,omitempty"`   // of fees, basis points
	VATAmount                int64          `json:"vat_amount,omitempty"` // of fees, minor units
	InitialPaymentMethodType string         `json:"initial_payment_method_type,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// Paging is the part of a list that is wanted.
type Paging struct {
	Size   int   // Klarna: at most 500; 0 means 20
	Offset int64 // 0, or what the page before named as the next one's
}

// PayoutFilter selects payouts by the date they were paid; zero fields select all.
type PayoutFilter struct {
	Start, End time.Time // inclusive
	Currency   string    // ISO 4217
}

// TransactionFilter selects transactions; zero fields select all.
type TransactionFilter struct{ PaymentReference, OrderID string }

// ReportName is one of Klarna's reports, as its path has it.
type ReportName string

// The reports. Those of one payout need its reference, the summaries a start and an end.
const (
	ReportPayoutWithTransactions         ReportName = "payout-with-transactions"          // CSV
	ReportPayout                         ReportName = "payout"                            // PDF
	ReportPayoutsSummaryWithTransactions ReportName = "payouts-summary-with-transactions" // CSV
	ReportPayoutsSummary                 ReportName = "payouts-summary"                   // PDF
)

// reports are Klarna's operation ids, and the content types that it does not declare.
var reports = map[ReportName]struct{ operation, contentType string }{
	ReportPayoutWithTransactions:         {"getPayoutReportWithTransactions", "text/csv"},
	ReportPayout:                         {"payout", "application/pdf"},
	ReportPayoutsSummaryWithTransactions: {"getPayoutsSummaryReportWithTransactions", "text/csv"},
	ReportPayoutsSummary:                 {"payoutsSummary", "application/pdf"},
}

// ReportRequest says which report of what.
type ReportRequest struct {
	Report           ReportName
	PaymentReference string    // for a payout's report
	Start, End       time.Time // for a summary, inclusive
}

// Payouts lists payouts, in Klarna's order. next is the offset of the next page, 0 on the last one.
func (c *Client) Payouts(ctx context.Context, filter PayoutFilter, part Paging) (payouts []Payout, next int64, err error) {
	query := part.query()
	span(query, filter.Start, filter.End)
	set(query, "currency_code", filter.Currency)
	err = c.do(ctx, call{
		operation: "getPayouts", family: Settlement, method: http.MethodGet, path: settlementPath + "/payouts", query: query,
		read: func(a answer) (err error) {
			payouts, next, err = readPage(a, "payouts", part, func(p *Payout) *json.RawMessage { return &p.Raw })
			return err
		},
	})
	return payouts, next, err
}

// Payout reads one payout.
func (c *Client) Payout(ctx context.Context, paymentReference string) (Payout, error) {
	var payout Payout
	err := c.do(ctx, call{
		operation: "getPayout", family: Settlement, method: http.MethodGet,
		path: settlementPath + "/payouts/{payment_reference}", ids: []string{paymentReference},
		read: into(&payout, &payout.Raw),
	})
	if err != nil {
		return Payout{}, err
	}
	return payout, nil
}

// PayoutSummaries sums up payouts, one summary per currency. Klarna: start and end are required.
func (c *Client) PayoutSummaries(ctx context.Context, filter PayoutFilter) (summaries []PayoutSummary, err error) {
	query := url.Values{}
	span(query, filter.Start, filter.End)
	set(query, "currency_code", filter.Currency)
	err = c.do(ctx, call{
		operation: "getPayoutSummary", family: Settlement, method: http.MethodGet, path: settlementPath + "/payouts/summary", query: query,
		read: func(a answer) error {
			var items []json.RawMessage
			if err := a.decode(&items); err != nil {
				return err
			}
			summaries, err = readItems(items, func(s *PayoutSummary) *json.RawMessage { return &s.Raw })
			return err
		},
	})
	return summaries, err
}

// SettlementTransactions lists transactions, in Klarna's order. next is the offset of the next page, 0 on the last one.
func (c *Client) SettlementTransactions(ctx context.Context, filter TransactionFilter, part Paging) (transactions []SettlementTransaction, next int64, err error) {
	query := part.query()
	set(query, "payment_reference", filter.PaymentReference)
	set(query, "order_id", filter.OrderID)
	err = c.do(ctx, call{
		operation: "getTransactions", family: Settlement, method: http.MethodGet, path: settlementPath + "/transactions", query: query,
		read: func(a answer) (err error) {
			transactions, next, err = readPage(a, "transactions", part, func(t *SettlementTransaction) *json.RawMessage { return &t.Raw })
			return err
		},
	})
	return transactions, next, err
}

// Report opens a report and tells Klarna's content type. The body, which the caller closes, is passed on as it comes,
// whatever its size; a Read that fails means that the report is not whole.
func (c *Client) Report(ctx context.Context, which ReportRequest) (contentType string, body io.ReadCloser, err error) {
	known, ok := reports[which.Report]
	if !ok {
		return "", nil, fmt.Errorf("report %q: not one of Klarna's", which.Report)
	}
	query := url.Values{}
	set(query, "payment_reference", which.PaymentReference)
	span(query, which.Start, which.End)
	contentType, body, err = c.stream(ctx, known.contentType, call{
		operation: known.operation, family: Settlement, method: http.MethodGet,
		path: settlementPath + "/reports/" + string(which.Report), query: query,
	})
	return cmp.Or(contentType, known.contentType), body, err
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// span sends full timestamps: Klarna takes a bare date for its first moment, which as an end cuts off the day.
func span(query url.Values, start, end time.Time) {
	for name, at := range map[string]time.Time{"start_date": start, "end_date": end} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
}

func (p Paging) query() url.Values {
	query := url.Values{}
	if p.Size > 0 {
		query.Set("size", strconv.Itoa(p.Size))
	}
	if p.Offset > 0 {
		query.Set("offset", strconv.FormatInt(p.Offset, 10))
	}
	return query
}

// readPage reads one page of a collection and where the next one begins.
func readPage[T any](a answer, name string, part Paging, raw func(*T) *json.RawMessage) ([]T, int64, error) {
	var members map[string]json.RawMessage
	var items []json.RawMessage
	var pagination struct {
		Next string `json:"next"`
	}
	if err := a.decode(&members); err != nil {
		return nil, 0, err
	}
	for member, v := range map[string]any{name: &items, "pagination": &pagination} {
		if err := json.Unmarshal(members[member], v); err != nil {
			return nil, 0, fmt.Errorf("decode %s: %w", member, err)
		}
	}
	next, err := nextOffset(pagination.Next, part.Offset)
	if err != nil {
		return nil, 0, err
	}
	list, err := readItems(items, raw)
	return list, next, err
}

// nextOffset takes the offset out of the link to the next page. Klarna: follow the link, do not compute. Its host is not
// trusted with our credential. A link that leads nowhere new is an error: to stop there would make a list look whole.
func nextOffset(link string, offset int64) (int64, error) {
	if link == "" {
		return 0, nil
	}
	u, err := url.Parse(link)
	if err != nil {
		return 0, errors.New("next page: not a url")
	}
	next, err := strconv.ParseInt(u.Query().Get("offset"), 10, 64)
	if err != nil || next <= offset {
		return 0, errors.New("next page: its offset is missing or does not go on")
	}
	return next, nil
}

// readItems decodes the members of a list and keeps the bytes of each.
func readItems[T any](items []json.RawMessage, raw func(*T) *json.RawMessage) ([]T, error) {
	list := make([]T, len(items))
	for i, item := range items {
		if err := into(&list[i], raw(&list[i]))(answer{body: item}); err != nil {
			return nil, err
		}
	}
	return list, nil
}
