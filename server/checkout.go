package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

func (s *orderService) CreateCheckoutOrder(ctx context.Context, req *gatewayv1.CreateCheckoutOrderRequest) (*gatewayv1.CreateCheckoutOrderResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := cartAddsUp(req); err != nil {
		return nil, err
	}
	order, err := s.operations.CreateCheckoutOrder(ctx, what, checkoutToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateCheckoutOrderResponse{CheckoutOrder: checkoutFromKlarna(order.CheckoutOrder), OrphanPossible: order.Orphan}, nil
}

func (s *orderService) GetCheckoutOrder(ctx context.Context, req *gatewayv1.GetCheckoutOrderRequest) (*gatewayv1.GetCheckoutOrderResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	order, err := s.operations.CheckoutOrder(ctx, account, req.GetOrderId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetCheckoutOrderResponse{CheckoutOrder: checkoutFromKlarna(order)}, nil
}

func (s *orderService) UpdateCheckoutOrder(ctx context.Context, req *gatewayv1.UpdateCheckoutOrderRequest) (*gatewayv1.UpdateCheckoutOrderResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := cartAddsUp(req); err != nil {
		return nil, err
	}
	order, err := s.operations.UpdateCheckoutOrder(ctx, what, req.GetOrderId(), checkoutUpdateToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.UpdateCheckoutOrderResponse{CheckoutOrder: checkoutFromKlarna(order)}, nil
}

func (s *orderService) AbortCheckoutOrder(ctx context.Context, req *gatewayv1.AbortCheckoutOrderRequest) (*gatewayv1.AbortCheckoutOrderResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.AbortCheckoutOrder(ctx, what, req.GetOrderId()); err != nil {
		return nil, err
	}
	return &gatewayv1.AbortCheckoutOrderResponse{}, nil
}

// checkoutToKlarna is the checkout order to be opened, but for its push, which belongs to the operation.
func checkoutToKlarna(req *gatewayv1.CreateCheckoutOrderRequest) klarna.CheckoutOrder {
	return klarna.CheckoutOrder{
		PurchaseCountry:    req.GetPurchaseCountry(),
		PurchaseCurrency:   req.GetOrderAmount().GetCurrencyCode(),
		Locale:             req.GetLocale(),
		OrderAmount:        req.GetOrderAmount().GetAmountMinor(),
		OrderTaxAmount:     req.GetOrderTaxAmountMinor(),
		OrderLines:         linesToKlarna(req.GetOrderLines()),
		BillingAddress:     customerAddressToKlarna(req.GetBillingAddress()),
		ShippingAddress:    customerAddressToKlarna(req.GetShippingAddress()),
		MerchantReference1: req.GetMerchantReference1(),
		MerchantReference2: req.GetMerchantReference2(),
		MerchantData:       req.GetMerchantData(),
		MerchantURLs: &klarna.CheckoutURLs{
			Terms: req.GetTermsUrl(), Checkout: req.GetCheckoutUrl(), Confirmation: req.GetConfirmationUrl(),
		},
	}
}

// checkoutUpdateToKlarna is the cart as it shall be. Klarna: what is not named stays.
func checkoutUpdateToKlarna(req *gatewayv1.UpdateCheckoutOrderRequest) klarna.CheckoutOrder {
	return klarna.CheckoutOrder{
		PurchaseCountry:    req.GetPurchaseCountry(),
		PurchaseCurrency:   req.GetOrderAmount().GetCurrencyCode(),
		OrderAmount:        req.GetOrderAmount().GetAmountMinor(),
		OrderTaxAmount:     req.GetOrderTaxAmountMinor(),
		OrderLines:         linesToKlarna(req.GetOrderLines()),
		MerchantReference1: req.GetMerchantReference1(),
		MerchantReference2: req.GetMerchantReference2(),
	}
}

// checkoutFromKlarna leaves out the addresses.
func checkoutFromKlarna(o klarna.CheckoutOrder) *gatewayv1.CheckoutOrder {
	return &gatewayv1.CheckoutOrder{
		OrderId:             o.OrderID,
		Status:              string(o.Status),
		HtmlSnippet:         o.HTMLSnippet,
		PurchaseCountry:     o.PurchaseCountry,
		Locale:              o.Locale,
		OrderAmount:         moneyOf(o.OrderAmount, o.PurchaseCurrency),
		OrderTaxAmountMinor: o.OrderTaxAmount,
		OrderLines:          linesFromKlarna(o.OrderLines),
		MerchantReference1:  o.MerchantReference1,
		MerchantReference2:  o.MerchantReference2,
	}
}
