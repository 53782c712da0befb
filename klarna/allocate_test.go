package klarna

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAllocate_GivesTheRestToTheLargestRemainders(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		total   int64
		weights []int64
		want    []int64
		err     error
	}{
		"even":                    {100, []int64{1, 1}, []int64{50, 50}, nil},
		"a cent over":             {100, []int64{1, 1, 1}, []int64{34, 33, 33}, nil},
		"to the larger remainder": {10, []int64{10, 25}, []int64{3, 7}, nil}, // 2.857…, 7.142…
		"negated":                 {-100, []int64{1, 1, 1}, []int64{-34, -33, -33}, nil},
		"nothing to nothing":      {7, []int64{0, 3, 0}, []int64{0, 7, 0}, nil},
		"a credit among them":     {90, []int64{100, -10}, []int64{100, -10}, nil},
		"half with a credit":      {45, []int64{100, -11}, []int64{51, -6}, nil}, // 50.56…, -5.56…
		"credits alone":           {-50, []int64{-75, -25}, []int64{-38, -12}, nil},
		"of nothing":              {0, []int64{2, 3}, []int64{0, 0}, nil},
		"widest":                  {math.MinInt64, []int64{math.MaxInt64, math.MaxInt64}, []int64{-1 << 62, -1 << 62}, nil},
		"no weights":              {5, nil, nil, ErrNothingToAllocateTo},
		"weights that cancel":     {5, []int64{3, -3}, nil, ErrNothingToAllocateTo},
		"wider than 64 bits":      {math.MaxInt64, []int64{math.MaxInt64, 2 - math.MaxInt64}, nil, ErrAllocationTooLarge},
	} {
		got, err := Allocate(test.total, test.weights)
		if diff := cmp.Diff(test.want, got); diff != "" || !errors.Is(err, test.err) {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestAllocate_SharesAddUpAndAreFair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64().Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(-1e9, 1e12), 1, 12).Draw(t, "weights")
		shares, err := Allocate(total, weights)
		if err != nil {
			if !errors.Is(err, ErrNothingToAllocateTo) && !errors.Is(err, ErrAllocationTooLarge) {
				t.Fatal(err)
			}
			return
		}
		sum, whole := new(big.Int), new(big.Int)
		for i := range shares {
			sum.Add(sum, big.NewInt(shares[i]))
			whole.Add(whole, big.NewInt(weights[i]))
		}
		if sum.Cmp(big.NewInt(total)) != 0 {
			t.Fatalf("%v add up to %v, not %d", shares, sum, total)
		}
		for i, share := range shares { // |share × whole − total × weight| < whole
			off := new(big.Int).Mul(big.NewInt(share), whole)
			off.Sub(off, new(big.Int).Mul(big.NewInt(total), big.NewInt(weights[i])))
			if off.CmpAbs(whole) >= 0 {
				t.Fatalf("share %d of %v is a minor unit or more from its part", i, shares)
			}
			if weights[i] == 0 && share != 0 {
				t.Fatalf("%d for a weight of nothing", share)
			}
		}
		if total != math.MinInt64 {
			negated, err := Allocate(-total, weights)
			for i := range negated {
				negated[i] = -negated[i]
			}
			if err != nil || !slices.Equal(negated, shares) {
				t.Fatalf("%v for %d, %v for its opposite", shares, total, negated)
			}
		}
	})
}

