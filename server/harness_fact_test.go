package server

import (
	"context"
	"testing"

	"github.com/google/uuid"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/store"
)

// record puts facts about the shop's payments into the log, in one commit. Those without an event id get one.
func (s *stack) record(facts ...journal.PaymentFact) {
	s.t.Helper()
	err := s.store.Do(context.Background(), func(tx store.Tx) error {
		for _, fact := range facts {
			if fact.EventID == "" {
				fact.EventID = uuid.NewString()
			}
			if fact.MerchantAccount == "" {
				fact.MerchantAccount = shop
			}
			fact.At = s.store.Now()
			if _, err := s.journal.PaymentIn(context.Background(), tx, fact); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
}

// id is the UUID of a thing by its name.
func id(name string) string { return uuid.NewSHA1(uuid.Nil, []byte(name)).String() }

// opened is a session named after its reference.
func opened(reference string) journal.PaymentFact {
	return journal.PaymentFact{
		Cause: journal.Call, SessionID: id("session " + reference),
		Session: &journal.SessionFacts{Currency: "EUR", OrderAmount: 12995, Reference1: reference, OrderPolicy: journal.OrderByCaller},
	}
}

// placed is the order of the session.
func placed(reference string) journal.PaymentFact {
	return journal.PaymentFact{
		Cause: journal.Call, SessionID: id("session " + reference), OrderID: id("order " + reference),
		Order: &journal.OrderFacts{FraudStatus: "ACCEPTED"},
	}
}

// captured claims part of the order.
func captured(reference string, minor int64) journal.PaymentFact {
	return journal.PaymentFact{
		Cause: journal.Call, OrderID: id("order " + reference), Capture: &journal.Movement{ID: uuid.NewString(), Amount: minor},
	}
}

// told is a payment-status notification.
func told(reference, status string) journal.PaymentFact {
	return journal.PaymentFact{
		Cause: journal.Notification, OrderID: id("order " + reference), Type: klarnatest.EventPaymentStatus, Raw: []byte(uuid.NewString()),
		Status: &journal.StatusFacts{Status: status, Currency: "EUR", OrderAmount: 12995},
	}
}

func eur(minor int64) *gatewayv1.Money {
	return &gatewayv1.Money{AmountMinor: minor, CurrencyCode: "EUR"}
}

// sessionRequest is a purchase without a flaw.
func sessionRequest(reference string) *gatewayv1.CreatePaymentSessionRequest {
	return &gatewayv1.CreatePaymentSessionRequest{
		RequestId: uuid.NewString(), PurchaseCountry: "DE", Locale: "de-DE", OrderPolicy: gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER,
		OrderAmount: eur(12995), OrderTaxAmountMinor: 2075, MerchantReference1: reference,
		OrderLines: []*gatewayv1.OrderLine{{
			Reference: "L-1", Name: "Lamp", Quantity: 1, UnitPriceMinor: 12995, TaxRateBasisPoints: 1900, TotalAmountMinor: 12995, TotalTaxAmountMinor: 2075,
		}},
	}
}

// onboardRequest is a merchant without a flaw.
func onboardRequest(t *testing.T, reference string) *gatewayv1.OnboardPartnerRequest {
	t.Helper()
	req := fixture(t, "onboard.json", &gatewayv1.OnboardPartnerRequest{})
	req.RequestId, req.PartnerAccountReference = uuid.NewString(), reference
	for _, p := range req.GetProducts()[0].GetPaymentAccounts() {
		p.PaymentAccountReference = reference + "-" + p.GetPaymentAccountReference()
	}
	return req
}

// order takes a purchase from the session to the order at Klarna.
func (s *stack) order(reference string) (orderID string) {
	s.t.Helper()
	made, err := s.payments.CreatePaymentSession(s.t.Context(), sessionRequest(reference))
	must(s.t, err)
	token, err := s.klarna.Authorize(made.GetSession().GetSessionId())
	must(s.t, err)
	order, err := s.orders.CreateOrder(s.t.Context(), &gatewayv1.CreateOrderRequest{
		RequestId: uuid.NewString(), SessionId: made.GetSession().GetSessionId(), AuthorizationToken: token,
	})
	must(s.t, err)
	return order.GetOrderId()
}
