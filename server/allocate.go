package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// AllocateAmount is arithmetic alone. It is in the API because callers in any language have to get it right to the
// minor unit, and a refund or capture that does not add up is refused.
func (s *orderService) AllocateAmount(_ context.Context, req *gatewayv1.AllocateAmountRequest) (*gatewayv1.AllocateAmountResponse, error) {
	allocate, at := klarna.AllocateLines, "order_lines"
	if req.GetDiscount() {
		allocate, at = klarna.SpreadDiscount, "amount.amount_minor"
	}
	lines, err := allocate(req.GetAmount().GetAmountMinor(), linesToKlarna(req.GetOrderLines()))
	if err != nil { // one of the allocator's own, written for whoever called it
		return nil, invalid(violation(at, err.Error(), "allocation"))
	}
	var amount, tax int64
	for _, line := range lines {
		amount += line.TotalAmount
		tax += line.TotalTaxAmount
		if line.Type == klarna.LineSalesTax {
			tax += line.TotalAmount
		}
	}
	return &gatewayv1.AllocateAmountResponse{
		OrderLines: linesFromKlarna(lines), OrderAmount: moneyOf(amount, req.GetAmount().GetCurrencyCode()), OrderTaxAmountMinor: tax,
	}, nil
}
