package klarna

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// What overlaps counts once, gaps count not at all, and what is still away counts up to now.
func TestSpent_AddsUpWhatIsAtKlarna(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := Correlated(Timed(t.Context()))
		first := away(ctx)
		time.Sleep(time.Second)
		second := away(Correlated(ctx)) // as operations do it, whose ids are their own
		time.Sleep(time.Second)
		first()
		time.Sleep(time.Second)
		second()
		time.Sleep(time.Minute)
		if got := Spent(ctx); got != 3*time.Second {
			t.Errorf("got %v, want 3s", got)
		}
		back := away(ctx)
		time.Sleep(time.Second)
		if got := Spent(ctx); got != 4*time.Second {
			t.Errorf("with one away: got %v, want 4s", got)
		}
		back()
		if got := Spent(context.Background()); got != 0 {
			t.Errorf("outside: %v", got)
		}
		away(context.Background())()
	})
}
