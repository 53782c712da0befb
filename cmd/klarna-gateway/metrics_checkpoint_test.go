package main

import (
	"fmt"
	"log/slog"
	"testing"

	"payments.internal/klarna-gateway/store"
)

// What retention says of checkpoints is counted from the first one on.
func TestMetrics_CountCheckpointsThatTheLogLeavesBehind(t *testing.T) {
	t.Parallel()
	l := runLocalWith(t, -1, slog.New(slog.DiscardHandler), parts{})
	told := func() (going, gone float64) {
		t.Helper()
		found := 0
		for _, one := range scraped(t, l).samples {
			if one.name != "klarna_gateway_checkpoint_behind_total" {
				continue
			}
			if found++; one.labels["events"] == "gone" {
				gone = one.value
			} else {
				going = one.value
			}
		}
		if found != 2 {
			t.Fatalf("%d series, want one each for events that are going and gone", found)
		}
		return going, gone
	}
	if going, gone := told(); going != 0 || gone != 0 {
		t.Fatalf("before anything happened: %v going, %v gone", going, gone)
	}
	log := l.gateway.store
	for n := range 20 {
		err := log.Do(t.Context(), func(tx store.Tx) error {
			_, err := tx.Append(t.Context(), store.Event{ID: fmt.Sprint("evt-", n), Stream: store.Payments, Subject: "pay-1", State: "OPEN"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	head, _, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Do(t.Context(), func(tx store.Tx) error {
		return tx.PutCheckpoint(t.Context(), store.Checkpoint{Name: "books", Position: head - 10})
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ keep, going, gone float64 }{{20, 0, 0}, {11, 1, 0}, {5, 1, 1}} {
		keep := retentionConfig{EventCount: int64(c.keep)}
		if _, err := log.Retain(t.Context(), keep.store(l.gateway.measures.behind)); err != nil {
			t.Fatal(err)
		}
		if going, gone := told(); going != c.going || gone != c.gone {
			t.Errorf("keeping %v events: %v going, %v gone, want %v and %v", c.keep, going, gone, c.going, c.gone)
		}
	}
}
