package operation_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

func networkRequest(content string) operation.Request {
	return operation.Request{MerchantAccount: operationtest.Acquirer, ID: uuid.NewString(), Content: []byte(content)}
}

func TestSecretsThatKlarnaShowsOnce_AreNeverOnDiskInClear(t *testing.T) {
	t.Parallel()
	w := operationtest.New(t, operationtest.Options{})
	const imported = "a-secret-that-was-imported"
	_, err := w.Operations.ImportSigningKey(t.Context(), networkRequest("import"), journal.NetworkScheme, "krn:imported", klarna.Secret(imported))
	w.Must(err)
	made, err := w.Operations.CreateSigningKey(t.Context(), networkRequest("create"))
	w.Must(err)
	api, err := w.Operations.CreateAPIKey(t.Context(), networkRequest("key"), "till 7")
	w.Must(err)
	rows, err := w.Store.SigningKeys(t.Context())
	w.Must(err)
	secrets := map[string]string{"API key": api.Secret, "imported key": imported}
	for _, row := range rows {
		if row.ID == made.ID {
			secrets["signing key"] = string(row.Key)
		}
	}
	if len(rows) != 2 || len(secrets) != 3 || made.Key != nil {
		t.Fatalf("%d keys on record, made %+v", len(rows), made)
	}
	disk := w.OnDisk()
	for what, secret := range secrets {
		if len(secret) < 20 || bytes.Contains(disk, []byte(secret)) {
			t.Errorf("the %s is on disk in clear", what)
		}
	}
}

func TestCreateSigningKey_ARepeatAfterARestartFindsTheOneKey(t *testing.T) {
	t.Parallel()
	w := operationtest.New(t, operationtest.Options{})
	req := networkRequest("create")
	w.LoseAnswer("createSigningKey")
	_, err := w.Operations.CreateSigningKey(t.Context(), req)
	w.Unknown(err)
	w.Reopen()
	made, err := w.Operations.CreateSigningKey(t.Context(), req)
	w.Must(err)
	w.SameKey("createSigningKey")
	all, err := w.Operations.SigningKeys(t.Context(), operationtest.Acquirer, true)
	w.Must(err)
	if len(all) != 1 || all[0].ID != made.ID || all[0].State != journal.KeyActive || all[0].AtKlarna != operation.KeyPresent {
		t.Errorf("the keys are %+v", all)
	}
}

func TestDeleteSigningKey_OneThatSignedWithinADayNeedsForce(t *testing.T) {
	t.Parallel()
	w := operationtest.New(t, operationtest.Options{})
	made, err := w.Operations.CreateSigningKey(t.Context(), networkRequest("create"))
	w.Must(err)
	w.Must(w.Journal.NoteKeyUse(t.Context(), made.SigningKeyID))
	w.Klarna.Advance(23 * time.Hour)
	err = w.Operations.DeleteSigningKey(t.Context(), networkRequest("delete"), journal.NetworkScheme, made.ID, false)
	w.Refused(err, "SIGNING_KEY_IN_USE", "")
	w.CalledTimes("deleteSigningKey", 0)
	w.Must(w.Operations.DeleteSigningKey(t.Context(), networkRequest("force"), journal.NetworkScheme, made.ID, true))
	w.CalledTimes("deleteSigningKey", 1)
	rows, err := w.Store.SigningKeys(t.Context())
	w.Must(err)
	if len(rows) != 1 || rows[0].Key != nil || journal.StateOfKey(rows[0], w.Klarna.Now()) != journal.KeyRevoked {
		t.Errorf("on record is %+v", rows)
	}
}

func TestImportSigningKey_OfTheNetworkBelongsToOneAccount(t *testing.T) {
	t.Parallel()
	w := operationtest.New(t, operationtest.Options{})
	w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error {
		return tx.PutSigningKey(t.Context(), store.SigningKey{
			SigningKeyID: store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: "another", ID: "krn:k"}, Key: []byte("key"),
		})
	}))
	_, err := w.Operations.ImportSigningKey(t.Context(), networkRequest("import"), journal.NetworkScheme, "krn:k", "another-secret")
	w.Refused(err, "ALREADY_EXISTS", "signing_key_id")
	_, err = w.Operations.ImportSigningKey(t.Context(), networkRequest("status"), journal.PaymentStatusScheme, "1", "another-secret")
	w.Refused(err, "MERCHANT_ACCOUNT_UNSUITABLE", "")
}

func TestSetUpWebhooks_NeedsAnAddress(t *testing.T) {
	t.Parallel()
	w := operationtest.New(t, operationtest.Options{})
	_, err := w.Operations.SetUpWebhooks(t.Context(), networkRequest("set up"), operation.WebhookSetUp{})
	w.Refused(err, "INVALID_FIELD", "url")
	w.CalledTimes("createSigningKey", 0)
}
