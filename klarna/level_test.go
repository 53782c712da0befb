package klarna

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgets_LevelsTellWhatIsLeftAndWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var budgets Budgets
		made := newBucket(10) // 2 at once, 8 a second
		made.owner, made.category = "shop", Regional
		b := budgets.of("shop regional", made)
		budgets.of("shop onboarding", newBucket(0)) // has no quota to be told of
		want := func(what string, left float64, waiting int) {
			t.Helper()
			levels := budgets.Levels()
			if len(levels) != 1 || levels[0] != (Budget{Owner: "shop", Category: Regional, Quota: 10, Left: left, Most: 2, Waiting: waiting}) {
				t.Errorf("%s: %+v", what, levels)
			}
		}
		want("in the beginning", 2, 0)
		anyTime := func(context.Context, time.Duration) bool { return true }
		for range 2 {
			if _, err := b.take(t.Context(), laneRead, anyTime); err != nil {
				t.Fatal(err)
			}
		}
		want("all taken", 0, 0)
		go func() { _, _ = b.take(t.Context(), laneRead, anyTime) }()
		synctest.Wait()
		want("one waits", 0, 1)
		time.Sleep(125 * time.Millisecond)
		synctest.Wait()
		want("its turn has come", 0, 0)
		time.Sleep(time.Hour)
		want("much later", 2, 0)
		b.learn(429, map[string][]string{"Retry-After": {"2"}})
		want("Klarna halts us", 0, 0)
	})
}

func TestCircuits_TellWhichAreOpen(t *testing.T) {
	t.Parallel()
	var circuits Circuits
	down, up := circuits.of("https://down.example/", 2, time.Hour), circuits.of("https://up.example", 2, time.Hour)
	for range 2 {
		down.report(false, failed)
		up.report(false, served)
	}
	if open := circuits.Open(); len(open) != 2 || !open["down.example"] || open["up.example"] {
		t.Errorf("got %v", open)
	}
	down.report(true, served)
	if circuits.Open()["down.example"] {
		t.Error("open after the probe did well")
	}
}
