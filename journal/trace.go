package journal

import (
	"context"

	"payments.internal/klarna-gateway/store"
)

// Trail says where in the log a fact has its place: behind what came before of the same subject.
type Trail struct {
	Stream          store.Stream
	MerchantAccount string
	Key             store.Key // addresses the subject
	Position        store.Position
}

// Trail is the place of what was recorded.
func (r PaymentRecord) Trail() Trail {
	return Trail{store.Payments, r.Payment.MerchantAccount, store.Key{Kind: KeyPayment, Value: r.Payment.ID}, r.Position}
}

// Trail is the place of what was recorded.
func (r AccountRecord) Trail() Trail {
	return Trail{store.Accounts, r.Account.MerchantAccount, store.Key{Kind: KeyAccount, Value: r.Account.AccountID}, r.Position}
}

// trailLength is how many events are looked at for the request that something goes back to.
const trailLength = 20

// AskedBy returns the W3C trace context of the request of a caller's that something goes back to: of the newest before it
// that left an event of the same subject. Empty without one.
func (j *Journal) AskedBy(ctx context.Context, t Trail) (traceParent string, err error) {
	if t.Position < 2 || t.Key.Value == "" {
		return "", nil
	}
	events, err := j.store.Events(ctx, store.Query{
		Stream: t.Stream, MerchantAccount: t.MerchantAccount, Keys: []store.Key{t.Key}, UpTo: t.Position - 1, Descending: true, Limit: trailLength,
	})
	for _, ev := range events {
		if ev.Cause == string(Call) && ev.TraceParent != "" {
			return ev.TraceParent, nil
		}
	}
	return "", err
}
