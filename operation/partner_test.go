package operation_test

import (
	"encoding/json"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

const merchant = "mrc-000482"

// onboarded onboards the merchant and returns Klarna's id of it.
func onboarded(w *World) string {
	w.T.Helper()
	made, err := w.Operations.Onboard(w.T.Context(), AcquirerRequest("on-1", "x"), Onboarding(merchant))
	w.Must(err)
	return made.AccountID
}

// told records a notification that an account is operational, as the webhook does.
func told(w *World, accountID string) {
	w.T.Helper()
	_, err := w.Journal.RecordAccount(w.T.Context(), journal.AccountFact{
		EventID: "told:" + accountID, MerchantAccount: Acquirer, Kind: journal.KindOperational, Cause: journal.Notification,
		At: w.Store.Now(), Type: klarna.EventAccountOperational, Raw: []byte("{}"), AccountID: accountID, State: journal.AccountOperational,
	})
	w.Must(err)
}

func TestOnboard_RecordsKlarnasIDAndOurReferenceTogether(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := onboarded(w)
	events := w.Events(store.Accounts)
	if len(events) != 1 || events[0].Kind != string(journal.KindOnboarded) {
		t.Fatalf("events %v", w.Kinds(store.Accounts))
	}
	want := map[store.Key]bool{{Kind: journal.KeyAccount, Value: id}: true, {Kind: journal.KeyAccountReference, Value: merchant}: true}
	for _, key := range events[0].Keys {
		delete(want, key)
	}
	if len(want) != 0 {
		t.Errorf("the event is not addressed by %v", want)
	}
	if got := w.Account(journal.KeyAccountReference, merchant); got.AccountID != id || got.State != journal.AccountPartial || len(got.Products) != 1 {
		t.Errorf("on record %+v", got)
	}
}

func TestOnboard_LinksWhatKlarnaToldBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	w.LoseAnswer("onboard")
	_, err := w.Operations.Onboard(t.Context(), AcquirerRequest("on-1", "x"), Onboarding(merchant))
	w.Unknown(err)
	w.CalledTimes("onboard", 1)
	// The notification knows Klarna's id alone. Here Klarna tells it by its first answer.
	made, err := w.Client(Acquirer).Onboard(t.Context(), operation.IdempotencyKey(Acquirer, "onboardPartner", "on-1"), Onboarding(merchant))
	w.Must(err)
	told(w, made.PartnerAccountID)
	before := w.Account(journal.KeyAccount, made.PartnerAccountID)
	if before.Reference != "" || before.State != journal.AccountOperational {
		t.Fatalf("on record %+v", before)
	}
	if got := onboarded(w); got != made.PartnerAccountID {
		t.Errorf("answered %s, told %s", got, made.PartnerAccountID)
	}
	after := w.Account(journal.KeyAccountReference, merchant)
	if after.ID != before.ID || after.AccountID != before.AccountID || after.State != journal.AccountOperational {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestOnboard_TheSameMerchantUnderAnotherRequestIsTheSameAccount(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := onboarded(w)
	again, err := w.Operations.Onboard(t.Context(), AcquirerRequest("on-2", "x"), Onboarding(merchant))
	if err != nil || again.AccountID != id {
		t.Errorf("got %+v, %v", again, err)
	}
}

func TestUpdatePartner_WaitsUntilTheAccountIsOperational(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := onboarded(w)
	update := func(request, name string) error {
		return w.Operations.UpdatePartner(t.Context(), AcquirerRequest(request, name), id, klarna.PartnerAccountUpdate{PartnerAccountName: name})
	}
	w.Refused(update("u-1", "Nordlicht"), "ACCOUNT_NOT_OPERATIONAL", "")
	_, err := w.Operations.UpdateBrand(t.Context(), AcquirerRequest("b-1", "x"), id, "brand", klarna.BrandUpdate{DisplayName: "N"})
	w.Refused(err, "ACCOUNT_NOT_OPERATIONAL", "")
	w.CalledTimes("updateAccount", 0)
	w.CalledTimes("updateBrand", 0)

	w.Must(w.Klarna.Operational(id))
	told(w, id)
	w.LoseAnswer("updateAccount")
	w.Unknown(update("u-1", "Nordlicht"))
	w.Must(update("u-1", "Nordlicht"))
	w.SameKey("updateAccount")
	if got := w.Account(journal.KeyAccount, id); len(got.Products) != 1 || got.Reference != merchant || got.State != journal.AccountOperational {
		t.Errorf("on record %+v", got)
	}
	if kinds := w.Kinds(store.Accounts); kinds[len(kinds)-1] != string(journal.KindUpdated) {
		t.Errorf("events %v", kinds)
	}
}

func TestUpdatePartner_OfADisabledAccountIsRefused(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := onboarded(w)
	w.Must(w.Klarna.Operational(id))
	w.Must(w.Klarna.DisableAccount(id))
	w.Must(w.Operations.Partner(t.Context(), Acquirer, id))
	err := w.Operations.UpdatePartner(t.Context(), AcquirerRequest("u-1", "x"), id, klarna.PartnerAccountUpdate{PartnerAccountName: "N"})
	w.Refused(err, "ACCOUNT_DISABLED", "")
}

func TestUpdateBrand_SettlesTheWarning(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := onboarded(w)
	w.Must(w.Klarna.Operational(id))
	w.Must(w.Operations.Partner(t.Context(), Acquirer, id))
	var details klarna.PartnerAccount
	w.Must(json.Unmarshal(w.Account(journal.KeyAccount, id).Details, &details))
	brand := details.Brands[0].BrandID
	_, err := w.Journal.RecordAccount(t.Context(), journal.AccountFact{
		EventID: "warned", MerchantAccount: Acquirer, Kind: journal.KindBrandDataIncomplete, Cause: journal.Notification, At: w.Store.Now(),
		Raw: []byte("{}"), AccountID: id, Warning: &journal.Warning{Type: klarna.EventBrandDataIncomplete, BrandID: brand},
	})
	w.Must(err)
	made, err := w.Operations.UpdateBrand(t.Context(), AcquirerRequest("b-1", "x"), id, brand, klarna.BrandUpdate{DisplayName: "Nordlicht Berge"})
	w.Must(err)
	if got := w.Account(journal.KeyAccount, id); len(got.Warnings) != 0 || made.BrandID != brand {
		t.Errorf("warnings %+v, answer %+v", got.Warnings, made)
	}
}

func TestPartner_ReadingRecordsWhatIsNew(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := onboarded(w)
	w.Must(w.Klarna.Operational(id))
	w.Klarna.Advance(time.Minute)
	for range 3 {
		w.Must(w.Operations.Partner(t.Context(), Acquirer, id))
	}
	events := w.Events(store.Accounts)
	last := events[len(events)-1]
	if len(events) != 2 || last.State != journal.AccountOperational || last.Cause != string(journal.Reconciled) {
		t.Errorf("events %v, the last %s by %s", w.Kinds(store.Accounts), last.State, last.Cause)
	}
}
