package server

import (
	"context"
	"errors"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// networkPaymentService implements NetworkPaymentService.
type networkPaymentService struct {
	gatewayv1.UnimplementedNetworkPaymentServiceServer
	*Server
}

// write makes the record of a mutation of a payment on the Network.
func (s *networkPaymentService) write(ctx context.Context, req interface {
	mutation
	accountRequest
}) (operation.Request, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return operation.Request{}, err
	}
	return once(ctx, account, req)
}

func (s *networkPaymentService) CreatePaymentRequest(ctx context.Context, req *gatewayv1.CreatePaymentRequestRequest) (*gatewayv1.CreatePaymentRequestResponse, error) {
	if err := linesMakeUp(req.GetAmount(), req.GetLineItems()); err != nil {
		return nil, err
	}
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreatePaymentRequest(ctx, what, req.GetPartnerAccountId(), klarna.Secret(req.GetCustomerToken()), paymentRequestToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyRequest, made.PaymentRequestID)
	return &gatewayv1.CreatePaymentRequestResponse{PaymentRequest: paymentRequestFromKlarna(req.GetPartnerAccountId(), made), Payment: payment}, err
}

func (s *networkPaymentService) GetPaymentRequest(ctx context.Context, req *gatewayv1.GetPaymentRequestRequest) (*gatewayv1.GetPaymentRequestResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.NetworkAPI)
	if err != nil {
		return nil, err
	}
	read, err := s.operations.PaymentRequest(ctx, account, req.GetPartnerAccountId(), req.GetPaymentRequestId())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetPaymentRequestResponse{PaymentRequest: paymentRequestFromKlarna(req.GetPartnerAccountId(), read)}, nil
}

func (s *networkPaymentService) UpdatePaymentRequest(ctx context.Context, req *gatewayv1.UpdatePaymentRequestRequest) (*gatewayv1.UpdatePaymentRequestResponse, error) {
	if err := linesMakeUp(req.GetAmount(), req.GetLineItems()); err != nil {
		return nil, err
	}
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.UpdatePaymentRequest(ctx, what, req.GetPartnerAccountId(), req.GetPaymentRequestId(), paymentRequestUpdateToKlarna(req))
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyRequest, req.GetPaymentRequestId())
	return &gatewayv1.UpdatePaymentRequestResponse{PaymentRequest: paymentRequestFromKlarna(req.GetPartnerAccountId(), made), Payment: payment}, err
}

func (s *networkPaymentService) CancelPaymentRequest(ctx context.Context, req *gatewayv1.CancelPaymentRequestRequest) (*gatewayv1.CancelPaymentRequestResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.CancelPaymentRequest(ctx, what, req.GetPartnerAccountId(), req.GetPaymentRequestId()); err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeyRequest, req.GetPaymentRequestId())
	return &gatewayv1.CancelPaymentRequestResponse{Payment: payment}, err
}

func (s *networkPaymentService) AuthorizePayment(ctx context.Context, req *gatewayv1.AuthorizePaymentRequest) (*gatewayv1.AuthorizePaymentResponse, error) {
	if err := linesMakeUp(req.GetAmount(), req.GetLineItems()); err != nil {
		return nil, err
	}
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.Authorize(ctx, what, paymentToAuthorize(req))
	if err != nil {
		return nil, err
	}
	res := authorizationFromKlarna(req.GetPartnerAccountId(), made)
	switch {
	case made.Transaction != nil:
		res.Payment, err = s.paymentAfter(ctx, what, journal.KeyTransaction, made.Transaction.PaymentTransactionID)
	case made.RequestID != "":
		res.Payment, err = s.paymentAfter(ctx, what, journal.KeyRequest, made.RequestID)
	}
	return res, err
}

func (s *networkPaymentService) CancelPaymentToken(ctx context.Context, req *gatewayv1.CancelPaymentTokenRequest) (*gatewayv1.CancelPaymentTokenResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	token, request := req.GetPaymentToken(), req.GetPaymentRequestId()
	if err := s.operations.CancelPaymentToken(ctx, what, req.GetPartnerAccountId(), request, klarna.Secret(token)); err != nil {
		return nil, err
	}
	key, value := journal.KeyRequest, request
	if token != "" {
		key, value = journal.KeyToken, journal.TokenKey(token)
	}
	payment, err := s.paymentAfter(ctx, what, key, value)
	if token != "" && errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return &gatewayv1.CancelPaymentTokenResponse{Payment: payment}, err
}

// linesMakeUp checks that lines, where there are any beside an amount, make it up.
func linesMakeUp(amount *gatewayv1.Money, lines []*gatewayv1.LineItem) error {
	if amount == nil {
		return nil
	}
	return amountFlaws(klarna.CheckLineItems(amount.GetAmountMinor(), lineItemsToKlarna(lines)), "")
}
