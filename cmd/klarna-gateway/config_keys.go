package main

import (
	"strings"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// signingKeys names the keys that the configuration has, for those who list and retire them.
func (c *config) signingKeys() (all []store.SigningKeyID) {
	for _, a := range c.MerchantAccounts {
		for id := range a.SigningKeys {
			all = append(all, store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: a.Name, ID: id})
		}
		for version := range a.PaymentStatusKeys {
			all = append(all, store.SigningKeyID{Scheme: journal.PaymentStatusScheme, MerchantAccount: a.Name, ID: version})
		}
	}
	return all
}

// networkURL is where the Klarna Network reaches the webhook listener, empty if it cannot.
func (c *config) networkURL() string {
	door := c.doorURL("network")
	if door == nil {
		return ""
	}
	return strings.TrimSuffix(door(""), "/")
}
