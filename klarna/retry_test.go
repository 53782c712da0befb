package klarna

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// verdictOf says in a word what a caller may make of an error.
func verdictOf(err error) string {
	var refused *Error
	isError := errors.As(err, &refused)
	unknown, unavailable := errors.Is(err, ErrOutcomeUnknown), errors.Is(err, ErrUnavailable)
	switch {
	case err == nil:
		return "ok"
	case unknown && unavailable:
		return "unknown and unavailable"
	case unknown && isError:
		return fmt.Sprintf("unknown %d", refused.Status)
	case unknown:
		return "unknown"
	case unavailable:
		return "unavailable"
	case isError:
		return fmt.Sprintf("refused %d", refused.Status)
	}
	return "other"
}

// ways are calls of each kind.
var ways = map[string]func(context.Context, *Client) error{
	"read": func(ctx context.Context, c *Client) error { _, err := c.Order(ctx, "o"); return err },
	"keyed": func(ctx context.Context, c *Client) error {
		_, err := c.CaptureOrder(ctx, testKey, "o", CaptureRequest{CapturedAmount: 1})
		return err
	},
	"no key": func(ctx context.Context, c *Client) error {
		_, err := c.CaptureOrder(ctx, "", "o", CaptureRequest{CapturedAmount: 1})
		return err
	},
	"onboard": func(ctx context.Context, c *Client) error {
		_, err := c.Onboard(ctx, testKey, OnboardRequest{})
		return err
	},
	"place": func(ctx context.Context, c *Client) error {
		_, err := c.PlaceOrder(ctx, testToken, PlaceOrderRequest{})
		return err
	},
	"release": func(ctx context.Context, c *Client) error { return c.CancelAuthorization(ctx, testToken) },
	"session": func(ctx context.Context, c *Client) error { _, err := c.CreateSession(ctx, Session{}); return err },
}

