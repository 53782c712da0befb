package storetest

import (
	"math"
	"sync"
	"testing"
	"time"

	"payments.internal/klarna-gateway/store"
)

var sharePromises = []promise{
	{"SharesFollowDemand", sharesFollowDemand},
	{"SharesOfTheGoneAreGivenOn", sharesOfTheGoneAreGivenOn},
	{"RacingReplicasShareOneBudget", racingReplicasShareOneBudget},
}

func share(t *testing.T, e store.Engine, replica string, life time.Duration, demand float64) float64 {
	t.Helper()
	got, err := e.Share(t.Context(), replica, map[string]float64{"shop regional": demand, "shop other": 1}, life)
	if err != nil || len(got) != 2 {
		t.Fatalf("share: %v, error %v", got, err)
	}
	return got["shop regional"]
}

func nearly(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func sharesFollowDemand(t *testing.T, e store.Engine) {
	nearly(t, "the only one", share(t, e, "a", time.Hour, 30), 1)
	nearly(t, "one that comes later", share(t, e, "b", time.Hour, 10), 0) // nothing is taken from who has it
	nearly(t, "the first, again", share(t, e, "a", time.Hour, 30), 0.75)
	nearly(t, "the second, again", share(t, e, "b", time.Hour, 10), 0.25)
	nearly(t, "the first wants less", share(t, e, "a", time.Hour, 10), 0.5)
	nearly(t, "the second has more", share(t, e, "b", time.Hour, 10), 0.5)
	if got, err := e.Share(t.Context(), "c", nil, time.Hour); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v, error %v", got, err)
	}
}

func sharesOfTheGoneAreGivenOn(t *testing.T, e store.Engine) {
	share(t, e, "gone", -time.Hour, 30)
	nearly(t, "who is left", share(t, e, "a", time.Hour, 1), 1)
}

func racingReplicasShareOneBudget(t *testing.T, e store.Engine) {
	var mu sync.Mutex
	granted := map[string]float64{}
	var racing sync.WaitGroup
	for _, replica := range []string{"a", "b", "c", "d"} {
		racing.Go(func() {
			for i := range 20 {
				got, err := e.Share(t.Context(), replica, map[string]float64{"shop regional": float64(1 + i*len(replica)%7)}, time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				granted[replica] = got["shop regional"]
				mu.Unlock()
			}
		})
	}
	racing.Wait()
	var sum float64
	for _, share := range granted {
		sum += share
	}
	if sum > 1+1e-9 || sum < 0.5 {
		t.Errorf("granted in all: %v", sum)
	}
}
