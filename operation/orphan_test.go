package operation_test

import (
	"slices"
	"testing"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// TestOrphans_AreOnRecordIfAnAnswerWasLost plays attempts that end in different ways before one succeeds.
func TestOrphans_AreOnRecordIfAnAnswerWasLost(t *testing.T) {
	t.Parallel()
	lost, down := klarnatest.Fault{LoseAnswer: true}, klarnatest.Fault{Status: 503}
	cut, refused := klarnatest.Fault{Cut: true}, klarnatest.Fault{Status: 403, Code: "MERCHANT_INACTIVE"}
	for name, c := range map[string]struct {
		before []klarnatest.Fault
		orphan bool
	}{
		"at once":              {nil, false},
		"refused before":       {[]klarnatest.Fault{refused}, false},
		"lost":                 {[]klarnatest.Fault{lost}, true},
		"perhaps lost":         {[]klarnatest.Fault{down}, true},
		"perhaps never there":  {[]klarnatest.Fault{cut}, true},
		"lost, then refused":   {[]klarnatest.Fault{lost, refused}, true},
		"refused, then lost":   {[]klarnatest.Fault{refused, lost}, true},
		"lost more than once":  {[]klarnatest.Fault{lost, down, lost}, true},
		"refused all the time": {[]klarnatest.Fault{refused, refused}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{Callbacks: true})
			fail := func(op string, call func() error) {
				for _, fault := range c.before {
					fault.Operation = op
					w.Fail(fault)
					if call() == nil {
						t.Errorf("%s went well in spite of %+v", op, fault)
					}
				}
				w.Must(call())
			}
			var session operation.SessionAnswer
			fail("createSession", func() (err error) {
				session, err = w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), operation.NewSession{Session: Cart()})
				return err
			})
			var page operation.HostedPageAnswer
			fail("createHostedPage", func() (err error) {
				page, err = w.Operations.CreateHostedPage(t.Context(), Request("p-1", "page"), session.Session.SessionID, klarna.HostedPageRequest{})
				return err
			})
			var checkout operation.CheckoutAnswer
			fail("createCheckoutOrder", func() (err error) {
				checkout, err = w.Operations.CreateCheckoutOrder(t.Context(), Request("c-1", "basket"), basket())
				return err
			})
			if session.Orphan != c.orphan || page.Orphan != c.orphan || checkout.Orphan != c.orphan {
				t.Errorf("answers tell of orphans: session %t, page %t, checkout order %t", session.Orphan, page.Orphan, checkout.Orphan)
			}
			var kinds []journal.OrphanKind
			for _, o := range w.Payment(journal.KeySession, session.Session.SessionID).Orphans {
				kinds = append(kinds, o.Kind)
			}
			want := []journal.OrphanKind{journal.OrphanSession, journal.OrphanHostedPage}
			if !c.orphan {
				want = nil
			}
			if !slices.Equal(kinds, want) {
				t.Errorf("on record %v, want %v", kinds, want)
			}
			again, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), operation.NewSession{Session: Cart()})
			if err != nil || again.Orphan != c.orphan || again.Session.SessionID != session.Session.SessionID {
				t.Errorf("a repeat of what is done: %+v, %v", again, err)
			}
		})
	}
}

// The gateway dies between Klarna's answer and its record of it.
func TestOrphans_AreOnRecordIfTheGatewayDied(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	in := operation.NewSession{Session: Cart()}
	key := store.RequestID{MerchantAccount: Shop, Operation: "createSession", ID: "s-1"}
	died := store.Request{RequestID: key, Caller: "checkout-service", State: store.RequestOpen, FirstSent: w.Store.Now(), LeasedUntil: w.Store.Now(), Fingerprint: w.Store.Fingerprint([]byte("cart"))}
	w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error { return tx.PutRequest(t.Context(), died) }))
	made, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), in)
	if err != nil || !made.Orphan {
		t.Errorf("answered %+v, %v", made, err)
	}
}
