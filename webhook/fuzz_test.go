package webhook

import (
	"testing"

	"payments.internal/klarna-gateway/klarna"
)

// FuzzAccountFact reads whatever Klarna might sign: it can be applied, or there is a reason why not.
func FuzzAccountFact(f *testing.F) {
	for _, seed := range []string{
		vectorNetwork,
		`{"metadata":{"event_id":"1","occurred_at":"2026-02-03T09:15:42Z","event_type":"partner.account.product.payment.state-change.disabled","subject_account_id":"a"},"payload":7}`,
		`{"metadata":{"event_id":"1","occurred_at":"2026-02-03T09:15:42Z","event_type":"partner.account.brand.data-incomplete"},"payload":{"partner_account_id":"a","incomplete_fields":[1,"x",{}]}}`,
		`{"metadata":{"event_id":"1","occurred_at":"2026-02-03T09:15:42Z","event_type":"x","live":true},"payload":null}`,
	} {
		f.Add([]byte(seed))
	}
	r := &Receiver{live: map[string]bool{merchant: true}}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := klarna.ParseNetwork(body)
		if err != nil || n.Metadata.OccurredAt.IsZero() { // else it would ask the store's clock
			return
		}
		fact, flaw := r.accountFact(merchant, n)
		if flaw == "" && (fact.AccountID == "" || fact.EventID == "" || fact.Type == "") {
			t.Errorf("%s: taken as %+v", body, fact)
		}
		if len(fact.Products) > 0 && (fact.Products[0].ID == "" || fact.Products[0].State == "") {
			t.Errorf("%s: names the product %+v", body, fact.Products[0])
		}
	})
}
