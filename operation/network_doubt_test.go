package operation_test

import (
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	. "payments.internal/klarna-gateway/operation/operationtest"
)

func TestNetworkPayment_WritesHaveOneEffectThoughTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, write := range networkWrites {
		t.Run(write.name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			partner := w.Onboarded()
			subject := write.prepare(w, partner)
			before := w.Klarna.CallCount(write.name)
			w.LoseAnswer(write.name)
			w.Unknown(write.do(t.Context(), w, partner, subject))
			w.Reopen()
			w.Must(write.do(t.Context(), w, partner, subject)) // the caller gets the true answer
			w.Must(write.do(t.Context(), w, partner, subject))
			if got := write.effects(w, partner, subject); got != 1 {
				t.Errorf("%d effects, want one", got)
			}
			if got := w.Klarna.CallCount(write.name) - before; got > 2 {
				t.Errorf("sent %d times", got)
			}
		})
	}
}

func TestNetworkPayment_WritesOfUnknownOutcomeAreLookedInto(t *testing.T) {
	t.Parallel()
	for _, write := range networkWrites {
		t.Run(write.name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			partner := w.Onboarded()
			subject := write.prepare(w, partner)
			w.Fail(klarnatest.Fault{Operation: write.name, Cut: true})
			w.Unknown(write.do(t.Context(), w, partner, subject))
			jobs, want := w.Jobs(journal.JobResolve), 1
			if write.name == "cancelPaymentToken" { // nothing shows it, and a repeat does no harm
				want = 0
			}
			if len(jobs) != want {
				t.Errorf("jobs %+v, want %d", jobs, want)
			}
		})
	}
}

// Nobody repeats: looking into it finds out, and the caller who comes late gets the answer without a second effect.
func TestResolve_FindsWhatBecameOfWritesOnTheNetwork(t *testing.T) {
	t.Parallel()
	shows := map[string]string{ // what settles it, and how
		"captureTransaction": "found", "refundTransaction": "found", "refundTransactionCapture": "found", "voidTransaction": "found",
		"cancelPaymentRequest": "found", "createPaymentRequest": "absent", "updatePaymentRequest": "absent", "updateTransaction": "absent",
		"authorizePayment": "unsure", "extendTransaction": "unsure",
	}
	for _, write := range networkWrites {
		how := shows[write.name]
		if how == "" {
			continue
		}
		t.Run(write.name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			partner := w.Onboarded()
			subject := write.prepare(w, partner)
			w.LoseAnswer(write.name)
			w.Unknown(write.do(t.Context(), w, partner, subject))
			w.Klarna.Advance(11 * time.Minute) // Klarna cannot be at it any more
			again, err := w.Operations.Resolve(t.Context(), Acquirer, w.Jobs(journal.JobResolve)[0].Key)
			w.Must(err)
			if again.IsZero() == (how == "unsure") {
				t.Errorf("looks again at %v", again)
			}
			before := w.Klarna.CallCount(write.name)
			w.Must(write.do(t.Context(), w, partner, subject))
			if sent := w.Klarna.CallCount(write.name) > before; sent == (how == "found") {
				t.Errorf("sent again: %t", sent)
			}
			if got := write.effects(w, partner, subject); got != 1 {
				t.Errorf("%d effects, want one", got)
			}
		})
	}
}

