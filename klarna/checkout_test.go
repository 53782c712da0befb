package klarna

import (
	"errors"
	"testing"
)

func TestCreateCheckoutOrder_SendsTaxEvenWhenThereIsNone(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 201, `{"order_id":"o-1","status":"CHECKOUT_INCOMPLETE","html_snippet":"<div/>","order_lines":[{"name":"Buch","quantity":1,"unit_price":100,"tax_rate":0,"total_amount":100,"total_tax_amount":0}],"order_amount":100,"gui":{}}`)
	order, err := klarna.client(t).CreateCheckoutOrder(t.Context(), CheckoutOrder{
		PurchaseCountry: "DE", PurchaseCurrency: "EUR", Locale: "de-DE", OrderAmount: 100, OrderID: "x", Status: "x", HTMLSnippet: "x",
		OrderLines:   []OrderLine{{Name: "Buch", Quantity: 1, UnitPrice: 100, TotalAmount: 100}},
		MerchantURLs: &CheckoutURLs{Terms: "https://t", Checkout: "https://c", Confirmation: "https://d", Push: "https://p/{checkout.order.id}"},
	})
	if err != nil || order.OrderID != "o-1" || order.Status != CheckoutIncomplete || order.HTMLSnippet != "<div/>" || order.OrderLines[0].Name != "Buch" || order.Raw == nil {
		t.Fatalf("got %+v, %v", order, err)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/checkout/v3/orders")
	checkJSON(t, s.body, `{"purchase_country":"DE","purchase_currency":"EUR","locale":"de-DE","order_amount":100,"order_tax_amount":0,
		"order_lines":[{"name":"Buch","quantity":1,"unit_price":100,"tax_rate":0,"total_amount":100,"total_tax_amount":0}],
		"merchant_urls":{"terms":"https://t","checkout":"https://c","confirmation":"https://d","push":"https://p/{checkout.order.id}"}}`)
}

func TestCheckoutOrder_IsReadUpdatedAndAborted(t *testing.T) {
	t.Parallel()
	answer := `{"order_id":"o-1","status":"checkout_incomplete"}`
	klarna := answering(t, 200, answer)
	if order, err := klarna.client(t).CheckoutOrder(t.Context(), "o-1"); err != nil || order.Status != CheckoutIncomplete {
		t.Fatalf("got %+v, %v", order, err)
	}
	klarna.only(t).want(t, "GET", "/checkout/v3/orders/o-1")

	klarna = answering(t, 200, answer)
	update := CheckoutOrder{OrderAmount: 5, OrderLines: []OrderLine{{Name: "Buch", Quantity: 1, UnitPrice: 5, TaxRate: 700, TotalAmount: 5}}}
	if _, err := klarna.client(t).UpdateCheckoutOrder(t.Context(), "o-1", update); err != nil {
		t.Fatal(err)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/checkout/v3/orders/o-1")
	checkJSON(t, s.body, `{"order_amount":5,"order_tax_amount":0,"order_lines":[{"name":"Buch","quantity":1,"unit_price":5,"tax_rate":700,"total_amount":5,"total_tax_amount":0}]}`)

	klarna = answering(t, 200, "anything")
	if err := klarna.client(t).AbortCheckoutOrder(t.Context(), "o-1"); err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "POST", "/checkout/v3/orders/o-1/abort")
}

func TestCheckoutOrder_RefusalsAreItsOwnFamilys(t *testing.T) {
	t.Parallel()
	_, err := answering(t, 403, `{"error_code":"READ_ONLY_ORDER"}`).client(t).UpdateCheckoutOrder(t.Context(), "o-1", CheckoutOrder{})
	var refused *Error
	if !errors.As(err, &refused) || refused.Family != Checkout || refused.Code != "READ_ONLY_ORDER" {
		t.Errorf("got %+v", err)
	}
}
