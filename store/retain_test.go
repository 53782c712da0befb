package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"payments.internal/klarna-gateway/store"
)

// TestRetain_KeepsEachClassForItsTime records an event every hour for ten hours, of two payments in turn, the last one of
// the second being final; then more hours pass.
func TestRetain_KeepsEachClassForItsTime(t *testing.T) {
	t.Parallel()
	final := map[store.Stream][]string{store.Payments: {"CLOSED"}}
	for name, c := range map[string]struct {
		keep     store.Retention
		later    time.Duration
		trimmed  store.Position
		left     []int // events still there
		raw      []int // with their raw bodies
		subjects int
	}{
		"everything":      {store.Retention{}, 0, 0, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 2},
		"events by age":   {store.Retention{Events: 4 * time.Hour}, 0, 6, []int{7, 8, 9, 10}, []int{7, 8, 9, 10}, 2},
		"all are old":     {store.Retention{Events: time.Hour}, 100 * time.Hour, 10, []int{9, 10}, []int{9, 10}, 2},
		"none is old":     {store.Retention{Events: 50 * time.Hour}, 0, 0, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 2},
		"by count":        {store.Retention{EventCount: 3}, 0, 7, []int{8, 9, 10}, []int{8, 9, 10}, 2},
		"the stricter":    {store.Retention{EventCount: 3, Events: 2 * time.Hour}, 0, 8, []int{9, 10}, []int{9, 10}, 2},
		"raw bodies":      {store.Retention{Raw: 3 * time.Hour}, 0, 0, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []int{8, 9, 10}, 2},
		"final, in view":  {store.Retention{Final: time.Hour, FinalStates: final}, 100 * time.Hour, 0, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 2},
		"final":           {store.Retention{Events: time.Hour, Final: 50 * time.Hour, FinalStates: final}, 100 * time.Hour, 10, []int{9}, []int{9}, 1},
		"final, not yet":  {store.Retention{Events: time.Hour, Final: 500 * time.Hour, FinalStates: final}, 100 * time.Hour, 10, []int{9, 10}, []int{9, 10}, 2},
		"nothing is late": {store.Retention{EventCount: 100}, 0, 0, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := noon
			s := open(t, func(cfg *store.Config) { cfg.Now = func() time.Time { return now } })
			for n := 1; n <= 10; n++ {
				ev := event(fmt.Sprint(n), fmt.Sprint("pay-", n%2))
				if n == 10 {
					ev.State = "CLOSED"
				}
				now = now.Add(time.Hour)
				appendEvent(t, s, ev)
			}
			now = now.Add(30*time.Minute + c.later)
			for range 2 { // the second time there is nothing left to do
				if _, err := s.Retain(t.Context(), c.keep); err != nil {
					t.Fatal(err)
				}
			}
			events, err := s.Events(t.Context(), store.Query{Stream: store.Payments, Limit: 20})
			if err != nil {
				t.Fatal(err)
			}
			var left, raw []int
			for _, ev := range events {
				left = append(left, int(ev.Position))
				if ev.Raw != nil {
					raw = append(raw, int(ev.Position))
				}
			}
			subjects, err := s.Subjects(t.Context(), store.Query{Stream: store.Payments, Limit: 20})
			if err != nil {
				t.Fatal(err)
			}
			_, trimmed, err := s.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if trimmed != c.trimmed || !slices.Equal(left, c.left) || !slices.Equal(raw, c.raw) || len(subjects) != c.subjects {
				t.Errorf("trimmed up to %d, left %v, raw %v, %d subjects; want %+v", trimmed, left, raw, len(subjects), c)
			}
		})
	}
}

// TestRetain_WarnsBeforeItLeavesACheckpointBehind has a checkpoint at the first of ten events, one an hour.
func TestRetain_WarnsBeforeItLeavesACheckpointBehind(t *testing.T) {
	t.Parallel()
	now := noon
	s := open(t, func(cfg *store.Config) { cfg.Now = func() time.Time { return now } })
	for n := 1; n <= 10; n++ {
		now = now.Add(time.Hour)
		appendEvent(t, s, event(fmt.Sprint(n), "pay-1"))
	}
	for name, position := range map[string]store.Position{"books": 1, "busy": 10} {
		err := s.Do(t.Context(), func(tx store.Tx) error {
			return tx.PutCheckpoint(t.Context(), store.Checkpoint{Name: name, Position: position})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		keep time.Duration
		want string
	}{
		{20 * time.Hour, ""},                // nothing is that old
		{8 * time.Hour, "books left=false"}, // event 2 is 8 h old: it goes soon
		{7 * time.Hour, "books left=true"},
	} {
		told := ""
		keep := store.Retention{Events: c.keep, Behind: func(c store.Checkpoint, left bool) { told += fmt.Sprintf("%s left=%v", c.Name, left) }}
		if _, err := s.Retain(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		if told != c.want {
			t.Errorf("with %v to keep, %q was told, want %q", c.keep, told, c.want)
		}
	}
}
