package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// knock posts to the gateway's door as a stranger, or as Klarna if the headers prove it.
func knock(t *testing.T, l *local, path, body string, headers ...string) (status int) {
	t.Helper()
	req := must[*http.Request](t)(http.NewRequest(http.MethodPost, "https://"+l.gateway.hookListener.Addr().String()+path, strings.NewReader(body)))
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // loopback, and thrown away
	defer transport.CloseIdleConnections()
	res := must[*http.Response](t)((&http.Client{Transport: transport}).Do(req))
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// signedNetwork are the headers of a notification that the acquirer's key proves.
func signedNetwork(l *local, body string) []string {
	var key klarna.Secret
	for _, a := range l.gateway.cfg.MerchantAccounts {
		if a.Name == localAcquirer {
			key = a.SigningKeys[localKeyID].Secret
		}
	}
	return []string{klarna.HeaderSigningKeyID, localKeyID, klarna.HeaderSignature, klarna.SignNetwork([]byte(key.Reveal()), []byte(body))}
}

// Of what comes in, nothing gets lost in the counting: what a door received is what was rejected, what was known, what is
// kept and what failed; what is kept is what was applied, what told nothing new and what was put aside. And what is
// counted as kept is what is on record.
func TestMetrics_TheWebhookFunnelAddsUp(t *testing.T) {
	t.Parallel()
	l := runLocalWith(t, -1, slog.New(slog.DiscardHandler), parts{statsKept: time.Nanosecond})
	traveller := travel(t, l)
	for _, j := range journeys {
		if err := j.walk(traveller, t.Context()); err != nil {
			t.Fatalf("%s: %v", j.name, err)
		}
	}
	if err := knownAgain(t, l); err != nil {
		t.Fatal(err)
	}
	strangers := 0
	for _, forged := range [][]string{
		{"/klarna/network", "{}"}, {"/klarna/network", "{}", klarna.HeaderSigningKeyID, localKeyID, klarna.HeaderSignature, "00"},
		{"/klarna/payment-status/" + localShop, "{}", klarna.HeaderPayloadSignature, "x"}, {"/klarna/push/guessed-secret-0123456789/o", ""},
		{"/klarna/authorization/guessed", "{}"}, {"/klarna/hosted-page/guessed", "{}"}, {"/klarna/notification/guessed", "{}"},
		{"/klarna/network", strings.Repeat("x", 2<<20)},
	} {
		if status := knock(t, l, forged[0], forged[1], forged[2:]...); status < 400 {
			t.Errorf("a stranger at %s was answered %d", forged[0], status)
		}
		strangers++
	}
	const unreadable = "not what it says"
	for range 2 { // the second time it is kept again
		if status := knock(t, l, "/klarna/network", unreadable, signedNetwork(l, unreadable)...); status != http.StatusOK {
			t.Errorf("signed and unreadable: answered %d", status)
		}
		strangers++
	}
	if err := l.sim.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := scraped(t, l)
	for _, flaw := range undocumented(documentedMetrics(t), seen) {
		t.Errorf("docs/observability.md lacks %s", flaw)
	}
	const received, answered, stored = "klarna_gateway_webhook_received_total", "klarna_gateway_webhook_answered_total", "klarna_gateway_webhook_stored_total"
	for _, door := range seen.values(received, "door") {
		if got, want := seen.sum(answered, "door", door), seen.sum(received, "door", door); got != want {
			t.Errorf("door %s: received %v, answered %v", door, want, got)
		}
		if got, want := seen.sum(stored, "door", door), seen.sum(answered, "door", door, "outcome", "stored"); got != want {
			t.Errorf("door %s: stored %v, by effect %v", door, want, got)
		}
	}
	sent := 0
	for _, d := range l.sim.Deliveries() {
		if d.Status != 0 {
			sent++
		}
	}
	if got := seen.sum(received); got != float64(sent+strangers) {
		t.Errorf("received %v, sent %d and %d", got, sent, strangers)
	}
	for _, outcome := range []string{"rejected", "duplicate", "stored"} {
		if seen.sum(answered, "outcome", outcome) == 0 {
			t.Errorf("none was %s", outcome)
		}
	}
	kept := map[string]float64{}
	for _, stream := range []store.Stream{store.Payments, store.Accounts} {
		for _, ev := range must[[]store.Event](t)(l.gateway.store.Events(t.Context(), store.Query{Stream: stream, Limit: 10_000})) {
			if ev.Cause == string(journal.Notification) {
				kept[map[bool]string{true: "superseded", false: "applied"}[ev.Superseded]]++
			}
		}
	}
	for effect, want := range kept {
		got := seen.sum(stored, "door", "network", "effect", effect) + seen.sum(stored, "door", "payment_status", "effect", effect)
		if effect == "applied" {
			got -= samples // beside the log
		}
		if got != want {
			t.Errorf("%s: counted %v, on record %v", effect, got, want)
		}
	}
	if put := seen.sum(stored, "effect", "quarantined"); put != 2 || put != seen.sum("klarna_gateway_quarantine_size") {
		t.Errorf("quarantined: counted %v, on record %v", put, seen.sum("klarna_gateway_quarantine_size"))
	}
	if seen.sum("klarna_gateway_webhook_signing_key_used_total") != seen.sum(answered, "door", "network", "outcome", "stored")+
		seen.sum(answered, "door", "network", "outcome", "duplicate")+seen.sum(answered, "door", "payment_status", "outcome", "stored")+
		seen.sum(answered, "door", "payment_status", "outcome", "duplicate") {
		t.Error("keys were used for another number of posts than were proven")
	}
}

// samples is how many posts of the journeys prove a webhook and are no events.
const samples = 1

// knownAgain has Klarna send again what it has sent before.
func knownAgain(t *testing.T, l *local) error {
	var errs []error
	for _, d := range l.sim.Deliveries() {
		if d.EventID != "" && d.Status == http.StatusOK {
			errs = append(errs, l.sim.Resend(d.EventID))
		}
	}
	return errors.Join(append(errs, l.sim.Idle(context.WithoutCancel(t.Context())))...)
}
