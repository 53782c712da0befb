package webhook

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"payments.internal/klarna-gateway/journal"
)

// Every delivery that comes in has one outcome, also where nothing can be kept, and where the door itself breaks.
func TestReceiver_EveryDeliveryIsCountedOnceWhateverBecomesOfIt(t *testing.T) {
	t.Parallel()
	received := map[Door]int{}
	g := start(t, func(cfg *Config) {
		cfg.Received = func(_ context.Context, door Door) { received[door]++ }
	})
	order := "0f1e2d3c-4b5a-4968-8776-554433221100"
	g.post(pushPath+order, "")
	g.broken.Store(true)
	g.post(pushPath+order, "")
	g.broken.Store(false)
	g.post("/klarna/push/guessed-secret-0123456789/"+order, "")
	g.post(pushPath+order, strings.Repeat("x", 2<<20))
	if received[DoorPush] != 4 || g.counted(DoorPush, Stored) != 1 || g.counted(DoorPush, Failed) != 1 || g.counted(DoorPush, Rejected) != 2 {
		t.Errorf("received %d, seen %v", received[DoorPush], g.seen)
	}

	r, err := New(config(g.journal))
	if err != nil {
		t.Fatal(err)
	}
	var seen []Seen
	r.observe = func(_ context.Context, s Seen) { seen = append(seen, s) }
	broken := r.door(DoorNetwork, notificationBudget, func(context.Context, delivery) answer { panic("out of order") })
	func() {
		defer func() { _ = recover() }() // as net/http does
		broken.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/klarna/network", strings.NewReader("{}")))
	}()
	if len(seen) != 1 || seen[0].Outcome != Failed {
		t.Errorf("of a door that breaks: %+v", seen)
	}
}

func TestAnswer_HasOneEffectIfItIsKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a    answer
		want Effect
	}{
		{answer{outcome: Stored, recorded: journal.Applied}, EffectApplied},
		{answer{outcome: Stored}, EffectApplied}, // a sample
		{answer{outcome: Stored, recorded: journal.Superseded}, EffectSuperseded},
		{answer{outcome: Stored, recorded: journal.Unchanged}, EffectSuperseded},
		{answer{outcome: Quarantined, recorded: journal.Mismatch}, EffectQuarantined},
		{answer{outcome: Duplicate, recorded: journal.Duplicate}, ""},
		{answer{outcome: Rejected}, ""},
		{answer{outcome: Failed}, ""},
	} {
		if got := c.a.effect(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.a, got, c.want)
		}
	}
}
