package journal

import (
	"fmt"
	"strings"
	"testing"

	"payments.internal/klarna-gateway/store"
)

// eraseBy erases the one subject of a stream.
func eraseBy(t *testing.T, j *Journal, stream store.Stream) {
	t.Helper()
	found, err := j.Store().Subjects(t.Context(), store.Query{Stream: stream, MerchantAccount: merchant, Limit: 1})
	if err != nil || len(found) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	in(t, j, func(tx store.Tx) error { _, err := j.EraseIn(t.Context(), tx, found[0].ID, noon); return err })
}

// A post that cannot be applied and comes after an erasure is kept without its bytes if it names whom that was about.
func TestQuarantine_KeepsNoBytesOfWhoWasErased(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, opened())
	record(t, j, placed())
	recordAccount(t, j, onboarded(0))
	eraseBy(t, j, store.Payments)
	eraseBy(t, j, store.Accounts)
	words := func(n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, `"member_%06d":1,`, i)
		}
		return text.String()
	}
	posts := []struct {
		name, body string
		kept       bool
	}{
		{"of a payment", `{"order_id":"` + order + `","name":"x"}`, false},
		{"of a payment, by a word with a colon", `order:` + order + `:`, false},
		{"of an account", `{"partner_account_id":"` + account + `","partner_account_contact":{"given_name":"x"}}`, false},
		{"of an account, by its reference", `{"partner_account_reference":"mrc-000482"}`, false},
		{"of another's payment on the account", `{"partner_account_id":"` + account + `","payment_request_id":"krn:payment:eu1:request:1"}`, true},
		{"of another", `{"order_id":"` + strings.Replace(order, "7d", "8d", 1) + `"}`, true},
		{"of another, and longer than one look", `{` + words(namesAtOnce+1) + `"order_id":"` + session + `x"}`, true},
		{"with the id behind many words", `{` + words(namesAtOnce*3) + `"order_id":"` + order + `"}`, false},
		{"of an account behind many words", `{` + words(namesAtOnce*3) + `"id":"` + account + `"}`, false},
		{"with more words than are looked up", `{` + words(namesMost+1) + `"a":1}`, false},
	}
	for _, post := range posts {
		in(t, j, func(tx store.Tx) error {
			return j.Quarantine(t.Context(), tx, merchant, "", "body cannot be read", []byte(post.body))
		})
	}
	all, err := j.Store().Quarantined(t.Context(), 0, 100)
	if err != nil || len(all) != len(posts) {
		t.Fatalf("%d, %v", len(all), err)
	}
	for i, q := range all {
		if q.Erased == posts[i].kept || (string(q.Raw) == posts[i].body) != posts[i].kept {
			t.Errorf("%s: kept %t", posts[i].name, !q.Erased)
		}
	}
}

// Without an erasure all bytes are kept, but of a post that has more words than can be looked up.
func TestQuarantine_KeepsBytesWhereNobodyWasErased(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, placed())
	recordAccount(t, j, onboarded(0))
	body := `{"order_id":"` + order + `","partner_account_id":"` + account + `"}`
	in(t, j, func(tx store.Tx) error {
		return j.Quarantine(t.Context(), tx, merchant, "", "body cannot be read", []byte(body))
	})
	if all, err := j.Store().Quarantined(t.Context(), 0, 9); err != nil || len(all) != 1 || string(all[0].Raw) != body {
		t.Errorf("%+v, %v", all, err)
	}
}
