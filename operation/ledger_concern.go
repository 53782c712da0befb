package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// A request's answer, and what is on record of it while it is open, goes with the payment or partner account that it
// concerns: it is sealed with that one's key, so that an erasure takes it. What nobody can be known by outlives an erasure:
// captures and refunds are still found by their references, and repeats get their answers.

// impersonal are operations of whose requests only ids, amounts, references, states and secrets are on record. What is not
// named here is taken for personal.
var impersonal = func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.FieldsSeq(`
		captureOrder refundOrder captureTransaction refundTransaction
		createOrder chargeCustomerToken cancelOrder cancelAuthorization requestAcknowledgement acknowledge
		abortCheckoutOrder updateSession disableHostedPage distributeHostedPage cancelCustomerToken
		updateAuthorization extendAuthorization releaseRemainingAuthorization updateMerchantReferences updateCustomerDetails
		addOrderShippingInfo addCaptureShippingInfo extendDueDate triggerSendOut
		updateTransaction voidTransaction extendTransaction cancelPaymentRequest cancelPaymentToken
		onboardPartner updatePartner updateBrand createBrand createStoreGroup updateStoreGroup createStore updateStore
		disablePaymentProduct enablePaymentProduct createPaymentAccount updatePaymentAccount
		createProgramEnablement deleteProgramEnablement
		createApiKey updateApiKey disableApiKey createClientCertificate updateClientCertificate revokeClientCertificate
		enforceMtls removeMtlsEnforcement createSigningKey importSigningKey retireSigningKey deleteSigningKey
		createWebhook updateWebhook deleteWebhook simulateWebhook setUpWebhooks`) {
		names[name] = true
	}
	return names
}()

// ofAccounts are operations that concern a partner account.
var ofAccounts = map[string]bool{"createBusinessEntity": true, "updateBusinessEntity": true}

// Personal tells whether what is on record of an operation's requests, in some state, may say something about a person whom
// a subject of the stream stands for.
func Personal(stream store.Stream, operation string, state store.RequestState) bool {
	switch {
	case impersonal[operation], state == store.RequestRefused:
		return false
	case operation == "placeOrder" && state == store.RequestDone: // the order's id; before, all that it is about
		return false
	}
	return (stream == store.Accounts) == ofAccounts[operation]
}

// put puts a request on record that has something new in the place of its answer, for whom it concerns. What the unit has
// recorded of the same says who that is, else whom, or what the request is about.
func (o *Operations) put(ctx context.Context, tx store.Tx, row *store.Request, whom store.Key) error {
	row.Concerns = ""
	for _, stream := range []store.Stream{store.Payments, store.Accounts} {
		if !Personal(stream, row.Operation, row.State) || len(row.Answer) == 0 {
			continue
		}
		if row.Concerns = store.Told(tx, stream); row.Concerns != "" {
			break
		}
		if whom == (store.Key{}) {
			whom = subjectKey(*row)
		}
		found, err := tx.SubjectsByKeys(ctx, stream, row.MerchantAccount, []store.Key{whom})
		if err != nil {
			return fmt.Errorf("find whom a request concerns: %w", err)
		}
		if len(found) == 1 {
			row.Concerns = found[0].ID
		}
	}
	return tx.PutRequest(ctx, *row)
}

// subjectKey is the key of whom a request concerns, by what it is about or by its answer; zero if neither tells.
func subjectKey(row store.Request) store.Key {
	job, about, _ := strings.Cut(row.Subject, " ")
	_, id := journal.FromNetworkKey(about)
	switch job {
	case journal.JobReadOrder:
		return store.Key{Kind: journal.KeyOrder, Value: about}
	case journal.JobReadSession:
		return store.Key{Kind: journal.KeySession, Value: about}
	case journal.JobReadAccount:
		return store.Key{Kind: journal.KeyAccount, Value: about}
	case journal.JobReadRequest:
		return store.Key{Kind: journal.KeyRequest, Value: id}
	case journal.JobReadTransaction:
		return store.Key{Kind: journal.KeyTransaction, Value: id}
	}
	var answer struct {
		OrderID   string `json:"order_id"`
		RequestID string `json:"payment_request_id"`
	}
	switch err := json.Unmarshal(row.Answer, &answer); {
	case err == nil && answer.OrderID != "":
		return store.Key{Kind: journal.KeyOrder, Value: answer.OrderID}
	case err == nil && answer.RequestID != "":
		return store.Key{Kind: journal.KeyRequest, Value: answer.RequestID}
	}
	return store.Key{}
}

// erased refuses a repeat of a request whose answer, or what was sent for it, was erased: it is not done a second time. An
// answer goes with whom it concerns, too, once that has been kept for long enough.
func erased(row store.Request) error {
	return refuse("PERSONAL_DATA_ERASED", "what is on record of this %s is gone with whom it concerns: personal data was erased, or is kept no longer; it is not done again", row.Operation)
}
