package webhook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// The worked vector of the payment-status scheme.
const (
	vectorStatus          = `{"event_id":"5b0e6c0e-6d2f-4c55-9a6b-0a4c3f7d2e14","event_type":"non_guaranteed_payment.updated","occurred_at":"2025-03-14T09:26:53.589Z","payload":{"order_id":"7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417","created_at":"2025-03-01T08:00:00.000Z","purchase_currency":"EUR","order_amount":12995,"payment_status":"CLOSED","expected_payments":[{"payment_amount":12995,"debtor":{"account_holder_name":"Erika Beispiel","iban":"DE02120300000000202051"}}],"payments":[]}}`
	vectorStatusSignature = `ts=1741944413600,sig=9375f3a05369633e57dba8547baf3629d4dfebf20f27cdc73dc1d0211ece9a75d6b2de75e52ff4993b549ba634675224fce37e58639e753fea42a8686fcfb9f6,v=1`
)

// paymentStatus is the body of a notification that occurred some minutes after now.
func paymentStatus(id, status string, minute int) string {
	payments := ""
	if status == "PAID" {
		payments = `{"payment_amount":12995,"payment_received_at":"2026-02-03T11:59:00.123Z","debtor":{"account_holder_name":"E. Beispiel","iban":"DE02120300000000202051"}}`
	}
	return fmt.Sprintf(`{"event_id":%q,"event_type":"non_guaranteed_payment.updated","occurred_at":%q,"payload":{"order_id":%q,`+
		`"created_at":"2026-02-01T08:00:00Z","purchase_currency":"EUR","order_amount":12995,"merchant_reference1":"SO-88001",`+
		`"payment_status":%q,"expected_payments":[{"payment_amount":12995,"debtor":{"account_holder_name":"Erika Beispiel",`+
		`"iban":"DE02120300000000202051","bic":"TESTDEFFXXX"}}],"payments":[%s]}}`,
		id, now.Add(time.Duration(minute)*time.Minute).Format(time.RFC3339Nano), order, status, payments)
}

func TestReceiver_TakesTheWorkedPaymentStatus(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.want(http.StatusOK, statusPath, vectorStatus, "Payload-Signature", vectorStatusSignature)
	got := g.events(store.Payments)
	if len(got) != 1 {
		t.Fatalf("%d events, want 1", len(got))
	}
	ev := got[0]
	if ev.ID != "payment-status:nordlicht-de:5b0e6c0e-6d2f-4c55-9a6b-0a4c3f7d2e14" || ev.Kind != "CLOSED" || ev.Cause != "NOTIFICATION" ||
		string(ev.Raw) != vectorStatus || !ev.OccurredAt.Equal(time.Date(2025, 3, 14, 9, 26, 53, 589e6, time.UTC)) {
		t.Errorf("recorded %+v", ev)
	}
}

func TestReceiver_RecordsWhatWasPaid(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	body := paymentStatus("n1", "PAID", 0)
	g.want(http.StatusOK, statusPath, body, append(signed(body), "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")...)
	p := g.payment()
	if p.OrderID != order || p.Status != "PAID" || p.State != journal.Ordered || p.Currency != "EUR" || p.OrderAmount != 12995 || p.Reference1 != "SO-88001" {
		t.Errorf("recorded %+v", p)
	}
	expected := []journal.Transfer{{Amount: 12995, Debtor: journal.Debtor{AccountHolderName: "Erika Beispiel", IBAN: "DE02120300000000202051", BIC: "TESTDEFFXXX"}}}
	received := []journal.Transfer{{
		Amount: 12995, ReceivedAt: time.Date(2026, 2, 3, 11, 59, 0, 123e6, time.UTC),
		Debtor: journal.Debtor{AccountHolderName: "E. Beispiel", IBAN: "DE02120300000000202051"},
	}}
	if diff := cmp.Diff(expected, p.Expected) + cmp.Diff(received, p.Received); diff != "" {
		t.Error(diff)
	}
	if trace := g.events(store.Payments)[0].TraceParent; trace != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" {
		t.Errorf("trace context %q", trace)
	}
}

func TestReceiver_RejectsPaymentStatusThatIsNotKlarnas(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	body := paymentStatus("n1", "PAID", 0)
	right := klarna.SignPaymentStatus([]byte(statusKey), "1", now, []byte(body))
	_, digest, _ := strings.Cut(strings.TrimSuffix(right, ",v=1"), "sig=")
	network := klarna.SignNetwork([]byte(statusKey), []byte(body))
	cases := map[string]struct {
		path    string
		headers []string
	}{
		"no signature":                   {statusPath, nil},
		"an empty one":                   {statusPath, []string{"Payload-Signature", ""}},
		"a wrong key":                    {statusPath, []string{"Payload-Signature", klarna.SignPaymentStatus([]byte(otherKey), "1", now, []byte(body))}},
		"an unknown version":             {statusPath, []string{"Payload-Signature", strings.Replace(right, "v=1", "v=2", 1)}},
		"another body":                   {statusPath, []string{"Payload-Signature", klarna.SignPaymentStatus([]byte(statusKey), "1", now, []byte(body+"\n"))}},
		"a digest too short":             {statusPath, []string{"Payload-Signature", "ts=1,sig=" + digest[:126] + ",v=1"}},
		"a digest too long":              {statusPath, []string{"Payload-Signature", "ts=1,sig=" + digest + "00,v=1"}},
		"a digest of the other scheme":   {statusPath, []string{"Payload-Signature", "ts=1,sig=" + network + ",v=1"}},
		"a member twice":                 {statusPath, []string{"Payload-Signature", right + ",sig=" + digest}},
		"the header twice":               {statusPath, []string{"Payload-Signature", right, "Payload-Signature", right}},
		"the headers of the Network":     {statusPath, []string{"Klarna-Signing-Key-Id", networkKeyID, "Klarna-Signature", klarna.SignNetwork([]byte(networkKey), []byte(body))}},
		"the deprecated header alone":    {statusPath, []string{"Klarna-Signature", digest}},
		"an unknown merchant account":    {"/klarna/payment-status/nobody", []string{"Payload-Signature", right}},
		"another merchant account's key": {"/klarna/payment-status/" + otherAccount, []string{"Payload-Signature", right}},
	}
	for name, c := range cases {
		status, answer := g.post(c.path, body, c.headers...)
		if status != http.StatusBadRequest || answer != `{"error":"bad request"}` {
			t.Errorf("%s: %d %q, want the one answer to all of them", name, status, answer)
		}
	}
	g.untouched()
	if n := g.counted(DoorPaymentStatus, Rejected); n != len(cases) {
		t.Errorf("%d counted as rejected, want %d", n, len(cases))
	}
}

