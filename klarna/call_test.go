package klarna

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

const (
	testKey   = "5f2b1f0e-7b1c-5d6a-9c11-0a1b2c3d4e5f"
	testToken = "b4bd3423-24e3-4aa7-9e5b-1f0c0a7d1122"
)

func TestClient_SendsNetworkHeaders(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 201, `{"partner_account_id":"krn:a"}`)
	c := klarna.client(t, func(cfg *Config) { cfg.Version = "1.4.0" })
	if _, err := c.Onboard(t.Context(), testKey, OnboardRequest{}); err != nil {
		t.Fatal(err)
	}
	h := klarna.only(t).header
	if got := h.Get("Klarna-Idempotency-Key"); got != testKey {
		t.Errorf("idempotency key %q", got)
	}
	want := `{"integrator":{"name":"KLARNA_GATEWAY","session_reference":"` + testKey + `","module_name":"klarna-gateway","module_version":"1.4.0"}}`
	if got := h.Get("Klarna-Integration-Metadata"); got != want {
		t.Errorf("metadata %s", got)
	}
	if got := h.Get("Partner-Correlation-Id"); !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(got) {
		t.Errorf("correlation id %q", got)
	}
	if h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "klarna-gateway/1.4.0" {
		t.Errorf("headers %v", h)
	}
}

func TestClient_NamesTheOriginatorsBehindIt(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 201, `{"partner_account_id":"krn:a"}`)
	c := klarna.client(t, func(cfg *Config) {
		cfg.Integrator = "NORDLICHT_PAYMENTS"
		cfg.Originators = []Originator{{Name: "NORDLICHT_SHOP", ModuleName: "checkout", ModuleVersion: "2.1"}, {Name: "TILL"}}
	})
	if _, err := c.Onboard(t.Context(), "01JH2K7Q9B", OnboardRequest{}); err != nil {
		t.Fatal(err)
	}
	want := `{"integrator":{"name":"NORDLICHT_PAYMENTS","session_reference":"01JH2K7Q9B","module_name":"klarna-gateway"},` +
		`"originators":[{"name":"NORDLICHT_SHOP","session_reference":"01JH2K7Q9B","module_name":"checkout","module_version":"2.1"},` +
		`{"name":"TILL","session_reference":"01JH2K7Q9B"}]}`
	if got := klarna.only(t).header.Get("Klarna-Integration-Metadata"); got != want {
		t.Errorf("metadata %s", got)
	}
}

func TestClient_NamesASessionWithoutAKey(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"partner_account_id":"krn:a"}`)
	if _, err := klarna.client(t).PartnerAccount(t.Context(), "krn:a"); err != nil {
		t.Fatal(err)
	}
	var meta struct {
		Integrator struct {
			SessionReference string `json:"session_reference"`
		} `json:"integrator"`
	}
	if err := json.Unmarshal([]byte(klarna.only(t).header.Get("Klarna-Integration-Metadata")), &meta); err != nil {
		t.Fatal(err)
	}
	if len(meta.Integrator.SessionReference) != 32 {
		t.Errorf("session reference %q", meta.Integrator.SessionReference)
	}
}

func TestClient_SendsClassicAPIsNoNetworkHeaders(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 204, "")
	if err := klarna.client(t).Acknowledge(t.Context(), testKey, "o"); err != nil {
		t.Fatal(err)
	}
	s := klarna.only(t)
	if s.header.Get("Klarna-Idempotency-Key") != testKey {
		t.Error("no idempotency key")
	}
	for _, name := range []string{"Klarna-Integration-Metadata", "Partner-Correlation-Id", "Content-Type"} {
		if s.header.Get(name) != "" {
			t.Errorf("sent %s", name)
		}
	}
	if len(s.body) != 0 {
		t.Errorf("sent a body: %s", s.body)
	}
}

func TestClient_KeepsIdsInTheirSegment(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"krn:partner:global:account:test:PQ7XK2MD": "/v2/accounts/krn:partner:global:account:test:PQ7XK2MD",
		"a/../b?c#d e": "/v2/accounts/a%2F..%2Fb%3Fc%23d%20e",
	} {
		klarna := answering(t, 200, `{}`)
		if _, err := klarna.client(t).PartnerAccount(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		klarna.only(t).want(t, "GET", want)
	}
}

func TestClient_RefusesWhatItCannotSend(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 204, "")
	c := klarna.client(t)
	for name, err := range map[string]error{
		"empty id":    c.CancelOrder(t.Context(), testKey, ""),
		"dot":         c.CancelOrder(t.Context(), testKey, "."),
		"dot dot":     c.CancelOrder(t.Context(), testKey, ".."),
		"line in key": c.CancelOrder(t.Context(), "a\r\nX: y", "o"),
	} {
		if err == nil || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(klarna.sent) != 0 {
		t.Error("something was sent")
	}
}

func TestClient_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 307, "", "Location", "/elsewhere")
	err := klarna.client(t).CancelOrder(t.Context(), testKey, "o")
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != 307 || refused.Code != "HTTP_307" {
		t.Errorf("got %v", err)
	}
	klarna.only(t).want(t, "POST", "/ordermanagement/v1/orders/o/cancel")
}

func TestClient_ObservesAndLogsWithoutContents(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 409, `{"error_code":"BAD_VALUE","error_messages":["Not matching fields: [billing_address.email]"],"correlation_id":"c-1"}`, "Klarna-Correlation-Id", "h-1")
	var out bytes.Buffer
	var calls []Call
	c := klarna.client(t, func(cfg *Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.Observe = func(_ context.Context, call Call) { calls = append(calls, call) }
	})
	_, err := c.PlaceOrder(t.Context(), testToken, PlaceOrderRequest{BillingAddress: &CustomerAddress{Email: "erika@nordlicht.example"}})
	if len(calls) != 1 {
		t.Fatalf("observed %d calls", len(calls))
	}
	got := calls[0]
	if got.Operation != "createOrder" || got.Family != Payments || got.Method != "POST" || got.Status != 409 ||
		got.CorrelationID != "h-1" || got.Duration <= 0 || !errors.Is(got.Err, err) {
		t.Errorf("observed %+v", got)
	}
	for _, want := range []string{`"path":"/payments/v1/authorizations/{authorization_token}/order"`, `"status":409`, `"error_code":"BAD_VALUE"`, `"correlation_id":"h-1"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("log lacks %s: %s", want, out.String())
		}
	}
	for _, secret := range []string{testToken, "erika", "Not matching", "klarna_test_api"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("log tells %s", secret)
		}
	}
}

func TestClient_ObservesACallWithoutAnswer(t *testing.T) {
	t.Parallel()
	var seen Call
	c, err := New(Config{
		BaseURL: "https://api.klarna.com", APIKey: "k", HTTPClient: &http.Client{Transport: failingTransport{io.EOF}},
		Observe: func(_ context.Context, call Call) { seen = call },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Onboard(t.Context(), testKey, OnboardRequest{})
	if seen.Operation != "onboard" || seen.Status != 0 || len(seen.CorrelationID) != 32 || !errors.Is(seen.Err, ErrOutcomeUnknown) {
		t.Errorf("observed %+v", seen)
	}
}