func TestResolve_LearnsAnAuthorisationFromWhatWasTold(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	request := w.Asked(partner)
	w.Complete(request)
	w.LoseAnswer("authorizePayment")
	_, err := authorize(w, "a-1", partner, request)
	w.Unknown(err)
	key := w.Jobs(journal.JobResolve)[0].Key
	w.Klarna.Advance(2 * time.Hour)
	_, err = w.Operations.Resolve(t.Context(), Acquirer, key)
	w.Must(err)
	w.Attends(w.NetworkPayment(journal.KeyRequest, request), journal.OutcomeUnknown)
	transaction := w.Klarna.Transactions(partner)[0]
	_, err = w.Journal.RecordPayment(t.Context(), journal.PaymentFact{
		EventID: "n", MerchantAccount: Acquirer, Cause: journal.Notification, At: w.Store.Now(), Type: "payment.x",
		Network: &journal.NetworkFacts{PartnerAccountID: partner, Kind: journal.KindOrderCreated, Network: journal.Network{RequestID: request, TransactionID: transaction}},
	})
	w.Must(err)
	again, err := w.Operations.Resolve(t.Context(), Acquirer, key)
	w.Must(err)
	if !again.IsZero() {
		t.Errorf("looks again at %v", again)
	}
	w.Attends(w.NetworkPayment(journal.KeyTransaction, transaction))
	if made, err := authorize(w, "a-1", partner, request); err != nil || made.Transaction.PaymentTransactionID != transaction {
		t.Errorf("repeated: %+v, %v", made, err)
	}
	w.CalledTimes("authorizePayment", 1)
}

// Klarna has forgotten the key. What can be looked for is found, what cannot is not sent again.
func TestNetworkPayment_AStaleRepeatLooksBeforeItSendsAgain(t *testing.T) {
	t.Parallel()
	blind := map[string]bool{"extendTransaction": true, "authorizePayment": true}
	gone := map[string]bool{"cancelPaymentToken": true, "createPaymentRequest": true} // it has run out, and does no harm
	for _, write := range networkWrites {
		t.Run(write.name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			partner := w.Onboarded()
			subject := write.prepare(w, partner)
			w.LoseAnswer(write.name)
			w.Unknown(write.do(t.Context(), w, partner, subject))
			w.Klarna.Advance(25 * time.Hour)
			err := write.do(t.Context(), w, partner, subject)
			switch {
			case blind[write.name]:
				w.Refused(err, "OPERATION_NOT_ALLOWED", "")
			case write.name == "updatePaymentRequest": // it is at its end meanwhile
			case !gone[write.name]:
				w.Must(err)
			}
			if got := write.effects(w, partner, subject); got != 1 && !gone[write.name] {
				t.Errorf("%d effects, want one", got)
			}
		})
	}
}

// By the reference, a notification tells the gateway what the lost answer would have.
func TestNetworkPayment_AStaleRepeatFindsWhatWasTold(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	tell := func(network journal.Network) {
		_, err := w.Journal.RecordPayment(t.Context(), journal.PaymentFact{
			EventID: "n:" + network.RequestID + network.TransactionID, MerchantAccount: Acquirer, Cause: journal.Notification, At: w.Store.Now(), Type: "payment.x",
			Network: &journal.NetworkFacts{PartnerAccountID: partner, Kind: journal.KindOrderCreated, Network: network},
		})
		w.Must(err)
	}
	w.LoseAnswer("createPaymentRequest")
	ask := func() (klarna.PaymentRequest, error) {
		return w.Operations.CreatePaymentRequest(t.Context(), AcquirerRequest("ask", "ask"), partner, "", Ask())
	}
	_, err := ask()
	w.Unknown(err)
	request := w.Klarna.PaymentRequests(partner)[0]
	tell(journal.Network{RequestID: request, RequestReference: "ask"})
	w.Complete(request)
	w.LoseAnswer("authorizePayment")
	_, err = authorize(w, "a-1", partner, request)
	w.Unknown(err)
	transaction := w.Klarna.Transactions(partner)[0]
	tell(journal.Network{TransactionID: transaction, TransactionReference: "a-1"})
	w.Klarna.Advance(25 * time.Hour)
	if made, err := ask(); err != nil || made.PaymentRequestID != request {
		t.Errorf("asked again: %s, %v", made.PaymentRequestID, err)
	}
	if made, err := authorize(w, "a-1", partner, request); err != nil || made.Transaction.PaymentTransactionID != transaction || made.Result != "APPROVED" {
		t.Errorf("authorised again: %+v, %v", made, err)
	}
	w.CalledTimes("createPaymentRequest", 1)
	w.CalledTimes("authorizePayment", 1)
}
