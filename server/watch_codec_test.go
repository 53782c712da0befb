package server

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/google/go-cmp/cmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// A frame is what the message would be, token and event in their fields.
func TestFrame_DecodesAsTheResponse(t *testing.T) {
	t.Parallel()
	payment := &gatewayv1.PaymentEvent{EventId: "evt-1", Position: 7, Superseded: true}
	account := &gatewayv1.AccountEvent{EventId: "evt-2", Position: 8}
	for name, c := range map[string]struct {
		shared func(*store.Event) ([]byte, error)
		want   proto.Message
	}{
		"payment": {
			func(ev *store.Event) ([]byte, error) {
				return encodedEvent(ev, memoEncoded, func(store.Event) (*gatewayv1.PaymentEvent, error) { return payment, nil })
			},
			&gatewayv1.WatchPaymentStatusResponse{Message: &gatewayv1.WatchPaymentStatusResponse_Event{Event: payment}},
		},
		"account": {
			func(ev *store.Event) ([]byte, error) {
				return encodedEvent(ev, memoEncoded, func(store.Event) (*gatewayv1.AccountEvent, error) { return account, nil })
			},
			&gatewayv1.WatchAccountStateResponse{Message: &gatewayv1.WatchAccountStateResponse_Event{Event: account}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared, err := c.shared(&store.Event{})
			must(t, err)
			places := cursors{signer: newSigner("key"), bound: bind(make([]byte, logDigest), "Watch", make([]byte, digestSize))}
			f := places.frame(place{After: 7}, shared)
			sent, err := newCodec().Marshal(f)
			must(t, err)
			got := c.want.ProtoReflect().New().Interface()
			must(t, proto.Unmarshal(sent.Materialize(), got))
			resumes := c.want.ProtoReflect().Descriptor().Fields().ByName("resume_token")
			c.want.ProtoReflect().Set(resumes, protoreflect.ValueOfString(places.token(place{After: 7})))
			if diff := cmp.Diff(c.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
