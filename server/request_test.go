package server

import (
	"strings"
	"testing"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestOnce_AUUIDIsTheSameInUpperAndLowerCase(t *testing.T) {
	t.Parallel()
	const id = "0b6a4c1e-1d2f-4d7b-9a51-8f6a0f3f1a11"
	lower, err := once(t.Context(), "shop", &gatewayv1.CancelOrderRequest{RequestId: id, OrderId: "o"})
	if err != nil {
		t.Fatal(err)
	}
	upper, err := once(t.Context(), "shop", &gatewayv1.CancelOrderRequest{RequestId: strings.ToUpper(id), OrderId: "o", MerchantAccount: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if upper.ID != id || lower.ID != id || string(upper.Content) != string(lower.Content) {
		t.Errorf("%+v and %+v are two requests", lower, upper)
	}
}
