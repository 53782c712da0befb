package klarnatest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Klarna: fees are contractual. Here a capture costs 2.99 % of its amount, and 19 % VAT on that, both rounded down.
const (
	feeRate = 299 // basis points, like vatRate
	vatRate = 1900
)

// settlements are the books about money that Klarna owes the merchant.
type settlements struct {
	booked       map[string]bool // captures and refunds that have their rows, by id
	transactions []*transaction  // in the order they were booked
	payouts      []*payout       // oldest first
	debts        map[string]int64
}

// transaction is one row of what payouts are made of.
type transaction struct {
	kind, currency string
	amount, vat    int64
	at             time.Time
	doc            doc // on the wire, but for its payout
	payout         *payout
}

// payout is money paid to the merchant in one currency.
type payout struct {
	reference, currency string
	at                  time.Time
	totals              doc
	settlement          int64
	transactions        int
}

// Payout is a payout as a test sees it.
type Payout struct {
	Reference    string `json:"payment_reference"`
	Currency     string `json:"currency"`
	Amount       int64  `json:"amount"`       // paid out, minor units
	Transactions int    `json:"transactions"` // how many it is made of
}

// Payout pays out everything that was captured and refunded since the last time, one payout per currency that has
// anything new, by currency. What the merchant owes more than it gets becomes a debt that later payouts repay.
func (s *Server) Payout() []Payout {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book()
	open := map[string][]*transaction{}
	for _, t := range s.books.transactions {
		if t.payout == nil {
			open[t.currency] = append(open[t.currency], t)
		}
	}
	made := []Payout{}
	for _, currency := range slices.Sorted(maps.Keys(open)) {
		p := s.payOut(currency, open[currency])
		made = append(made, Payout{Reference: p.reference, Currency: currency, Amount: p.settlement, Transactions: p.transactions})
	}
	return made
}

// payOut makes the payout of one currency's transactions.
func (s *Server) payOut(currency string, open []*transaction) *payout {
	p := &payout{
		reference: strings.ToUpper(uuid.NewString()[:8]), currency: currency, transactions: len(open),
		at: s.now().Truncate(time.Millisecond), // as it is shown, so that it is found by that
	}
	sums := map[string]int64{}
	var tax int64
	for _, t := range open {
		t.payout = p
		sums[t.kind] += t.amount
		tax += t.vat
	}
	net, debt := sums["SALE"]-sums["RETURN"]-sums["FEE"]-tax, s.books.debts[currency]
	deposit, repay := max(-net, 0), max(min(debt, net), 0)
	p.settlement = net + deposit - repay
	s.books.debts[currency] = debt + deposit - repay
	p.totals = doc{
		"sale_amount": sums["SALE"], "return_amount": sums["RETURN"], "fee_amount": sums["FEE"], "tax_amount": tax,
		"deposit_amount": deposit, "repay_amount": repay, "opening_debt_balance_amount": debt,
		"closing_debt_balance_amount": s.books.debts[currency], "settlement_amount": p.settlement,
	}
	for _, none := range []string{
		"reversal", "fee_correction", "fee_refund", "tax_refund", "commission", "commission_reversal", "charge", "credit",
		"holdback", "release",
	} {
		p.totals[none+"_amount"] = 0
	}
	s.books.payouts = append(s.books.payouts, p)
	return p
}

// book adds the rows of captures and refunds that have none yet: for a capture a SALE and its FEE, for a refund a
// RETURN. Callers hold mu.
func (s *Server) book() {
	var fresh []*transaction
	isFresh := func(id string) bool {
		known := s.books.booked[id]
		s.books.booked[id] = true
		return !known
	}
	for _, o := range s.orders {
		for _, made := range o.captures {
			if isFresh(made.id) {
				fresh = append(fresh, o.saleRow(made), o.feeRow(made))
			}
		}
		for _, made := range o.refunds {
			if isFresh(made.id) {
				fresh = append(fresh, o.returnRow(made))
			}
		}
	}
	slices.SortStableFunc(fresh, func(a, b *transaction) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.doc.str("order_id"), b.doc.str("order_id")))
	})
	s.books.transactions = append(s.books.transactions, fresh...)
}

func (o *order) saleRow(made *capture) *transaction {
	return o.row("SALE", "PURCHASE", made.amount, made.at, made.at, made.doc, doc{"capture_id": made.id})
}

func (o *order) feeRow(made *capture) *transaction {
	fee := made.amount * feeRate / 10_000
	t := o.row("FEE", "PURCHASE_FEE_PERCENTAGE", fee, made.at, made.at, made.doc, doc{"capture_id": made.id})
	t.vat = fee * vatRate / 10_000
	t.doc = t.doc.with(doc{"vat_rate": vatRate, "vat_amount": t.vat})
	return t
}

// returnRow is a refund. Klarna: where the money of a Pay Now Standalone order did not come, it is a PAYMENT_DEFAULT.
func (o *order) returnRow(made *refund) *transaction {
	detail := "PURCHASE_RETURN"
	if o.payment != nil && o.payment.defaulted == made {
		detail = "PAYMENT_DEFAULT"
	}
	ids := doc{"capture_id": "", "refund_id": made.id}
	if reference := made.doc.str("reference"); reference != "" {
		ids["merchant_refund_reference"] = reference
	}
	return o.row("RETURN", detail, made.amount, made.at, o.captures[0].at, o.captures[0].doc, ids)
}

// row is what all rows have in common. The capture is the one it belongs to, or the first one.
func (o *order) row(kind, detail string, amount int64, at, captured time.Time, capture, more doc) *transaction {
	currency := o.doc.str("purchase_currency")
	method := "invoice"
	if o.payment != nil {
		method = "bank_transfer"
	}
	d := o.doc.pick("merchant_reference1", "merchant_reference2", "purchase_country").with(doc{
		"type": kind, "detailed_type": detail, "amount": amount, "currency_code": currency, "order_id": o.id,
		"short_order_id": o.reference, "sale_date": o.created.Format(classicTime), "capture_date": captured.Format(classicTime),
		"initial_payment_method_type": method,
	}, more)
	if reference := capture.str("reference"); reference != "" {
		d["merchant_capture_reference"] = reference
	}
	return &transaction{kind: kind, currency: currency, amount: amount, at: at, doc: d}
}
