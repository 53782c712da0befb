package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// wholeValue sets every field of a Go value, however deep, to something.
func wholeValue(v reflect.Value, depth int) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
	case v.Type() == reflect.TypeFor[json.RawMessage]() || depth > 6:
	case v.Kind() == reflect.String:
		v.SetString("text")
	case v.CanInt():
		v.SetInt(7)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		wholeValue(v.Elem(), depth+1)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		wholeValue(v.Index(0), depth+1)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				wholeValue(v.Field(i), depth+1)
			}
		}
	}
}

// renderedWhole are an event of each stream with all that can be known of it, and what a watch makes of it.
func renderedWhole(t *testing.T) map[string]struct {
	event store.Event
	into  proto.Message
} {
	t.Helper()
	var payment journal.PaymentEntry
	wholeValue(reflect.ValueOf(&payment).Elem(), 0)
	payment.Payment.State, payment.Payment.Status = journal.Captured, journal.StatusUnpaid
	var account journal.AccountEntry
	var details klarna.PartnerAccount
	wholeValue(reflect.ValueOf(&account).Elem(), 0)
	wholeValue(reflect.ValueOf(&details).Elem(), 0)
	var err error
	account.Account.Details, err = json.Marshal(details)
	must(t, err)
	event := func(stream store.Stream, kind string, entry any) store.Event {
		body, err := json.Marshal(entry)
		must(t, err)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		return store.Event{
			Position: 7, ID: "evt-1", Stream: stream, MerchantAccount: shop, Subject: "subject", Kind: kind, Cause: string(journal.Notification),
			State: string(journal.Captured), PreviousState: string(journal.Ordered), Superseded: true, OccurredAt: at, RecordedAt: at, Body: body,
		}
	}
	return map[string]struct {
		event store.Event
		into  proto.Message
	}{
		paymentForm: {event(store.Payments, string(journal.KindUnpaid), payment), &gatewayv1.WatchPaymentStatusResponse{}},
		accountForm: {event(store.Accounts, string(journal.KindAccountPersonalDataErased), account), &gatewayv1.WatchAccountStateResponse{}},
	}
}

// TestRenderings_AreWhatTheirFormSays pins what each form makes of an event with every field set. If it is to be made
// otherwise, count the form up, and make a golden file for it: old blocks have the old form.
func TestRenderings_AreWhatTheirFormSays(t *testing.T) {
	t.Parallel()
	for form, whole := range renderedWhole(t) {
		rendered, err := Renderings()[whole.event.Stream].Render(&whole.event)
		must(t, err)
		must(t, proto.Unmarshal(rendered, whole.into))
		checkGolden(t, "rendering_"+strings.ReplaceAll(form, "/", "_")+".json", whole.into)
		if got := Renderings()[whole.event.Stream].Form; got != form {
			t.Errorf("the form is %s, its golden file is of %s", got, form)
		}
	}
}

// What a watch without a wish for personal data is sent of an event is the same out of a block, which is made of what
// outlives an erasure, as it is of the event.
func TestRenderings_AreTheSameOfWhatOutlivesAnErasure(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const personal = 100 // of which 64 are in memory still
	payer := []journal.Transfer{{Amount: 12995, Debtor: journal.Debtor{AccountHolderName: "Erika Beispiel", IBAN: debtorTexts[0], BankName: "Beispielbank"}}}
	details := klarna.PartnerAccount{PartnerAccountID: "account-1", PartnerAccountContact: &klarna.Contact{GivenName: "Erika", Email: "erika@example.com"}}
	resource, err := json.Marshal(details)
	must(t, err)
	for n := range personal {
		fact := told(fmt.Sprint("SO-", n), "UNPAID")
		fact.Status.Expected = payer
		s.record(fact)
		_, err := s.journal.RecordAccount(t.Context(), journal.AccountFact{
			EventID: fmt.Sprint("account-", n), MerchantAccount: acquirer, AccountID: "account-1", Kind: journal.KindUpdated, Cause: journal.Notification,
			At: s.store.Now(), Type: "partner.account.state-change", State: "PARTIALLY_OPERATIONAL", Raw: resource, Details: resource,
		})
		must(t, err)
	}
	must(t, s.store.Pack(t.Context()))
	for stream, account := range map[store.Stream]string{store.Payments: shop, store.Accounts: acquirer} {
		want := map[string][]byte{}
		all, err := s.store.Events(t.Context(), store.Query{Stream: stream, Limit: 1000})
		must(t, err)
		for _, ev := range all {
			want[ev.ID], err = Renderings()[stream].Render(&ev)
			must(t, err)
		}
		compared := 0
		for ev, err := range s.store.Follow(t.Context(), store.Query{Stream: stream, MerchantAccount: account, Sent: true}) {
			must(t, err)
			if ev.ID == "" {
				break
			}
			if got := ev.Sent(); got != nil {
				compared++
				if !bytes.Equal(got, want[ev.ID]) {
					t.Errorf("out of a block %s is %q, of its event %q", ev.ID, got, want[ev.ID])
				}
			}
		}
		if compared < 30 {
			t.Errorf("%d events of %s came out of blocks", compared, stream)
		}
	}
}
