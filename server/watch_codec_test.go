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
			f := places.frame(&store.Event{}, place{After: 7}, shared)
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

// Watches that share frames get what each was asked for, though they were asked for different things: the personal data of
// those that may see it, and tokens of their own.
func TestFrame_IsSharedWithWhoSeesTheSameAlone(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.DebtorData = true })
	all := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)}
	personal := with(proto.CloneOf(all), func(r *gatewayv1.WatchPaymentStatusRequest) { r.IncludeDebtorData = true })
	one := with(proto.CloneOf(all), func(r *gatewayv1.WatchPaymentStatusRequest) { r.MerchantReferences = []string{"SO-1"} })
	requests := []*gatewayv1.WatchPaymentStatusRequest{all, personal, one, all, personal, one}
	var open []*watching
	for _, req := range requests {
		w := s.watchPayments(req)
		w.caughtUp()
		open = append(open, w)
	}
	s.paid("SO-1")
	tokens := map[int64]map[string]bool{}
	for i, w := range open {
		var shown []string
		places := s.server.paymentCursors(t, shop, requests[i])
		for paid := false; !paid; {
			got := w.event()
			paid = got.payment().GetPaymentStatus() == gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID
			shown = append(shown, leaks(t, got.whole, debtorTexts)...)
			at, err := places.read(got.token, "resume_token", 0)
			if err != nil || int64(at.After) != got.at {
				t.Errorf("watch %d: the token behind %d leads to %v, %v", i, got.at, at, err)
			}
			if tokens[got.at] == nil {
				tokens[got.at] = map[string]bool{}
			}
			tokens[got.at][got.token] = true
		}
		if may := requests[i] == personal; may != (len(shown) > 0) {
			t.Errorf("watch %d shows %v of the debtor; may it: %v", i, shown, may)
		}
	}
	for at, different := range tokens {
		if len(different) != 2 {
			t.Errorf("behind %d there are %d tokens, want one for each filter", at, len(different))
		}
	}
}
