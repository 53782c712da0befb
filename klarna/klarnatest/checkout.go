package klarnatest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// CheckoutOrder is a purchase in Klarna Checkout. Amounts are minor units.
type CheckoutOrder struct {
	// OrderID completes an order that was created over the API; nothing else is looked at then. Empty makes a new one.
	OrderID   string         `json:"order_id"`
	Amount    int64          `json:"amount"`
	Currency  string         `json:"currency"`  // ISO 4217
	Country   string         `json:"country"`   // ISO 3166-1 alpha-2
	Reference string         `json:"reference"` // merchant_reference1
	Lines     []CheckoutLine `json:"lines"`     // none means one line over the whole amount
}

// CheckoutLine is an order line of a CheckoutOrder. Its total is Quantity times UnitPrice.
type CheckoutLine struct {
	Reference string `json:"reference"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"` // with tax
	TaxRate   int64  `json:"tax_rate"`   // 2500 is 25 %
}

// CompleteCheckout plays a customer who completes a Checkout purchase: the order appears in Order Management, and two
// minutes later the pushes begin, which last until it is acknowledged or cancelled.
func (s *Server) CompleteCheckout(purchase CheckoutOrder) (orderID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, push, err := s.checkedOut(purchase)
	if err != nil {
		return "", fmt.Errorf("complete checkout: %w", err)
	}
	s.send(&message{
		kind: KindPush, url: strings.ReplaceAll(push, "{checkout.order.id}", url.QueryEscape(o.id)),
		eventID: o.id, eventType: KindPush, subject: o.id, schedule: pushSchedule, accepted: acceptsPush,
		moot: func() bool { return o.acknowledged || o.status == orderCancelled },
	}, pushDelay)
	return o.id, nil
}

// checkedOut makes the order of a purchase, and says where it is pushed to. Callers hold mu.
func (s *Server) checkedOut(purchase CheckoutOrder) (o *order, push string, err error) {
	if purchase.OrderID != "" {
		return s.completeOrder(purchase.OrderID)
	}
	cart := parse(encode(purchase.document())) // as it would have come over the wire
	if bad := checkCart(cart); bad != nil {
		return nil, "", errors.New("bad value: " + strings.Join(bad, ", "))
	}
	return s.newOrder(cart), s.cfg.PushURL, nil
}

// document is the purchase as an order document.
func (p CheckoutOrder) document() doc {
	lines := p.Lines
	if len(lines) == 0 {
		lines = []CheckoutLine{{Reference: "SKU-1", Name: "Purchase", Quantity: 1, UnitPrice: p.Amount}}
	}
	var list []doc
	var tax int64
	for _, line := range lines {
		total := line.Quantity * line.UnitPrice
		lineTax := total - total*10_000/(10_000+max(line.TaxRate, 0))
		tax += lineTax
		list = append(list, doc{
			"type": "physical", "reference": line.Reference, "name": line.Name, "quantity": line.Quantity,
			"unit_price": line.UnitPrice, "tax_rate": line.TaxRate, "total_amount": total, "total_tax_amount": lineTax,
		})
	}
	address := customerAddress(p.Country)
	return doc{
		"purchase_country": p.Country, "purchase_currency": p.Currency, "order_amount": p.Amount, "order_tax_amount": tax,
		"merchant_reference1": p.Reference, "order_lines": list, "billing_address": address, "shipping_address": address,
	}
}
