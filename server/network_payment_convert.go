package server

import (
	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

// purchaseData is what requests about a purchase on the Network have in common.
type purchaseData interface {
	GetPurchaseReference() string
	GetLineItems() []*gatewayv1.LineItem
	GetShipping() []*structpb.Struct
	GetCustomer() *structpb.Struct
}

// purchaseDataToKlarna is nil if nothing is said.
func purchaseDataToKlarna(p purchaseData) *klarna.PurchaseData {
	if p.GetPurchaseReference() == "" && len(p.GetLineItems()) == 0 && len(p.GetShipping()) == 0 && p.GetCustomer() == nil {
		return nil
	}
	return &klarna.PurchaseData{
		PurchaseReference: p.GetPurchaseReference(), LineItems: lineItemsToKlarna(p.GetLineItems()),
		Shipping: convertAll(p.GetShipping(), structToKlarna), Customer: structToKlarna(p.GetCustomer()),
	}
}

func lineItemsToKlarna(lines []*gatewayv1.LineItem) []klarna.LineItem {
	return convertAll(lines, func(l *gatewayv1.LineItem) klarna.LineItem {
		return klarna.LineItem{
			Name: l.GetName(), Quantity: l.GetQuantity(), UnitPrice: l.UnitPriceMinor, TotalAmount: l.GetTotalAmountMinor(),
			TotalTaxAmount: l.TotalTaxAmountMinor, ProductURL: l.GetProductUrl(), ImageURL: l.GetImageUrl(),
			ProductIdentifier: l.GetProductIdentifier(), LineItemReference: l.GetLineItemReference(), ShippingReference: l.GetShippingReference(),
		}
	})
}

func interactionToKlarna(i *gatewayv1.CustomerInteraction) *klarna.CustomerInteraction {
	if i == nil {
		return nil
	}
	return &klarna.CustomerInteraction{Method: i.GetMethod(), ReturnURL: i.GetReturnUrl(), AppReturnURL: i.GetAppReturnUrl()}
}

func paymentAccountChoiceToKlarna(a *gatewayv1.PaymentAccountChoice) *klarna.AcquiringConfig {
	if a == nil {
		return nil
	}
	return &klarna.AcquiringConfig{
		PaymentAccountID: a.GetPaymentAccountId(), PaymentAcquiringAccountID: a.GetPaymentAcquiringAccountId(),
		PaymentAccountReference: a.GetPaymentAccountReference(), SettlementCurrency: a.GetSettlementCurrency(),
	}
}

func storeToPointOfCheckout(storeID string) *klarna.PointOfCheckout {
	if storeID == "" {
		return nil
	}
	return &klarna.PointOfCheckout{StoreID: storeID}
}

func paymentRequestToKlarna(req *gatewayv1.CreatePaymentRequestRequest) klarna.PaymentRequestInput {
	return klarna.PaymentRequestInput{
		Currency: req.GetAmount().GetCurrencyCode(), Amount: req.GetAmount().GetAmountMinor(),
		PaymentRequestReference: req.GetPaymentRequestReference(), SupplementaryPurchaseData: purchaseDataToKlarna(req),
		CustomerInteractionConfig: interactionToKlarna(req.GetCustomerInteraction()), AcquiringConfig: paymentAccountChoiceToKlarna(req.GetPaymentAccount()),
		PaymentOptionID: req.GetPaymentOptionId(), PaymentProgramEnablementCodes: req.GetPaymentProgramEnablementCodes(),
		ShippingConfig: structToKlarna(req.GetShippingConfig()), PointOfCheckout: storeToPointOfCheckout(req.GetStoreId()),
	}
}

func paymentRequestUpdateToKlarna(req *gatewayv1.UpdatePaymentRequestRequest) klarna.PaymentRequestUpdate {
	update := klarna.PaymentRequestUpdate{
		PaymentRequestReference: req.GetPaymentRequestReference(), SupplementaryPurchaseData: purchaseDataToKlarna(req),
		ShippingConfig: structToKlarna(req.GetShippingConfig()),
	}
	if a := req.GetAmount(); a != nil {
		update.Currency, update.Amount = a.GetCurrencyCode(), &a.AmountMinor
	}
	return update
}

func paymentToAuthorize(req *gatewayv1.AuthorizePaymentRequest) operation.NewAuthorization {
	in := operation.NewAuthorization{
		PartnerID: req.GetPartnerAccountId(), RequestID: req.GetPaymentRequestId(),
		By: klarna.AuthorizeTokens{Session: klarna.Secret(req.GetSessionToken()), Customer: klarna.Secret(req.GetCustomerToken())},
		Request: klarna.AuthorizeRequest{
			Currency: req.GetAmount().GetCurrencyCode(), SupplementaryPurchaseData: purchaseDataToKlarna(req),
			RequestPaymentTransaction: klarna.NewTransaction{
				Amount: req.GetAmount().GetAmountMinor(), PaymentTransactionReference: req.GetPaymentTransactionReference(),
				Capture: klarna.CaptureLater, PaymentOptionID: req.GetPaymentOptionId(),
			},
			AcquiringConfig: paymentAccountChoiceToKlarna(req.GetPaymentAccount()),
			ShippingConfig:  structToKlarna(req.GetShippingConfig()), PointOfCheckout: storeToPointOfCheckout(req.GetStoreId()),
		},
	}
	if req.GetCaptureNow() {
		in.Request.RequestPaymentTransaction.Capture = klarna.CaptureNow
	}
	if interaction := interactionToKlarna(req.GetCustomerInteraction()); interaction != nil {
		in.Request.StepUpConfig = &klarna.StepUpConfig{CustomerInteractionConfig: interaction}
	}
	return in
}

func transactionUpdateToKlarna(req *gatewayv1.UpdateTransactionRequest) klarna.TransactionUpdate {
	update := klarna.TransactionUpdate{
		PaymentTransactionReference: req.GetPaymentTransactionReference(), SupplementaryPurchaseData: purchaseDataToKlarna(req),
	}
	if a := req.GetAmount(); a != nil {
		update.Amount = &a.AmountMinor
	}
	return update
}

func transactionCaptureToKlarna(req *gatewayv1.CaptureTransactionRequest) klarna.NetworkCaptureRequest {
	in := klarna.NetworkCaptureRequest{
		CaptureAmount: req.GetAmount().GetAmountMinor(), PaymentCaptureReference: req.GetPaymentCaptureReference(),
		SupplementaryCaptureData: structToKlarna(req.GetSupplementaryCaptureData()),
	}
	if req.GetReleaseRemaining() {
		in.RemainingAuthorization = klarna.ReleaseRemaining
	}
	return in
}

func transactionRefundToKlarna(req *gatewayv1.RefundTransactionRequest) klarna.NetworkRefundRequest {
	return klarna.NetworkRefundRequest{RefundAmount: req.GetAmount().GetAmountMinor(), Reference: req.GetPaymentRefundReference()}
}

func extensionToKlarna(req *gatewayv1.ExtendTransactionRequest) klarna.ExtendRequest {
	in := klarna.ExtendRequest{ExtensionDays: req.GetExtensionDays()}
	if a := req.GetAmount(); a != nil {
		in.Amount = &a.AmountMinor
	}
	return in
}

// paymentRequestFromKlarna leaves out the session token, which is the gateway's alone.
func paymentRequestFromKlarna(partnerID string, r klarna.PaymentRequest) *gatewayv1.PaymentRequest {
	return &gatewayv1.PaymentRequest{
		PaymentRequestId:        r.PaymentRequestID,
		PartnerAccountId:        partnerID,
		PaymentRequestReference: r.PaymentRequestReference,
		State:                   enumOf[gatewayv1.PaymentRequest_State](gatewayv1.PaymentRequest_State_value, statePrefix, string(r.State)),
		StateText:               string(r.State),
		StateReason:             r.StateReason,
		Amount:                  moneyOf(r.Amount, r.Currency),
		ExpireTime:              timestampOf(r.ExpiresAt.Time),
		InteractionMethod:       r.StateContext.CustomerInteraction.Method,
		PaymentRequestUrl:       r.StateContext.CustomerInteraction.PaymentRequestURL,
		CustomerToken:           r.StateContext.KlarnaCustomer.CustomerToken.Reveal(),
	}
}

func authorizationFromKlarna(partnerID string, a operation.AuthorizationAnswer) *gatewayv1.AuthorizePaymentResponse {
	res := &gatewayv1.AuthorizePaymentResponse{
		Result:     enumOf[gatewayv1.AuthorizePaymentResponse_Result](gatewayv1.AuthorizePaymentResponse_Result_value, resultPrefix, a.Result),
		ResultText: a.Result, ResultReason: a.Reason,
	}
	if a.Transaction != nil {
		res.Transaction = transactionFromKlarna(partnerID, *a.Transaction)
	}
	if a.StepUp != nil {
		res.PaymentRequest = paymentRequestFromKlarna(partnerID, *a.StepUp)
	}
	return res
}

func transactionFromKlarna(partnerID string, t klarna.Transaction) *gatewayv1.PaymentTransaction {
	transaction := &gatewayv1.PaymentTransaction{
		PaymentTransactionId:        t.PaymentTransactionID,
		PartnerAccountId:            partnerID,
		PaymentTransactionReference: t.PaymentTransactionReference,
		State:                       enumOf[gatewayv1.PaymentTransaction_State](gatewayv1.PaymentTransaction_State_value, statePrefix, string(t.State)),
		StateText:                   string(t.State),
		Amount:                      moneyOf(t.Amount, t.Currency),
		CapturedAmount:              moneyOf(t.CapturedAmount(), t.Currency),
		RefundedAmount:              moneyOf(t.RefundedAmount(), t.Currency),
		RemainingAuthorizedAmount:   moneyOf(t.RemainingAmount(), t.Currency),
		PaymentAccountId:            t.PaymentAccountID,
		PurchaseReference:           t.PurchaseReference,
		Captures: convertAll(t.Captures, func(c klarna.NetworkCapture) *gatewayv1.TransactionCapture {
			return networkCaptureFromKlarna(c, t.Currency)
		}),
		Refunds: convertAll(t.Refunds, func(r klarna.NetworkRefund) *gatewayv1.TransactionRefund {
			return networkRefundFromKlarna(r, t.Currency)
		}),
		CreateTime: timestampOf(t.CreatedAt.Time),
		ExpireTime: timestampOf(t.ExpiresAt.Time),
	}
	if t.Funding != nil {
		transaction.FundingType, transaction.FundingState = t.Funding.Type, t.Funding.State
	}
	return transaction
}

func networkCaptureFromKlarna(c klarna.NetworkCapture, currencyCode string) *gatewayv1.TransactionCapture {
	return &gatewayv1.TransactionCapture{
		PaymentCaptureId: c.PaymentCaptureID, PaymentCaptureReference: c.PaymentCaptureReference, PaymentTransactionId: c.PaymentTransactionID,
		Amount: moneyOf(c.CapturedAmount(), currencyCode), CaptureTime: timestampOf(c.At()),
	}
}

func networkRefundFromKlarna(r klarna.NetworkRefund, currencyCode string) *gatewayv1.TransactionRefund {
	return &gatewayv1.TransactionRefund{
		PaymentRefundId: r.PaymentRefundID, PaymentRefundReference: r.Reference(), PaymentTransactionId: r.PaymentTransactionID,
		PaymentCaptureId: r.PaymentCaptureID, Amount: moneyOf(r.RefundedAmount(), currencyCode), RefundTime: timestampOf(r.At()),
	}
}

func chargebackFromKlarna(c klarna.Chargeback) *gatewayv1.Chargeback {
	return &gatewayv1.Chargeback{
		PaymentChargebackId: c.PaymentChargebackID, PaymentTransactionId: c.PaymentTransactionID, PaymentCaptureId: c.PaymentCaptureID,
		PaymentDisputeId: c.PaymentDisputeID, Amount: moneyOf(c.ChargedBackAmount(), c.Currency), Reason: c.Reason,
		CreateTime: timestampOf(c.CreatedAt.Time),
	}
}

// networkFromJournal is nil for a payment that is not on the Network.
func networkFromJournal(n *journal.Network, currencyCode string) *gatewayv1.NetworkDetails {
	if n == nil {
		return nil
	}
	return &gatewayv1.NetworkDetails{
		PaymentRequestId:            n.RequestID,
		PaymentRequestReference:     n.RequestReference,
		PaymentRequestStateText:     n.RequestState,
		PaymentRequestStateReason:   n.RequestStateReason,
		PaymentTransactionId:        n.TransactionID,
		PaymentTransactionReference: n.TransactionReference,
		DeclineReason:               n.DeclineReason,
		ChargedBackAmount:           moneyOf(n.ChargedBackAmount(), currencyCode),
		Disputes: convertAll(n.Disputes, func(d journal.Dispute) *gatewayv1.Dispute {
			return &gatewayv1.Dispute{PaymentDisputeId: d.ID, StateText: d.State, ReasonText: d.Reason, UpdateTime: timestampOf(d.At)}
		}),
	}
}
