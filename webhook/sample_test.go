package webhook

import (
	"net/http"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

const (
	hookID     = "krn:partner:global:notification:webhook:5d0f7c1a-2b93-4e6d-8a41-6c9b0e7f1234"
	sampleType = klarna.EventAccountOperational
	stranger   = "krn:partner:global:account:test:SAMPLE00"
)

// awaited asks for a sample for half an hour.
func (g *gateway) awaited() {
	g.t.Helper()
	probe := store.Probe{MerchantAccount: merchant, Webhook: hookID, EventType: sampleType, AskedAt: now, Until: now.Add(30 * time.Minute)}
	if err := g.store.Do(g.t.Context(), func(tx store.Tx) error { return tx.PutProbe(g.t.Context(), probe) }); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) probe() store.Probe {
	g.t.Helper()
	probe, err := g.store.Probe(g.t.Context(), merchant, hookID, sampleType)
	if err != nil {
		g.t.Fatal(err)
	}
	return probe
}

// sampleEvent is what Klarna posts; more adds to the metadata.
func sampleEvent(t *testing.T, id string, more object) string {
	t.Helper()
	meta := object{"webhook_id": hookID, "subject_account_id": stranger}
	for name, value := range more {
		meta[name] = value
	}
	return networkEvent(t, id, sampleType, 0, object{}, meta)
}

func TestSample_IsRecordedBesideTheLog(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.awaited()
	body := sampleEvent(t, "s1", nil)
	g.network(http.StatusOK, body)
	g.network(http.StatusOK, body)
	g.network(http.StatusOK, sampleEvent(t, "s2", nil)) // of another asking
	probe := g.probe()
	if !probe.ReceivedAt.Equal(now) || probe.EventID != "s1" || probe.SigningKey != networkKeyID || probe.Flaw != "" || string(probe.Raw) != body {
		t.Errorf("put down %+v", probe)
	}
	if g.counted(DoorNetwork, Stored) != 1 || g.counted(DoorNetwork, Duplicate) != 2 {
		t.Errorf("counted %v", g.seen)
	}
	g.untouched()
}

func TestSample_OfTheOtherEnvironmentIsPutDownAsFlawed(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.awaited()
	g.network(http.StatusOK, sampleEvent(t, "s1", object{"live": true}))
	if probe := g.probe(); probe.Flaw != "of the other environment" || probe.ReceivedAt.IsZero() {
		t.Errorf("put down %+v", probe)
	}
	g.untouched()
}

func TestSample_WhatIsNoneIsRecordedAsEver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event string
		late  time.Duration
	}{
		"about a partner on record": {event: sampleEvent(t, "s1", object{"subject_account_id": account})},
		"of another webhook":        {event: sampleEvent(t, "s1", object{"webhook_id": hookID + "5"})},
		"of no webhook":             {event: sampleEvent(t, "s1", object{"webhook_id": ""})},
		"of another type":           {event: sampleEvent(t, "s1", object{"event_type": klarna.EventAccountChangeCreated})},
		"too late":                  {event: sampleEvent(t, "s1", nil), late: 31 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, nil)
			g.onboarded()
			g.awaited()
			g.advance(c.late)
			g.network(http.StatusOK, c.event)
			if probe := g.probe(); !probe.ReceivedAt.IsZero() {
				t.Errorf("taken for the sample: %+v", probe)
			}
			if n := len(g.events(store.Accounts)); n != 2 {
				t.Errorf("%d events, want the onboarding and this one", n)
			}
		})
	}
}

func TestSample_ThatCannotBeKeptIsNotTaken(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.awaited()
	g.network(http.StatusOK, networkEvent(t, "e1", sampleType, 0, nil, nil)) // the ring was read
	g.broken.Store(true)
	g.network(http.StatusServiceUnavailable, sampleEvent(t, "s1", nil))
	g.broken.Store(false)
	g.network(http.StatusOK, sampleEvent(t, "s1", nil))
	if g.probe().EventID != "s1" {
		t.Errorf("put down %+v", g.probe())
	}
}
