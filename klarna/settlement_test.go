package klarna

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestSettlement_KnowsEveryField(t *testing.T) {
	t.Parallel()
	checkRoundTrip(t, "payout.json", &Payout{})
	checkRoundTrip(t, "payout_summary.json", &PayoutSummary{})
	checkRoundTrip(t, "settlement_transaction.json", &SettlementTransaction{})
}

func TestSettlementTime_ReadsTheFormsOfISO8601(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 2, 14, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"2026-02-14T07:52:26Z"`:          day.Add(7*time.Hour + 52*time.Minute + 26*time.Second),
		`"2026-02-14T02:00:00.000+02:00"`: day,
		`"2026-02-14T02:00:00.000+0200"`:  day,
		`"2026-02-14"`:                    day,
		`""`:                              {},
		`null`:                            {},
	} {
		at := SettlementTime{day.AddDate(1, 0, 0)}
		if err := json.Unmarshal([]byte(text), &at); err != nil || !at.Equal(want) && text != `null` {
			t.Errorf("%s: %v, %v", text, at, err)
		}
	}
	for _, bad := range []string{`"yesterday"`, `7`} {
		var at SettlementTime
		if err := json.Unmarshal([]byte(bad), &at); err == nil {
			t.Errorf("%s is %v", bad, at)
		}
	}
}

var (
	payoutsFrom = time.Date(2026, 2, 1, 1, 0, 0, 0, time.FixedZone("", 3600))
	payoutsTo   = time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
)

func TestPayouts_AreAskedForAndFollowed(t *testing.T) {
	t.Parallel()
	const one, two = `{"payment_reference":"A","payout_date":"2026-02-03T00:00:00Z","new":1}`, `{"payment_reference":"B"}`
	klarna := answering(t, 200, `{"payouts":[`+one+`,`+two+`],"pagination":{"count":2,"total":42,"offset":10,"next":"https://elsewhere.example/x?size=2&offset=12"}}`)
	payouts, next, err := klarna.client(t).Payouts(t.Context(),
		PayoutFilter{Start: payoutsFrom, End: payoutsTo, Currency: "EUR"}, Paging{Size: 2, Offset: 10})
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/settlements/v1/payouts?currency_code=EUR&end_date=2026-02-28T23%3A59%3A59Z&offset=10&size=2&start_date=2026-02-01T00%3A00%3A00Z")
	if len(payouts) != 2 || payouts[1].PaymentReference != "B" || string(payouts[0].Raw) != one || next != 12 {
		t.Errorf("got %+v, next %d", payouts, next)
	}
}

func TestPayouts_EndWithoutALinkAndFailWithAWrongOne(t *testing.T) {
	t.Parallel()
	for body, wrong := range map[string]bool{
		`{"payouts":[],"pagination":{"count":0}}`:                       false,
		`{"payouts":null,"pagination":{"count":0,"next":""}}`:           false,
		`{"payouts":[],"pagination":{"next":"/payouts?offset=20"}}`:     true, // leads to where we are
		`{"payouts":[],"pagination":{"next":"/payouts?offset=7"}}`:      true,
		`{"payouts":[],"pagination":{"next":"/payouts?cursor=abc"}}`:    true,
		`{"payouts":[],"pagination":{"next":"http://[::1/?offset=30"}}`: true,
		`{"payouts":[]}`:             true,
		`{"pagination":{"count":0}}`: true,
		`[]`:                         true,
	} {
		klarna := answering(t, 200, body)
		_, next, err := klarna.client(t).Payouts(t.Context(), PayoutFilter{}, Paging{Offset: 20})
		if (err != nil) != wrong || next != 0 {
			t.Errorf("%s: next %d, %v", body, next, err)
		}
	}
}

func TestPayout_IsReadByItsReference(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, string(fixture(t, "payout.json")))
	payout, err := klarna.client(t).Payout(t.Context(), "XISA/93DJ")
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/settlements/v1/payouts/XISA%2F93DJ")
	if payout.Totals.Settlement != 92908 || payout.Raw == nil {
		t.Errorf("got %+v", payout)
	}
}

func TestPayoutSummaries_AreOnePerCurrency(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `[{"summary_settlement_currency":"EUR","summary_total_sale_amount":5},{"summary_settlement_currency":"SEK"}]`)
	sums, err := klarna.client(t).PayoutSummaries(t.Context(), PayoutFilter{Start: payoutsFrom, End: payoutsTo})
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/settlements/v1/payouts/summary?end_date=2026-02-28T23%3A59%3A59Z&start_date=2026-02-01T00%3A00%3A00Z")
	if len(sums) != 2 || sums[0].Sale != 5 || sums[1].Currency != "SEK" || sums[1].Raw == nil {
		t.Errorf("got %+v", sums)
	}
}

func TestSettlementTransactions_KeepUnknownWordsAndEmptyMembers(t *testing.T) {
	t.Parallel()
	const row = `{"type":"CASHBACK","detailed_type":"LIABILITY_TRANSFER","amount":-7,"capture_id":"","sale_date":"","order_id":""}`
	klarna := answering(t, 200, `{"transactions":[`+row+`],"pagination":{"count":1}}`)
	rows, next, err := klarna.client(t).SettlementTransactions(t.Context(), TransactionFilter{PaymentReference: "XISA93DJ", OrderID: "o-1"}, Paging{})
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/settlements/v1/transactions?order_id=o-1&payment_reference=XISA93DJ")
	if len(rows) != 1 || rows[0].Type != "CASHBACK" || rows[0].DetailedType != "LIABILITY_TRANSFER" || rows[0].Amount != -7 ||
		!rows[0].SaleDate.IsZero() || string(rows[0].Raw) != row || next != 0 {
		t.Errorf("got %+v, next %d", rows, next)
	}
}

func TestSettlements_AreRefusedInTheirFamily(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 404, `{"error_code":"NOT_FOUND","error_messages":[],"correlation_id":"c-1"}`)
	_, err := klarna.client(t).Payout(t.Context(), "NONE")
	var refused *Error
	if !errors.As(err, &refused) || fmt.Sprintln(refused.Family, refused.Operation, refused.Status, refused.Code) != "settlement getPayout 404 NOT_FOUND\n" {
		t.Errorf("got %v", err)
	}
}
