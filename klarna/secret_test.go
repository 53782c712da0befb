package klarna

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecret_NeverPrints(t *testing.T) {
	t.Parallel()
	const value = "klarna_live_api_topsecret"
	s := Secret(value)
	holder := struct {
		Name string
		Key  Secret
		Ptr  *Secret
	}{"a", s, &s}
	var out []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		out = append(out, fmt.Sprintf(verb, s), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, []Secret{s}))
	}
	encoded, err := json.Marshal(map[string]any{"v": s, "l": []Secret{s}, "h": holder})
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "s", s, "h", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "s", s, "h", holder)
	out = append(out, s.String(), s.GoString(), string(encoded), string(text), log.String())
	hex := fmt.Sprintf("%x", value)
	for _, o := range out {
		if strings.Contains(o, value) || strings.Contains(strings.ToLower(o), hex) {
			t.Errorf("printed: %s", o)
		}
		if !strings.Contains(o, "***") {
			t.Errorf("not masked: %s", o)
		}
	}
}

func TestSecret_DecodesAndReveals(t *testing.T) {
	t.Parallel()
	var s Secret
	if err := json.Unmarshal([]byte(`"abc"`), &s); err != nil {
		t.Fatal(err)
	}
	if s.Reveal() != "abc" {
		t.Error("lost its value")
	}
}

func TestWireTypes_KeepTokensAndPeopleOutOfLogs(t *testing.T) {
	t.Parallel()
	const secret = "erika-secret"
	address := &CustomerAddress{GivenName: secret}
	values := []any{
		Session{ClientToken: secret, AuthorizationToken: secret, BillingAddress: address},
		PlaceOrderRequest{BillingAddress: address},
		Order{BillingAddress: address, Raw: []byte(secret)},
		OnboardRequest{PartnerAccountContact: Contact{Email: secret}},
		PartnerAccount{PartnerAccountContact: &Contact{Email: secret}},
		AuthorizationCallback{AuthorizationToken: secret},
		PaymentRequest{StateContext: RequestContext{NetworkSessionToken: secret}, Raw: []byte(secret)},
		PaymentRequestInput{SupplementaryPurchaseData: &PurchaseData{Customer: []byte(`"` + secret + `"`)}},
		PaymentRequestUpdate{SupplementaryPurchaseData: &PurchaseData{Customer: []byte(`"` + secret + `"`)}},
		AuthorizeRequest{SupplementaryPurchaseData: &PurchaseData{Customer: []byte(`"` + secret + `"`)}},
		TransactionUpdate{SupplementaryPurchaseData: &PurchaseData{Customer: []byte(`"` + secret + `"`)}},
		NetworkCaptureRequest{SupplementaryCaptureData: []byte(`"` + secret + `"`)},
		Authorization{Raw: []byte(secret)},
		AuthorizeTokens{Session: secret, Customer: secret},
		Transaction{Raw: []byte(secret)},
		PaymentPayload{RequestContext: RequestContext{PaymentToken: secret}},
		NetworkNotification{Payload: []byte(`"` + secret + `"`)},
		PaymentStatusNotification{Payload: PaymentStatusPayload{Payments: []ReceivedPayment{{Debtor: Debtor{IBAN: secret}}}}},
	}
	for _, v := range values {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
		if strings.Contains(log.String(), secret) {
			t.Errorf("%T is logged: %s", v, log.String())
		}
	}
}