func TestClient_SettlesEveryCombinationOfAttempts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		way, steps, want string
		sent             int
	}{
		// A write under a key: what may have had an effect stays in doubt until Klarna's word on it.
		{"keyed", "201", "ok", 1},
		{"keyed", "dial, 201", "ok", 2},
		{"keyed", "cut, 201", "ok", 2},
		{"keyed", "503, 201", "ok", 2},
		{"keyed", "500 TIMEOUT, 201", "ok", 2},
		{"keyed", "429, 201", "ok", 2},
		{"keyed", "cut, 503, 201", "ok", 3},
		{"keyed", "dial", "unavailable", 3},
		{"keyed", "cut", "unknown", 3},
		{"keyed", "503", "unknown 503", 3},
		{"keyed", "cut, dial", "unknown", 3},
		{"keyed", "503, dial", "unknown 503", 3},
		{"keyed", "dial, cut, dial", "unknown", 3},
		{"keyed", "429", "refused 429", 3},
		{"keyed", "429, dial", "unavailable", 3},
		{"keyed", "429, cut, 429", "unknown 429", 3},
		{"keyed", "cut, 429", "unknown 429", 3},
		{"keyed", "cut, 401", "unknown 401", 2},
		{"keyed", "cut, 307", "unknown 307", 2},
		{"keyed", "cut, 409 CONFLICT", "unknown 409", 2},
		{"keyed", "cut, 403", "unknown 403", 2},
		{"keyed", "cut, 403 FORBIDDEN", "unknown 403", 2},
		{"keyed", "cut, 400", "unknown 400", 2},
		{"keyed", "cut, html", "unknown", 2},
		{"keyed", "cut, 403 CAPTURE_NOT_ALLOWED", "refused 403", 2},
		{"keyed", "cut, 404 NO_SUCH_ORDER", "refused 404", 2},
		{"keyed", "cut, 400 BAD_REQUEST", "refused 400", 2},
		{"keyed", "cut, 422 UNPROCESSABLE_ENTITY", "refused 422", 2},
		{"keyed", "cut, dial, 404 NO_SUCH_ORDER", "refused 404", 3},
		{"keyed", "dial, 409 CONFLICT", "refused 409", 2},
		{"keyed", "dial, 401", "refused 401", 2},
		{"keyed", "429, 403", "refused 403", 2},
		{"keyed", "400 BAD_REQUEST", "refused 400", 1},
		{"keyed", "401", "refused 401", 1},
		{"keyed", "403 CAPTURE_NOT_ALLOWED", "refused 403", 1},
		{"keyed", "404 NO_SUCH_ORDER", "refused 404", 1},
		{"keyed", "409 CONFLICT", "refused 409", 1},
		{"keyed", "307", "refused 307", 1},

		// What gave up waiting on the way to Klarna may have passed it on before. Too early (425) says that it was not.
		{"keyed", "408", "unknown 408", 3},
		{"keyed", "499", "unknown 499", 3},
		{"keyed", "460", "unknown 460", 3},
		{"keyed", "408, 201", "ok", 2},
		{"keyed", "499, 409 CONFLICT", "unknown 409", 2},
		{"keyed", "499, 403 CAPTURE_NOT_ALLOWED", "refused 403", 2},
		{"keyed", "408 REQUEST_TIMEOUT", "refused 408", 1},
		{"keyed", "425", "refused 425", 1},
		{"keyed", "451", "refused 451", 1},
		{"session", "408", "unknown 408", 1},
		{"place", "499, 200", "ok", 2},
		{"read", "408", "unavailable", 3},
		{"read", "499, 200", "ok", 2},

		{"onboard", "short, 201", "ok", 2},
		{"onboard", "short", "unknown", 3},
		{"onboard", "html", "unknown", 1}, // the same would come again
		{"onboard", "cut, html", "unknown", 2},
		{"onboard", "cut, 400 VALIDATION_ERROR", "refused 400", 2},
		{"onboard", "cut, 403 OPERATION_FORBIDDEN", "unknown 403", 2},
		{"onboard", "cut, 409 RESOURCE_CONFLICT", "unknown 409", 2},

		// Once per token: a refusal may come of our own first attempt, unless it is about the content.
		{"place", "cut, 200", "ok", 2},
		{"place", "cut, 400 BAD_VALUE", "refused 400", 2},
		{"place", "cut, 403 INVALID_OPERATION", "unknown 403", 2},
		{"place", "cut, 404 SESSION_COMPLETED", "unknown 404", 2},
		{"place", "cut, 409 BAD_VALUE", "unknown 409", 2},
		{"place", "dial, 403 INVALID_OPERATION", "refused 403", 2},
		{"place", "409 BAD_VALUE", "refused 409", 1},
		{"release", "cut, 204", "ok", 2},
		{"release", "cut, 404 NOT_FOUND", "unknown 404", 2},
		{"release", "dial, 404 NOT_FOUND", "refused 404", 2},

		// Reads leave nothing behind.
		{"read", "503, dial, 200", "ok", 3},
		{"read", "short, 200", "ok", 2},
		{"read", "503", "unavailable", 3},
		{"read", "429, 503, cut", "unavailable", 3},
		{"read", "cut, 404", "refused 404", 2},
		{"read", "401", "refused 401", 1},
		{"read", "html", "other", 1},

		// Neither key nor token: one attempt, whatever comes.
		{"session", "dial", "unavailable", 1},
		{"session", "503", "unknown 503", 1},
		{"session", "429", "refused 429", 1},
		{"no key", "cut", "unknown", 1},
		{"no key", "dial", "unavailable", 1},
	} {
		t.Run(test.way+" "+test.steps, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				klarna := scripting(strings.Split(test.steps, ", ")...)
				err := ways[test.way](t.Context(), klarna.client(t))
				if got := verdictOf(err); got != test.want {
					t.Errorf("%s: %v, want %s", got, err, test.want)
				}
				if n := len(klarna.requests()); n != test.sent {
					t.Errorf("sent %d times, want %d", n, test.sent)
				}
			})
		})
	}
}

func TestClient_RepeatsTheSameRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("cut", "503", "201")
		var seen []Call
		c := klarna.client(t, func(cfg *Config) {
			cfg.Observe = func(_ context.Context, call Call) { seen = append(seen, call) }
		})
		if _, err := c.Onboard(t.Context(), testKey, OnboardRequest{PartnerAccountReference: "mrc-000482"}); err != nil {
			t.Fatal(err)
		}
		requests := klarna.requests()
		first := requests[0]
		correlations := map[string]bool{}
		for i, r := range requests {
			if r.body != first.body || !strings.Contains(r.body, "mrc-000482") || r.path != first.path ||
				r.headers.Get(headerIdempotency) != testKey || r.headers.Get(headerMetadata) != first.headers.Get(headerMetadata) {
				t.Errorf("attempt %d differs: %+v", i+1, r)
			}
			correlations[r.headers.Get(headerPartnerCorrelation)] = true
		}
		if len(correlations) != 3 {
			t.Errorf("%d correlation ids for 3 attempts", len(correlations))
		}
		for i, status := range []int{0, 503, 201} {
			if seen[i].Attempt != i+1 || seen[i].Status != status || (seen[i].Err == nil) != (status == 201) {
				t.Errorf("observed %+v", seen[i])
			}
		}
	})
}

