package server

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// The forms of renderings. What a form names never changes: whoever changes what an event is sent as counts it up, or old
// events are sent as they were before. The golden files of TestRenderings_AreWhatTheirFormSays are named by it.
const (
	paymentForm = "payment/1"
	accountForm = "account/1"
)

// Renderings are what watches send of events, for a Store that keeps old ones like that.
func Renderings() map[store.Stream]store.Rendering {
	return map[store.Stream]store.Rendering{
		store.Payments: {Form: paymentForm, Render: func(ev *store.Event) ([]byte, error) { return encodedPayment(ev, memoEncoded) }},
		store.Accounts: {Form: accountForm, Render: encodedAccount},
	}
}

func encodedAccount(ev *store.Event) ([]byte, error) {
	return encodedEvent(ev, memoEncoded, accountEventFromStore)
}

// encodedPayment is a payment event as one of the memos shows it.
func encodedPayment(ev *store.Event, shown int) ([]byte, error) {
	return encodedEvent(ev, shown, func(ev store.Event) (*gatewayv1.PaymentEvent, error) {
		event, err := paymentEventFromStore(ev)
		if err == nil && shown == memoEncodedAlone {
			event = statusAlone(event)
		}
		return event, err
	})
}

// encodedEvent is the event as a field of a watch response.
func encodedEvent[E proto.Message](ev *store.Event, slot int, convert func(store.Event) (E, error)) ([]byte, error) {
	if sent := ev.Sent(); sent != nil && slot == memoEncoded {
		return sent, nil
	}
	made := ev.Memo(slot, func() any {
		message, err := convert(*ev)
		if err != nil {
			return err
		}
		if slot != memoEncodedPersonal {
			withhold(message, wishNothing)
		}
		field := protowire.AppendTag(nil, fieldEvent, protowire.BytesType)
		field = protowire.AppendVarint(field, uint64(proto.Size(message)))
		if field, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(field, message); err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		return field
	})
	if err, failed := made.(error); failed {
		return nil, err
	}
	return made.([]byte), nil
}
