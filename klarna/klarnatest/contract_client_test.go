package klarnatest

import (
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
)

// TestContract_Client puts what the klarna package's client sends through Klarna's documents, and has it read answers
// that keep to them.
func TestContract_Client(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w)
	connect := func(cfg klarna.Config) *klarna.Client {
		cfg.BaseURL, cfg.HTTPClient, cfg.Retries = w.api.URL, w.api.Client(), -1
		client, err := klarna.New(cfg)
		w.must(err)
		return client
	}
	clientOrders(w, connect(klarna.Config{Username: username, Password: password}))
	clientPartners(w, connect(klarna.Config{APIKey: apiKey}))
	c.saw("createCreditSession 200", "readCreditSession 200", "updateCreditSession 204", "createOrder 200", "getOrder 200",
		"acknowledgeOrder 204", "captureOrder 201", "refundOrder 201", "cancelOrder 204", "cancelAuthorization 204",
		"onboard 201", "readAccount 200", "updateAccount 200", "updateBrand 200")
}

func clientOrders(w *world, client *klarna.Client) {
	ctx := w.t.Context()
	line := klarna.OrderLine{Name: "Lamp", Reference: "L-1", Quantity: 1, UnitPrice: 12995, TaxRate: 1900, TotalAmount: 12995, TotalTaxAmount: 2075}
	session := klarna.Session{
		PurchaseCountry: "DE", PurchaseCurrency: "EUR", Locale: "de-DE", Intent: klarna.IntentBuy, OrderAmount: 12995, OrderTaxAmount: 2075,
		OrderLines: []klarna.OrderLine{line}, MerchantReference1: "SO-1",
		MerchantURLs: &klarna.MerchantURLs{Confirmation: "https://shop.nordlicht.example/thanks"},
	}
	authorized := func() (klarna.Session, string) {
		made, err := client.CreateSession(ctx, session)
		w.must(err)
		w.must(client.UpdateSession(ctx, made.SessionID, session))
		token, err := w.klarna.Authorize(made.SessionID)
		w.must(err)
		read, err := client.ReadSession(ctx, made.SessionID)
		w.must(err)
		return read, token
	}
	_, unwanted := authorized()
	w.must(client.CancelAuthorization(ctx, unwanted))
	place := func() string {
		read, token := authorized()
		placed, err := client.PlaceOrder(ctx, token, klarna.PlaceOrderRequest{
			PurchaseCountry: read.PurchaseCountry, PurchaseCurrency: read.PurchaseCurrency, Locale: read.Locale, OrderAmount: read.OrderAmount,
			OrderTaxAmount: read.OrderTaxAmount, OrderLines: read.OrderLines, BillingAddress: read.BillingAddress,
			ShippingAddress: read.ShippingAddress, Customer: read.Customer, MerchantReference1: read.MerchantReference1,
		})
		w.must(err)
		return placed.OrderID
	}
	order := place()
	w.must(client.Acknowledge(ctx, key1, order))
	_, err := client.CaptureOrder(ctx, key2, order, klarna.CaptureRequest{
		CapturedAmount: 12995, Reference: "C-1", OrderLines: []klarna.OrderLine{line},
		ShippingInfo: []klarna.ShippingInfo{{ShippingCompany: "Bote", TrackingNumber: "1"}},
	})
	w.must(err)
	_, err = client.RefundOrder(ctx, "2d0f6a51-7c1e-5b0a-9a44-8f0e1d2c3b4a", order, klarna.RefundRequest{RefundedAmount: 12995, Reference: "R-1", OrderLines: []klarna.OrderLine{line}})
	w.must(err)
	read, err := client.Order(ctx, order)
	w.must(err)
	if read.CapturedAmount != 12995 || read.RefundedAmount != 12995 {
		w.t.Errorf("read %d captured, %d refunded", read.CapturedAmount, read.RefundedAmount)
	}
	w.must(client.CancelOrder(ctx, "7a3b1c9e-4d52-5f10-8e6b-0c1d2e3f4a5b", place()))
}

func clientPartners(w *world, client *klarna.Client) {
	ctx := w.t.Context()
	address := &klarna.Address{StreetAddress: "Lindenweg 4", PostalCode: "10969", City: "Berlin", Country: "DE"}
	made, err := client.Onboard(ctx, key1, klarna.OnboardRequest{
		PartnerAccountReference: "mrc-1", PartnerAccountName: "Nordlicht Outdoor",
		PartnerAccountContact: klarna.Contact{GivenName: "Mira", FamilyName: "Sand", Email: "mira.sand@nordlicht.example", Phone: "+4930901820"},
		Products: []klarna.Product{{Type: "PAYMENT", PaymentProfileID: "krn:network:global:test:payment-profile:1", PaymentAccounts: []klarna.PaymentAccount{{
			PaymentAccountReference: "mrc-1-de", PaymentAcquiringAccountID: "krn:partner:global:account:acquiring-account:1",
			DefaultMerchantCategoryCode: "5941", PartnerBusinessEntityReference: "mrc-1-le", DefaultStoreGroupReference: "mrc-1-sg",
		}}}},
		Brands: []klarna.Brand{{BrandReference: "mrc-1-b", DisplayName: "Nordlicht"}},
		StoreGroups: []klarna.StoreGroup{{StoreGroupReference: "mrc-1-sg", BrandReference: "mrc-1-b", Stores: []klarna.Store{
			{StoreReference: "web", Type: "WEBSITE", URL: "https://nordlicht.example"}, {StoreReference: "berlin", Type: "PHYSICAL_STORE", Address: address},
		}}},
		PartnerBusinessEntities: []klarna.BusinessEntity{{
			PartnerBusinessEntityReference: "mrc-1-le", LegalRegisteredEntityName: "Nordlicht Outdoor GmbH", LegalRegistrationCountry: "DE",
		}},
	})
	w.must(err)
	w.klarna.Advance(time.Second)
	_, err = client.UpdatePartnerAccount(ctx, key2, made.PartnerAccountID, klarna.PartnerAccountUpdate{PartnerAccountName: "Nordlicht"})
	w.must(err)
	read, err := client.PartnerAccount(ctx, made.PartnerAccountID, klarna.ExpandProducts, klarna.ExpandBrands)
	w.must(err)
	_, err = client.UpdateBrand(ctx, "5e1c7f20-3b64-5a9d-8c17-9d0e1f2a3b4c", made.PartnerAccountID, read.Brands[0].BrandID, klarna.BrandUpdate{DisplayName: "Nordlicht Neu"})
	w.must(err)
}