func TestClient_BacksOffAtRandomAndFurtherEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var longest, shortest [8]time.Duration
		for range 50 {
			klarna := scripting("503")
			c := klarna.client(t, func(cfg *Config) { cfg.Retries = 8; cfg.CircuitFailures = -1 })
			_, _ = c.Order(t.Context(), "o")
			requests := klarna.requests()
			if len(requests) != 9 {
				t.Fatalf("sent %d times", len(requests))
			}
			for i := range longest {
				wait := requests[i+1].at.Sub(requests[i].at)
				longest[i], shortest[i] = max(longest[i], wait), min(cmp.Or(shortest[i], wait), wait)
			}
		}
		for i, got := range longest {
			most := min(backoffFirst<<i, backoffMost)
			if got > most || got < most/2 || shortest[i] > most/2 { // 50 random waits lie all in one half once in 10^15
				t.Errorf("wait %d was between %v and %v of %v", i+1, shortest[i], got, most)
			}
		}
	})
}

func TestClient_BeginsNothingThatCannotEnd(t *testing.T) {
	t.Parallel()
	within := func(t *testing.T, d time.Duration, klarna *script) error {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		start := time.Now()
		_, err := klarna.client(t).CaptureOrder(ctx, testKey, "o", CaptureRequest{})
		if took := time.Since(start); took > d {
			t.Errorf("took %v of %v", took, d)
		}
		return err
	}
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("201")
		err := within(t, 49*time.Millisecond, klarna)
		if verdictOf(err) != "unavailable" || !errors.Is(err, context.DeadlineExceeded) || len(klarna.requests()) != 0 {
			t.Errorf("%v after %d requests", err, len(klarna.requests()))
		}
		if err := within(t, 51*time.Millisecond, klarna); err != nil {
			t.Errorf("with enough time: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("hang") // to the deadline: nothing is left for a repeat
		if err := within(t, time.Second, klarna); verdictOf(err) != "unknown" || len(klarna.requests()) != 1 {
			t.Errorf("%v after %d requests", err, len(klarna.requests()))
		}
	})
	synctest.Test(t, func(t *testing.T) { // each attempt that was begun had its time
		for range 50 {
			klarna := scripting("503")
			_ = within(t, 150*time.Millisecond, klarna)
			requests := klarna.requests()
			if last := requests[len(requests)-1].at.Sub(requests[0].at); last > 100*time.Millisecond {
				t.Errorf("an attempt began %v into 150 ms", last)
			}
		}
	})
}

func TestClient_CallerThatLeavesEndsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("503 X-Ratelimit-Remaining=0 X-Ratelimit-Reset=30") // a long wait before the second attempt
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		start := time.Now()
		go func() { _, err := klarna.client(t).Order(ctx, "o"); ended <- err }()
		time.AfterFunc(time.Second, cancel)
		if err := <-ended; verdictOf(err) != "unavailable" || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestClient_RetriesAreConfigured(t *testing.T) {
	t.Parallel()
	for retries, want := range map[int]int{-1: 1, 0: 3, 1: 2, 5: 6} {
		synctest.Test(t, func(t *testing.T) {
			klarna := scripting("503")
			_, _ = klarna.client(t, func(cfg *Config) { cfg.Retries = retries }).Order(t.Context(), "o")
			if n := len(klarna.requests()); n != want {
				t.Errorf("retries %d: sent %d times, want %d", retries, n, want)
			}
		})
	}
}

func TestClient_OutageIsNotMultiplied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("503")
		c := klarna.client(t, func(cfg *Config) { cfg.CircuitFailures = -1 })
		const calls = 1000
		var callers sync.WaitGroup
		for range calls {
			callers.Go(func() { _, _ = c.Order(t.Context(), "o") })
		}
		callers.Wait()
		retries := len(klarna.requests()) - calls
		if most := calls/10 + retryMost + 5; retries > most || retries < 5 {
			t.Errorf("%d retries of %d calls, want at most %d", retries, calls, most)
		}
		time.Sleep(time.Minute) // of simulated time: a quiet client may retry again
		before := len(klarna.requests())
		_, _ = c.Order(t.Context(), "o")
		if n := len(klarna.requests()) - before; n != 3 {
			t.Errorf("after a quiet minute: %d attempts", n)
		}
	})
}

func BenchmarkClient(b *testing.B) {
	c := scripting("200").client(b, func(cfg *Config) { cfg.HTTPClient = &http.Client{Transport: alwaysOrder{}} })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Order(b.Context(), "o"); err != nil {
			b.Fatal(err)
		}
	}
}

type alwaysOrder struct{}

func (alwaysOrder) RoundTrip(*http.Request) (*http.Response, error) {
	return scriptedAnswer(200, http.Header{}, strings.NewReader(`{"order_id":"o"}`)), nil
}
