package server

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// moneyOf is nil as long as the currency is not known.
func moneyOf(minor int64, currencyCode string) *gatewayv1.Money {
	if currencyCode == "" {
		return nil
	}
	return &gatewayv1.Money{AmountMinor: minor, CurrencyCode: currencyCode}
}

// timestampOf is nil for the zero time.
func timestampOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// timeOf is the zero time for nil.
func timeOf(ts *timestamppb.Timestamp) time.Time {
	if ts == nil {
		return time.Time{}
	}
	return ts.AsTime()
}

// convertAll converts each item of a list; nil stays nil.
func convertAll[A, B any](list []A, convert func(A) B) []B {
	if list == nil {
		return nil
	}
	converted := make([]B, len(list))
	for i, item := range list {
		converted[i] = convert(item)
	}
	return converted
}

func linesToKlarna(lines []*gatewayv1.OrderLine) []klarna.OrderLine {
	return convertAll(lines, lineToKlarna)
}

func linesFromKlarna(lines []klarna.OrderLine) []*gatewayv1.OrderLine {
	return convertAll(lines, lineFromKlarna)
}

func lineToKlarna(l *gatewayv1.OrderLine) klarna.OrderLine {
	return klarna.OrderLine{
		Type:                l.GetType(),
		Reference:           l.GetReference(),
		Name:                l.GetName(),
		Quantity:            l.GetQuantity(),
		QuantityUnit:        l.GetQuantityUnit(),
		UnitPrice:           l.GetUnitPriceMinor(),
		TaxRate:             l.GetTaxRateBasisPoints(), // Klarna: percent with two decimals, which is the same
		TotalAmount:         l.GetTotalAmountMinor(),
		TotalDiscountAmount: l.GetTotalDiscountAmountMinor(),
		TotalTaxAmount:      l.GetTotalTaxAmountMinor(),
		MerchantData:        l.GetMerchantData(),
		ProductURL:          l.GetProductUrl(),
		ImageURL:            l.GetImageUrl(),
	}
}

func lineFromKlarna(l klarna.OrderLine) *gatewayv1.OrderLine {
	return &gatewayv1.OrderLine{
		Type:                     l.Type,
		Reference:                l.Reference,
		Name:                     l.Name,
		Quantity:                 l.Quantity,
		QuantityUnit:             l.QuantityUnit,
		UnitPriceMinor:           l.UnitPrice,
		TaxRateBasisPoints:       l.TaxRate,
		TotalAmountMinor:         l.TotalAmount,
		TotalDiscountAmountMinor: l.TotalDiscountAmount,
		TotalTaxAmountMinor:      l.TotalTaxAmount,
		ProductUrl:               l.ProductURL,
		ImageUrl:                 l.ImageURL,
		MerchantData:             l.MerchantData,
	}
}

// customerAddressToKlarna is an address of the regional APIs; nil stays nil.
func customerAddressToKlarna(a *gatewayv1.Address) *klarna.CustomerAddress {
	if a == nil {
		return nil
	}
	return &klarna.CustomerAddress{
		GivenName:        a.GetGivenName(),
		FamilyName:       a.GetFamilyName(),
		Email:            a.GetEmail(),
		Title:            a.GetTitle(),
		Phone:            a.GetPhone(),
		StreetAddress:    a.GetStreetAddress(),
		StreetAddress2:   a.GetStreetAddress2(),
		PostalCode:       a.GetPostalCode(),
		City:             a.GetCity(),
		Region:           a.GetRegion(),
		Country:          a.GetCountry(),
		OrganizationName: a.GetOrganizationName(),
		Attention:        a.GetAttention(),
	}
}

func customerAddressFromKlarna(a *klarna.CustomerAddress) *gatewayv1.Address {
	if a == nil {
		return nil
	}
	return &gatewayv1.Address{
		GivenName:        a.GivenName,
		FamilyName:       a.FamilyName,
		Email:            a.Email,
		Phone:            a.Phone,
		StreetAddress:    a.StreetAddress,
		StreetAddress2:   a.StreetAddress2,
		PostalCode:       a.PostalCode,
		City:             a.City,
		Region:           a.Region,
		Country:          a.Country,
		OrganizationName: a.OrganizationName,
		Attention:        a.Attention,
		Title:            a.Title,
	}
}

// placeToKlarna is an address of the Klarna Network, which has no names in it; nil stays nil.
func placeToKlarna(a *gatewayv1.Address) *klarna.Address {
	if a == nil {
		return nil
	}
	return &klarna.Address{
		StreetAddress:  a.GetStreetAddress(),
		StreetAddress2: a.GetStreetAddress2(),
		PostalCode:     a.GetPostalCode(),
		City:           a.GetCity(),
		Region:         a.GetRegion(),
		Country:        a.GetCountry(),
	}
}

func placeFromKlarna(a *klarna.Address) *gatewayv1.Address {
	if a == nil {
		return nil
	}
	return &gatewayv1.Address{
		StreetAddress:  a.StreetAddress,
		StreetAddress2: a.StreetAddress2,
		PostalCode:     a.PostalCode,
		City:           a.City,
		Region:         a.Region,
		Country:        a.Country,
	}
}
