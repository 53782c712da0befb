package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

func (s *orderService) ListCaptures(ctx context.Context, req *gatewayv1.ListCapturesRequest) (*gatewayv1.ListCapturesResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	captures, currency, err := s.operations.Captures(ctx, account, req.GetOrderId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListCapturesResponse{Captures: convertAll(captures, func(c klarna.Capture) *gatewayv1.Capture {
		return captureFromKlarna(c, currency)
	})}, nil
}

func (s *orderService) GetCapture(ctx context.Context, req *gatewayv1.GetCaptureRequest) (*gatewayv1.GetCaptureResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	capture, currency, err := s.operations.CaptureByID(ctx, account, req.GetOrderId(), req.GetCaptureId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetCaptureResponse{Capture: captureFromKlarna(capture, currency)}, nil
}

func (s *orderService) GetRefund(ctx context.Context, req *gatewayv1.GetRefundRequest) (*gatewayv1.GetRefundResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	refund, currency, err := s.operations.RefundByID(ctx, account, req.GetOrderId(), req.GetRefundId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetRefundResponse{Refund: refundFromKlarna(refund, currency)}, nil
}

func (s *orderService) AddCaptureShippingInfo(ctx context.Context, req *gatewayv1.AddCaptureShippingInfoRequest) (*gatewayv1.AddCaptureShippingInfoResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	parcels := convertAll(req.GetShippingInfo(), shippingToKlarna)
	if err := s.operations.AddCaptureShippingInfo(ctx, what, req.GetOrderId(), req.GetCaptureId(), parcels); err != nil {
		return nil, err
	}
	return &gatewayv1.AddCaptureShippingInfoResponse{}, nil
}

func (s *orderService) ListDueDateOptions(ctx context.Context, req *gatewayv1.ListDueDateOptionsRequest) (*gatewayv1.ListDueDateOptionsResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	options, err := s.operations.DueDateOptions(ctx, account, req.GetOrderId(), req.GetCaptureId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListDueDateOptionsResponse{Options: dueDateOptionsFromKlarna(options)}, nil
}

func (s *orderService) ExtendDueDate(ctx context.Context, req *gatewayv1.ExtendDueDateRequest) (*gatewayv1.ExtendDueDateResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.ExtendDueDate(ctx, what, req.GetOrderId(), req.GetCaptureId(), req.GetNumberOfDays()); err != nil {
		return nil, err
	}
	return &gatewayv1.ExtendDueDateResponse{}, nil
}

func (s *orderService) TriggerSendOut(ctx context.Context, req *gatewayv1.TriggerSendOutRequest) (*gatewayv1.TriggerSendOutResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.TriggerSendOut(ctx, what, req.GetOrderId(), req.GetCaptureId()); err != nil {
		return nil, err
	}
	return &gatewayv1.TriggerSendOutResponse{}, nil
}
