package klarnatest

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	countryPattern  = regexp.MustCompile(`^[A-Za-z]{2}$`)
	currencyPattern = regexp.MustCompile(`^[A-Za-z]{3}$`)
	localePattern   = regexp.MustCompile(`^[A-Za-z]{2}(?:-[A-Za-z]{2})*$`)
)

// Klarna: only a country's own currency is taken. Those not listed pay in EUR.
var currencies = map[string]string{
	"AU": "AUD", "CA": "CAD", "CH": "CHF", "CZ": "CZK", "DK": "DKK", "GB": "GBP", "HU": "HUF", "MX": "MXN", "NO": "NOK",
	"NZ": "NZD", "PL": "PLN", "RO": "RON", "SE": "SEK", "US": "USD",
}

var eurCountries = []string{"AT", "BE", "DE", "ES", "FI", "FR", "GR", "IE", "IT", "NL", "PT", "SK"}

// maxAmount is the largest amount of an order line, in minor units.
const maxAmount = 200_000_000

// checkCart lists the fields of a session or place-order request that break one of Klarna's rules, by their paths.
func checkCart(cart doc) (bad []string) {
	refuse := func(field string, ok bool) {
		if !ok {
			bad = append(bad, field)
		}
	}
	country := strings.ToUpper(cart.str("purchase_country"))
	currency := strings.ToUpper(cart.str("purchase_currency"))
	refuse("purchase_country", countryPattern.MatchString(country))
	refuse("purchase_currency", currencyPattern.MatchString(currency) && currencyFits(country, currency))
	refuse("locale", !cart.has("locale") || localePattern.MatchString(cart.str("locale")))
	amount, ok := cart.number("order_amount")
	refuse("order_amount", ok && amount >= 0)
	for field, limit := range map[string]int{"merchant_reference1": 255, "merchant_reference2": 255, "merchant_data": 6000} {
		refuse(field, textFits(cart, field, limit))
	}
	bad = append(bad, checkLines(cart, amount)...)
	bad = append(bad, checkAddress(cart, "billing_address")...)
	bad = append(bad, checkAddress(cart, "shipping_address")...)
	bad = append(bad, checkMerchantURLs(cart.object("merchant_urls"))...)
	slices.Sort(bad)
	return bad
}

// currencyFits tells whether a country pays in a currency; countries we know nothing of may pay in any.
func currencyFits(country, currency string) bool {
	own, listed := currencies[country]
	if slices.Contains(eurCountries, country) {
		own, listed = "EUR", true
	}
	return !listed || own == currency
}

func textFits(d doc, field string, limit int) bool {
	if !d.has(field) {
		return true
	}
	value, ok := d.text(field)
	return ok && utf8.RuneCountInString(value) <= limit
}

// checkLines checks each order line and that they add up. Klarna: order_amount is the sum of the lines' total_amount;
// order_tax_amount the sum of their taxes and of sales_tax lines, within one minor unit a line.
func checkLines(cart doc, amount int64) (bad []string) {
	lines, ok := cart.objects("order_lines")
	if !ok || len(lines) == 0 || len(lines) > 1000 {
		return []string{"order_lines"}
	}
	var total, tax int64
	for i, line := range lines {
		bad = append(bad, checkLine(line, fmt.Sprintf("order_lines[%d].", i))...)
		lineTotal, _ := line.number("total_amount")
		lineTax, _ := line.number("total_tax_amount")
		total += lineTotal
		tax += lineTax
		if line.str("type") == "sales_tax" {
			tax += lineTotal
		}
	}
	if len(bad) == 0 && total != amount {
		bad = append(bad, "order_lines")
	}
	if cart.has("order_tax_amount") {
		orderTax, ok := cart.number("order_tax_amount")
		if !ok || orderTax < 0 || len(bad) == 0 && distance(orderTax, tax) > int64(len(lines)) {
			bad = append(bad, "order_tax_amount")
		}
	}
	return bad
}

// checkLine checks one order line. Klarna: total_amount = quantity x unit_price - total_discount_amount, and
// total_tax_amount is within 1 of total_amount - total_amount x 10000 / (10000 + tax_rate).
func checkLine(line doc, path string) (bad []string) {
	refuse := func(field string, ok bool) {
		if !ok {
			bad = append(bad, path+field)
		}
	}
	number := func(field string, required, negative bool) int64 {
		value, ok := line.number(field)
		refuse(field, ok && (negative || value >= 0) && value <= maxAmount || !required && !line.has(field))
		return value
	}
	refuse("name", line.str("name") != "" && textFits(line, "name", 255))
	refuse("reference", textFits(line, "reference", 255))
	refuse("quantity_unit", !line.has("quantity_unit") || line.str("quantity_unit") != "" && textFits(line, "quantity_unit", 8))
	refuse("type", !line.has("type") || slices.Contains(lineTypes, line.str("type")))
	quantity, price := number("quantity", true, false), number("unit_price", true, true)
	total, discount := number("total_amount", true, true), number("total_discount_amount", false, false)
	rate, tax := number("tax_rate", false, false), number("total_tax_amount", false, true)
	refuse("tax_rate", rate <= 10_000)
	if len(bad) > 0 {
		return bad
	}
	refuse("total_amount", quantity*price-discount == total)
	if line.has("tax_rate") && line.has("total_tax_amount") {
		refuse("total_tax_amount", distance(tax*(10_000+rate), total*rate) <= 10_000+rate)
	}
	return bad
}

var lineTypes = []string{
	"physical", "discount", "shipping_fee", "sales_tax", "digital", "gift_card", "store_credit", "surcharge",
}

func distance(a, b int64) int64 { return max(a, b) - min(a, b) }

// checkAddress checks an address for lengths and its country; what else a market needs is not checked.
func checkAddress(cart doc, field string) (bad []string) {
	if !cart.has(field) {
		return nil
	}
	address := cart.object(field)
	if address == nil {
		return []string{field}
	}
	for name, limit := range map[string]int{
		"given_name": 99, "family_name": 99, "email": 99, "street_address": 99, "street_address2": 99, "phone": 99,
		"city": 99, "region": 99, "postal_code": 10, "organization_name": 99, "attention": 99, "title": 20, "country": 2,
	} {
		badCountry := name == "country" && address.has(name) && !countryPattern.MatchString(address.str(name))
		if badCountry || !textFits(address, name, limit) {
			bad = append(bad, field+"."+name)
		}
	}
	return bad
}

// checkMerchantURLs checks Klarna's `^https://.*` of at most 2000 characters. Plain http is let through to a loopback
// host, so that a receiver under test needs no certificate.
func checkMerchantURLs(urls doc) (bad []string) {
	for _, field := range []string{"confirmation", "notification", "push", "authorization"} {
		if urls.has(field) && (!textFits(urls, field, 2000) || !secureURL(urls.str(field))) {
			bad = append(bad, "merchant_urls."+field)
		}
	}
	return bad
}

func secureURL(text string) bool {
	if strings.HasPrefix(text, "https://") {
		return true
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
