package klarna

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSession_KnowsEveryField(t *testing.T) {
	t.Parallel()
	checkRoundTrip(t, "session.json", &Session{})
}

func session(t *testing.T) Session {
	t.Helper()
	var s Session
	if err := json.Unmarshal(fixture(t, "session.json"), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCreateSession_SendsWhatWeMaySet(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"session_id":"s-1","client_token":"ct","payment_method_categories":[{"identifier":"pay_now","surprise":1}]}`)
	created, err := klarna.client(t).CreateSession(t.Context(), session(t))
	if err != nil {
		t.Fatal(err)
	}
	if created.SessionID != "s-1" || created.ClientToken != "ct" || created.PaymentMethodCategories[0].Identifier != "pay_now" || created.Raw == nil {
		t.Errorf("got %+v", created)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/payments/v1/sessions")
	var members map[string]json.RawMessage
	if err := json.Unmarshal(s.body, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"session_id", "client_token", "authorization_token", "expires_at", "status", "payment_method_categories"} {
		if _, there := members[name]; there {
			t.Errorf("sent read-only %s", name)
		}
	}
	for _, name := range []string{"order_amount", "order_lines", "merchant_urls", "intent", "attachment", "step_up_id"} {
		if _, there := members[name]; !there {
			t.Errorf("did not send %s", name)
		}
	}
}

func TestUpdateSession_LeavesTheCartAloneWithoutLines(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 204, "")
	if err := klarna.client(t).UpdateSession(t.Context(), "s-1", Session{MerchantReference1: "SO-1", SessionID: "x"}); err != nil {
		t.Fatal(err)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/payments/v1/sessions/s-1")
	checkJSON(t, s.body, `{"merchant_reference1":"SO-1"}`)
}

func TestUpdateSession_SendsTheCartWhole(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 204, "")
	update := Session{OrderAmount: 100, OrderLines: []OrderLine{{Name: "Zelt", Quantity: 1, UnitPrice: 100, TotalAmount: 100}}}
	if err := klarna.client(t).UpdateSession(t.Context(), "s-1", update); err != nil {
		t.Fatal(err)
	}
	checkJSON(t, klarna.only(t).body, `{"order_amount":100,"order_tax_amount":0,"order_lines":[{"name":"Zelt","quantity":1,"unit_price":100,"total_amount":100}]}`)
}

func TestReadSession_GivesTheAuthorizationToken(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"status":"asleep","intent":"dream","authorization_token":"at","order_amount":5}`)
	read, err := klarna.client(t).ReadSession(t.Context(), "s-1")
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/payments/v1/sessions/s-1")
	if read.SessionID != "s-1" || read.AuthorizationToken != "at" || read.Status != "asleep" || len(read.Raw) == 0 {
		t.Errorf("got %+v", read)
	}
}

func TestCancelAuthorization_DeletesIt(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 204, "")
	if err := klarna.client(t).CancelAuthorization(t.Context(), testToken); err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "DELETE", "/payments/v1/authorizations/"+testToken)
}

func TestPlaceOrder_TakesEveryFormOfPaymentMethod(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{
		`"authorized_payment_method":{"type":"invoice","number_of_days":30}`: "invoice",
		`"authorized_payment_method":"direct_bank_transfer"`:                 "direct_bank_transfer",
		`"authorized_payment_method":[7]`:                                    "",
		`"authorized_payment_method":{"type":7}`:                             "",
	} {
		klarna := answering(t, 200, `{"order_id":"o-1","fraud_status":"WHO_KNOWS",`+method+`}`)
		placed, err := klarna.client(t).PlaceOrder(t.Context(), testToken, PlaceOrderRequest{PurchaseCountry: "DE", PurchaseCurrency: "EUR"})
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		klarna.only(t).want(t, "POST", "/payments/v1/authorizations/"+testToken+"/order")
		if placed.OrderID != "o-1" || placed.FraudStatus != "WHO_KNOWS" || placed.AuthorizedPaymentMethod.Type != want || placed.Raw == nil {
			t.Errorf("%s: got %+v", method, placed)
		}
	}
}

func TestPlaceOrder_WorksWithoutPaymentMethod(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"order_id":"o-1"}`, `{"order_id":"o-1","authorized_payment_method":null}`} {
		placed, err := answering(t, 200, body).client(t).PlaceOrder(t.Context(), testToken, PlaceOrderRequest{})
		if err != nil || placed.AuthorizedPaymentMethod != nil {
			t.Errorf("got %+v, %v", placed, err)
		}
	}
}

func TestPlaceOrderRequest_SendsTheRequiredMembers(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(PlaceOrderRequest{PurchaseCountry: "DE", PurchaseCurrency: "EUR", OrderLines: []OrderLine{}})
	if err != nil {
		t.Fatal(err)
	}
	checkJSON(t, got, `{"purchase_country":"DE","purchase_currency":"EUR","order_amount":0,"order_tax_amount":0,"order_lines":[]}`)
	if strings.Contains(string(got), "auto_capture") {
		t.Error("auto_capture is by contract only")
	}
}
