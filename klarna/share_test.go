package klarna

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Two replicas that share a quota send no more than it in any second, whatever they have of it.
func TestBudgets_PartsOfAQuotaSumUpToIt(t *testing.T) {
	t.Parallel()
	for _, part := range []float64{0.5, 0.9, 0.25} {
		synctest.Test(t, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			sent := make(chan time.Time, 10000)
			for _, share := range []float64{part, 1 - part} {
				var budgets Budgets
				b := budgets.of("shop", newBucket(40))
				budgets.Share(map[string]float64{"shop": share, "unknown": 1})
				for range 20 {
					go func() {
						for {
							if _, err := b.take(ctx, laneRead, func(context.Context, time.Duration) bool { return true }); err != nil {
								return
							}
							sent <- time.Now()
						}
					}()
				}
			}
			time.Sleep(10 * time.Second)
			leave()
			synctest.Wait()
			close(sent)
			var times []time.Time
			for at := range sent {
				times = append(times, at)
			}
			for i, at := range times {
				if i >= 40 && at.Sub(times[i-40]) < time.Second {
					t.Fatalf("parts of %v: 41 calls within %v", part, at.Sub(times[i-40]))
				}
			}
			if len(times) < 300 {
				t.Errorf("parts of %v: %d calls in 10 s of 32 a second", part, len(times))
			}
		})
	}
}

func TestBudgets_DemandIsWhatCame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var budgets Budgets
		busy, _ := budgets.of("busy", newBucket(40)), budgets.of("free", newBucket(0))
		if budgets.of("busy", newBucket(1)) != busy {
			t.Error("a second client of the account has a budget of its own")
		}
		time.Sleep(time.Second)
		if got := budgets.Demands(); len(got) != 1 || got["busy"] != 4 {
			t.Errorf("nobody called: %v", got)
		}
		for range 8 {
			_, _ = busy.take(t.Context(), laneRead, func(context.Context, time.Duration) bool { return true })
		}
		time.Sleep(time.Second)
		if got := budgets.Demands()["busy"]; got < 6 || got > 8 {
			t.Errorf("8 calls in a second and some: %v", got)
		}
	})
}
