package klarna

import (
	"errors"
	"math/big"
	"slices"
)

// What an amount cannot be allocated to.
var (
	ErrNothingToAllocateTo = errors.New("the weights have no sum to allocate by")
	ErrAllocationTooLarge  = errors.New("a share is wider than 64 bits")
	ErrDiscountTooLarge    = errors.New("the discount is negative or above what the lines sell for")
)

// Allocate splits total into a share for each weight, in proportion to it. The shares add up to total, each is less than
// one minor unit from its exact part, and the minor units that remain go to the largest remainders, the first of equals
// first. Total and weights may be negative, as credits are; the shares of -total are those of total, negated. Nothing is
// allocated to a weight of zero.
func Allocate(total int64, weights []int64) ([]int64, error) {
	sum := new(big.Int)
	for _, w := range weights {
		sum.Add(sum, big.NewInt(w))
	}
	if sum.Sign() == 0 {
		return nil, ErrNothingToAllocateTo
	}
	amount := new(big.Int).Abs(big.NewInt(total))
	if sum.Sign() < 0 { // then all signs turn, those of the parts do not
		amount.Neg(amount)
		sum.Neg(sum)
	}
	shares, rests := make([]*big.Int, len(weights)), make([]*big.Int, len(weights))
	left := new(big.Int).Abs(big.NewInt(total))
	for i, w := range weights {
		exact := new(big.Int).Mul(amount, big.NewInt(w)) // times sum
		shares[i], rests[i] = new(big.Int).DivMod(exact, sum, new(big.Int))
		left.Sub(left, shares[i])
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return rests[b].Cmp(rests[a]) })
	for _, i := range order[:left.Int64()] { // fewer than there are remainders
		shares[i].Add(shares[i], big.NewInt(1))
	}
	allocated := make([]int64, len(weights))
	for i, share := range shares {
		if total < 0 {
			share.Neg(share)
		}
		if !share.IsInt64() {
			return nil, ErrAllocationTooLarge
		}
		allocated[i] = share.Int64()
	}
	return allocated, nil
}

// ContainedTax is the tax contained in total at a rate in basis points (2500 is 25 %), halves away from zero. It is what
// Klarna expects as a line's total_tax_amount, give or take 1. A negative rate contains none.
func ContainedTax(total, rate int64) int64 {
	if rate <= 0 {
		return 0
	}
	contained := new(big.Int).Mul(big.NewInt(total), big.NewInt(rate))
	return divideRounded(contained, new(big.Int).Add(big.NewInt(10000), big.NewInt(rate))).Int64()
}

// AllocateLines makes the lines of a part of a cart, such as a partial capture or refund, out of the lines of the whole:
// each gets its share of amount, in proportion to its total, and the tax contained in that share. The lines add up to
// amount, and CheckOrder has nothing to say about them. A line keeps its quantity where the share is a multiple of it;
// else it becomes one piece at the share's price. Lines without a share are left out. References stay, so that Klarna
// finds the capture.
//
// Parts that shall add up to the whole line by line are allocated from what the parts before have left.
func AllocateLines(amount int64, lines []OrderLine) ([]OrderLine, error) {
	totals := make([]int64, len(lines))
	for i, line := range lines {
		totals[i] = line.TotalAmount
	}
	shares, err := Allocate(amount, totals)
	if err != nil {
		return nil, err
	}
	var parts []OrderLine
	for i, line := range lines {
		if shares[i] == 0 {
			continue
		}
		if shares[i] != line.TotalAmount {
			line.TotalAmount, line.TotalDiscountAmount = shares[i], 0
			if line.Quantity <= 0 || shares[i]%line.Quantity != 0 {
				line.Quantity = 1
			}
			line.UnitPrice = shares[i] / line.Quantity
			line.TotalTaxAmount = ContainedTax(line.TotalAmount, line.TaxRate)
		}
		parts = append(parts, line)
	}
	return parts, nil
}

// SpreadDiscount spreads a discount on the whole cart over its lines, in proportion to what each sells for. Lines that
// sell for nothing or less, and in the US those of taxes, get none. The discounts add up to discount, and CheckOrder has
// nothing to say about the lines that were right before.
func SpreadDiscount(discount int64, lines []OrderLine) ([]OrderLine, error) {
	weights, sellFor := make([]int64, len(lines)), new(big.Int)
	for i, line := range lines {
		if line.TotalAmount > 0 && line.Type != LineSalesTax {
			weights[i] = line.TotalAmount
			sellFor.Add(sellFor, big.NewInt(line.TotalAmount))
		}
	}
	if discount < 0 || sellFor.Cmp(big.NewInt(discount)) < 0 {
		return nil, ErrDiscountTooLarge
	}
	shares, err := Allocate(discount, weights)
	if err != nil {
		return nil, err
	}
	spread := slices.Clone(lines)
	for i, share := range shares {
		if share == 0 {
			continue
		}
		line := &spread[i]
		line.TotalDiscountAmount += share
		line.TotalAmount -= share
		line.TotalTaxAmount = ContainedTax(line.TotalAmount, line.TaxRate)
	}
	return spread, nil
}
