package server

import (
	"context"
	"strings"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

func (s *paymentService) CreateHostedPage(ctx context.Context, req *gatewayv1.CreateHostedPageRequest) (*gatewayv1.CreateHostedPageResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	page, err := s.operations.CreateHostedPage(ctx, what, req.GetSessionId(), hostedPageToKlarna(req))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateHostedPageResponse{HostedPage: hostedPageFromKlarna(page.HostedPage), OrphanPossible: page.Orphan}, nil
}

func (s *paymentService) GetHostedPage(ctx context.Context, req *gatewayv1.GetHostedPageRequest) (*gatewayv1.GetHostedPageResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	page, err := s.operations.HostedPage(ctx, account, req.GetHostedPageId(), "")
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetHostedPageResponse{HostedPage: hostedPageFromKlarna(page)}, nil
}

func (s *paymentService) DisableHostedPage(ctx context.Context, req *gatewayv1.DisableHostedPageRequest) (*gatewayv1.DisableHostedPageResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.DisableHostedPage(ctx, what, req.GetHostedPageId()); err != nil {
		return nil, err
	}
	return &gatewayv1.DisableHostedPageResponse{}, nil
}

func (s *paymentService) DistributeHostedPage(ctx context.Context, req *gatewayv1.DistributeHostedPageRequest) (*gatewayv1.DistributeHostedPageResponse, error) {
	what, err := s.write(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.DistributeHostedPage(ctx, what, req.GetHostedPageId(), distributionToKlarna(req)); err != nil {
		return nil, err
	}
	return &gatewayv1.DistributeHostedPageResponse{}, nil
}

// hostedPageToKlarna is the page to be opened, but for its session and its updates, which belong to the operation. Klarna
// writes payment method categories in upper case here and in lower case in sessions.
func hostedPageToKlarna(req *gatewayv1.CreateHostedPageRequest) klarna.HostedPageRequest {
	page := klarna.HostedPageRequest{ProfileID: req.GetProfileId()}
	urls := klarna.HostedPageURLs{
		Success: req.GetSuccessUrl(), Cancel: req.GetCancelUrl(), Back: req.GetBackUrl(),
		Failure: req.GetFailureUrl(), Error: req.GetErrorUrl(),
	}
	if urls != (klarna.HostedPageURLs{}) {
		page.MerchantURLs = &urls
	}
	options := klarna.HostedPageOptions{
		PaymentMethodCategory: strings.ToUpper(req.GetPaymentMethodCategory()),
		PageTitle:             req.GetPageTitle(),
		LogoURL:               req.GetLogoUrl(),
	}
	if options != (klarna.HostedPageOptions{}) {
		page.Options = &options
	}
	return page
}

// hostedPageFromKlarna leaves out the authorisation token. Klarna tells the addresses only when the page is opened.
func hostedPageFromKlarna(p klarna.HostedPage) *gatewayv1.HostedPage {
	return &gatewayv1.HostedPage{
		HostedPageId:    p.SessionID,
		Status:          enumOf[gatewayv1.HostedPage_Status](gatewayv1.HostedPage_Status_value, statusPrefix, string(p.Status)),
		StatusText:      string(p.Status),
		RedirectUrl:     p.RedirectURL,
		QrCodeUrl:       p.QRCodeURL,
		ExpireTime:      timestampOf(p.ExpiresAt),
		UpdateTime:      timestampOf(p.UpdatedAt),
		OrderId:         p.OrderID,
		KlarnaReference: p.KlarnaReference,
	}
}

// distributionToKlarna is by e-mail, else by text message; that there is exactly one recipient is a rule of the request.
func distributionToKlarna(req *gatewayv1.DistributeHostedPageRequest) klarna.Distribution {
	if req.GetEmail() != "" {
		return klarna.Distribution{Method: klarna.DistributeByEmail, Contact: klarna.DistributionContact{Email: req.GetEmail()}}
	}
	return klarna.Distribution{
		Method:  klarna.DistributeBySMS,
		Contact: klarna.DistributionContact{Phone: req.GetPhone(), PhoneCountry: req.GetPhoneCountry()},
	}
}
