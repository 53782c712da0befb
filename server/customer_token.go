package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

func (s *paymentService) CreateCustomerToken(ctx context.Context, req *gatewayv1.CreateCustomerTokenRequest) (*gatewayv1.CreateCustomerTokenResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateCustomerToken(ctx, what, req.GetSessionId(), req.GetAuthorizationToken(), customerTokenToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateCustomerTokenResponse{
		CustomerToken: made.Token, PaymentMethodReference: made.PaymentMethodReference, RedirectUrl: made.RedirectURL,
	}, nil
}

func (s *paymentService) GetCustomerToken(ctx context.Context, req *gatewayv1.GetCustomerTokenRequest) (*gatewayv1.GetCustomerTokenResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	token, err := s.operations.CustomerToken(ctx, account, req.GetCustomerToken())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetCustomerTokenResponse{Token: customerTokenFromKlarna(token)}, nil
}

func (s *paymentService) ChargeCustomerToken(ctx context.Context, req *gatewayv1.ChargeCustomerTokenRequest) (*gatewayv1.ChargeCustomerTokenResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := cartAddsUp(req); err != nil {
		return nil, err
	}
	made, err := s.operations.ChargeCustomerToken(ctx, what, req.GetCustomerToken(), tokenOrderToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyOrder, made.OrderID)
	return &gatewayv1.ChargeCustomerTokenResponse{OrderId: made.OrderID, RedirectUrl: made.RedirectURL, Payment: payment}, err
}

func (s *paymentService) CancelCustomerToken(ctx context.Context, req *gatewayv1.CancelCustomerTokenRequest) (*gatewayv1.CancelCustomerTokenResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.CancelCustomerToken(ctx, what, req.GetCustomerToken()); err != nil {
		return nil, err
	}
	return &gatewayv1.CancelCustomerTokenResponse{}, nil
}

func customerTokenToKlarna(req *gatewayv1.CreateCustomerTokenRequest) klarna.CustomerTokenRequest {
	return klarna.CustomerTokenRequest{
		Description:      req.GetDescription(),
		IntendedUse:      klarna.UseSubscription,
		Locale:           req.GetLocale(),
		PurchaseCountry:  req.GetPurchaseCountry(),
		PurchaseCurrency: req.GetPurchaseCurrency(),
		BillingAddress:   customerAddressToKlarna(req.GetBillingAddress()),
		Customer:         customerToKlarna(req.GetCustomer()),
	}
}

func customerTokenFromKlarna(t klarna.CustomerToken) *gatewayv1.CustomerToken {
	token := &gatewayv1.CustomerToken{
		Status:            enumOf[gatewayv1.CustomerToken_Status](gatewayv1.CustomerToken_Status_value, statusPrefix, string(t.Status)),
		StatusText:        string(t.Status),
		PaymentMethodType: t.PaymentMethodType,
	}
	if t.Card != nil {
		token.CardMaskedNumber, token.CardBrand, token.CardExpiryDate = t.Card.MaskedNumber, t.Card.Brand, t.Card.ExpiryDate
	}
	if t.DirectDebit != nil {
		token.DirectDebitMaskedNumber = t.DirectDebit.MaskedNumber
	}
	return token
}

func tokenOrderToKlarna(req *gatewayv1.ChargeCustomerTokenRequest) klarna.TokenOrderRequest {
	order := klarna.TokenOrderRequest{
		PurchaseCurrency:   req.GetOrderAmount().GetCurrencyCode(),
		OrderAmount:        req.GetOrderAmount().GetAmountMinor(),
		OrderTaxAmount:     req.GetOrderTaxAmountMinor(),
		OrderLines:         linesToKlarna(req.GetOrderLines()),
		AutoCapture:        req.GetAutoCapture(),
		MerchantReference1: req.GetMerchantReference1(),
		MerchantReference2: req.GetMerchantReference2(),
		MerchantData:       req.GetMerchantData(),
		ShippingAddress:    customerAddressToKlarna(req.GetShippingAddress()),
	}
	if req.GetStepUp() {
		order.StepUp = klarna.StepUpSupported
	}
	if url := req.GetConfirmationUrl(); url != "" {
		order.MerchantURLs = &klarna.MerchantURLs{Confirmation: url}
	}
	return order
}
