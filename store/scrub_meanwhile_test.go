package store_test

import (
	"context"
	"strings"
	"testing"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/storetest"
)

// meanwhile does something between a reading of requests and what is made of it.
type meanwhile struct {
	store.Engine
	do func()
}

// Sealed implements store.Engine.
func (e *meanwhile) Sealed(ctx context.Context, on store.Shelf, after []string, limit int) ([]store.SealedRow, error) {
	rows, err := e.Engine.Sealed(ctx, on, after, limit)
	if on.Table == "requests" && e.do != nil {
		e.do()
		e.do = nil
	}
	return rows, err
}

// A repeat that puts its request on record anew while the erasure looks at it keeps nothing, and only what was taken away
// is counted.
func TestScrub_TakesWhatIsPutMeanwhile(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, f fixture) {
		var watched *meanwhile
		f.change = func(cfg *store.Config) {
			watched = &meanwhile{Engine: cfg.Engine}
			cfg.Engine = watched
		}
		s, done := f.open(t)
		defer func() { done() }()
		appendEvent(t, s, event("e1", "p1", store.Key{Kind: "order_id", Value: person}))
		again, settled := answered("create", "r1", "", `{"order_id":"`+person+`","who":"`+iban+`"}`), answered("create", "r2", "", `{"order_id":"`+person+`","who":"`+iban+`"}`)
		gone := answered("create", "r3", "", `{"order_id":"`+person+`","who":"`+iban+`"}`)
		put(t, s, again, settled, gone)
		erase(t, s, "p1")
		watched.do = func() {
			settled.Answer, gone.Concerns = []byte(`{}`), "p1"
			put(t, s, again, settled, gone)
		}
		n, err := scrub(t, s, store.Remains{
			Stream: store.Payments, MerchantAccount: account, Subjects: []string{"p1"}, Keys: []store.Key{{Kind: "order_id", Value: person}},
		})
		if err != nil || n != 1 {
			t.Errorf("%d taken away, %v", n, err)
		}
		if text := storetest.Readable(t, s.Engine(), f.keys(t)); strings.Contains(text, iban) {
			t.Errorf("left: %s", text)
		}
		for id, want := range map[string]bool{"r1": true, "r2": false, "r3": true} {
			if r, err := s.Request(t.Context(), store.RequestID{MerchantAccount: account, Operation: "create", ID: id}); err != nil || r.Erased != want {
				t.Errorf("%s: %+v, %v", id, r, err)
			}
		}
	})
}