// cart draws lines that are right: goods, discounts, gift cards, shipping; in the US without tax, which is a line.
func cart(t *rapid.T, us bool) (lines []OrderLine) {
	for range rapid.IntRange(1, 10).Draw(t, "lines") {
		l := OrderLine{
			Type:      rapid.SampledFrom([]string{"", LinePhysical, LineShippingFee, LineDiscount, LineGiftCard}).Draw(t, "type"),
			Reference: rapid.StringMatching(`[A-Z]-[0-9]{3}`).Draw(t, "reference"), Name: "Zelt",
			Quantity: rapid.Int64Range(0, 20).Draw(t, "quantity"), UnitPrice: rapid.Int64Range(0, 30_000).Draw(t, "price"),
			TaxRate: rapid.SampledFrom([]int64{0, 550, 700, 1900, 2100, 2500, 9999}).Draw(t, "rate"),
		}
		switch l.Type {
		case LineGiftCard:
			l.TaxRate = 0
			fallthrough
		case LineDiscount:
			l.UnitPrice = -l.UnitPrice
		default:
			l.TotalDiscountAmount = rapid.Int64Range(0, l.Quantity*l.UnitPrice).Draw(t, "discount")
		}
		if us {
			l.TaxRate = 0
		}
		l.TotalAmount = l.Quantity*l.UnitPrice - l.TotalDiscountAmount
		l.TotalTaxAmount = ContainedTax(l.TotalAmount, l.TaxRate)
		lines = append(lines, l)
	}
	if us {
		tax := rapid.Int64Range(0, 5000).Draw(t, "sales tax")
		lines = append(lines, OrderLine{Type: LineSalesTax, Name: "Tax", Quantity: 1, UnitPrice: tax, TotalAmount: tax})
	}
	return lines
}

// sums of a cart, as its order has them.
func sums(lines []OrderLine, us bool) (amount, tax int64) {
	for _, l := range lines {
		amount += l.TotalAmount
		if tax += l.TotalTaxAmount; us && l.Type == LineSalesTax {
			tax += l.TotalAmount
		}
	}
	return amount, tax
}

// addUp fails unless lines are right by every rule that does not look at the order's sign.
func addUp(t *rapid.T, country string, lines []OrderLine) {
	amount, tax := sums(lines, country == "US")
	for _, flaw := range CheckOrder(country, amount, tax, lines) {
		if flaw.Parameter != "order_amount" && flaw.Parameter != "order_tax_amount" || flaw.Rule != RuleNotNegative {
			t.Fatalf("%+v in %+v", flaw, lines)
		}
	}
}

func TestAllocateLines_PartsAddUpByConstruction(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		country := rapid.SampledFrom([]string{"DE", "US"}).Draw(t, "country")
		whole := cart(t, country == "US")
		addUp(t, country, whole)
		amount := rapid.Int64Range(-2_000_000, 2_000_000).Draw(t, "amount")
		parts, err := AllocateLines(amount, whole)
		if err != nil {
			if total, _ := sums(whole, false); total != 0 {
				t.Fatal(err)
			}
			return
		}
		if total, _ := sums(parts, false); total != amount {
			t.Fatalf("the parts add up to %d, not %d", total, amount)
		}
		addUp(t, country, parts)
		for _, part := range parts {
			if !slices.ContainsFunc(whole, func(l OrderLine) bool { return l.Reference == part.Reference && l.Type == part.Type }) {
				t.Fatalf("a line that was not there: %+v", part)
			}
		}
	})
}

func TestAllocateLines_TheWholeStaysAsItIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		whole := slices.DeleteFunc(cart(t, false), func(l OrderLine) bool { return l.TotalAmount == 0 })
		total, _ := sums(whole, false)
		if total == 0 {
			return
		}
		parts, err := AllocateLines(total, whole)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole, parts); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestSpreadDiscount_AddsUpByConstruction(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		country := rapid.SampledFrom([]string{"DE", "US"}).Draw(t, "country")
		before := cart(t, country == "US")
		discount := rapid.Int64Range(-10, 2_000_000).Draw(t, "discount")
		after, err := SpreadDiscount(discount, before)
		if err != nil {
			var most int64
			for _, l := range before {
				if l.Type != LineSalesTax {
					most += max(l.TotalAmount, 0)
				}
			}
			if discount >= 0 && discount <= most && most > 0 {
				t.Fatalf("%v, though they sell for %d", err, most)
			}
			return
		}
		was, _ := sums(before, false)
		is, _ := sums(after, false)
		if was-is != discount {
			t.Fatalf("%d less, not %d", was-is, discount)
		}
		addUp(t, country, after)
		for i := range after {
			if after[i].TotalAmount < 0 && before[i].TotalAmount >= 0 {
				t.Fatalf("the discount is above what line %d sells for: %+v", i, after[i])
			}
		}
	})
}
