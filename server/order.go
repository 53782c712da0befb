package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

// orderService implements OrderService.
type orderService struct {
	gatewayv1.UnimplementedOrderServiceServer
	*Server
}

func (s *orderService) CreateOrder(ctx context.Context, req *gatewayv1.CreateOrderRequest) (*gatewayv1.CreateOrderResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateOrder(ctx, what, newOrderFromRequest(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyOrder, made.OrderID)
	return &gatewayv1.CreateOrderResponse{OrderId: made.OrderID, RedirectUrl: made.RedirectURL, Payment: payment}, err
}

func (s *orderService) GetOrder(ctx context.Context, req *gatewayv1.GetOrderRequest) (*gatewayv1.GetOrderResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	order, err := s.operations.Order(ctx, account, req.GetOrderId(), journal.Reconciled)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetOrderResponse{Order: orderFromKlarna(account, order)}, nil
}

func (s *orderService) AcknowledgeOrder(ctx context.Context, req *gatewayv1.AcknowledgeOrderRequest) (*gatewayv1.AcknowledgeOrderResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	confirmed, err := s.operations.RequestAcknowledgement(ctx, what, req.GetOrderId())
	if err != nil {
		return nil, err
	}
	payment, err := s.payment(ctx, account, journal.KeyOrder, req.GetOrderId()) // the confirmation is a commit of its own
	return &gatewayv1.AcknowledgeOrderResponse{Confirmed: confirmed, Payment: payment}, err
}

func (s *orderService) CancelOrder(ctx context.Context, req *gatewayv1.CancelOrderRequest) (*gatewayv1.CancelOrderResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.CancelOrder(ctx, what, req.GetOrderId()); err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyOrder, req.GetOrderId())
	return &gatewayv1.CancelOrderResponse{Payment: payment}, err
}

func (s *orderService) CaptureOrder(ctx context.Context, req *gatewayv1.CaptureOrderRequest) (*gatewayv1.CaptureOrderResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	if err := amountFlaws(klarna.CheckCapture(req.GetAmount().GetAmountMinor(), linesToKlarna(req.GetOrderLines())), ""); err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.Capture(ctx, what, req.GetOrderId(), req.GetAmount().GetCurrencyCode(), captureToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyOrder, req.GetOrderId())
	return &gatewayv1.CaptureOrderResponse{Capture: captureMade(made, req), Payment: payment}, err
}

func (s *orderService) RefundOrder(ctx context.Context, req *gatewayv1.RefundOrderRequest) (*gatewayv1.RefundOrderResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	if err := amountFlaws(klarna.CheckRefund(req.GetAmount().GetAmountMinor(), linesToKlarna(req.GetOrderLines())), ""); err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.Refund(ctx, what, req.GetOrderId(), req.GetAmount().GetCurrencyCode(), refundToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyOrder, req.GetOrderId())
	return &gatewayv1.RefundOrderResponse{Refund: refundMade(made, req), Payment: payment}, err
}