func TestReceiver_TakesAnyKeyInUse(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	body := paymentStatus("n1", "UNPAID", 0)
	g.want(http.StatusOK, "/klarna/payment-status/"+otherAccount, body,
		"Payload-Signature", klarna.SignPaymentStatus([]byte(statusKey), "2", now, []byte(body)), "Klarna-Signature", "ignored")
	if ev := g.events(store.Payments); len(ev) != 1 || ev[0].MerchantAccount != otherAccount {
		t.Errorf("recorded %+v", ev)
	}
}

func TestReceiver_RecordsARepeatOnce(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	for range 3 {
		g.status(http.StatusOK, paymentStatus("n1", "UNPAID", 0))
	}
	if n := len(g.events(store.Payments)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	if stored, again := g.counted(DoorPaymentStatus, Stored), g.counted(DoorPaymentStatus, Duplicate); stored != 1 || again != 2 {
		t.Errorf("%d counted as stored and %d as duplicate", stored, again)
	}
}

func TestReceiver_NeverAppliesAnIDWithOtherContent(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.status(http.StatusOK, paymentStatus("n1", "UNPAID", 0))
	other := paymentStatus("n1", "PAID", 0)
	g.status(http.StatusOK, other)
	if p := g.payment(); p.Status != "UNPAID" {
		t.Errorf("status %s, want it as it was", p.Status)
	}
	kept := g.quarantined()
	if len(kept) != 1 || string(kept[0].Raw) != other || g.counted(DoorPaymentStatus, Quarantined) != 1 {
		t.Errorf("quarantined %+v", kept)
	}
}

func TestReceiver_MovesNoPaymentStatusBack(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.status(http.StatusOK, paymentStatus("n2", "PAID", 2))
	g.status(http.StatusOK, paymentStatus("n1", "UNPAID", 1))
	got := g.events(store.Payments)
	if len(got) != 2 || got[0].Superseded || !got[1].Superseded || got[1].Kind != "UNPAID" || g.payment().Status != "PAID" {
		t.Errorf("events %+v, status %s", got, g.payment().Status)
	}
}

func TestReceiver_KeepsTypesThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	body := `{"event_id":"n1","event_type":"non_guaranteed_payment.reminded","occurred_at":"2026-02-03T10:00:00Z","payload":{"order_id":"` + order + `","payment_status":"PAID"}}`
	g.status(http.StatusOK, body)
	got := g.events(store.Payments)
	if len(got) != 1 || got[0].Kind != "" || got[0].Superseded || string(got[0].Raw) != body {
		t.Fatalf("recorded %+v", got)
	}
	entry, err := journal.DecodePaymentEntry(got[0].Body)
	if err != nil || entry.Type != "non_guaranteed_payment.reminded" || entry.Payment.Status != "" {
		t.Errorf("opaque event %+v, %v", entry, err)
	}
}

func TestReceiver_QuarantinesPaymentStatusThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	bodies := []string{
		``, `not json`, `[]`, `{"event_id":"n1","event_type":"non_guaranteed_payment.updated","payload":{"payment_status":"PAID"}}`,
		`{"event_id":"n1","event_type":"non_guaranteed_payment.updated","payload":{"order_id":"` + order + `"}}`,
		`{"event_type":"non_guaranteed_payment.updated","payload":{"order_id":"` + order + `","payment_status":"PAID"}}`,
		`{"event_id":"n1","event_type":"non_guaranteed_payment.updated","payload":{"order_id":"` + order + `","order_amount":"much","payment_status":"PAID"}}`,
	}
	for _, body := range bodies {
		g.status(http.StatusOK, body)
	}
	kept := g.quarantined()
	if len(kept) != len(bodies) || len(g.events(store.Payments)) != 0 {
		t.Fatalf("%d quarantined and %d events, want %d and none", len(kept), len(g.events(store.Payments)), len(bodies))
	}
	for i, q := range kept {
		if q.MerchantAccount != merchant || string(q.Raw) != bodies[i] || q.Reason == "" {
			t.Errorf("quarantined %+v for %s", q, bodies[i])
		}
	}
	if !strings.Contains(kept[3].Reason, "order_id") {
		t.Errorf("reason %q does not name what is missing", kept[3].Reason)
	}
}

func TestReceiver_TakesATimeThatCannotBeReadForNow(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.status(http.StatusOK, strings.Replace(paymentStatus("n1", "PAID", 0), `"occurred_at":"2026`, `"occurred_at":"year 2026`, 1))
	if ev := g.events(store.Payments); len(ev) != 1 || !ev[0].OccurredAt.Equal(now) || g.payment().Status != "PAID" {
		t.Errorf("recorded %+v", ev)
	}
}
