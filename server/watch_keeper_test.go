package server

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
)

// open tells how many watches are being served.
func (k *keeper) open() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.watches)
}

// anHourPasses for whoever waits for its client.
func (k *keeper) anHourPasses() {
	k.mu.Lock()
	for w := range k.watches {
		if began := w.sending.Load(); began != 0 {
			w.sending.CompareAndSwap(began, began-int64(time.Hour))
		}
	}
	k.mu.Unlock()
	k.look()
}

// eventually waits for what has to come.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// recordMany records as many events of one payment, and returns their ids.
func (s *stack) recordMany(name string, count int) (ids []string) {
	var facts []journal.PaymentFact
	for n := range count {
		fact := opened(name)
		fact.EventID, fact.Session.OrderAmount, fact.Session.Updated = id(fmt.Sprint(name, n)), int64(1000+n), true
		facts, ids = append(facts, fact), append(ids, fact.EventID)
	}
	s.record(facts...)
	return ids
}

func TestWatch_AClientThatDoesNotReadIsCutOffAndGoesOnWithItsToken(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.UnreadLimit = time.Hour })
	s.record(opened("SO-1"))
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)}
	lazy, busy := s.watchPayments(req), s.watchPayments(req)
	lazy.next()
	busy.next()
	var want []string
	read := make(chan []string)
	go func() {
		var got []string
		for len(got) < 600 {
			got = append(got, busy.event().id)
		}
		read <- got
	}()
	for batch := range 3 {
		want = append(want, s.recordMany(fmt.Sprint("SO-", batch), 200)...)
	}
	if got := <-read; !slices.Equal(got, want) {
		t.Errorf("on the same connection %d of %d events came", len(got), len(want))
	}
	s.server.keeper.anHourPasses()
	eventually(t, "the watch is cut off and freed", func() bool { return s.server.keeper.open() == 1 })
	var got []string
	var token string
	for {
		step, err := lazy.recv()
		if err != nil {
			if status.Code(err) != codes.Canceled || reasonOf(err) != "WATCH_NOT_READ" {
				t.Errorf("the watch ended with %v", err)
			}
			break
		}
		if token = step.token; step.event != nil {
			got = append(got, step.id)
		}
	}
	if len(got) == len(want) {
		t.Fatal("everything fitted into the window: nothing is tested")
	}
	rest := s.watchPayments(resumed(req, token))
	for len(got) < len(want) {
		got = append(got, rest.event().id)
	}
	if !slices.Equal(got, want) {
		t.Error("what was read before and after the cut is not every event once, in order")
	}
}

func TestKeeper_LooksOnlyWhileThereAreWatches(t *testing.T) {
	t.Parallel()
	k := newKeeper(time.Hour, time.Hour)
	one, two := &watch{}, &watch{}
	k.keep(one)
	k.keep(two)
	k.drop(one)
	if k.timer == nil {
		t.Error("one watch is left and nobody looks after it")
	}
	k.drop(two)
	if k.timer != nil {
		t.Error("it looks after nothing")
	}
}

func TestKeeper_GivesBackWhatTheOpeningOfManyWatchesLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(time.Hour, time.Hour)
		var freed atomic.Int64
		k.free = func() { freed.Add(1) }
		var open []*watch
		opened := func(n int) {
			for range n {
				w := &watch{}
				k.keep(w)
				open = append(open, w)
				time.Sleep(settlePause / 4)
			}
		}
		opened(settleCount - 1)
		time.Sleep(time.Minute)
		opened(100) // more than enough, and no pause
		if n := freed.Load(); n != 0 {
			t.Errorf("freed %d times while watches were opened", n)
		}
		time.Sleep(time.Minute)
		opened(settleCount - 1) // too few again
		time.Sleep(time.Minute)
		if n := freed.Load(); n != 1 {
			t.Errorf("freed %d times, want once for both", n)
		}
		for _, w := range open {
			k.drop(w)
		}
	})
}
