package webhook

import (
	"net/http"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

const (
	requestID     = "krn:payment:eu1:request:8d1c0b2a"
	transactionID = "krn:payment:eu1:transaction:61f0b8aa"
)

// newestPayment is what the newest event of the payment stream holds.
func (g *gateway) newestPayment() (store.Event, journal.PaymentEntry) {
	g.t.Helper()
	all := g.events(store.Payments)
	if len(all) == 0 {
		g.t.Fatal("no payment event")
	}
	entry, err := journal.DecodePaymentEntry(all[len(all)-1].Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return all[len(all)-1], entry
}

func TestReceiver_RecordsWhatHappensToPaymentsOnTheNetwork(t *testing.T) {
	t.Parallel()
	const asked, done = "payment.request.", "payment.transaction."
	request, transaction := object{"payment_request_id": requestID, "payment_request_reference": "pr-1"}, object{"payment_transaction_id": transactionID}
	with := func(of object, more object) object {
		all := object{}
		for _, o := range []object{of, more} {
			for name, value := range o {
				all[name] = value
			}
		}
		return all
	}
	cases := map[string]struct {
		kind    string
		payload object
		want    journal.PaymentKind
		state   journal.PaymentState
		read    string // kind of the job that reads what was not told
	}{
		"submitted":   {asked + "state-change.submitted", request, "SESSION_CREATED", "SESSION_CREATED", ""},
		"in progress": {asked + "state-change.in-progress", request, "IN_PROGRESS", "SESSION_CREATED", ""},
		"completed":   {asked + "state-change.completed", with(request, object{"klarna_network_session_token": "tok"}), "AUTHORIZED", "AUTHORIZED", ""},
		"completed, the token inside": {
			asked + "state-change.completed", with(request, object{"state_context": object{"klarna_network_session_token": "tok"}}), "AUTHORIZED", "AUTHORIZED", "",
		},
		"completed without a token": {asked + "state-change.completed", request, "AUTHORIZED", "AUTHORIZED", journal.JobReadRequest},
		"the type decides":          {asked + "state-change.canceled", with(request, object{"state": "COMPLETED"}), "CANCELLED", "CANCELLED", ""},
		"expired":                   {asked + "state-change.expired", request, "EXPIRED", "EXPIRED", ""},
		"declined":                  {asked + "state-change.declined", request, "DECLINED", "DECLINED", ""},
		"updated":                   {asked + "updated", request, "SESSION_UPDATED", "SESSION_CREATED", journal.JobReadRequest},
		"authorized":                {done + "state-change.authorized", transaction, "ORDER_CREATED", "ORDERED", journal.JobReadTransaction},
		"closed":                    {done + "state-change.closed", transaction, "CANCELLED", "CANCELLED", journal.JobReadTransaction},
		"captured": {
			done + "captured", with(transaction, object{"payment_capture_id": "krn:c", "capture_amount": 500}), "CAPTURED", "PART_CAPTURED", journal.JobReadTransaction,
		},
		"captured, we do not know how much": {done + "captured", with(transaction, object{"payment_capture_id": "krn:c"}), "CAPTURED", "ORDERED", journal.JobReadTransaction},
		"refunded": {
			done + "refunded", with(transaction, object{"payment_refund_id": "krn:r", "refund_amount": 500}), "REFUNDED", "PART_REFUNDED", journal.JobReadTransaction,
		},
		"charged back":     {done + "chargeback", with(transaction, object{"payment_chargeback_id": "krn:b", "chargeback_amount": 5}), "CHARGED_BACK", "ORDERED", journal.JobReadTransaction},
		"funded":           {"payment.funding.state-change.funded", transaction, "PAID", "ORDERED", journal.JobReadTransaction},
		"never funded":     {"payment.funding.state-change.expired", transaction, "CLOSED", "CLOSED", journal.JobReadTransaction},
		"disputed":         {"payment.dispute.state-change.pre-arbitration", with(transaction, object{"payment_dispute_id": "krn:d"}), "DISPUTED", "ORDERED", journal.JobReadTransaction},
		"a dispute of old": {"payment.dispute.initiated", with(transaction, object{"payment_dispute_id": "krn:d", "state": "INITIATED"}), "DISPUTED", "ORDERED", journal.JobReadTransaction},
		"something new":    {"payment.transaction.pondered", transaction, "", "ORDERED", ""},
		"a v1 name":        {asked + "state-change.prepared", request, "", "SESSION_CREATED", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, nil)
			body := networkEvent(t, "n1", c.kind, 0, c.payload, nil)
			g.network(http.StatusOK, body)
			ev, entry := g.newestPayment()
			p := entry.Payment
			if ev.Kind != string(c.want) || p.State != c.state || entry.Type != c.kind || string(ev.Raw) != body || p.PartnerAccountID != account {
				t.Errorf("recorded %s, %s of %s with type %s", ev.Kind, p.State, p.PartnerAccountID, entry.Type)
			}
			if got := p.Network.RequestID + p.Network.TransactionID; got != requestID && got != transactionID {
				t.Errorf("recorded of %q", got)
			}
			if c.want == journal.KindAuthorized && c.read == "" && p.Token != "tok" {
				t.Errorf("token %q", p.Token)
			}
			now := g.store.Now()
			for _, kind := range []string{journal.JobReadRequest, journal.JobReadTransaction} {
				jobs, err := g.store.Jobs(t.Context(), kind, merchant, 10)
				if err != nil {
					t.Fatal(err)
				}
				due := len(jobs) == 1 && !jobs[0].RunAt.After(now)
				if due != (kind == c.read) && (c.want != "" || kind == c.read) {
					t.Errorf("%s waits as %+v", kind, jobs)
				}
			}
			if len(g.events(store.Accounts)) > 0 {
				t.Error("recorded of the account as well")
			}
		})
	}
}

