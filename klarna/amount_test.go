package klarna

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckOrder_FindsWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	tent := OrderLine{Name: "Zelt", Quantity: 2, UnitPrice: 6000, TaxRate: 2500, TotalDiscountAmount: 2000, TotalAmount: 10000, TotalTaxAmount: 2000}
	shipping := OrderLine{Type: LineShippingFee, Name: "Versand", Quantity: 1, UnitPrice: 500, TaxRate: 2500, TotalAmount: 500, TotalTaxAmount: 100}
	voucher := OrderLine{Type: LineGiftCard, Name: "Gutschein", Quantity: 1, UnitPrice: -300, TotalAmount: -300}
	discount := OrderLine{Type: LineDiscount, Name: "Rabatt", Quantity: 1, UnitPrice: -1000, TaxRate: 2500, TotalAmount: -1000, TotalTaxAmount: -200}
	with := func(line OrderLine, change func(*OrderLine)) OrderLine {
		change(&line)
		return line
	}
	usTent := OrderLine{Name: "Tent", Quantity: 1, UnitPrice: 20000, TotalAmount: 20000}
	salesTax := OrderLine{Type: LineSalesTax, Name: "Tax", Quantity: 1, UnitPrice: 1000, TotalAmount: 1000}
	for name, test := range map[string]struct {
		country     string
		amount, tax int64
		lines       []OrderLine
		want        []AmountFlaw
	}{
		"right":              {"DE", 9200, 1900, []OrderLine{tent, shipping, voucher, discount}, nil},
		"nothing":            {"DE", 0, 0, nil, nil},
		"line total":         {"DE", 9999, 2000, []OrderLine{with(tent, func(l *OrderLine) { l.TotalAmount = 9999 })}, []AmountFlaw{{"order_lines[0].total_amount", RuleLineTotal, 10000, 9999}}},
		"tax one above":      {"DE", 10000, 2001, []OrderLine{with(tent, func(l *OrderLine) { l.TotalTaxAmount = 2001 })}, nil},
		"tax two above":      {"DE", 10000, 2002, []OrderLine{with(tent, func(l *OrderLine) { l.TotalTaxAmount = 2002 })}, []AmountFlaw{{"order_lines[0].total_tax_amount", RuleLineTax, 2000, 2002}}},
		"tax of a discount":  {"DE", 9000, 1800, []OrderLine{tent, with(discount, func(l *OrderLine) { l.TotalTaxAmount = 200 })}, []AmountFlaw{{"order_lines[1].total_tax_amount", RuleLineTax, -200, 200}, {"order_tax_amount", RuleOrderTax, 2200, 1800}}},
		"tax without rate":   {"DE", 500, 100, []OrderLine{with(shipping, func(l *OrderLine) { l.TaxRate = 0 })}, []AmountFlaw{{"order_lines[0].total_tax_amount", RuleLineTax, 0, 100}}},
		"order amount":       {"DE", 10501, 2100, []OrderLine{tent, shipping}, []AmountFlaw{{"order_amount", RuleOrderTotal, 10500, 10501}}},
		"order tax within":   {"DE", 10500, 2102, []OrderLine{tent, shipping}, nil},
		"order tax outside":  {"DE", 10500, 2103, []OrderLine{tent, shipping}, []AmountFlaw{{"order_tax_amount", RuleOrderTax, 2100, 2103}}},
		"negative order":     {"DE", -300, -5, []OrderLine{voucher}, []AmountFlaw{{"order_amount", RuleNotNegative, 0, -300}, {"order_tax_amount", RuleNotNegative, 0, -5}, {"order_tax_amount", RuleOrderTax, 0, -5}}},
		"negative members":   {"DE", 1, 0, []OrderLine{{Quantity: -1, TaxRate: -1, TotalDiscountAmount: -1, TotalAmount: 1}}, []AmountFlaw{{"order_lines[0].quantity", RuleNotNegative, 0, -1}, {"order_lines[0].tax_rate", RuleNotNegative, 0, -1}, {"order_lines[0].total_discount_amount", RuleNotNegative, 0, -1}}},
		"return fee":         {"DE", 9500, 2000, []OrderLine{tent, {Type: LineReturnFee, Quantity: 1, UnitPrice: -500, TotalAmount: -500}}, []AmountFlaw{{"order_lines[1].type", RuleReturnFee, 0, -500}}},
		"us":                 {"US", 21000, 1000, []OrderLine{usTent, salesTax}, nil},
		"us, lower case":     {"us", 21000, 1000, []OrderLine{usTent, salesTax}, nil},
		"us, two taxes":      {"US", 22000, 2000, []OrderLine{usTent, salesTax, salesTax}, nil},
		"us, order tax":      {"US", 21000, 1001, []OrderLine{usTent, salesTax}, []AmountFlaw{{"order_tax_amount", RuleOrderTax, 1000, 1001}}},
		"us, line tax":       {"US", 20000, 0, []OrderLine{with(usTent, func(l *OrderLine) { l.TaxRate, l.TotalTaxAmount = 500, 952 })}, []AmountFlaw{{"order_lines[0].tax_rate", RuleUSLineTax, 0, 500}, {"order_lines[0].total_tax_amount", RuleUSLineTax, 0, 952}}},
		"product wraps to 0": {"DE", 0, 0, []OrderLine{{Quantity: 1 << 32, UnitPrice: 1 << 32}}, []AmountFlaw{{"order_lines[0].total_amount", RuleLineTotal, math.MaxInt64, 0}}},
		"sum wraps":          {"DE", -2, 0, []OrderLine{{Quantity: 1, UnitPrice: math.MaxInt64, TotalAmount: math.MaxInt64}, {Quantity: 1, UnitPrice: math.MaxInt64, TotalAmount: math.MaxInt64}}, []AmountFlaw{{"order_amount", RuleNotNegative, 0, -2}, {"order_amount", RuleOrderTotal, math.MaxInt64, -2}}},
		"lowest":             {"DE", 0, 0, []OrderLine{{Quantity: math.MaxInt64, UnitPrice: math.MinInt64, TaxRate: math.MaxInt64, TotalTaxAmount: 0, TotalAmount: 0}}, []AmountFlaw{{"order_lines[0].total_amount", RuleLineTotal, math.MinInt64, 0}}},
	} {
		got := CheckOrder(test.country, test.amount, test.tax, test.lines)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCheck_PartsOfAnOrder(t *testing.T) {
	t.Parallel()
	tent := OrderLine{Name: "Zelt", Quantity: 1, UnitPrice: 10000, TaxRate: 2500, TotalAmount: 10000, TotalTaxAmount: 2000}
	fee := OrderLine{Type: LineReturnFee, Name: "Rücksendung", Quantity: 1, UnitPrice: -500, TaxRate: 2500, TotalAmount: -500, TotalTaxAmount: -100}
	credit := OrderLine{Type: LineReturnFee, Name: "Rücksendung", Quantity: 1, UnitPrice: 500, TotalAmount: 500}
	usTent := OrderLine{Name: "Tent", Quantity: 1, UnitPrice: 10000, TotalAmount: 10000}
	salesTax := OrderLine{Type: LineSalesTax, Name: "Tax", Quantity: 1, UnitPrice: 500, TotalAmount: 500}
	taxed := tent
	taxed.TotalTaxAmount = 1900
	for name, test := range map[string]struct {
		check  func(int64, []OrderLine) []AmountFlaw
		amount int64
		lines  []OrderLine
		want   []AmountFlaw
	}{
		"capture without lines":       {CheckCapture, 5, nil, nil},
		"capture":                     {CheckCapture, 10000, []OrderLine{tent}, nil},
		"capture in the US":           {CheckCapture, 10500, []OrderLine{usTent, salesTax}, nil},
		"capture of another amount":   {CheckCapture, 9999, []OrderLine{tent}, []AmountFlaw{{"captured_amount", RuleOrderTotal, 10000, 9999}}},
		"capture with wrong tax":      {CheckCapture, 10000, []OrderLine{taxed}, []AmountFlaw{{"order_lines[0].total_tax_amount", RuleLineTax, 2000, 1900}}},
		"capture with a return fee":   {CheckCapture, 9500, []OrderLine{tent, fee}, []AmountFlaw{{"order_lines[1].type", RuleReturnFee, 0, -500}}},
		"refund without lines":        {CheckRefund, 5, nil, nil},
		"refund less a return fee":    {CheckRefund, 9500, []OrderLine{tent, fee}, nil},
		"refund of another amount":    {CheckRefund, 10000, []OrderLine{tent, fee}, []AmountFlaw{{"refunded_amount", RuleOrderTotal, 9500, 10000}}},
		"refund with a positive fee":  {CheckRefund, 10500, []OrderLine{tent, credit}, []AmountFlaw{{"order_lines[1].total_amount", RuleFeeSign, -500, 500}}},
		"authorisation":               {CheckAuthorization, 10000, []OrderLine{tent}, nil},
		"authorisation without lines": {CheckAuthorization, 1, nil, []AmountFlaw{{"order_amount", RuleOrderTotal, 0, 1}}},
		"authorisation with a fee":    {CheckAuthorization, 9500, []OrderLine{tent, fee}, []AmountFlaw{{"order_lines[1].type", RuleReturnFee, 0, -500}}},
	} {
		if diff := cmp.Diff(test.want, test.check(test.amount, test.lines)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestCheckOrder_AcceptsExactCartsAndFindsEveryChange makes carts by the rules and then breaks one amount.
func TestCheckOrder_AcceptsExactCartsAndFindsEveryChange(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 11))
	for range 2000 {
		var amount, tax int64
		lines := make([]OrderLine, 1+r.IntN(8))
		for i := range lines {
			l := OrderLine{Quantity: r.Int64N(20), UnitPrice: r.Int64N(25000) - 5000, TaxRate: r.Int64N(10001), TotalDiscountAmount: r.Int64N(500)}
			l.TotalAmount = l.Quantity*l.UnitPrice - l.TotalDiscountAmount
			l.TotalTaxAmount = int64(math.Round(float64(l.TotalAmount) * float64(l.TaxRate) / float64(10000+l.TaxRate)))
			amount, tax = amount+l.TotalAmount, tax+l.TotalTaxAmount
			lines[i] = l
		}
		if amount < 0 || tax < 0 {
			continue
		}
		if flaws := CheckOrder("DE", amount, tax, lines); flaws != nil {
			t.Fatalf("exact cart %+v: %+v", lines, flaws)
		}
		i, off := r.IntN(len(lines)), 1+r.Int64N(1000)
		broken := slices.Clone(lines)
		broken[i].TotalAmount += off
		flaws := CheckOrder("DE", amount, tax, broken)
		for _, want := range []AmountFlaw{
			{fmt.Sprintf("order_lines[%d].total_amount", i), RuleLineTotal, lines[i].TotalAmount, broken[i].TotalAmount},
			{"order_amount", RuleOrderTotal, amount + off, amount},
		} {
			if !slices.Contains(flaws, want) {
				t.Fatalf("%+v missing in %+v", want, flaws)
			}
		}
		broken = slices.Clone(lines)
		broken[i].TotalTaxAmount += 2 + off
		if flaws := CheckOrder("DE", amount, tax, broken); len(flaws) == 0 || flaws[0].Rule != RuleLineTax {
			t.Fatalf("tax off by %d: %+v", 2+off, flaws)
		}
	}
}
