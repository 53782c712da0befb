package operation_test

import (
	"encoding/json"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// past onboards the merchant at Klarna past the gateway.
func past(w *World) string {
	w.T.Helper()
	made, err := w.Client(Acquirer).Onboard(w.T.Context(), "past-the-gateway", Onboarding(merchant))
	w.Must(err)
	return made.PartnerAccountID
}

// details is the account's resource as it is on record.
func details(w *World, accountID string) (a klarna.PartnerAccount) {
	w.T.Helper()
	w.Must(json.Unmarshal(w.Account(journal.KeyAccount, accountID).Details, &a))
	return a
}

func TestParts_OfAnAccountThatIsNotOnRecordWaitTillItIsOperational(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := past(w)
	create := func() error {
		_, err := w.Operations.CreateBrand(t.Context(), AcquirerRequest("c-1", "x"), id, klarna.Brand{BrandReference: "b2", DisplayName: "B"})
		return err
	}
	w.Refused(create(), "ACCOUNT_NOT_OPERATIONAL", "")
	w.CalledTimes("createBrand", 0)
	w.Must(w.Klarna.Operational(id))
	told(w, id)
	w.Must(create())
	if brands := details(w, id).Brands; len(brands) != 2 || brands[1].BrandReference != "b2" {
		t.Errorf("on record %+v", brands)
	}
}

func TestParts_OfAnAccountWithoutAResourceOnRecordAreReadSoon(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := past(w)
	w.Must(w.Klarna.Operational(id))
	told(w, id) // all that is known is that it is operational
	_, err := w.Operations.CreateBrand(t.Context(), AcquirerRequest("c-1", "x"), id, klarna.Brand{BrandReference: "b2", DisplayName: "B"})
	w.Must(err)
	jobs, err := w.Store.Jobs(t.Context(), journal.JobReadAccount, "", 10)
	if err != nil || len(jobs) != 1 || jobs[0].Key != id || jobs[0].RunAt.After(w.Store.Now()) {
		t.Errorf("jobs %+v, %v", jobs, err)
	}
}

func TestCreateBrand_AnsweredFromTheRecordAfterARestart(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := onboarded(w)
	w.Must(w.Klarna.Operational(id))
	told(w, id)
	create := func() klarna.Brand {
		made, err := w.Operations.CreateBrand(t.Context(), AcquirerRequest("c-1", "x"), id, klarna.Brand{BrandReference: "b2", DisplayName: "B"})
		w.Must(err)
		return made
	}
	first := create()
	w.Reopen()
	if again := create(); again.BrandID != first.BrandID || again.BrandID == "" {
		t.Errorf("first %+v, then %+v", first, again)
	}
	w.CalledTimes("createBrand", 1)
	if kinds := w.Kinds(store.Accounts); kinds[len(kinds)-1] != string(journal.KindUpdated) {
		t.Errorf("events %v", kinds)
	}
}

func TestDisablePaymentProduct_CountsThoughKlarnasClockIsAhead(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := onboarded(w)
	w.Must(w.Klarna.Operational(id))
	told(w, id)
	product := w.Account(journal.KeyAccount, id).Products[0].ID
	tell := func(event, state string, at time.Time) {
		t.Helper()
		_, err := w.Journal.RecordAccount(t.Context(), journal.AccountFact{
			EventID: event, MerchantAccount: Acquirer, Kind: journal.KindProductEnabled, Cause: journal.Notification, At: at, Raw: []byte("{}"),
			AccountID: id, Products: []journal.Product{{ID: product, State: state}},
		})
		w.Must(err)
	}
	tell("ahead", journal.ProductEnabled, w.Store.Now().Add(time.Minute))
	w.Must(w.Operations.DisablePaymentProduct(t.Context(), AcquirerRequest("d-1", "x"), id, product, klarna.DisableReason{Reason: "VOLUNTARY"}))
	got := w.Account(journal.KeyAccount, id)
	if got.Products[0].State != journal.ProductDisabled || got.Products[0].StateReason != "VOLUNTARY" || got.CanTransact() {
		t.Errorf("on record %+v", got.Products)
	}
	tell("later", journal.ProductEnabled, w.Store.Now().Add(2*time.Minute))
	if got := w.Account(journal.KeyAccount, id); got.Products[0].State != journal.ProductEnabled {
		t.Errorf("what Klarna told later did not count: %+v", got.Products)
	}
}
