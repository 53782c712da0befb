package klarnatest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

const settlementsPath = "/settlements/v1"

// captured is a Checkout order in EUR or SEK, captured in full.
func (w *world) captured(amount int64, currency, reference string) (orderID string) {
	w.t.Helper()
	country := map[string]string{"EUR": "DE", "SEK": "SE"}[currency]
	id, err := w.klarna.CompleteCheckout(CheckoutOrder{Amount: amount, Currency: currency, Country: country, Reference: reference})
	w.must(err)
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": amount, "reference": "C-" + reference})
	return id
}

// transactions lists transactions, at most 500.
func (w *world) transactions(query string) []doc {
	w.t.Helper()
	list, ok := w.want(200, "GET", settlementsPath+"/transactions?size=500&"+query, nil).json.objects("transactions")
	if !ok && list != nil {
		w.t.Fatal("no list")
	}
	return list
}

func TestPayout_IsMadeOfCapturesAndRefunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.captured(10000, "EUR", "SO-1")
	w.klarna.Advance(time.Hour)
	refund := w.want(201, "POST", om(id)+"/refunds", doc{"refunded_amount": 2500, "reference": "R-1"}).header.Get("Refund-Id")
	for _, row := range w.transactions("") {
		if row.has("payment_reference") {
			t.Errorf("paid out before its time: %v", row)
		}
	}
	w.captured(400, "SEK", "SO-2")
	paid := w.klarna.Payout()
	want := []Payout{{Currency: "EUR", Amount: 10000 - 2500 - 299 - 56, Transactions: 3}, {Currency: "SEK", Amount: 400 - 11 - 2, Transactions: 2}}
	for i := range paid {
		if paid[i].Reference == "" || i > 0 && paid[i].Reference == paid[0].Reference {
			t.Errorf("reference %q", paid[i].Reference)
		}
		want[i].Reference = paid[i].Reference
	}
	if !slices.Equal(paid, want) {
		t.Fatalf("%+v, want %+v", paid, want)
	}
	if again := w.klarna.Payout(); len(again) != 0 {
		t.Errorf("paid twice: %+v", again)
	}
	rows := w.transactions("payment_reference=" + paid[0].Reference)
	var seen []string
	for _, row := range rows {
		seen = append(seen, fmt.Sprint(row.str("type"), " ", row.str("detailed_type"), " ", row["amount"]))
	}
	if got, want := fmt.Sprint(seen), "[SALE PURCHASE 10000 FEE PURCHASE_FEE_PERCENTAGE 299 RETURN PURCHASE_RETURN 2500]"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	returned := rows[2]
	if returned.str("refund_id") != refund || returned.str("order_id") != id || returned.str("merchant_reference1") != "SO-1" ||
		returned.str("merchant_refund_reference") != "R-1" || returned.str("merchant_capture_reference") != "C-SO-1" ||
		returned["capture_id"] != "" {
		t.Errorf("return %v", returned)
	}
	if one := w.transactions("order_id=" + id); len(one) != 3 {
		t.Errorf("%d rows of the order", len(one))
	}
}

func TestPayout_TakesBackWhatALapsedPaymentLeftOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, token := w.authorized(doc{"intent": "buy"})
	id := w.want(200, "POST", orderPath(token), purchase(t)).json.str("order_id")
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 5000})
	w.klarna.Payout()
	w.must(w.klarna.Lapse(id))
	paid := w.klarna.Payout()
	if len(paid) != 1 || paid[0].Amount != 0 || paid[0].Transactions != 1 {
		t.Fatalf("%+v", paid)
	}
	row := w.transactions("payment_reference=" + paid[0].Reference)[0]
	if row.str("type") != "RETURN" || row.str("detailed_type") != "PAYMENT_DEFAULT" || fmt.Sprint(row["amount"]) != "5000" {
		t.Errorf("%v", row)
	}
	owed := w.want(200, "GET", settlementsPath+"/payouts/"+paid[0].Reference, nil).json.object("totals")
	if debt, _ := owed.number("closing_debt_balance_amount"); debt != 5000 {
		t.Errorf("%v", owed)
	}
	w.captured(100000, "EUR", "SO-2")
	repaid := w.want(200, "GET", settlementsPath+"/payouts/"+w.klarna.Payout()[0].Reference, nil).json.object("totals")
	if repay, _ := repaid.number("repay_amount"); repay != 5000 {
		t.Errorf("%v", repaid)
	}
}

func TestPayouts_AreSelectedByDateAndCurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pay := func(currency string) string {
		w.captured(1000, currency, "SO")
		return w.klarna.Payout()[0].Reference
	}
	first := pay("EUR")
	w.klarna.Advance(24 * time.Hour)
	second, third := pay("EUR"), pay("SEK")
	day := func(days int) string { return start.AddDate(0, 0, days).Format(time.DateOnly) }
	for query, want := range map[string][]string{
		"": {first, second, third},
		"currency_code=EUR&start_date=" + day(0) + "T00:00:00Z": {first, second},
		"start_date=" + day(1):              {second, third},
		"end_date=" + day(0):                nil, // a bare date is its first moment
		"end_date=" + day(0) + "T23:59:59Z": {first},
		"start_date=" + start.Format(time.RFC3339) + "&end_date=" + day(1):    {first},
		"start_date=" + day(2) + "&end_date=" + day(3) + "&currency_code=EUR": nil,
	} {
		var got []string
		list, _ := w.want(200, "GET", settlementsPath+"/payouts?"+query, nil).json.objects("payouts")
		for _, p := range list {
			got = append(got, p.str("payment_reference"))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	summary := w.want(200, "GET", settlementsPath+"/payouts/summary?start_date="+day(0)+"&end_date="+day(2), nil).body
	var sums []struct {
		Currency string `json:"summary_settlement_currency"`
		Sale     int64  `json:"summary_total_sale_amount"`
	}
	if err := json.Unmarshal(summary, &sums); err != nil || fmt.Sprint(sums) != "[{EUR 2000} {SEK 1000}]" {
		t.Errorf("%s %v", summary, err)
	}
}

func TestSettlementPages_AreFollowedByTheirLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		w.captured(1000, "EUR", "SO") // two rows each
	}
	var sizes []int
	path := settlementsPath + "/transactions?size=4"
	for path != "" {
		res := w.want(200, "GET", path, nil).json
		list, _ := res.objects("transactions")
		sizes = append(sizes, len(list))
		next := res.object("pagination").str("next")
		if path = ""; next != "" {
			path = next[len(w.api.URL):]
		}
	}
	if fmt.Sprint(sizes) != "[4 4 2]" {
		t.Errorf("pages of %v", sizes)
	}
	for _, bad := range []string{"size=0", "size=501", "size=x", "offset=-1", "offset=x"} {
		w.refused(400, "BAD_VALUE", "GET", settlementsPath+"/transactions?"+bad, nil)
	}
	if rest := w.want(200, "GET", settlementsPath+"/transactions?offset=99", nil).json.object("pagination"); rest.has("next") {
		t.Errorf("behind the end: %v", rest)
	}
}

func TestReports_AreFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.captured(1000, "EUR", `SO-"1", again`)
	var paid []Payout
	w.must(json.Unmarshal(w.want(200, "POST", "/admin/payouts", nil).body, &paid))
	reference := paid[0].Reference
	span := "?start_date=" + start.Format(time.RFC3339) + "&end_date=" + start.Format(time.RFC3339)
	for path, want := range map[string]string{
		"payout-with-transactions?payment_reference=" + reference: "text/csv",
		"payouts-summary-with-transactions" + span:                "text/csv",
		"payout?payment_reference=" + reference:                   "application/pdf",
		"payouts-summary" + span:                                  "application/pdf",
	} {
		res := w.want(200, "GET", settlementsPath+"/reports/"+path, nil)
		if got := res.header.Get("Content-Type"); got != want {
			t.Errorf("%s: %s", path, got)
		}
		if want == "application/pdf" {
			checkPDF(t, res.body, reference)
			continue
		}
		rows, err := csv.NewReader(bytes.NewReader(res.body)).ReadAll()
		if err != nil || len(rows) != 3 || rows[1][0] != reference || !slices.Contains(rows[1], `SO-"1", again`) || !bytes.HasSuffix(res.body, []byte("\r\n")) {
			t.Errorf("%s: %v %q", path, err, res.body)
		}
	}
}

// checkPDF follows a PDF's own table to its objects.
func checkPDF(t *testing.T, file []byte, text string) {
	t.Helper()
	end := regexp.MustCompile(`startxref\n(\d+)\n%%EOF\n$`).FindSubmatch(file)
	if !bytes.HasPrefix(file, []byte("%PDF-1.4\n")) || end == nil || !bytes.Contains(file, []byte(text)) {
		t.Fatalf("not a PDF: %q", file)
	}
	table, _ := strconv.Atoi(string(end[1]))
	for i, place := range regexp.MustCompile(`(\d{10}) 00000 n \n`).FindAllSubmatch(file[table:], -1) {
		at, _ := strconv.Atoi(string(place[1]))
		if !bytes.HasPrefix(file[at:], fmt.Appendf(nil, "%d 0 obj\n", i+1)) {
			t.Errorf("object %d is not at %d", i+1, at)
		}
	}
}

func TestContract_Settlements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.captured(10000, "EUR", "SO-1")
	w.want(201, "POST", om(id)+"/refunds", doc{"refunded_amount": 2500})
	reference := w.klarna.Payout()[0].Reference
	w.captured(5000, "EUR", "SO-2") // not paid out

	c := underContract(t, w)
	span := "start_date=2026-02-01T00:00:00Z&end_date=2026-02-28T23:59:59Z"
	get := func(status int, path string) { w.want(status, "GET", settlementsPath+path, nil) }
	get(200, "/payouts?size=1&currency_code=EUR&"+span)
	get(400, "/payouts?size=501")
	get(200, "/payouts/"+reference)
	get(404, "/payouts/NONE")
	get(200, "/payouts/summary?"+span)
	get(400, "/payouts/summary")
	get(200, "/transactions?size=2&offset=1")
	get(200, "/transactions?payment_reference=NONE")
	get(400, "/transactions?offset=-1")
	for _, report := range []string{"payout", "payout-with-transactions"} {
		get(200, "/reports/"+report+"?payment_reference="+reference)
		get(400, "/reports/"+report)
		get(404, "/reports/"+report+"?payment_reference=NONE")
	}
	for _, report := range []string{"payouts-summary", "payouts-summary-with-transactions"} {
		get(200, "/reports/"+report+"?"+span)
		get(400, "/reports/"+report+"?start_date=yesterday")
	}
	c.saw("getPayouts 200", "getPayouts 400", "getPayout 200", "getPayout 404", "getPayoutSummary 200", "getPayoutSummary 400",
		"getTransactions 200", "getTransactions 400", "payout 200", "payout 400", "payout 404", "payoutsSummary 200",
		"payoutsSummary 400", "getPayoutReportWithTransactions 200", "getPayoutReportWithTransactions 400",
		"getPayoutReportWithTransactions 404", "getPayoutsSummaryReportWithTransactions 200",
		"getPayoutsSummaryReportWithTransactions 400")
}
