package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

func TestSessionToKlarna_Golden(t *testing.T) {
	t.Parallel()
	req := fixture(t, "create_session.json", &gatewayv1.CreatePaymentSessionRequest{})
	complete(t, req)
	complete(t, req.GetCustomer())
	checkGolden(t, "create_session.json.golden", sessionToKlarna(req))
}

func TestSessionToKlarna_BuysUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	if s := sessionToKlarna(&gatewayv1.CreatePaymentSessionRequest{}); s.Intent != klarna.IntentBuy || s.MerchantURLs != nil {
		t.Errorf("%+v", s)
	}
}

func TestSessionUpdateToKlarna_Golden(t *testing.T) {
	t.Parallel()
	req := fixture(t, "update_session.json", &gatewayv1.UpdatePaymentSessionRequest{})
	checkGolden(t, "update_session.json.golden", sessionUpdateToKlarna(req))
}

func TestSessionFromKlarna_Golden(t *testing.T) {
	t.Parallel()
	session := sessionFromKlarna(*fixture(t, "session.json", &klarna.Session{}))
	complete(t, session)
	checkGolden(t, "session.json.golden", session)
}

func TestSessionFromKlarna_IsAuthorizedUntilThereIsAnOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		token  string
		status klarna.SessionStatus
		want   bool
	}{
		{"", klarna.SessionIncomplete, false},
		{"token", klarna.SessionIncomplete, true},
		{"token", klarna.SessionComplete, false},
	} {
		s := sessionFromKlarna(klarna.Session{AuthorizationToken: c.token, Status: c.status})
		if s.GetAuthorized() != c.want {
			t.Errorf("token %q, %s: authorized %t", c.token, c.status, s.GetAuthorized())
		}
	}
}

func TestLines_SurviveBothWays(t *testing.T) {
	t.Parallel()
	lines := fixture(t, "create_session.json", &gatewayv1.CreatePaymentSessionRequest{}).GetOrderLines()
	complete(t, lines[0])
	if diff := cmp.Diff(lines, linesFromKlarna(linesToKlarna(lines)), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestAddresses_SurviveBothWays(t *testing.T) {
	t.Parallel()
	address := fixture(t, "create_session.json", &gatewayv1.CreatePaymentSessionRequest{}).GetBillingAddress()
	complete(t, address)
	if diff := cmp.Diff(address, customerAddressFromKlarna(customerAddressToKlarna(address)), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if customerAddressToKlarna(nil) != nil || customerAddressFromKlarna(nil) != nil || placeToKlarna(nil) != nil || placeFromKlarna(nil) != nil {
		t.Error("an address out of nothing")
	}
}

func TestMoneyAndTime_AreNilWhenNotKnown(t *testing.T) {
	t.Parallel()
	if m := moneyOf(100, ""); m != nil {
		t.Errorf("%v", m)
	}
	if m := moneyOf(0, "EUR"); m == nil {
		t.Error("0 EUR is an amount")
	}
	if ts := timestampOf(time.Time{}); ts != nil {
		t.Errorf("%v", ts)
	}
	if at := timeOf(nil); !at.IsZero() {
		t.Errorf("%v", at)
	}
}

// journalPayment is a payment of the journal with everything set.
func journalPayment() journal.Payment {
	at := time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC)
	debtor := journal.Debtor{
		AccountHolderName: "Erika Beispiel", IBAN: "DE89370400440532013000", AccountNumber: "0532013000",
		BankCode: "37040044", BIC: "COBADEFFXXX", BankName: "Beispielbank",
	}
	return journal.Payment{
		ID: "f3b0c442-98fc-4c14-9afb-f4c8996fb924", MerchantAccount: "shop",
		SessionID: "0b1bd3a4-6a0e-4a7c-9f5c-2f1f0c0a7d11", OrderID: "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417",
		KlarnaReference: "K4MADNY1", Reference1: "SO-88001", Reference2: "till-7",
		State: journal.Closed, Status: journal.StatusClosed, StatusInferred: true, OrderStatus: "CANCELLED", FraudStatus: "ACCEPTED",
		Currency: "EUR", OrderAmount: 12995, CapturedAmount: 5000, RefundedAmount: 1000, RemainingAmount: 7995,
		Expected: []journal.Transfer{{Amount: 12995}}, Received: []journal.Transfer{{Amount: 12000, ReceivedAt: at, Debtor: debtor}},
		OrderPolicy: journal.OrderByCaller, Acknowledged: true, AcknowledgeBy: at.Add(48 * time.Hour), ExpiresAt: at.Add(672 * time.Hour),
		Token: "b4bd3423-secret", RedirectURL: "https://payments.klarna.example/r",
		Attentions: []journal.Attention{{Reason: journal.PaymentDiffers, Message: "received differs", At: at}},
		Orphans:    []journal.Orphan{{Kind: journal.OrphanSession, At: at}, {Kind: journal.OrphanHostedPage, At: at}},
		CreatedAt:  at, UpdatedAt: at.Add(time.Minute), ErasedAt: at.Add(time.Hour),
		PartnerAccountID: "krn:partner:global:account:test:PQ7XK2MD",
		Network: &journal.Network{
			RequestID: "krn:payment:eu1:request:8d1c0b2a", RequestReference: "pr-1", RequestState: "COMPLETED", RequestStateReason: "NONE",
			TransactionID: "krn:payment:eu1:transaction:61f0b8aa", TransactionReference: "t-1", DeclineReason: "RISK",
			Chargebacks: []journal.Movement{{ID: "krn:b", Amount: 500}}, Disputes: []journal.Dispute{{ID: "krn:d", State: "CLOSED", Reason: "LATE", At: at}},
		},
	}
}

func TestPaymentFromJournal_Golden(t *testing.T) {
	t.Parallel()
	got := paymentFromJournal(journalPayment(), 77)
	complete(t, got)
	complete(t, got.GetReceivedPayments()[0].GetDebtor())
	complete(t, got.GetNetwork())
	complete(t, got.GetNetwork().GetDisputes()[0])
	if text := protojson.Format(got); strings.Contains(text, "b4bd3423-secret") {
		t.Errorf("the authorisation token is shown: %s", text)
	}
	checkGolden(t, "payment.golden", got)
}

func TestPaymentFromJournal_ShowsNothingThatIsNotKnown(t *testing.T) {
	t.Parallel()
	got := paymentFromJournal(journal.Payment{ID: "p", Status: "PARTLY", FraudStatus: "ODD"}, 1)
	want := &gatewayv1.Payment{PaymentId: "p", Position: 1, PaymentStatusText: "PARTLY", FraudStatusText: "ODD"}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestPaymentEventFromStore_Golden(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(journal.PaymentEntry{
		Payment: journalPayment(), PreviousStatus: journal.StatusUnpaid, Type: "payment.status", Attention: journal.PaymentDiffers, CorrelationID: "0f8e7c66",
	})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC)
	ev := store.Event{
		Position: 78, ID: "evt-2", Stream: store.Payments, Kind: string(journal.KindClosed), Cause: string(journal.Notification),
		State: string(journal.Closed), PreviousState: string(journal.Ordered), Superseded: true,
		OccurredAt: at, RecordedAt: at.Add(time.Second), Body: body,
	}
	event, err := paymentEventFromStore(ev)
	if err != nil {
		t.Fatal(err)
	}
	complete(t, event)
	checkGolden(t, "payment_event.golden", event)

	ev.Body = []byte("no JSON")
	if _, err := paymentEventFromStore(ev); err == nil {
		t.Error("an unreadable body is shown")
	}
}
