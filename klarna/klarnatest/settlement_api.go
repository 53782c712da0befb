package klarnatest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// settlementRoutes are the operations of the Settlements API.
func settlementRoutes() []*route {
	const base = "GET /settlements/v1"
	return []*route{
		{"listPayouts", settlement, base + "/payouts", false, (*Server).listPayouts},
		{"summarizePayouts", settlement, base + "/payouts/summary", false, (*Server).summarizePayouts},
		{"readPayout", settlement, base + "/payouts/{payment_reference}", false, (*Server).readPayout},
		{"listTransactions", settlement, base + "/transactions", false, (*Server).listTransactions},
		{"reportPayoutTransactions", settlement, base + "/reports/payout-with-transactions", false, reportOfOne("text/csv", csvReport)},
		{"reportPayout", settlement, base + "/reports/payout", false, reportOfOne("application/pdf", pdfReport)},
		{"reportPayoutsTransactions", settlement, base + "/reports/payouts-summary-with-transactions", false, reportOfMany("text/csv", csvReport)},
		{"reportPayouts", settlement, base + "/reports/payouts-summary", false, reportOfMany("application/pdf", pdfReport)},
	}
}

func (s *Server) listPayouts(c *call) answer {
	found, bad := s.payoutsOf(c, false)
	if bad != nil {
		return *bad
	}
	list := make([]doc, len(found))
	for i, p := range found {
		list[i] = c.payoutDocument(p)
	}
	return c.page("payouts", list)
}

func (s *Server) readPayout(c *call) answer {
	p := s.payoutBy(c.path("payment_reference"))
	if p == nil {
		return c.noPayout()
	}
	return reply(http.StatusOK, c.payoutDocument(p))
}

// summarizePayouts sums up by currency. Klarna: a summary has fewer totals than a payout.
func (s *Server) summarizePayouts(c *call) answer {
	found, bad := s.payoutsOf(c, true)
	if bad != nil {
		return *bad
	}
	sums := map[string]doc{}
	for _, p := range found {
		if sums[p.currency] == nil {
			sums[p.currency] = doc{
				"summary_settlement_currency": p.currency,
				"summary_payout_date_start":   c.r.FormValue("start_date"), "summary_payout_date_end": c.r.FormValue("end_date"),
			}
		}
		for _, total := range []string{
			"sale", "return", "reversal", "fee", "fee_correction", "tax", "commission", "commission_reversal", "holdback",
			"release", "repay", "settlement",
		} {
			name := "summary_total_" + total + "_amount"
			before, _ := sums[p.currency][name].(int64)
			more, _ := p.totals[total+"_amount"].(int64)
			sums[p.currency][name] = before + more
		}
	}
	list := []doc{}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		list = append(list, sums[currency])
	}
	return reply(http.StatusOK, list)
}

// listTransactions lists what is paid out and what will be. Klarna names no refusal of an unknown reference or order;
// here nothing is found then.
func (s *Server) listTransactions(c *call) answer {
	s.book()
	reference, orderID := c.r.FormValue("payment_reference"), c.r.FormValue("order_id")
	list := []doc{}
	for _, t := range s.books.transactions {
		d := c.transactionDocument(t)
		if (reference == "" || d.str("payment_reference") == reference) && (orderID == "" || d.str("order_id") == orderID) {
			list = append(list, d)
		}
	}
	return c.page("transactions", list)
}

func (s *Server) payoutBy(reference string) *payout {
	i := slices.IndexFunc(s.books.payouts, func(p *payout) bool { return p.reference == reference })
	if i < 0 {
		return nil
	}
	return s.books.payouts[i]
}

func (c *call) noPayout() answer {
	return c.refuse(http.StatusNotFound, "NOT_FOUND", "Payout cannot be found")
}

// payoutsOf are the payouts of the time and currency that a call names.
func (s *Server) payoutsOf(c *call, timed bool) (found []*payout, bad *answer) {
	start, startOK := c.date("start_date", timed)
	end, endOK := c.date("end_date", timed)
	var wrong []string
	if !startOK {
		wrong = append(wrong, "start_date")
	}
	if !endOK {
		wrong = append(wrong, "end_date")
	}
	if wrong != nil {
		a := c.badValue(wrong)
		return nil, &a
	}
	currency := c.r.FormValue("currency_code")
	for _, p := range s.books.payouts {
		if !p.at.Before(start) && (end.IsZero() || !p.at.After(end)) && (currency == "" || p.currency == currency) {
			found = append(found, p)
		}
	}
	return found, nil
}

// date reads a date from the query. Klarna: without a time it is 00:00:00Z.
func (c *call) date(name string, required bool) (at time.Time, ok bool) {
	text := c.r.FormValue(name)
	if text == "" {
		return at, !required
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at, true
		}
	}
	return at, false
}

// page answers with the part of a list that the query asks for. Klarna: size is 20, at most 500; next and prev are there
// if there is more.
func (c *call) page(name string, list []doc) answer {
	size, sizeOK := c.queryNumber("size", 20)
	offset, offsetOK := c.queryNumber("offset", 0)
	if !sizeOK || size < 1 || size > 500 {
		return c.badValue([]string{"size"})
	}
	if !offsetOK {
		return c.badValue([]string{"offset"})
	}
	total := len(list)
	part := list[min(offset, total):min(offset+size, total)]
	pagination := doc{"count": len(part), "total": total, "offset": offset}
	if offset+size < total {
		pagination["next"] = c.link(c.r.URL.Path, c.r.URL.Query(), "size", size, "offset", offset+size)
	}
	if offset > 0 {
		pagination["prev"] = c.link(c.r.URL.Path, c.r.URL.Query(), "size", size, "offset", max(offset-size, 0))
	}
	return reply(http.StatusOK, doc{name: append([]doc{}, part...), "pagination": pagination})
}

func (c *call) queryNumber(name string, without int) (n int, ok bool) {
	text := c.r.FormValue(name)
	if text == "" {
		return without, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n <= 1<<30
}

// link is an address of this API, with the numbers set in its query.
func (c *call) link(path string, query url.Values, numbers ...any) string {
	for i := 0; i < len(numbers); i += 2 {
		query.Set(numbers[i].(string), strconv.Itoa(numbers[i+1].(int)))
	}
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	u := url.URL{Scheme: scheme, Host: c.r.Host, Path: path, RawQuery: query.Encode()}
	return u.String()
}

func (c *call) payoutDocument(p *payout) doc {
	return doc{
		"payment_reference": p.reference, "payout_date": p.at.Format(classicTime), "currency_code": p.currency,
		"currency_code_of_registration_country": "EUR", "merchant_settlement_type": "NET", "merchant_id": "K000001",
		"totals":       p.totals,
		"transactions": c.link("/settlements/v1/transactions", url.Values{"payment_reference": {p.reference}}),
	}
}

func (c *call) transactionDocument(t *transaction) doc {
	if t.payout == nil {
		return t.doc
	}
	return t.doc.with(doc{
		"payment_reference": t.payout.reference, "payout": c.link("/settlements/v1/payouts/"+t.payout.reference, nil),
	})
}
