package operationtest

import (
	"slices"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// Amount is the total of every Cart, in minor units of EUR.
const Amount = 12995

// Cart is a session to be opened.
func Cart() klarna.Session {
	return klarna.Session{
		PurchaseCountry: "DE", PurchaseCurrency: "EUR", Locale: "de-DE", Intent: klarna.IntentBuy,
		OrderAmount: Amount, OrderTaxAmount: 2075, MerchantReference1: "SO-88001",
		OrderLines: []klarna.OrderLine{{
			Reference: "TENT-2", Name: "Zelt", Quantity: 1, UnitPrice: Amount, TaxRate: 1900, TotalAmount: Amount, TotalTaxAmount: 2075,
		}},
	}
}

// Request is a wish of the shop's; content is what it asks for.
func Request(id, content string) operation.Request {
	return operation.Request{MerchantAccount: Shop, ID: id, Caller: "checkout-service", Content: []byte(content)}
}

// Session opens a session and returns its id.
func (w *World) Session(policy journal.OrderPolicy) string {
	w.T.Helper()
	made, err := w.Operations.CreateSession(w.T.Context(), Request("open", "cart"), operation.NewSession{Session: Cart(), OrderPolicy: policy})
	w.Must(err)
	return made.Session.SessionID
}

// Authorize plays the customer.
func (w *World) Authorize(sessionID string) (token string) {
	w.T.Helper()
	token, err := w.Klarna.Authorize(sessionID)
	w.Must(err)
	return token
}

// Tell records that Klarna called back.
func (w *World) Tell(sessionID, token string) {
	w.T.Helper()
	_, err := w.Journal.RecordPayment(w.T.Context(), journal.PaymentFact{
		EventID: "callback:" + token, MerchantAccount: Shop, Cause: journal.Callback, At: w.Store.Now(), SessionID: sessionID, Token: token,
	})
	w.Must(err)
}

// Placed opens and authorises a session and returns its order.
func (w *World) Placed() (orderID string) {
	w.T.Helper()
	id := w.Session(journal.OrderByCaller)
	w.Authorize(id)
	made, err := w.Operations.CreateOrder(w.T.Context(), Request("place", id), operation.NewOrder{SessionID: id})
	w.Must(err)
	return made.OrderID
}

// Checkout completes a purchase in Klarna Checkout that the gateway has not heard of.
func (w *World) Checkout() (orderID string) {
	w.T.Helper()
	id, err := w.Klarna.CompleteCheckout(klarnatest.CheckoutOrder{Amount: Amount, Currency: "EUR", Country: "DE", Reference: "SO-88002"})
	w.Must(err)
	return id
}

// Payment is what is on record under a key.
func (w *World) Payment(kind, value string) journal.Payment {
	w.T.Helper()
	payment, err := w.Journal.PaymentBy(w.T.Context(), Shop, kind, value)
	w.Must(err)
	return payment
}

// Account is what is on record about a partner account.
func (w *World) Account(kind, value string) journal.Account {
	w.T.Helper()
	account, err := w.Journal.AccountBy(w.T.Context(), Acquirer, kind, value)
	w.Must(err)
	return account
}

// Events lists the events of a stream, oldest first.
func (w *World) Events(stream store.Stream) []store.Event {
	w.T.Helper()
	events, err := w.Store.Events(w.T.Context(), store.Query{Stream: stream, Limit: 1000})
	w.Must(err)
	return events
}

// Kinds names the events of a stream, oldest first.
func (w *World) Kinds(stream store.Stream) (kinds []string) {
	w.T.Helper()
	for _, ev := range w.Events(stream) {
		kinds = append(kinds, ev.Kind)
	}
	return kinds
}

// Jobs lists the waiting and leased jobs of a kind.
func (w *World) Jobs(kind string) []store.Job {
	w.T.Helper()
	jobs, err := w.Store.Jobs(w.T.Context(), kind, "", 1000)
	w.Must(err)
	return jobs
}

// Attends checks which matters of a payment are open.
func (w *World) Attends(payment journal.Payment, want ...journal.AttentionReason) {
	w.T.Helper()
	var got []journal.AttentionReason
	for _, a := range payment.Attentions {
		got = append(got, a.Reason)
	}
	if !slices.Equal(got, want) {
		w.T.Errorf("open matters %v, want %v", got, want)
	}
}

// Order is an order as Klarna has it.
func (w *World) Order(orderID string) klarnatest.Order {
	w.T.Helper()
	order, ok := w.Klarna.Order(orderID)
	if !ok {
		w.T.Fatalf("Klarna has no order %q", orderID)
	}
	return order
}

// Onboarding is a merchant to be onboarded.
func Onboarding(reference string) klarna.OnboardRequest {
	return klarna.OnboardRequest{
		PartnerAccountReference: reference, PartnerAccountName: "Nordlicht Outdoor",
		PartnerAccountContact: klarna.Contact{GivenName: "Mira", FamilyName: "Sand", Email: "mira.sand@nordlicht.example"},
		Products: []klarna.Product{{
			Type: "PAYMENT", PaymentProfileID: "krn:network:global:test:payment-profile:7b0c2e5a-55f1-4a0e-8a2e-1f6a6f0a9d11",
			PaymentAccounts: []klarna.PaymentAccount{{
				PaymentAccountReference:     reference + "-de",
				PaymentAcquiringAccountID:   "krn:partner:global:account:acquiring-account:2c1d9d0e-0a1b-4f7e-9a66-6d1b8f0e2a10",
				DefaultMerchantCategoryCode: "5941", PartnerBusinessEntityReference: reference + "-le1", DefaultStoreGroupReference: reference + "-sg1",
			}},
		}},
		Brands: []klarna.Brand{{BrandReference: reference + "-b1", DisplayName: "Nordlicht"}},
		StoreGroups: []klarna.StoreGroup{{
			StoreGroupReference: reference + "-sg1", BrandReference: reference + "-b1",
			Stores: []klarna.Store{{StoreReference: "web-de", Type: "WEBSITE", URL: "https://nordlicht.example"}},
		}},
		PartnerBusinessEntities: []klarna.BusinessEntity{{
			PartnerBusinessEntityReference: reference + "-le1", LegalRegisteredEntityName: "Nordlicht Outdoor GmbH", LegalRegistrationCountry: "DE",
		}},
	}
}

// AcquirerRequest is a wish of the acquirer's.
func AcquirerRequest(id, content string) operation.Request {
	return operation.Request{MerchantAccount: Acquirer, ID: id, Caller: "onboarding-service", Content: []byte(content)}
}

// Eventually waits until something holds. Time that is simulated does not pass meanwhile.
func (w *World) Eventually(what string, holds func() bool) {
	w.T.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.T.Fatalf("waited in vain: %s", what)
		}
	}
}

// Settle waits until no job is due or being worked.
func (w *World) Settle() {
	w.T.Helper()
	w.Eventually("jobs to be worked", func() bool {
		for _, job := range w.Jobs("") {
			if !job.LeasedUntil.IsZero() || !job.RunAt.After(w.Store.Now()) {
				return false
			}
		}
		return true
	})
}
