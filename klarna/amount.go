package klarna

import (
	"fmt"
	"math"
	"math/big"
	"strings"
)

// AmountFlaw is one amount that does not add up.
type AmountFlaw struct {
	Parameter string // Klarna's path, such as "order_lines[1].total_amount"
	Rule      string // one of the Rule constants
	Want, Got int64  // minor units, or the field's own unit; Want is held within int64
}

// The rules of CheckOrder and its kin.
const (
	RuleNotNegative = "not_negative" // quantity, tax_rate, total_discount_amount, order_amount, order_tax_amount
	RuleLineTotal   = "line_total"   // total_amount = quantity × unit_price − total_discount_amount
	RuleLineTax     = "line_tax"     // total_tax_amount is the tax contained in total_amount at tax_rate, ±1
	RuleOrderTotal  = "order_total"  // order_amount = sum of total_amount
	RuleOrderTax    = "order_tax"    // order_tax_amount = sum of total_tax_amount, ±1 a line; US: of the sales_tax lines
	RuleUSLineTax   = "us_line_tax"  // US: lines carry neither tax_rate nor total_tax_amount
	RuleReturnFee   = "return_fee"   // return_fee lines are for refunds
	RuleFeeSign     = "fee_sign"     // return_fee lines are negative
)

// CheckOrder tells what Klarna would refuse about a cart's amounts, before it is asked. It is no more severe than
// Klarna's documents: where they leave room, the cart passes. Amounts of any size are safe. Nil means no flaw.
func CheckOrder(country string, orderAmount int64, orderTaxAmount int64, lines []OrderLine) []AmountFlaw {
	us := strings.EqualFold(country, "US")
	flaws, tax := checkLines(lines, us, false), new(big.Int)
	for _, line := range lines {
		switch {
		case !us:
			tax.Add(tax, big.NewInt(line.TotalTaxAmount))
		case line.Type == LineSalesTax:
			tax.Add(tax, big.NewInt(line.TotalAmount))
		}
	}
	tolerance := int64(len(lines))
	if us {
		tolerance = 0
	}
	flaws = append(flaws, checkTotal("order_amount", orderAmount, lines)...)
	flaws = append(flaws, checkNotNegative("order_tax_amount", orderTaxAmount)...)
	return append(flaws, checkWithin("order_tax_amount", RuleOrderTax, tax, orderTaxAmount, tolerance)...)
}

// CheckAuthorization is CheckOrder for the change of an order, which has no tax total and no country.
func CheckAuthorization(orderAmount int64, lines []OrderLine) []AmountFlaw {
	return append(checkLines(lines, false, false), checkTotal("order_amount", orderAmount, lines)...)
}

// CheckCapture is CheckOrder for the lines of a capture, which are optional.
func CheckCapture(capturedAmount int64, lines []OrderLine) []AmountFlaw {
	if len(lines) == 0 {
		return nil
	}
	return append(checkLines(lines, false, false), checkTotal("captured_amount", capturedAmount, lines)...)
}

// CheckRefund is CheckCapture for a refund, which may hold return fees. Klarna: they are negative.
func CheckRefund(refundedAmount int64, lines []OrderLine) []AmountFlaw {
	if len(lines) == 0 {
		return nil
	}
	return append(checkLines(lines, false, true), checkTotal("refunded_amount", refundedAmount, lines)...)
}

// checkTotal checks that the lines make up an amount.
func checkTotal(parameter string, amount int64, lines []OrderLine) []AmountFlaw {
	total := new(big.Int)
	for _, line := range lines {
		total.Add(total, big.NewInt(line.TotalAmount))
	}
	return append(checkNotNegative(parameter, amount), checkWithin(parameter, RuleOrderTotal, total, amount, 0)...)
}

// checkLines checks each line by itself.
func checkLines(lines []OrderLine, us, fees bool) (flaws []AmountFlaw) {
	for i, line := range lines {
		flaws = append(flaws, checkLine(fmt.Sprintf("order_lines[%d].", i), us, fees, line)...)
	}
	return flaws
}

