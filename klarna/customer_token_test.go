package klarna

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const testCustomerToken = "0b1d9815-165e-42e2-8867-35bc03789e00"

func TestCreateCustomerToken_SendsTheAuthorization(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"token_id":"`+testCustomerToken+`","payment_method_reference":"pm-1","redirect_url":"https://x.example","surprise":1}`)
	made, err := klarna.client(t).CreateCustomerToken(t.Context(), testToken, CustomerTokenRequest{
		Description: "Zeitschrift, monatlich", IntendedUse: UseSubscription, Locale: "de-DE", PurchaseCountry: "DE", PurchaseCurrency: "EUR",
	})
	if err != nil {
		t.Fatal(err)
	}
	if made.TokenID != testCustomerToken || made.PaymentMethodReference != "pm-1" || made.Raw == nil {
		t.Errorf("got %+v", made)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/payments/v1/authorizations/"+testToken+"/customer-token")
	checkJSON(t, s.body, `{"description":"Zeitschrift, monatlich","intended_use":"SUBSCRIPTION","locale":"de-DE","purchase_country":"DE","purchase_currency":"EUR"}`)
	if text := fmt.Sprint(slog.AnyValue(made).Resolve()); strings.Contains(text, testCustomerToken) {
		t.Errorf("logs the token: %s", text)
	}
}

func TestCreateCustomerToken_WithoutATokenIsOutcomeUnknown(t *testing.T) {
	t.Parallel()
	_, err := answering(t, 200, `{}`).client(t).CreateCustomerToken(t.Context(), testToken, CustomerTokenRequest{})
	check(t, "no token_id", err, ErrOutcomeUnknown, ErrUnavailable)
}

func TestCustomerToken_KeepsWordsItDoesNotKnow(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"status":"ASLEEP","payment_method_type":"CARD","card":{"brand":"VISA","expiry_date":"12/2030","masked_number":"************1111"},
		"direct_debit":{"masked_number":"****2051"}}`)
	token, err := klarna.client(t).CustomerToken(t.Context(), testCustomerToken)
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/customer-token/v1/tokens/"+testCustomerToken)
	if token.Status != "ASLEEP" || token.Card.Brand != "VISA" || token.DirectDebit.MaskedNumber != "****2051" || token.Raw == nil {
		t.Errorf("got %+v", token)
	}
}

func TestChargeCustomerToken_SendsTheKey(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"order_id":"o-1","fraud_status":"ACCEPTED","authorized_payment_method":"card"}`)
	placed, err := klarna.client(t).ChargeCustomerToken(t.Context(), testKey, testCustomerToken, TokenOrderRequest{
		PurchaseCurrency: "EUR", OrderAmount: 100, OrderLines: []OrderLine{{Name: "Heft", Quantity: 1, UnitPrice: 100, TotalAmount: 100}},
		StepUp: StepUpSupported,
	})
	if err != nil || placed.OrderID != "o-1" || placed.AuthorizedPaymentMethod.Type != "card" || placed.Raw == nil {
		t.Fatalf("got %+v, %v", placed, err)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/customer-token/v1/tokens/"+testCustomerToken+"/order")
	checkJSON(t, s.body, `{"purchase_currency":"EUR","order_amount":100,"order_tax_amount":0,"order_lines":[{"name":"Heft","quantity":1,"unit_price":100,"total_amount":100}],"step_up":"SUPPORTED"}`)
	if s.header.Get("Klarna-Idempotency-Key") != testKey {
		t.Error("no idempotency key")
	}
}

func TestChargeCustomerToken_RefusalTellsTheStepUp(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 403, `{"error_code":"PAYMENT_METHOD_FAILED","error_messages":["declined"],"correlation_id":"c-1","fraud_status":"REJECTED",
		"authorized_payment_method":"card","reason":"x","step_up_id":"su-1"}`)
	_, err := klarna.client(t).ChargeCustomerToken(t.Context(), testKey, testCustomerToken, TokenOrderRequest{})
	var refused *Error
	if !errors.As(err, &refused) || refused.Family != CustomerTokens || refused.Code != "PAYMENT_METHOD_FAILED" || refused.StepUpID != "su-1" {
		t.Fatalf("got %+v", err)
	}
	if strings.Contains(err.Error(), testCustomerToken) {
		t.Errorf("error tells the token: %v", err)
	}
}

func TestCancelCustomerToken_PatchesItsStatus(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 202, "")
	if err := klarna.client(t).CancelCustomerToken(t.Context(), testCustomerToken); err != nil {
		t.Fatal(err)
	}
	s := klarna.only(t)
	s.want(t, "PATCH", "/customer-token/v1/tokens/"+testCustomerToken+"/status")
	checkJSON(t, s.body, `{"status":"CANCELLED"}`)
}
