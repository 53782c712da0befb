package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"payments.internal/klarna-gateway/store"
)

// listed are the open matters, as they are listed.
func listed(t *testing.T, j *Journal) (all []Matter) {
	t.Helper()
	found, err := j.Store().Subjects(t.Context(), store.Query{Stream: store.Attentions, Limit: 100, Keys: []store.Key{{Kind: KeyOpen, Value: OpenMatter}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range found {
		m, err := DecodeMatter(subject.Body)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// in runs a unit of work.
func in(t *testing.T, j *Journal, unit func(store.Tx) error) {
	t.Helper()
	if err := j.Store().Do(t.Context(), unit); err != nil {
		t.Fatal(err)
	}
}

func TestMatters_FollowThePaymentThroughAMerge(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	older := record(t, j, opened()).Payment.ID
	record(t, j, told("n1", StatusClosed, 1))
	younger := record(t, j, told("n2", StatusPaid, 2)).Payment.ID
	if m := listed(t, j); len(m) != 1 || m[0].Reason != PaidAfterClosed || m[0].About.PaymentID != younger || m[0].CauseEventID != "n2" {
		t.Fatalf("open: %+v", m)
	}
	record(t, j, placed())
	m := listed(t, j)
	if len(m) != 1 || m[0].About.PaymentID != older || m[0].About.SessionID != session || m[0].About.OrderID != order {
		t.Fatalf("open after the merge: %+v", m)
	}
	in(t, j, func(tx store.Tx) error {
		_, err := j.ActIn(t.Context(), tx, m[0].ID, "", MatterAction{Action: ActionDismiss, RequestID: "r", Note: "n"}, false)
		return err
	})
	if m := listed(t, j); len(m) != 0 {
		t.Errorf("open after dismissal: %+v", m)
	}
	if p, err := j.PaymentBy(t.Context(), merchant, KeyOrder, order); err != nil || len(p.Attentions) != 0 {
		t.Errorf("the payment has %+v, error %v", p.Attentions, err)
	}
}

// A matter takes over what is learned of its payment, and an event that teaches nothing adds none.
func TestMatters_AreRaisedOnceAndFollowWhatIsLearned(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, told("n1", StatusPaid, 1))
	record(t, j, told("n2", StatusClosed, 2))
	record(t, j, told("n3", StatusClosed, 3))
	if n := len(events(t, j, store.Attentions)); n != 1 {
		t.Errorf("%d events of one matter", n)
	}
	fact := placed()
	record(t, j, fact)
	all := events(t, j, store.Attentions)
	if m := listed(t, j); len(m) != 1 || m[0].About.SessionID != session || all[len(all)-1].Kind != MatterChanged {
		t.Errorf("open: %+v", m)
	}
}

func TestMatters_TheSameBytesInQuarantineAreOne(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	for _, body := range []string{"one", "one", "two"} {
		in(t, j, func(tx store.Tx) error {
			return j.Quarantine(t.Context(), tx, merchant, "", `body cannot be read: invalid "Erika Mustermann"`, []byte(body))
		})
	}
	m := listed(t, j)
	if len(m) != 2 || m[0].About.QuarantineID != 2 && m[1].About.QuarantineID != 2 {
		t.Errorf("open: %+v", m)
	}
	for _, one := range m {
		if one.Message != "notification: body cannot be read" {
			t.Errorf("message %q", one.Message)
		}
	}
}

func TestMatters_OfAKeyThatSignsPastItsRetirement(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	id := store.SigningKeyID{Scheme: NetworkScheme, MerchantAccount: merchant, ID: "krn:key"}
	change := func(f func(*store.SigningKey)) {
		t.Helper()
		if err := j.ChangeKey(t.Context(), id, f); err != nil {
			t.Fatal(err)
		}
	}
	change(func(k *store.SigningKey) { k.RetireAt = after(-60) })
	if m := listed(t, j); len(m) != 0 {
		t.Fatalf("open before a use: %+v", m)
	}
	if err := j.NoteKeyUse(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if m := listed(t, j); len(m) != 1 || m[0].Reason != SigningKeyOverdue || m[0].About.SigningKey != id {
		t.Fatalf("open: %+v", m)
	}
	change(func(k *store.SigningKey) { k.RevokedAt = after(0) })
	if m := listed(t, j); len(m) != 0 {
		t.Errorf("open after its end: %+v", m)
	}
}

// earlier puts a payment on record as a version did that knew no stream of matters.
func earlier(t *testing.T, j *Journal, n int, p Payment) {
	t.Helper()
	p.ID, p.MerchantAccount = fmt.Sprint("pay-", n), merchant
	body, err := json.Marshal(PaymentEntry{Payment: p})
	if err != nil {
		t.Fatal(err)
	}
	in(t, j, func(tx store.Tx) error {
		_, err := tx.Append(t.Context(), store.Event{
			ID: fmt.Sprint("evt-", n), Stream: store.Payments, MerchantAccount: merchant, Subject: p.ID, State: string(p.State), Keys: p.keys(), Body: body,
		})
		return err
	})
}

func TestIndexMatters_RaisesWhatEarlierVersionsKeptOnce(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	earlier(t, j, 1, Payment{State: Ordered, OrderID: order})
	earlier(t, j, 2, Payment{State: Closed, Attentions: []Attention{{Reason: PaidAfterClosed, Message: "m", At: after(-90)}}})
	earlier(t, j, 3, Payment{State: Closed, OrderID: "o-3"})
	in(t, j, func(tx store.Tx) error {
		_, err := tx.Quarantine(t.Context(), store.Quarantined{MerchantAccount: merchant, EventID: "evt-q", Reason: "names no account", Raw: []byte("q")})
		return err
	})
	for range 2 {
		if err := j.IndexMatters(t.Context()); err != nil {
			t.Fatal(err)
		}
		earlier(t, j, len(events(t, j, store.Payments))+1, Payment{State: Closed, Attentions: []Attention{{Reason: ClosedAfterPaid}}}) // not looked for again
	}
	m := listed(t, j)
	reasons := []AttentionReason{}
	for _, one := range m {
		reasons = append(reasons, one.Reason)
	}
	if !slices.Equal(reasons, []AttentionReason{PaidAfterClosed, QuarantinedPost}) || !m[0].Since.Equal(after(-90)) {
		t.Errorf("open: %+v", m)
	}
	if n := len(events(t, j, store.Attentions)); n != 3 { // and that it was done
		t.Errorf("%d events", n)
	}
	if found := jobs(t, j, JobReadOrder); len(found) != 1 || found[0].Key != order {
		t.Errorf("orders to be read: %+v", found)
	}
}

func TestAct_OfNoMatterAndOfAnotherCaller(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, told("n1", StatusPaid, 1))
	record(t, j, told("n2", StatusClosed, 2))
	id := listed(t, j)[0].ID
	act := func(id, account string, a MatterAction) (err error) {
		return j.Store().Do(t.Context(), func(tx store.Tx) error {
			_, err := j.ActIn(t.Context(), tx, id, account, a, false)
			return err
		})
	}
	retry := MatterAction{Action: ActionRetry, Caller: "anna", RequestID: "r-1"}
	for name, c := range map[string]struct {
		err, want error
	}{
		"unknown":         {act("0b1bdf94-c76a-4f28-98e8-6f4a0d3f4f0b", "", retry), ErrNoMatter},
		"a payment":       {act(record(t, j, told("n3", StatusClosed, 3)).Payment.ID, "", retry), ErrNoMatter},
		"another account": {act(id, "outlet", retry), ErrNoMatter},
		"retry":           {act(id, merchant, retry), nil},
		"again":           {act(id, merchant, retry), nil},
		"by another":      {act(id, merchant, MatterAction{Action: ActionRetry, Caller: "bert", RequestID: "r-1"}), ErrActionForeign},
		"other content":   {act(id, merchant, MatterAction{Action: ActionDismiss, Caller: "anna", RequestID: "r-1"}), ErrActionReused},
	} {
		if !errors.Is(c.err, c.want) || c.want == nil && c.err != nil {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	if found := jobs(t, j, JobReadOrder); len(found) != 1 || !found[0].RunAt.Equal(noon) {
		t.Errorf("the work is %+v", found)
	}
}
