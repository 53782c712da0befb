package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// A post that cannot be applied is found, looked at, tried again and put aside, each by a command.
func TestOperator_ActsOnWhatNeedsAPerson(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	at := l.gateway.grpcListener.Addr().String()
	const unreadable = "not what it says"
	if status := knock(t, l, "/klarna/network", unreadable, signedNetwork(l, unreadable)...); status != 200 {
		t.Fatalf("answered %d", status)
	}
	rows := printed[[]struct{ QuarantineID, AttentionID string }](t, "events", "quarantined", "-address", at)
	matters := printed[[]struct{ AttentionID, Reason string }](t, "attention", "list", "-address", at, "-reason", "quarantined")
	if len(rows) != 1 || len(matters) != 1 || rows[0].AttentionID != matters[0].AttentionID {
		t.Fatalf("quarantined %v, matters %v", rows, matters)
	}
	id := matters[0].AttentionID
	if none := printed[[]struct{}](t, "attention", "list", "-address", at, "-older", "24h"); len(none) != 0 {
		t.Errorf("older than a day: %v", none)
	}
	out, _, err := operates(t, "", "attention", "list", "-address", at)
	if err != nil || !strings.Contains(out, "quarantined "+rows[0].QuarantineID) || !strings.Contains(out, "redrive") {
		t.Errorf("%v\n%s", err, out)
	}
	// Nothing was mended, so it cannot be applied still.
	if out, _, err = operates(t, "", "events", "replay", rows[0].QuarantineID, "-address", at, "-note", "does it work now?"); err != nil || !strings.Contains(out, "redrive by") {
		t.Errorf("replay: %v\n%s", err, out)
	}
	if _, _, err := operates(t, "", "attention", "act", id, "dismiss", "-address", at); err == nil || !strings.Contains(err.Error(), "say in note") {
		t.Errorf("put aside without a note: %v", err)
	}
	if _, _, err := operates(t, "", "attention", "act", id, "forget", "-address", at); err == nil || !strings.Contains(err.Error(), "none of retry, redrive, dismiss") {
		t.Errorf("an action that is none: %v", err)
	}
	const requestID = "6f7a0e1c-5d0e-4f5b-9c55-0a8f4f6f2a11"
	for range 2 { // the second time it is a repeat
		out, _, err = operates(t, "", "attention", "act", id, "dismiss", "-address", at, "-note", "a post of the load test", "-request-id", requestID)
		if err != nil || !strings.Contains(out, "dismissed") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	out, _, err = operates(t, "", "attention", "get", id, "-address", at)
	if err != nil || !strings.Contains(out, "a post of the load test") || strings.Count(out, "dismiss by") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	if ended := printed[[]struct{ AttentionID string }](t, "attention", "list", "-ended", "-address", at); !slices.Contains(ended, struct{ AttentionID string }{id}) {
		t.Errorf("ended: %v", ended)
	}
}

// One event, the work in line, and whether a post is Klarna's.
func TestOperator_LooksAtEventsJobsAndSignatures(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	at := l.gateway.grpcListener.Addr().String()
	walker := travel(t, l)
	if _, err := walker.payments.CreatePaymentSession(t.Context(), sessionRequest("SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)); err != nil {
		t.Fatal(err)
	}
	events := printed[[]struct {
		Summary struct{ EventID, Position string }
	}](t, "events", "list", "-stream", "payment", "-address", at)
	if len(events) != 1 {
		t.Fatalf("events: %v", events)
	}
	type event struct {
		Summary struct{ EventID, Kind string }
		Raw     string
	}
	byID := printed[event](t, "events", "get", events[0].Summary.EventID, "-address", at)
	byPosition := printed[event](t, "events", "get", events[0].Summary.Position, "-address", at)
	if byID.Summary.Kind != "SESSION_CREATED" || byID != byPosition || byID.Raw != "" {
		t.Errorf("by id %v, by position %v", byID, byPosition)
	}
	if _, _, err := operates(t, "", "events", "get", "999", "-address", at); err == nil || !strings.Contains(err.Error(), "EVENT_NOT_FOUND") {
		t.Errorf("one that is not there: %v", err)
	}
	jobs := printed[[]struct{ Kind, Key string }](t, "jobs", "list", "-address", at)
	if len(jobs) == 0 {
		t.Error("nobody looks after the session")
	}
	if none := printed[[]struct{}](t, "jobs", "list", "-kind", "no_such_kind", "-address", at); len(none) != 0 {
		t.Errorf("of another kind: %v", none)
	}

	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, []byte(`{"n":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	proof := signedNetwork(l, `{"n":1}`)
	verify := func(file string) (string, error) {
		out, _, err := operates(t, `{"n":2}`, "events", "verify-signature", file, "-address", at, "-H", proof[0]+": "+proof[1], "-header", proof[2]+":"+proof[3])
		return out, err
	}
	if out, err := verify(body); err != nil || !strings.Contains(out, localAcquirer) {
		t.Errorf("as signed: %v\n%s", err, out)
	}
	out, err := verify("-")
	if code := (exitCode{}); !errors.As(err, &code) || code.code != 2 || !strings.Contains(out, "signature_differs") {
		t.Errorf("changed: %v\n%s", err, out)
	}
}
