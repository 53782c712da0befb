package klarna

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// noRetries makes attempts and calls the same, and the circuit open after three failures for ten seconds.
func noRetries(cfg *Config) {
	cfg.Retries, cfg.CircuitFailures, cfg.CircuitDelay = -1, 3, 10*time.Second
}

func read(ctx context.Context, c *Client) string { return verdictOf(ways["read"](ctx, c)) }

func TestCircuit_OpensAfterFailuresInARowAndSendsNothing(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"503", "dial", "cut", "short"} {
		synctest.Test(t, func(t *testing.T) {
			klarna := scripting(step)
			var seen []Call
			c := klarna.client(t, noRetries, func(cfg *Config) {
				cfg.Observe = func(_ context.Context, call Call) { seen = append(seen, call) }
			})
			for range 3 {
				_ = read(t.Context(), c)
			}
			time.Sleep(10*time.Second - 1)
			if got := verdictOf(ways["keyed"](t.Context(), c)); got != "unavailable" { // not sent: nothing unknown
				t.Errorf("%s: write while open: %s", step, got)
			}
			if n := len(klarna.requests()); n != 3 {
				t.Errorf("%s: sent %d times", step, n)
			}
			if last := seen[len(seen)-1]; last.Attempt != 0 || last.Operation != "captureOrder" || last.Err == nil {
				t.Errorf("observed %+v", last)
			}
		})
	}
}

func TestCircuit_AnswersOfAnyKindKeepItClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("503", "503", "200", "503", "503", "404", "503", "503", "429", "503", "503", "401", "html")
		c := klarna.client(t, noRetries)
		for range 50 {
			_ = read(t.Context(), c)
		}
		if n := len(klarna.requests()); n != 50 {
			t.Errorf("sent %d of 50", n)
		}
	})
}

func TestCircuit_OneProbeDecides(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("503", "503", "503", "503", "hang", "200")
		c := klarna.client(t, noRetries)
		for range 3 {
			_ = read(t.Context(), c)
		}
		time.Sleep(10 * time.Second)
		_ = read(t.Context(), c) // the probe fails: open for as long again
		time.Sleep(9 * time.Second)
		_ = read(t.Context(), c)
		if n := len(klarna.requests()); n != 4 {
			t.Fatalf("sent %d times after a failed probe", n)
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() { _ = read(ctx, c) }) // the probe hangs
		synctest.Wait()
		for range 5 {
			if got := read(t.Context(), c); got != "unavailable" {
				t.Errorf("beside the probe: %s", got)
			}
		}
		if n := len(klarna.requests()); n != 5 {
			t.Errorf("sent %d times beside the probe", n)
		}
		cancel() // a probe that tells nothing makes room for the next
		callers.Wait()
		for range 3 {
			if got := read(t.Context(), c); got != "ok" {
				t.Errorf("after a probe that was served: %s", got)
			}
		}
	})
}

func TestCircuit_ImpatientCallersDoNotOpenIt(t *testing.T) {
	t.Parallel()
	hang := func(t *testing.T, patience time.Duration) int {
		klarna := scripting("hang")
		c := klarna.client(t, noRetries)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_ = read(ctx, c)
			cancel()
		}
		return len(klarna.requests())
	}
	synctest.Test(t, func(t *testing.T) {
		if n := hang(t, 100*time.Millisecond); n != 10 {
			t.Errorf("open after %d short waits", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		if n := hang(t, 20*time.Second); n > 5 { // three, and probes
			t.Errorf("sent %d calls to a Klarna that hangs", n)
		}
	})
}

func TestCircuit_EndsTheAttemptsOfACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("cut", "dial")
		c := klarna.client(t, noRetries, func(cfg *Config) { cfg.Retries = 9 })
		if got := verdictOf(ways["keyed"](t.Context(), c)); got != "unknown" {
			t.Errorf("a write that may have arrived before the circuit opened: %s", got)
		}
		if n := len(klarna.requests()); n != 3 {
			t.Errorf("sent %d times", n)
		}
	})
}

func TestCircuit_CanBeLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("503")
		c := klarna.client(t, noRetries, func(cfg *Config) { cfg.CircuitFailures = -1 })
		for range 30 {
			_ = read(t.Context(), c)
		}
		if n := len(klarna.requests()); n != 30 {
			t.Errorf("sent %d of 30", n)
		}
	})
}

func TestCircuit_IsTheHostsWhoeverCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("503")
		circuits := &Circuits{}
		at := func(base string) func(*Config) {
			return func(cfg *Config) { cfg.BaseURL, cfg.Circuits = base, circuits }
		}
		shop := klarna.client(t, noRetries, at("https://api.klarna.com"))
		outlet := klarna.client(t, noRetries, at("https://API.klarna.com/"))
		overseas := klarna.client(t, noRetries, at("https://api-oc.klarna.com"))
		for range 3 {
			_ = read(t.Context(), shop)
		}
		_ = read(t.Context(), outlet)
		if n := len(klarna.requests()); n != 3 {
			t.Errorf("another account of a host that is down sent %d times", n-3)
		}
		_ = read(t.Context(), overseas)
		if n := len(klarna.requests()); n != 4 {
			t.Error("another host's circuit is open as well")
		}
	})
}
