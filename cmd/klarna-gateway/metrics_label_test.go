package main

import (
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"payments.internal/klarna-gateway/store"
)

// Values that are made up without end, or that tell of a person: ids, addresses of clients and mail, account numbers.
var unbounded = []*regexp.Regexp{
	regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-`),
	regexp.MustCompile(`[A-Z]{2}[0-9]{2}[A-Z0-9]{10,}`),
	regexp.MustCompile(`@`),
	regexp.MustCompile(`[0-9]{7,}`),
	regexp.MustCompile(`made-up`),
}

// No label of a metric holds what somebody sent: not what the journeys have on record, and not what a stranger makes up.
func TestMetrics_LabelsAreWordsOfOurs(t *testing.T) {
	t.Parallel()
	l := runLocalWith(t, -1, slog.New(slog.DiscardHandler), parts{statsKept: time.Nanosecond})
	traveller := travel(t, l)
	for _, j := range journeys {
		if err := j.walk(traveller, t.Context()); err != nil {
			t.Fatalf("%s: %v", j.name, err)
		}
	}
	for _, method := range []string{"/gateway.v1.OrderService/made-up", "/made-up.Service/Call"} {
		if traveller.conn.Invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{}) == nil {
			t.Errorf("%s was answered", method)
		}
	}
	req := must[*http.Request](t)(http.NewRequest("GET", traveller.rest+"/v1/made-up/path", nil))
	req.Host = "made-up.example"
	res := must[*http.Response](t)(http.DefaultClient.Do(req))
	_ = res.Body.Close()
	knock(t, l, "/klarna/payment-status/made-up", "{}")
	knock(t, l, "/klarna/made-up", "{}")

	secrets := map[string]bool{}
	for _, stream := range []store.Stream{store.Payments, store.Accounts, store.Attentions} {
		for _, ev := range must[[]store.Event](t)(l.gateway.store.Events(t.Context(), store.Query{Stream: stream, Limit: 10_000})) {
			secrets[ev.ID], secrets[ev.Subject] = true, true
			for _, k := range ev.Keys {
				if !strings.HasPrefix(k.Kind, "open") { // reasons
					secrets[k.Value] = true
				}
			}
		}
	}
	keys := map[string]bool{localKeyID: true, "1": true}
	for _, k := range must[[]store.SigningKey](t)(l.gateway.store.SigningKeys(t.Context())) {
		keys[k.ID] = true
	}
	samples := scraped(t, l).samples
	if len(samples) < 300 || len(secrets) < 50 {
		t.Fatalf("%d samples, %d things on record", len(samples), len(secrets))
	}
	for _, one := range samples {
		for label, value := range one.labels {
			if label == "signing_key_id" { // of a ring that is ours, never as a post names it
				if !keys[value] {
					t.Errorf("%s of %s: %q is no key of ours", label, one.name, value)
				}
				continue
			}
			if secrets[value] {
				t.Errorf("%s of %s: %q is on record", label, one.name, value)
			}
			for _, pattern := range unbounded {
				if pattern.MatchString(value) {
					t.Errorf("%s of %s: %q", label, one.name, value)
				}
			}
		}
	}
}
