package journal

import (
	"context"
	"slices"

	"payments.internal/klarna-gateway/store"
)

const (
	// namesAtOnce is how many words of a post that cannot be applied are looked up with one question.
	namesAtOnce = 256
	// namesMost is how many are looked up at all. Klarna's posts have some dozens.
	namesMost = 4096
)

// paymentWords are words in a post on a partner account that say that it is about a payment.
var paymentWords = []string{"session_id", "order_id", KeyRequest, KeyTransaction}

// namesErased tells whether a post names a payment or a partner account that was erased: then its bytes are not kept. Nor are
// those of a post with more words than are looked up.
func namesErased(ctx context.Context, tx store.Tx, merchantAccount string, raw []byte) (bool, error) {
	names := store.Names(raw)
	if len(names) > namesMost {
		return true, nil
	}
	ofAPayment := slices.ContainsFunc(names, func(name string) bool { return slices.Contains(paymentWords, name) }) // see Scrub
	for some := range slices.Chunk(names, namesAtOnce) {
		erased, err := addressErased(ctx, tx, store.Payments, merchantAccount, some, KeyPayment, KeySession, KeyOrder, KeyHostedPage, KeyRequest, KeyTransaction)
		if err == nil && !erased && !ofAPayment {
			erased, err = addressErased(ctx, tx, store.Accounts, merchantAccount, some, KeyAccount, KeyAccountReference)
		}
		if err != nil || erased {
			return erased, err
		}
	}
	return false, nil
}

// addressErased tells whether names, as keys of some kinds, address a subject that was erased.
func addressErased(ctx context.Context, tx store.Tx, stream store.Stream, merchantAccount string, names []string, kinds ...string) (bool, error) {
	var keys []store.Key
	for _, name := range names {
		for _, kind := range kinds {
			keys = append(keys, store.Key{Kind: kind, Value: name})
		}
	}
	found, err := tx.SubjectsByKeys(ctx, stream, merchantAccount, keys)
	return slices.ContainsFunc(found, func(s store.Subject) bool { return !s.DataKey.ErasedAt.IsZero() }), err
}
