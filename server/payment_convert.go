package server

import (
	"cmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// purchase is what creating and updating a session have in common.
type purchase interface {
	GetPurchaseCountry() string
	GetOrderAmount() *gatewayv1.Money
	GetOrderTaxAmountMinor() int64
	GetOrderLines() []*gatewayv1.OrderLine
	GetLocale() string
	GetMerchantReference1() string
	GetMerchantReference2() string
	GetMerchantData() string
	GetBillingAddress() *gatewayv1.Address
	GetShippingAddress() *gatewayv1.Address
	GetCustomer() *gatewayv1.Customer
	GetConfirmationUrl() string
}

// sessionToKlarna is the session to be opened, but for the authorisation callback, which belongs to the operation.
func sessionToKlarna(req *gatewayv1.CreatePaymentSessionRequest) klarna.Session {
	session := purchaseToKlarna(req)
	session.Intent = cmp.Or(req.GetIntent(), klarna.IntentBuy)
	session.StepUpID = req.GetStepUpId()
	return session
}

// sessionUpdateToKlarna is the purchase as it shall be from now on. What a session is for cannot be changed.
func sessionUpdateToKlarna(req *gatewayv1.UpdatePaymentSessionRequest) klarna.Session {
	return purchaseToKlarna(req)
}

func purchaseToKlarna(p purchase) klarna.Session {
	session := klarna.Session{
		PurchaseCountry:    p.GetPurchaseCountry(),
		PurchaseCurrency:   p.GetOrderAmount().GetCurrencyCode(),
		Locale:             p.GetLocale(),
		OrderAmount:        p.GetOrderAmount().GetAmountMinor(),
		OrderTaxAmount:     p.GetOrderTaxAmountMinor(),
		OrderLines:         linesToKlarna(p.GetOrderLines()),
		BillingAddress:     customerAddressToKlarna(p.GetBillingAddress()),
		ShippingAddress:    customerAddressToKlarna(p.GetShippingAddress()),
		Customer:           customerToKlarna(p.GetCustomer()),
		MerchantReference1: p.GetMerchantReference1(),
		MerchantReference2: p.GetMerchantReference2(),
		MerchantData:       p.GetMerchantData(),
	}
	if url := p.GetConfirmationUrl(); url != "" {
		session.MerchantURLs = &klarna.MerchantURLs{Confirmation: url}
	}
	return session
}

func customerToKlarna(c *gatewayv1.Customer) *klarna.Customer {
	if c == nil {
		return nil
	}
	return &klarna.Customer{
		DateOfBirth:                  c.GetDateOfBirth(),
		Title:                        c.GetTitle(),
		Type:                         c.GetType(),
		NationalIdentificationNumber: c.GetNationalIdentificationNumber(),
		VATID:                        c.GetVatId(),
		OrganizationRegistrationID:   c.GetOrganizationRegistrationId(),
	}
}

// sessionFromKlarna leaves out addresses, customer and the authorisation token.
func sessionFromKlarna(s klarna.Session) *gatewayv1.PaymentSession {
	return &gatewayv1.PaymentSession{
		SessionId:   s.SessionID,
		ClientToken: s.ClientToken,
		PaymentMethodCategories: convertAll(s.PaymentMethodCategories, func(c klarna.PaymentMethodCategory) *gatewayv1.PaymentMethodCategory {
			return &gatewayv1.PaymentMethodCategory{
				Identifier: c.Identifier, Name: c.Name,
				DescriptiveAssetUrl: c.AssetURLs.Descriptive, StandardAssetUrl: c.AssetURLs.Standard,
			}
		}),
		Status:              string(s.Status),
		ExpireTime:          timestampOf(s.ExpiresAt),
		PurchaseCountry:     s.PurchaseCountry,
		OrderAmount:         moneyOf(s.OrderAmount, s.PurchaseCurrency),
		OrderTaxAmountMinor: s.OrderTaxAmount,
		OrderLines:          linesFromKlarna(s.OrderLines),
		Locale:              s.Locale,
		Intent:              s.Intent,
		MerchantReference1:  s.MerchantReference1,
		MerchantReference2:  s.MerchantReference2,
		Authorized:          s.AuthorizationToken != "" && s.Status == klarna.SessionIncomplete,
	}
}

// paymentFromJournal shows a payment as it is on record at a position, with whatever is known of the debtors: who may see
// that is for others to check.
func paymentFromJournal(p journal.Payment, pos store.Position) *gatewayv1.Payment {
	payment := &gatewayv1.Payment{
		PaymentId:                 p.ID,
		MerchantAccount:           p.MerchantAccount,
		SessionId:                 p.SessionID,
		OrderId:                   p.OrderID,
		KlarnaReference:           p.KlarnaReference,
		MerchantReference1:        p.Reference1,
		MerchantReference2:        p.Reference2,
		State:                     paymentStateFromWord(string(p.State)),
		PaymentStatus:             paymentStatusFromWord(p.Status),
		PaymentStatusText:         p.Status,
		PaymentStatusInferred:     p.StatusInferred,
		OrderStatusText:           p.OrderStatus,
		FraudStatus:               fraudStatusFromWord(p.FraudStatus),
		FraudStatusText:           p.FraudStatus,
		OrderAmount:               moneyOf(p.OrderAmount, p.Currency),
		CapturedAmount:            moneyOf(p.CapturedAmount, p.Currency),
		RefundedAmount:            moneyOf(p.RefundedAmount, p.Currency),
		RemainingAuthorizedAmount: moneyOf(p.RemainingAmount, p.Currency),
		ExpectedPayments:          bankPayments(p.Expected, p.Currency),
		ReceivedPayments:          bankPayments(p.Received, p.Currency),
		OrderPolicy:               orderPolicyFromWord(string(p.OrderPolicy)),
		Acknowledged:              p.Acknowledged,
		AcknowledgeByTime:         timestampOf(p.AcknowledgeBy),
		ExpireTime:                timestampOf(p.ExpiresAt),
		Attentions:                convertAll(p.Attentions, attentionFromJournal),
		CreateTime:                timestampOf(p.CreatedAt),
		UpdateTime:                timestampOf(p.UpdatedAt),
		Position:                  int64(pos),
		Final:                     p.State.Final(),
		PartnerAccountId:          p.PartnerAccountID,
		EraseTime:                 timestampOf(p.ErasedAt),
		Network:                   networkFromJournal(p.Network, p.Currency),
		Orphans:                   convertAll(p.Orphans, orphanFromJournal),
	}
	if difference, known := p.Difference(); known {
		payment.PaymentDifference = moneyOf(difference, p.Currency)
	}
	return payment
}

func bankPayments(transfers []journal.Transfer, currencyCode string) []*gatewayv1.BankPayment {
	return convertAll(transfers, func(t journal.Transfer) *gatewayv1.BankPayment {
		payment := &gatewayv1.BankPayment{Amount: moneyOf(t.Amount, currencyCode), ReceiveTime: timestampOf(t.ReceivedAt)}
		if d := t.Debtor; d != (journal.Debtor{}) {
			payment.Debtor = &gatewayv1.Debtor{
				AccountHolderName: d.AccountHolderName, Iban: d.IBAN, AccountNumber: d.AccountNumber,
				BankCode: d.BankCode, Bic: d.BIC, BankName: d.BankName,
			}
		}
		return payment
	})
}

func orphanFromJournal(o journal.Orphan) *gatewayv1.Orphan {
	kind := enumOf[gatewayv1.Orphan_Kind](gatewayv1.Orphan_Kind_value, "KIND_", string(o.Kind))
	return &gatewayv1.Orphan{Kind: kind, CreateTime: timestampOf(o.At)}
}

func attentionFromJournal(a journal.Attention) *gatewayv1.Attention {
	return &gatewayv1.Attention{Reason: attentionFromWord(string(a.Reason)), Message: a.Message, CreateTime: timestampOf(a.At)}
}

// paymentEventFromStore shows an event of the payment stream.
func paymentEventFromStore(ev store.Event) (*gatewayv1.PaymentEvent, error) {
	entry, err := journal.DecodePaymentEntry(ev.Body)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.PaymentEvent{
		EventId:               ev.ID,
		Kind:                  paymentKindFromWord(ev.Kind),
		Payment:               paymentFromJournal(entry.Payment, ev.Position),
		PreviousState:         paymentStateFromWord(ev.PreviousState),
		PreviousPaymentStatus: paymentStatusFromWord(entry.PreviousStatus),
		Cause:                 eventCauseFromWord(ev.Cause),
		Superseded:            ev.Superseded,
		OccurTime:             timestampOf(ev.OccurredAt),
		RecordTime:            timestampOf(ev.RecordedAt),
		Position:              int64(ev.Position),
		KlarnaEventType:       entry.Type,
		AttentionReason:       attentionFromWord(string(entry.Attention)),
		KlarnaCorrelationId:   entry.CorrelationID,
	}, nil
}
