package klarna

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParsePaymentStatus_ReadsTheWholePayload(t *testing.T) {
	t.Parallel()
	checkRoundTrip(t, "payment_status_paid.json", &PaymentStatusNotification{})
	body := fixture(t, "payment_status_paid.json")
	n, err := ParsePaymentStatus(body)
	if err != nil {
		t.Fatal(err)
	}
	received := n.Payload.Payments[0]
	if n.EventType != EventPaymentStatusUpdated || n.Payload.PaymentStatus != PaymentPaid || string(n.Raw) != string(body) ||
		!n.OccurredAt.Equal(time.Date(2025, 3, 3, 10, 15, 30, 120e6, time.UTC)) ||
		!received.PaymentReceivedAt.Equal(time.Date(2025, 3, 3, 10, 14, 58, 0, time.UTC)) ||
		n.Payload.ExpectedPayments[0].Debtor.BIC != "TESTDEFFXXX" || received.Debtor.AccountHolderName != "E. Beispiel" {
		t.Errorf("got %+v", n)
	}
}

func TestParsePaymentStatus_IsTolerant(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"unknown event":   `{"event_id":"e","event_type":"non_guaranteed_payment.sighed","payload":{"order_id":"o"}}`,
		"unknown status":  `{"event_id":"e","event_type":"t","occurred_at":"2025-03-03T10:15:30Z","payload":{"order_id":"o","payment_status":"LOST","new":{}}}`,
		"payments null":   `{"event_id":"e","event_type":"t","payload":{"order_id":"o","payments":null,"expected_payments":[{"debtor":null}]}}`,
		"time unreadable": `{"event_id":"e","event_type":"t","occurred_at":"yesterday","payload":{"order_id":"o","created_at":5,"payments":[{"payment_received_at":""}]}}`,
	} {
		if n, err := ParsePaymentStatus([]byte(body)); err != nil || n.Payload.OrderID != "o" {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
}

func TestParse_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	status := func(body string) error { _, err := ParsePaymentStatus([]byte(body)); return err }
	network := func(body string) error { _, err := ParseNetwork([]byte(body)); return err }
	callback := func(body string) error { _, err := ParseAuthorizationCallback([]byte(body)); return err }
	for _, test := range []struct {
		parse      func(string) error
		body, want string
	}{
		{status, `{"event_type":"t","payload":{"order_id":"o"}}`, "missing event_id"},
		{status, `{"event_id":"e","payload":{"order_id":"o"}}`, "missing event_type"},
		{status, `{"event_id":"e","event_type":"t"}`, "missing payload.order_id"},
		{status, `null`, "missing event_id, event_type, payload.order_id"},
		{status, `[]`, "cannot unmarshal"},
		{status, ``, "unexpected end"},
		{status, `{"event_id":"e","event_type":"t","payload":{"order_id":"o"}} {}`, "after top-level value"},
		{network, `{"metadata":{"event_type":"t"}}`, "missing metadata.event_id"},
		{network, `{"metadata":{"event_id":"e"}}`, "missing metadata.event_type"},
		{network, `{"payload":{}}`, "missing metadata.event_id, metadata.event_type"},
		{network, `null`, "missing metadata.event_id"},
		{network, `{`, "unexpected end"},
		{callback, `{"authorization_token":"t"}`, "missing session_id"},
		{callback, `{"session_id":"s"}`, "missing authorization_token"},
		{callback, `x`, "invalid character"},
	} {
		if err := test.parse(test.body); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.body, err, test.want)
		}
	}
}

