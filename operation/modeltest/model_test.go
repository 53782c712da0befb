package modeltest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var (
	interleavings = flag.Int("interleavings", 40, "how many seeds the model test plays")
	first         = flag.Uint64("first", 1, "the first of them")
	oneSeed       = flag.Uint64("seed", 0, "play this one alone and print its history")
	most          = flag.Int("steps", 40, "steps of each")
)

// options say what a seed plays.
type options struct {
	seed     uint64
	steps    int
	replicas bool
	shop     bool   // sessions and orders
	network  bool   // payments on the Klarna Network
	rate     int    // of 100 steps, how many go wrong
	crowd    int    // of 100 steps, how many are of several at once
	focus    string // an action that comes more often
	aim      pair   // what it works towards until it has met it
}

// optionsOf has each seed look more closely at one action, and aim at one pair of an action and a fault. Aims go round:
// however rare a pair is by chance, so many seeds try for each.
func optionsOf(seed uint64, steps int) options {
	rng := rand.New(rand.NewPCG(seed, 1))
	aimed := faulty[seed%uint64(len(faulty))]
	focus := actions[rng.IntN(len(actions))]
	o := options{
		seed: seed, steps: steps, focus: focus.name, replicas: rng.IntN(2) == 0,
		rate: []int{70, 40, 0}[rng.IntN(3)], crowd: []int{15, 0}[rng.IntN(2)],
		aim: pair{aimed.name, aimed.faults[seed/uint64(len(faulty))%uint64(len(aimed.faults))]},
	}
	kind, fields := rng.IntN(3), []field{focus.of, aimed.of}
	o.shop, o.network = kind != 0 || slices.Contains(fields, theShop), kind != 1 || slices.Contains(fields, theNetwork)
	return o
}

// All actions, and those that something may go wrong in.
var actions, faulty []action

var everyFault = slices.Concat(callFaults, pointFaults, commitFaults, []faultKind{missing})

func init() {
	calls := slices.Concat(callFaults, commitFaults)
	reads := []faultKind{refusedConnection, cutBefore, garbled, busy, down, locked, blocked, missing, killBeforeSend, killAfterSend, diskFull, killBeforeWrite, killAfterWrite}
	blind := slices.Concat(callFaults, pointFaults, commitFaults) // of what reads nothing at Klarna
	actions = []action{
		{"caller opens a session", 8, slices.Concat(callFaults, commitFaults, pointFaults), theShop, false, "", openSession},
		{"customer authorises", 10, nil, theShop, true, "caller opens a session", customer},
		{"caller creates the order", 10, everyFault, theShop, false, "customer authorises", createOrder},
		{"caller cancels the authorisation", 2, blind, theShop, false, "customer authorises", cancelAuthorization},
		{"caller captures", 10, everyFault, theShop, false, "caller creates the order", capture},
		{"caller refunds", 7, everyFault, theShop, false, "caller captures", refund},
		{"caller cancels the order", 3, everyFault, theShop, false, "caller creates the order", cancelOrder},
		{"caller releases the rest", 2, everyFault, theShop, false, "caller captures", releaseRest},
		{"caller extends the authorisation", 2, everyFault, theShop, false, "caller creates the order", extend},
		{"caller reads the order", 3, reads, theShop, false, "caller creates the order", readOrder},
		{"caller repeats a request", 12, everyFault, 0, false, "", retry},
		{"caller repeats it a day later", 2, everyFault, 0, true, "", retryLate},
		{"somebody else uses a request_id", 2, commitFaults, 0, false, "", intrude},
		{"customer completes a checkout order", 2, nil, theShop, true, "", checkout},
		{"caller acknowledges", 3, slices.Concat(calls, pointFaults), theShop, false, "customer completes a checkout order", acknowledge},
		{"klarna weighs the risk", 2, nil, theShop, true, "", risk},
		{"money comes or lapses", 4, nil, theShop, true, "", money},
		{"portal", 2, nil, theShop, true, "", portal},
		{onboarding, 2, blind, theNetwork, false, "", onboard},
		{"caller asks for a payment", 4, blind, theNetwork, false, onboarding, askForPayment},
		{"customer answers a payment request", 6, nil, theNetwork, true, "caller asks for a payment", networkCustomer},
		{"caller cancels a payment request", 1, blind, theNetwork, false, "caller asks for a payment", cancelRequest},
		{"caller authorises a transaction", 5, everyFault, theNetwork, false, "customer answers a payment request", authorize},
		{"caller captures of a transaction", 5, everyFault, theNetwork, false, "caller authorises a transaction", captureTransaction},
		{"caller refunds of a transaction", 4, everyFault, theNetwork, false, "caller captures of a transaction", refundTransaction},
		{"caller voids a transaction", 2, blind, theNetwork, false, "caller authorises a transaction", voidTransaction},
		{"caller extends a transaction", 4, blind, theNetwork, false, "caller authorises a transaction", extendTransaction},
		{"klarna changes a partner", 1, nil, theNetwork, true, "", changePartner},
		{"klarna posts", 14, commitFaults, 0, true, "", deliver},
		{"a post is lost", 2, nil, 0, true, "", drop},
		{"worker works a job", 20, everyFault, 0, false, "", job},
		{"worker sweeps", 2, commitFaults, 0, false, "", sweep},
		{"a call arrives late", 4, nil, 0, true, "", tardy},
		{"process starts again", 2, nil, 0, true, "", restart},
		{"time passes", 10, nil, 0, true, "", clock},
		{"watcher resumes", 3, nil, 0, true, "", watch},
	}
	for _, a := range actions {
		if len(a.faults) > 0 {
			faulty = append(faulty, a)
		}
	}
}

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // many small worlds, one after the other
	goleak.VerifyTestMain(m)
}

