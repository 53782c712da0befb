package server

import (
	"context"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/operation"
)

func (s *networkPaymentService) GetTransaction(ctx context.Context, req *gatewayv1.GetTransactionRequest) (*gatewayv1.GetTransactionResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	read, err := s.operations.Transaction(ctx, account, req.GetPartnerAccountId(), req.GetPaymentTransactionId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetTransactionResponse{Transaction: transactionFromKlarna(req.GetPartnerAccountId(), read)}, nil
}

func (s *networkPaymentService) UpdateTransaction(ctx context.Context, req *gatewayv1.UpdateTransactionRequest) (*gatewayv1.UpdateTransactionResponse, error) {
	if err := linesMakeUp(req.GetAmount(), req.GetLineItems()); err != nil {
		return nil, err
	}
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	err = s.operations.UpdateTransaction(ctx, what, req.GetPartnerAccountId(), req.GetPaymentTransactionId(), req.GetAmount().GetCurrencyCode(), transactionUpdateToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyTransaction, req.GetPaymentTransactionId())
	return &gatewayv1.UpdateTransactionResponse{Payment: payment}, err
}

func (s *networkPaymentService) CaptureTransaction(ctx context.Context, req *gatewayv1.CaptureTransactionRequest) (*gatewayv1.CaptureTransactionResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CaptureTransaction(ctx, what, req.GetPartnerAccountId(), req.GetPaymentTransactionId(), req.GetAmount().GetCurrencyCode(), transactionCaptureToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyTransaction, req.GetPaymentTransactionId())
	return &gatewayv1.CaptureTransactionResponse{Payment: payment, Capture: &gatewayv1.TransactionCapture{
		PaymentCaptureId: made.ID, PaymentCaptureReference: made.Made.Reference, PaymentTransactionId: req.GetPaymentTransactionId(),
		Amount: moneyOf(made.Made.Amount, made.Currency), CaptureTime: timestampOf(made.Made.At),
	}}, err
}

func (s *networkPaymentService) RefundTransaction(ctx context.Context, req *gatewayv1.RefundTransactionRequest) (*gatewayv1.RefundTransactionResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.RefundTransaction(ctx, what, req.GetPartnerAccountId(), req.GetPaymentTransactionId(), req.GetPaymentCaptureId(),
		req.GetAmount().GetCurrencyCode(), transactionRefundToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyTransaction, req.GetPaymentTransactionId())
	return &gatewayv1.RefundTransactionResponse{Payment: payment, Refund: &gatewayv1.TransactionRefund{
		PaymentRefundId: made.ID, PaymentRefundReference: made.Made.Reference, PaymentTransactionId: req.GetPaymentTransactionId(),
		PaymentCaptureId: req.GetPaymentCaptureId(), Amount: moneyOf(made.Made.Amount, made.Currency), RefundTime: timestampOf(made.Made.At),
	}}, err
}

func (s *networkPaymentService) VoidTransaction(ctx context.Context, req *gatewayv1.VoidTransactionRequest) (*gatewayv1.VoidTransactionResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.VoidTransaction(ctx, what, req.GetPartnerAccountId(), req.GetPaymentTransactionId()); err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyTransaction, req.GetPaymentTransactionId())
	return &gatewayv1.VoidTransactionResponse{Payment: payment}, err
}

func (s *networkPaymentService) ExtendTransaction(ctx context.Context, req *gatewayv1.ExtendTransactionRequest) (*gatewayv1.ExtendTransactionResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	err = s.operations.ExtendTransaction(ctx, what, req.GetPartnerAccountId(), req.GetPaymentTransactionId(), req.GetAmount().GetCurrencyCode(), extensionToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyTransaction, req.GetPaymentTransactionId())
	return &gatewayv1.ExtendTransactionResponse{Payment: payment}, err
}

func (s *networkPaymentService) GetTransactionCapture(ctx context.Context, req *gatewayv1.GetTransactionCaptureRequest) (*gatewayv1.GetTransactionCaptureResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	read, err := s.operations.NetworkCapture(ctx, account, req.GetPartnerAccountId(), req.GetPaymentCaptureId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetTransactionCaptureResponse{Capture: networkCaptureFromKlarna(read, read.Currency)}, nil
}

func (s *networkPaymentService) GetTransactionRefund(ctx context.Context, req *gatewayv1.GetTransactionRefundRequest) (*gatewayv1.GetTransactionRefundResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	read, err := s.operations.NetworkRefund(ctx, account, req.GetPartnerAccountId(), req.GetPaymentRefundId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetTransactionRefundResponse{Refund: networkRefundFromKlarna(read, read.Currency)}, nil
}

func (s *networkPaymentService) GetChargeback(ctx context.Context, req *gatewayv1.GetChargebackRequest) (*gatewayv1.GetChargebackResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	read, err := s.operations.Chargeback(ctx, account, req.GetPartnerAccountId(), req.GetPaymentChargebackId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetChargebackResponse{Chargeback: chargebackFromKlarna(read)}, nil
}
