package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
)

// unevenDoors are doors whose parts do not add up: what was received to its outcomes, what is stored to its effects.
func unevenDoors(seen scrape) (flaws []string) {
	const received, answered, stored = "klarna_gateway_webhook_received_total", "klarna_gateway_webhook_answered_total", "klarna_gateway_webhook_stored_total"
	for _, door := range seen.values(received, "door") {
		in := seen.sum(received, "door", door)
		parts := seen.sum(answered, "door", door, "outcome", "rejected") + seen.sum(answered, "door", door, "outcome", "duplicate") +
			seen.sum(answered, "door", door, "outcome", "stored") + seen.sum(answered, "door", door, "outcome", "failed")
		kept := seen.sum(answered, "door", door, "outcome", "stored")
		effects := seen.sum(stored, "door", door, "effect", "applied") + seen.sum(stored, "door", door, "effect", "superseded") +
			seen.sum(stored, "door", door, "effect", "quarantined")
		if in != parts || kept != effects {
			flaws = append(flaws, fmt.Sprintf("%s: received %v, answered %v; stored %v, by effect %v", door, in, parts, kept, effects))
		}
	}
	return flaws
}

// The funnel adds up though everything comes at once: new facts, known ones, what cannot be read, and what strangers post.
func TestMetrics_TheWebhookFunnelAddsUpUnderLoad(t *testing.T) {
	t.Parallel()
	l := runLocalWith(t, -1, planted.Logger(), parts{statsKept: time.Nanosecond})
	first := travel(t, l)
	if err := first.payNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	var load sync.WaitGroup
	const each = 12
	for i := range each {
		load.Go(func() {
			unreadable := fmt.Sprint("not what it says: ", i/2) // each comes twice
			if status := knock(t, l, "/klarna/network", unreadable, signedNetwork(l, unreadable)...); status != http.StatusOK {
				t.Errorf("signed and unreadable: answered %d", status)
			}
			knock(t, l, "/klarna/network", "{}", klarna.HeaderSigningKeyID, localKeyID, klarna.HeaderSignature, "00")
			knock(t, l, "/klarna/push/guessed-secret-0123456789/o", "")
		})
	}
	for range 3 {
		load.Go(func() {
			if err := knownAgain(t, l); err != nil {
				t.Error(err)
			}
		})
	}
	load.Wait()
	if err := l.sim.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	const received, answered = "klarna_gateway_webhook_received_total", "klarna_gateway_webhook_answered_total"
	posts := float64(3 * each)
	for _, d := range l.sim.Deliveries() {
		if d.Status != 0 {
			posts++
		}
	}
	var seen scrape
	until(t, "all to be counted", func() bool {
		seen = scraped(t, l)
		return seen.sum(received) == posts && seen.sum(answered) == posts
	})
	for _, flaw := range unevenDoors(seen) {
		t.Error(flaw)
	}
	if put := seen.sum("klarna_gateway_webhook_stored_total", "effect", "quarantined"); put != each || seen.sum(answered, "outcome", "duplicate") == 0 || seen.sum(answered, "outcome", "rejected") != 2*each {
		t.Errorf("quarantined %v, duplicate %v, rejected %v", put, seen.sum(answered, "outcome", "duplicate"), seen.sum(answered, "outcome", "rejected"))
	}
}

// A process that is killed in the middle of it takes its counters with it; in the next one they begin anew, together, and
// add up, though it knows already what the one before has committed and not answered.
func TestMetrics_TheWebhookFunnelAddsUpAfterACrash(t *testing.T) {
	t.Parallel()
	s := newStage(t, time.Second)
	s.acquirer("acquirer", s.posts)
	const keyID, key = "krn:partner:global:notification:signing-key:acquirer", "signing-key-of-acquirer"
	post := func(i int) int {
		body := fmt.Sprint("not what it says: ", i)
		req := must[*http.Request](t)(http.NewRequest(http.MethodPost, publicURL+"/klarna/network", strings.NewReader(body)))
		req.Header.Set(klarna.HeaderSigningKeyID, keyID)
		req.Header.Set(klarna.HeaderSignature, klarna.SignNetwork([]byte(key), []byte(body)))
		if i%3 == 0 {
			req.Header.Set(klarna.HeaderSignature, "00")
		}
		res, err := s.posts.RoundTrip(req)
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	const posts = 60
	p := s.start()
	var load sync.WaitGroup
	for i := range posts {
		load.Go(func() {
			if post(i); i == posts/2 {
				p.kill()
			}
		})
	}
	load.Wait()
	p = s.start()
	if fresh := scrapedAt(t, p.admin); fresh.sum("klarna_gateway_webhook_received_total") != 0 || len(unevenDoors(fresh)) != 0 {
		t.Errorf("after the crash: received %v, %v", fresh.sum("klarna_gateway_webhook_received_total"), unevenDoors(fresh))
	}
	for i := range posts { // all of it comes again
		if status := post(i); status != http.StatusOK && i%3 != 0 {
			t.Errorf("post %d was answered %d", i, status)
		}
	}
	var seen scrape
	until(t, "all to be counted", func() bool {
		seen = scrapedAt(t, p.admin)
		return seen.sum("klarna_gateway_webhook_answered_total") == posts
	})
	for _, flaw := range unevenDoors(seen) {
		t.Error(flaw)
	}
	kept := must[*gatewayv1.ListQuarantinedResponse](t)(gatewayv1.NewOperatorServiceClient(p.dial(t)).ListQuarantined(t.Context(), &gatewayv1.ListQuarantinedRequest{PageSize: 500}))
	if put := seen.sum("klarna_gateway_webhook_stored_total"); put != posts-posts/3 || float64(len(kept.GetQuarantined())) < put {
		t.Errorf("%d are kept, counted %v", len(kept.GetQuarantined()), put)
	}
}