// TestModel_HoldsInEveryInterleaving plays seeds on every processor.
func TestModel_HoldsInEveryInterleaving(t *testing.T) {
	base, err := newTemplate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base.dir) })
	if *oneSeed > 0 {
		w := play(t, base, optionsOf(*oneSeed, *most))
		t.Logf("seed %d:\n%s", *oneSeed, readable(w.told()))
		if len(w.flaws) > 0 {
			t.Errorf("seed %d does not hold; !! says where", *oneSeed)
		}
		return
	}
	sum := tally{pairs: map[pair]int{}}
	began := time.Now()
	var next atomic.Uint64
	t.Run("seeds", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for n := next.Add(1); n <= uint64(*interleavings) && !sum.enough(); n = next.Add(1) {
					seed := *first + n - 1
					o := optionsOf(seed, *most)
					w := play(t, base, o)
					if w.failed() {
						o, w = shrink(t, base, o, w)
					}
					sum.add(t, o, w)
				}
			})
		}
	})
	sum.report(t, time.Since(began))
}

// play plays one seed in a bubble of its own.
func play(t *testing.T, base template, o options) (w *world) {
	synctest.Test(t, func(t *testing.T) {
		var err error
		if w, err = newWorld(t.Context(), base, o); err != nil {
			w.wrong("%v", err)
		} else {
			for range o.steps {
				if w.step(); w.failed() {
					break
				}
			}
			if !w.failed() {
				w.end()
			}
		}
		w.close()
	})
	return w
}

// shrink finds the fewest steps after which a seed does not hold.
func shrink(t *testing.T, base template, o options, w *world) (options, *world) {
	o.steps = min(o.steps, w.stepped)
	for n := 1; n < o.steps; n++ {
		shorter := o
		shorter.steps = n
		if w := play(t, base, shorter); w.failed() {
			return shorter, w
		}
	}
	return o, w
}

// allPairs is how many interleavings reach every pair of an action and a fault.
const allPairs = 10_000

// tally sums up what was played.
type tally struct {
	mu     sync.Mutex
	played int
	steps  int
	failed []uint64
	pairs  map[pair]int
}

func (s *tally) enough() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failed) >= 3
}

func (s *tally) add(t *testing.T, o options, w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.played++
	s.steps += w.stepped
	for p, n := range w.pairs {
		s.pairs[p] += n
	}
	if len(w.flaws) > 0 {
		s.failed = append(s.failed, o.seed)
		t.Errorf("seed %d, %d steps: %s", o.seed, o.steps, readable(fmt.Sprintf("%s\nplay it again: go test ./operation/modeltest -run Model -seed %d -steps %d -v\n%s",
			strings.Join(w.flaws, "\n"), o.seed, o.steps, w.told())))
	}
}

// report prints what was reached, and demands that every pair was, if enough was played for that.
func (s *tally) report(t *testing.T, took time.Duration) {
	t.Logf("%d interleavings, %d steps in %v: %.0f interleavings/s, %.0f steps/s", s.played, s.steps, took.Round(time.Millisecond),
		float64(s.played)/took.Seconds(), float64(s.steps)/took.Seconds())
	var b strings.Builder
	var missed []string
	var rarest pair
	fmt.Fprintf(&b, "\n%-36s %7s", "", "")
	for i := range everyFault {
		fmt.Fprintf(&b, " %5c", 'a'+i)
	}
	for _, a := range append(slices.Clone(actions), action{name: "several at once", faults: everyFault}) {
		fmt.Fprintf(&b, "\n%-36s %7d", a.name, s.pairs[pair{a.name, ""}])
		for _, f := range everyFault {
			n := s.pairs[pair{a.name, f}]
			if !slices.Contains(a.faults, f) {
				fmt.Fprintf(&b, " %5s", "")
				continue
			}
			fmt.Fprintf(&b, " %5d", n)
			if n == 0 {
				missed = append(missed, a.name+" × "+string(f))
			}
			if rarest.action == "" || n < s.pairs[rarest] {
				rarest = pair{a.name, f}
			}
		}
	}
	for i, f := range everyFault {
		fmt.Fprintf(&b, "\n%c %s", 'a'+i, f)
	}
	t.Logf("actions, and faults that met them:%s\nthe rarest: %s × %s, %d times", b.String(), rarest.action, rarest.fault, s.pairs[rarest])
	if len(missed) > 0 && s.played < allPairs {
		t.Logf("%d pairs were not reached; %d interleavings and more have to reach all", len(missed), allPairs)
	} else if len(missed) > 0 {
		t.Errorf("%d pairs were not reached: %s", len(missed), strings.Join(missed, ", "))
	}
}

// A seed plays the same again, or a failure could not be looked into. Of several who act at once those who wait for the same
// answer go on in any order.
func TestModel_ASeedPlaysTheSameAgain(t *testing.T) {
	t.Parallel()
	base, err := newTemplate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base.dir) })
	for seed := *first; seed < *first+12; seed++ {
		var told []string
		for range 2 {
			o := optionsOf(seed, *most)
			o.crowd = 0
			told = append(told, readable(play(t, base, o).told()))
		}
		if diff := cmp.Diff(strings.Split(told[0], "\n"), strings.Split(told[1], "\n")); diff != "" {
			t.Errorf("seed %d (-first +second):\n%s", seed, diff)
		}
	}
}
