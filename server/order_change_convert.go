package server

import (
	"strings"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// authorizationToKlarna sends no lines only if they shall be removed: Klarna deletes what is not sent again.
func authorizationToKlarna(req *gatewayv1.UpdateAuthorizationRequest) klarna.AuthorizationUpdate {
	return klarna.AuthorizationUpdate{
		OrderAmount: req.GetOrderAmount().GetAmountMinor(),
		OrderLines:  linesToKlarna(req.GetOrderLines()),
		Description: req.GetDescription(),
	}
}

// referencesToKlarna keeps apart what is not set, which stays, from what is empty, which is cleared.
func referencesToKlarna(req *gatewayv1.UpdateMerchantReferencesRequest) klarna.MerchantReferences {
	return klarna.MerchantReferences{
		MerchantReference1: req.MerchantReference1,
		MerchantReference2: req.MerchantReference2,
	}
}

// dueDateOptionsFromKlarna spells the currency as everywhere else; Klarna's example is in lower case.
func dueDateOptionsFromKlarna(o klarna.DueDateOptions) []*gatewayv1.DueDateOption {
	currency := strings.ToUpper(o.Currency)
	return convertAll(o.Options, func(option klarna.DueDateOption) *gatewayv1.DueDateOption {
		return &gatewayv1.DueDateOption{NumberOfDays: option.NumberOfDays, Fee: moneyOf(option.Amount, currency)}
	})
}
