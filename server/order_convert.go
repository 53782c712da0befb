package server

import (
	"cmp"
	"strings"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

// newOrderFromRequest says what authorisation shall become an order.
func newOrderFromRequest(req *gatewayv1.CreateOrderRequest) operation.NewOrder {
	order := operation.NewOrder{
		SessionID:   req.GetSessionId(),
		Token:       req.GetAuthorizationToken(),
		AutoCapture: req.GetAutoCapture(),
		Reference1:  req.GetMerchantReference1(),
		Reference2:  req.GetMerchantReference2(),
	}
	if expected := req.GetExpectedAmount(); expected != nil {
		minor := expected.GetAmountMinor()
		order.ExpectedAmount, order.Currency = &minor, expected.GetCurrencyCode()
	}
	return order
}

// orderFromKlarna shows an order of a merchant account as Order Management has it.
func orderFromKlarna(merchantAccount string, o klarna.Order) *gatewayv1.Order {
	order := &gatewayv1.Order{
		OrderId:                   o.OrderID,
		MerchantAccount:           merchantAccount,
		Status:                    orderStatusFromWord(string(o.Status)),
		StatusText:                string(o.Status),
		FraudStatus:               fraudStatusFromWord(string(o.FraudStatus)),
		FraudStatusText:           string(o.FraudStatus),
		KlarnaReference:           o.KlarnaReference,
		MerchantReference1:        o.MerchantReference1,
		MerchantReference2:        o.MerchantReference2,
		OrderAmount:               moneyOf(o.OrderAmount, o.PurchaseCurrency),
		OriginalOrderAmount:       moneyOf(o.OriginalOrderAmount, o.PurchaseCurrency),
		CapturedAmount:            moneyOf(o.CapturedAmount, o.PurchaseCurrency),
		RefundedAmount:            moneyOf(o.RefundedAmount, o.PurchaseCurrency),
		RemainingAuthorizedAmount: moneyOf(o.RemainingAuthorizedAmount, o.PurchaseCurrency),
		PurchaseCountry:           o.PurchaseCountry,
		Locale:                    o.Locale,
		OrderLines:                linesFromKlarna(o.OrderLines),
		BillingAddress:            customerAddressFromKlarna(o.BillingAddress),
		ShippingAddress:           customerAddressFromKlarna(o.ShippingAddress),
		Captures: convertAll(o.Captures, func(c klarna.Capture) *gatewayv1.Capture {
			return captureFromKlarna(c, o.PurchaseCurrency)
		}),
		Refunds: convertAll(o.Refunds, func(r klarna.Refund) *gatewayv1.Refund {
			return refundFromKlarna(r, o.PurchaseCurrency)
		}),
		CreateTime: timestampOf(o.CreatedAt),
		ExpireTime: timestampOf(o.ExpiresAt),
	}
	if method := o.InitialPaymentMethod; method != nil {
		order.InitialPaymentMethodType = method.Type
	}
	return order
}

// captureToKlarna gives a capture the request_id as its reference if the caller names none: by it a capture whose
// answer was lost can be found again.
func captureToKlarna(req *gatewayv1.CaptureOrderRequest) klarna.CaptureRequest {
	return klarna.CaptureRequest{
		CapturedAmount: req.GetAmount().GetAmountMinor(),
		Description:    req.GetDescription(),
		Reference:      cmp.Or(req.GetReference(), strings.ToLower(req.GetRequestId())),
		OrderLines:     linesToKlarna(req.GetOrderLines()),
		ShippingInfo:   convertAll(req.GetShippingInfo(), shippingToKlarna),
	}
}

// refundToKlarna gives a refund the request_id as its reference if the caller names none, as captureToKlarna does.
func refundToKlarna(req *gatewayv1.RefundOrderRequest) klarna.RefundRequest {
	return klarna.RefundRequest{
		RefundedAmount: req.GetAmount().GetAmountMinor(),
		Description:    req.GetDescription(),
		Reference:      cmp.Or(req.GetReference(), strings.ToLower(req.GetRequestId())),
		OrderLines:     linesToKlarna(req.GetOrderLines()),
	}
}

// captureFromKlarna shows a capture. Klarna: it has no currency of its own but its order's.
func captureFromKlarna(c klarna.Capture, currencyCode string) *gatewayv1.Capture {
	return &gatewayv1.Capture{
		CaptureId:       c.CaptureID,
		KlarnaReference: c.KlarnaReference,
		Reference:       c.Reference,
		Amount:          moneyOf(c.CapturedAmount, currencyCode),
		RefundedAmount:  moneyOf(c.RefundedAmount, currencyCode),
		Description:     c.Description,
		CaptureTime:     timestampOf(c.CapturedAt),
		OrderLines:      linesFromKlarna(c.OrderLines),
		ShippingInfo:    convertAll(c.ShippingInfo, shippingFromKlarna),
	}
}

// refundFromKlarna shows a refund. Klarna: it has no currency of its own but its order's.
func refundFromKlarna(r klarna.Refund, currencyCode string) *gatewayv1.Refund {
	return &gatewayv1.Refund{
		RefundId:    r.RefundID,
		Reference:   r.Reference,
		Amount:      moneyOf(r.RefundedAmount, currencyCode),
		Description: r.Description,
		RefundTime:  timestampOf(r.RefundedAt),
		OrderLines:  linesFromKlarna(r.OrderLines),
	}
}

// captureMade shows a capture that was just made: Klarna answers with its id alone, the request tells the rest.
func captureMade(made operation.MovementAnswer, req *gatewayv1.CaptureOrderRequest) *gatewayv1.Capture {
	return &gatewayv1.Capture{
		CaptureId:      made.ID,
		Reference:      made.Made.Reference,
		Amount:         moneyOf(made.Made.Amount, made.Currency),
		RefundedAmount: moneyOf(0, made.Currency),
		Description:    req.GetDescription(),
		CaptureTime:    timestampOf(made.Made.At),
		OrderLines:     req.GetOrderLines(),
		ShippingInfo:   req.GetShippingInfo(),
	}
}

// refundMade shows a refund that was just made: Klarna answers with its id alone, the request tells the rest.
func refundMade(made operation.MovementAnswer, req *gatewayv1.RefundOrderRequest) *gatewayv1.Refund {
	return &gatewayv1.Refund{
		RefundId:    made.ID,
		Reference:   made.Made.Reference,
		Amount:      moneyOf(made.Made.Amount, made.Currency),
		Description: req.GetDescription(),
		RefundTime:  timestampOf(made.Made.At),
		OrderLines:  req.GetOrderLines(),
	}
}

func shippingToKlarna(s *gatewayv1.ShippingInfo) klarna.ShippingInfo {
	return klarna.ShippingInfo{
		ShippingCompany:       s.GetShippingCompany(),
		ShippingMethod:        s.GetShippingMethod(),
		TrackingNumber:        s.GetTrackingNumber(),
		TrackingURI:           s.GetTrackingUri(),
		ReturnShippingCompany: s.GetReturnShippingCompany(),
		ReturnTrackingNumber:  s.GetReturnTrackingNumber(),
		ReturnTrackingURI:     s.GetReturnTrackingUri(),
	}
}

func shippingFromKlarna(s klarna.ShippingInfo) *gatewayv1.ShippingInfo {
	return &gatewayv1.ShippingInfo{
		ShippingCompany:       s.ShippingCompany,
		ShippingMethod:        s.ShippingMethod,
		TrackingNumber:        s.TrackingNumber,
		TrackingUri:           s.TrackingURI,
		ReturnShippingCompany: s.ReturnShippingCompany,
		ReturnTrackingNumber:  s.ReturnTrackingNumber,
		ReturnTrackingUri:     s.ReturnTrackingURI,
	}
}