// CheckLineItems checks a purchase on the Network. Klarna: its lines make up its amount.
func CheckLineItems(amount int64, lines []LineItem) []AmountFlaw {
	if len(lines) == 0 {
		return nil
	}
	total := new(big.Int)
	for _, line := range lines {
		total.Add(total, big.NewInt(line.TotalAmount))
	}
	return checkWithin("amount", RuleOrderTotal, total, amount, 0)
}

// checkLine checks one line. A line with a forbidden negative value gets no flaws that only follow from it.
func checkLine(prefix string, us, fees bool, line OrderLine) []AmountFlaw {
	var flaws []AmountFlaw
	flaws = append(flaws, checkNotNegative(prefix+"quantity", line.Quantity)...)
	flaws = append(flaws, checkNotNegative(prefix+"tax_rate", line.TaxRate)...)
	flaws = append(flaws, checkNotNegative(prefix+"total_discount_amount", line.TotalDiscountAmount)...)
	switch {
	case line.Type != LineReturnFee:
	case !fees:
		flaws = append(flaws, AmountFlaw{Parameter: prefix + "type", Rule: RuleReturnFee, Got: line.TotalAmount})
	case line.TotalAmount > 0:
		flaws = append(flaws, AmountFlaw{Parameter: prefix + "total_amount", Rule: RuleFeeSign, Want: -line.TotalAmount, Got: line.TotalAmount})
	}
	if len(flaws) > 0 {
		return flaws
	}
	want := new(big.Int).Mul(big.NewInt(line.Quantity), big.NewInt(line.UnitPrice))
	want.Sub(want, big.NewInt(line.TotalDiscountAmount))
	flaws = checkWithin(prefix+"total_amount", RuleLineTotal, want, line.TotalAmount, 0)
	if !us {
		return append(flaws, checkLineTax(prefix+"total_tax_amount", line)...)
	}
	flaws = append(flaws, checkWithin(prefix+"tax_rate", RuleUSLineTax, new(big.Int), line.TaxRate, 0)...)
	return append(flaws, checkWithin(prefix+"total_tax_amount", RuleUSLineTax, new(big.Int), line.TotalTaxAmount, 0)...)
}

// checkLineTax compares without rounding: |tax − total × rate / (10000 + rate)| ≤ 1, multiplied out.
func checkLineTax(parameter string, line OrderLine) []AmountFlaw {
	divisor := new(big.Int).Add(big.NewInt(10000), big.NewInt(line.TaxRate))
	contained := new(big.Int).Mul(big.NewInt(line.TotalAmount), big.NewInt(line.TaxRate)) // times divisor
	off := new(big.Int).Mul(big.NewInt(line.TotalTaxAmount), divisor)
	off.Sub(off, contained)
	if off.CmpAbs(divisor) <= 0 {
		return nil
	}
	return []AmountFlaw{{
		Parameter: parameter, Rule: RuleLineTax,
		Want: saturate(divideRounded(contained, divisor)), Got: line.TotalTaxAmount,
	}}
}

func checkNotNegative(parameter string, got int64) []AmountFlaw {
	if got >= 0 {
		return nil
	}
	return []AmountFlaw{{Parameter: parameter, Rule: RuleNotNegative, Got: got}}
}

func checkWithin(parameter, rule string, want *big.Int, got, tolerance int64) []AmountFlaw {
	off := new(big.Int).Sub(want, big.NewInt(got))
	if off.CmpAbs(big.NewInt(tolerance)) <= 0 {
		return nil
	}
	return []AmountFlaw{{Parameter: parameter, Rule: rule, Want: saturate(want), Got: got}}
}

// divideRounded divides by a positive divisor, halves away from zero.
func divideRounded(dividend, divisor *big.Int) *big.Int {
	half := new(big.Int).Rsh(divisor, 1)
	if dividend.Sign() < 0 {
		half.Neg(half)
	}
	return half.Quo(half.Add(dividend, half), divisor)
}

// saturate holds n within int64.
func saturate(n *big.Int) int64 {
	switch {
	case n.IsInt64():
		return n.Int64()
	case n.Sign() < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}
