package server

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// Digests of what stands at a path are on record: it is what a message with that field alone is encoded as, and stays so.
func TestFieldsOf_EachIsEncodedAsIfItStoodAlone(t *testing.T) {
	t.Parallel()
	type request = gatewayv1.CaptureOrderRequest
	parcel := func(number string) *gatewayv1.ShippingInfo { return &gatewayv1.ShippingInfo{TrackingNumber: number} }
	many := make([]*gatewayv1.OrderLine, elementsNamed+1)
	for i := range many {
		many[i] = &gatewayv1.OrderLine{Name: "Lamp", Quantity: int64(i)}
	}
	whole := &request{
		OrderId: "o", Amount: &gatewayv1.Money{AmountMinor: 100, CurrencyCode: "EUR"}, OrderLines: many,
		ShippingInfo: []*gatewayv1.ShippingInfo{parcel("T-1"), parcel("T-2")},
	}
	whole.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 9999, protowire.BytesType), "of a newer caller"))
	encode := func(m proto.Message) []byte {
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		must(t, err)
		return encoded
	}
	want := map[string]proto.Message{
		"order_id":             &request{OrderId: "o"},
		"amount":               nil,
		"amount.amount_minor":  &gatewayv1.Money{AmountMinor: 100},
		"amount.currency_code": &gatewayv1.Money{CurrencyCode: "EUR"},
		"order_lines":          &request{OrderLines: many},
		"shipping_info":        nil,
		"shipping_info[0]":     &request{ShippingInfo: []*gatewayv1.ShippingInfo{parcel("T-1")}},
		"shipping_info[1]":     &request{ShippingInfo: []*gatewayv1.ShippingInfo{parcel("T-2")}},
	}
	for _, field := range fieldsOf(whole.ProtoReflect().Descriptor(), encode(whole)) {
		alone, known := want[field.Path]
		delete(want, field.Path)
		switch {
		case !known:
			t.Errorf("%s: %q", field.Path, field.Value)
		case alone != nil && string(field.Value) != string(encode(alone)):
			t.Errorf("%s: %q", field.Path, field.Value)
		case field.Path == "amount" && field.Value != nil, field.Path == "shipping_info" && string(field.Value) != "2":
			t.Errorf("%s: %q", field.Path, field.Value)
		}
	}
	for path := range want {
		t.Errorf("%s is missing", path)
	}
}