// Klarna documents next to nothing of what its notifications hold: a transaction that is known is read none the less.
func TestReceiver_HasAKnownTransactionReadWhateverIsToldOfIt(t *testing.T) {
	t.Parallel()
	for _, told := range []string{
		"payment.transaction.state-change.authorized", "payment.transaction.captured", "payment.transaction.refunded",
		"payment.transaction.chargeback", "payment.funding.state-change.funded",
	} {
		t.Run(told, func(t *testing.T) {
			t.Parallel()
			g := start(t, nil)
			now := g.store.Now()
			_, err := g.journal.RecordPayment(t.Context(), journal.PaymentFact{
				EventID: "read", MerchantAccount: merchant, Cause: journal.Reconciled, At: now,
				Network: &journal.NetworkFacts{
					PartnerAccountID: account, Network: journal.Network{TransactionID: transactionID},
					Transaction: &journal.OrderFacts{Read: true, Status: "AUTHORIZED", Currency: "EUR", Amount: 500, Remaining: 500, ExpiresAt: now.Add(28 * 24 * time.Hour)},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			g.network(http.StatusOK, networkEvent(t, "n1", told, 0, object{"payment_transaction_id": transactionID}, nil))
			jobs, err := g.store.Jobs(t.Context(), journal.JobReadTransaction, merchant, 10)
			if err != nil || len(jobs) != 1 || jobs[0].RunAt.After(now) {
				t.Errorf("waiting: %+v, %v", jobs, err)
			}
		})
	}
}

func TestReceiver_MovesNoPaymentOnTheNetworkBack(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	payload := object{"payment_request_id": requestID, "klarna_network_session_token": "tok"}
	send := func(id, state string, minute int) {
		g.network(http.StatusOK, networkEvent(t, id, "payment.request.state-change."+state, minute, payload, nil))
	}
	send("n3", "completed", 3)
	send("n2", "in-progress", 2)
	send("n1", "submitted", 1)
	send("n3", "completed", 3) // Klarna: at least once
	ev, entry := g.newestPayment()
	if len(g.events(store.Payments)) != 3 || !ev.Superseded || entry.Payment.State != journal.Authorized || entry.Payment.Network.RequestState != "COMPLETED" {
		t.Errorf("%d events, the newest superseded %t, state %s", len(g.events(store.Payments)), ev.Superseded, entry.Payment.State)
	}
}

func TestReceiver_QuarantinesPaymentsOnTheNetworkThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"no request":      networkEvent(t, "n1", "payment.request.state-change.completed", 0, object{"payment_transaction_id": transactionID}, nil),
		"no transaction":  networkEvent(t, "n1", "payment.transaction.captured", 0, object{}, nil),
		"no account":      networkEvent(t, "n1", "payment.transaction.captured", 0, object{"payment_transaction_id": transactionID}, object{"subject_account_id": nil}),
		"another world's": networkEvent(t, "n1", "payment.transaction.captured", 0, object{"payment_transaction_id": transactionID}, object{"live": true}),
	}
	for name, body := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, nil)
			g.network(http.StatusOK, body)
			if len(g.events(store.Payments))+len(g.events(store.Accounts)) > 0 || g.counted(DoorNetwork, Quarantined) != 1 {
				t.Error("was applied")
			}
		})
	}
}