func TestParseAuthorizationCallback_AcceptsMore(t *testing.T) {
	t.Parallel()
	got, err := ParseAuthorizationCallback([]byte(`{"authorization_token":"t","session_id":"s","merchant_reference1":"SO-1","new":true}`))
	if want := (AuthorizationCallback{AuthorizationToken: "t", SessionID: "s", MerchantReference1: "SO-1"}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseNetwork_ReadsMetadataAndPayload(t *testing.T) {
	t.Parallel()
	checkRoundTrip(t, "network_notification.json", &NetworkNotification{})
	body := fixture(t, "network_notification.json")
	n, err := ParseNetwork(body)
	if err != nil {
		t.Fatal(err)
	}
	m := n.Metadata
	if m.EventID != "3b6f0d5e-4f0c-4a8e-9a57-0f1c2d3e4a5b" || m.EventType != EventAccountOperational || m.Live == nil || *m.Live ||
		!m.OccurredAt.Equal(time.Date(2026, 2, 3, 9, 15, 42, 120e6, time.UTC)) || string(n.Raw) != string(body) {
		t.Errorf("got %+v", m)
	}
	want := PartnerPayload{PartnerAccountID: "krn:partner:global:account:test:PQ7XK2MD", State: "OPERATIONAL", PreviousState: "PARTIALLY_OPERATIONAL"}
	if diff := cmp.Diff(want, n.PartnerPayload()); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

func TestParseNetwork_ReadsNanosecondsAndTopLevel(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 3, 14, 0, 0, 603057514, time.UTC)
	for _, body := range []string{
		`{"metadata":{"event_id":"e","event_type":"t","occurred_at":"2026-02-03T14:00:00.603057514Z"}}`,
		`{"metadata":{"event_id":"e","event_type":"t","occurred_at":"2026-02-03T15:00:00.603057514+0100"}}`,
		`{"event_id":"e","event_type":"t","occurred_at":"2026-02-03T14:00:00.603057514Z"}`,
		`{"event_id":"x","event_type":"y","occurred_at":"2020-01-01T00:00:00Z","metadata":{"event_id":"e","event_type":"t","occurred_at":"2026-02-03T14:00:00.603057514Z"}}`,
	} {
		n, err := ParseNetwork([]byte(body))
		if err != nil || n.Metadata.EventID != "e" || n.Metadata.EventType != "t" || !n.Metadata.OccurredAt.Equal(at) || n.Metadata.Live != nil {
			t.Errorf("%s: %+v, %v", body, n.Metadata, err)
		}
	}
}

func TestPartnerPayload_ReadsWhatItCan(t *testing.T) {
	t.Parallel()
	meta := NetworkMetadata{SubjectAccountID: "krn:subject", ProductInstanceID: "krn:product"}
	fallback := PartnerPayload{PartnerAccountID: "krn:subject", ProductID: "krn:product"}
	for payload, change := range map[string]func(*PartnerPayload){
		``:       func(*PartnerPayload) {},
		`null`:   func(*PartnerPayload) {},
		`[1]`:    func(*PartnerPayload) {},
		`"text"`: func(*PartnerPayload) {},
		`{"state":7,"state_reason":"RISK","product_id":"krn:p"}`: func(p *PartnerPayload) { p.StateReason, p.ProductID = "RISK", "krn:p" },
		`{"brand_id":"krn:b","brand_reference":"b1","incomplete_fields":[{"field":"element.logo_url","reason":"URL answered 404"},"element.icon_url"]}`: func(p *PartnerPayload) {
			p.BrandID, p.BrandReference = "krn:b", "b1"
			p.IncompleteFields = []IncompleteField{{"element.logo_url", "URL answered 404"}, {Field: "element.icon_url"}}
		},
	} {
		want := fallback
		change(&want)
		if diff := cmp.Diff(want, NetworkNotification{Metadata: meta, Payload: json.RawMessage(payload)}.PartnerPayload()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", payload, diff)
		}
	}
}

func FuzzParsePaymentStatus(f *testing.F) {
	f.Add(fixture(f, "payment_status_paid.json"))
	f.Add(fixture(f, "payment_status_closed.json"))
	f.Add([]byte(`{"event_id":"e","event_type":"t","occurred_at":7,"payload":{"order_id":"o","payments":null}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := ParsePaymentStatus(body)
		if err != nil {
			return
		}
		if n.EventID == "" || n.EventType == "" || n.Payload.OrderID == "" || string(n.Raw) != string(body) {
			t.Fatalf("accepted %q as %+v", body, n)
		}
		if n.OccurredAt.Year() > 9999 || n.OccurredAt.Year() < 0 {
			t.Fatalf("a year that cannot be encoded: %v", n.OccurredAt)
		}
	})
}

func FuzzParseNetwork(f *testing.F) {
	f.Add(fixture(f, "network_notification.json"))
	f.Add([]byte(`{"event_id":"e","event_type":"t","metadata":{"occurred_at":1},"payload":{"incomplete_fields":["x",7]}}`))
	f.Add([]byte(`{"metadata":null,"payload":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := ParseNetwork(body)
		if err != nil {
			return
		}
		if n.Metadata.EventID == "" || n.Metadata.EventType == "" || string(n.Raw) != string(body) {
			t.Fatalf("accepted %q as %+v", body, n)
		}
		if p := n.PartnerPayload(); p.PartnerAccountID == "" && n.Metadata.SubjectAccountID != "" {
			t.Fatalf("lost the subject of %q", body)
		}
	})
}
