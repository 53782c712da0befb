package klarna

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func quota(category Category, rate Rate) func(*Config) {
	return func(cfg *Config) { cfg.Rates = map[Category]Rate{category: rate} }
}

// queue sends calls of these ways, in this order, and waits until each stands where it belongs.
func queue(ctx context.Context, callers *sync.WaitGroup, c *Client, kinds ...string) {
	for _, kind := range kinds {
		callers.Go(func() { _ = ways[kind](ctx, c) })
		synctest.Wait()
	}
}

// order tells the calls as Klarna saw them.
func (s *script) order() (paths []string) {
	for _, r := range s.requests() {
		paths = append(paths, r.method+" "+r.path[strings.LastIndexByte(r.path, '/'):])
	}
	return paths
}

func TestRate_NoSecondSeesMoreThanTheQuota(t *testing.T) {
	t.Parallel()
	for _, rate := range []Rate{5, 40, 200} {
		synctest.Test(t, func(t *testing.T) {
			klarna := scripting("200")
			c := klarna.client(t, quota(Regional, rate))
			calls := int(rate) * 4
			var callers sync.WaitGroup
			for range calls {
				callers.Go(func() { _ = read(t.Context(), c) })
			}
			callers.Wait()
			time.Sleep(time.Minute) // what was saved up meanwhile is bounded
			for range calls {
				callers.Go(func() { _ = read(t.Context(), c) })
			}
			callers.Wait()
			requests := klarna.requests()
			if len(requests) != 2*calls {
				t.Fatalf("sent %d of %d", len(requests), 2*calls)
			}
			for i := range requests {
				end := requests[i].at.Add(time.Second)
				n := 0
				for _, r := range requests[i:] {
					if r.at.Before(end) {
						n++
					}
				}
				if n > int(rate) {
					t.Fatalf("rate %v: %d calls in a second", rate, n)
				}
			}
			if took := requests[calls-1].at.Sub(requests[0].at); took > 5*time.Second {
				t.Errorf("rate %v: %d calls took %v", rate, calls, took)
			}
		})
	}
}

func TestRate_LowerLaneNeverOvertakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("200")
		c := klarna.client(t, quota(Regional, 1))
		report := func() {
			_ = c.do(t.Context(), call{operation: "getPayouts", method: http.MethodGet, path: "/settlements/v1/payouts"})
		}
		_ = read(t.Context(), c) // uses up what was saved
		var callers sync.WaitGroup
		callers.Go(report)
		synctest.Wait()
		update := func() { _ = c.UpdateSession(t.Context(), "s", Session{}) }
		queue(t.Context(), &callers, c, "read")
		callers.Go(update)
		synctest.Wait()
		queue(t.Context(), &callers, c, "release", "keyed", "read", "place")
		callers.Wait()
		want := []string{
			"GET /o", "DELETE /" + testToken, "POST /captures", "POST /order", "POST /s", "GET /o", "GET /o", "GET /payouts",
		}
		if got := klarna.order(); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
	})
}

func TestRate_HigherLaneThatComesLaterGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("200")
		c := klarna.client(t, quota(Regional, 1))
		_ = read(t.Context(), c)
		var callers sync.WaitGroup
		queue(t.Context(), &callers, c, "read")
		time.Sleep(time.Second) // the next token comes 1.25 s after the last
		queue(t.Context(), &callers, c, "keyed")
		callers.Wait()
		if got := klarna.order(); !slices.Equal(got, []string{"GET /o", "POST /captures", "GET /o"}) {
			t.Errorf("sent %q", got)
		}
	})
}

func TestRate_LateCallFailsAtOnceAndSaysWhenToCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("200")
		c := klarna.client(t, quota(Regional, 5), func(cfg *Config) { cfg.Timeout = time.Second })
		var callers sync.WaitGroup
		queue(t.Context(), &callers, c, "read", "read", "read", "read") // the last waits 0.75 s
		start := time.Now()
		var refused *Error
		err := ways["read"](t.Context(), c)
		if !errors.Is(err, ErrRateLimited) || !errors.As(err, &refused) || refused.Status != 429 ||
			refused.Code != CodeLocalRateLimit || refused.Operation != "getOrder" || refused.Family != OrderManagement {
			t.Fatalf("got %v", err)
		}
		if errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "klarna answered") {
			t.Errorf("got %v", err)
		}
		if time.Since(start) != 0 || refused.RetryAfter != time.Second {
			t.Errorf("after %v: again in %v, want 1s", time.Since(start), refused.RetryAfter)
		}
		if err := ways["keyed"](t.Context(), c); err != nil { // a higher lane still has room
			t.Errorf("capture: %v", err)
		}
		callers.Wait()
		synctest.Wait()
		sent := len(klarna.requests())
		time.Sleep(refused.RetryAfter)
		if err := ways["read"](t.Context(), c); err != nil || len(klarna.requests()) != sent+1 {
			t.Errorf("when it was to come: %v", err)
		}
	})
}

func TestRate_OvertakenCallSaysWhenToCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("200")
		c := klarna.client(t, quota(Regional, 1))
		_ = read(t.Context(), c)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- ways["read"](ctx, c) }()
		synctest.Wait()
		var callers sync.WaitGroup
		queue(t.Context(), &callers, c, "keyed", "keyed", "keyed")
		err := <-ended
		var refused *Error
		if !errors.Is(err, ErrRateLimited) || !errors.As(err, &refused) || refused.RetryAfter != 3*time.Second { // three tokens at 1.25, 2.5, 3.75, its own at 5 s
			t.Errorf("got %v", err)
		}
		callers.Wait()
		if got := klarna.order(); len(got) != 4 {
			t.Errorf("sent %q", got)
		}
	})
}

func TestRate_CallerThatLeavesGivesUpItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("200")
		c := klarna.client(t, quota(Regional, 1))
		_ = read(t.Context(), c)
		ctx, cancel := context.WithCancel(t.Context())
		var gone, callers sync.WaitGroup
		queue(ctx, &gone, c, "read", "read", "read")
		queue(t.Context(), &callers, c, "read")
		cancel()
		gone.Wait()
		start := time.Now()
		callers.Wait()
		if took := time.Since(start); took != 1250*time.Millisecond || len(klarna.requests()) != 2 {
			t.Errorf("the one behind waited %v", took)
		}
	})
}

func TestRate_CategoriesDoNotShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("200")
		c := klarna.client(t, func(cfg *Config) {
			cfg.Rates = map[Category]Rate{CreateSessions: 1, Onboarding: 1, Regional: 1, Management: 1}
		})
		start := time.Now()
		for _, way := range []string{"session", "onboard", "read"} {
			if err := ways[way](t.Context(), c); err != nil {
				t.Errorf("%s: %v", way, err)
			}
		}
		if _, err := c.PartnerAccount(t.Context(), "krn:a"); err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestRate_FollowsTheHost(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]map[Category]Rate{
		"https://api.klarna.com":               liveRates,
		"https://api-na.klarna.com":            liveRates,
		"https://api.kustom.co":                liveRates,
		"https://api.playground.klarna.com":    playgroundRates,
		"https://api-oc.playground.klarna.com": playgroundRates,
		"https://api.playground.kustom.co":     playgroundRates,
		"https://api-global.klarna.com":        networkRates,
		"https://api-global.test.klarna.com":   networkRates,
		"https://notklarna.com":                nil,
		"http://127.0.0.1:8080":                nil,
	} {
		if got := defaultRates(base); !maps.Equal(got, want) {
			t.Errorf("%s: %v", base, got)
		}
	}
}

func TestRate_EveryCallHasItsPlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, path string
		family       Family
		operation    string
		category     Category
		lane         lane
	}{
		{"POST", orderPath + "/captures", OrderManagement, "captureOrder", Regional, laneMoney},
		{"GET", orderPath + "/captures", OrderManagement, "getCaptures", Regional, laneRead},
		{"POST", orderPath + "/refunds", OrderManagement, "refundOrder", Regional, laneMoney},
		{"POST", orderPath + "/cancel", OrderManagement, "cancelOrder", Regional, laneMoney},
		{"POST", orderPath + "/acknowledge", OrderManagement, "acknowledgeOrder", Regional, laneWrite},
		{"PATCH", orderPath + "/authorization", OrderManagement, "updateAuthorization", Regional, laneMoney},
		{"POST", orderPath + "/release-remaining-authorization", OrderManagement, "release", Regional, laneMoney},
		{"POST", "/payments/v1/authorizations/{authorization_token}/order", Payments, "createOrder", Regional, laneMoney},
		{"DELETE", "/payments/v1/authorizations/{authorization_token}", Payments, "cancelAuthorization", Regional, laneMoney},
		{"POST", requestsPath, Network, "createPaymentRequest", PaymentRequests, laneWrite},
		{"GET", requestPath, Network, "readPaymentRequest", PaymentRequests, laneRead},
		{"POST", networkPaymentPath + "/authorize", Network, "authorizePayment", PaymentAuthorization, laneMoney},
		{"POST", transactionPath + "/authorize", Network, "extendPaymentTransaction", PaymentTransactions, laneMoney},
		{"POST", transactionPath + "/capture", Network, "capturePaymentTransaction", PaymentCaptures, laneMoney},
		{"POST", transactionPath + "/refund", Network, "refundPaymentTransaction", PaymentTransactions, laneMoney},
		{"POST", networkCapturePath + "/refund", Network, "refundPaymentCapture", PaymentTransactions, laneMoney},
		{"POST", transactionPath + "/void", Network, "voidPaymentTransaction", PaymentTransactions, laneMoney},
		{"POST", "/customer-token/v1/tokens/{customer_token}/order", Payments, "createOrder", Regional, laneMoney},
		{"POST", "/payments/v1/sessions", Payments, "createCreditSession", CreateSessions, laneWrite},
		{"POST", "/payments/v1/sessions/{session_id}", Payments, "updateCreditSession", Regional, laneWrite},
		{"POST", "/hpp/v1/sessions", Payments, "createHppSession", CreateHostedSessions, laneWrite},
		{"GET", "/settlements/v1/payouts", Payments, "getPayouts", Regional, laneReport},
		{"POST", "/v2/distribution/onboard", Network, "onboard", Onboarding, laneWrite},
		{"GET", "/v2/accounts/{partner_account_id}", Network, "readPartnerAccount", Management, laneRead},
	} {
		ctx := t.Context()
		k := call{method: test.method, path: test.path, family: test.family, operation: test.operation}
		if behind := k.lane(Background(ctx)); behind != test.lane && (test.lane != laneRead || behind != laneBackground) || test.lane == laneRead && behind == laneRead {
			t.Errorf("%s %s: lane %d where nobody waits for it", test.method, test.path, behind)
		}
		if k.category() != test.category || k.lane(ctx) != test.lane {
			t.Errorf("%s %s: %s, lane %d", test.method, test.path, k.category(), k.lane(ctx))
		}
	}
}

func TestRate_ReportsWaitForTheirTurnAndTheCircuit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("503", "503", "503", "200")
		var last Call
		c := klarna.client(t, noRetries, quota(Regional, 1), func(cfg *Config) {
			cfg.Observe = func(_ context.Context, call Call) { last = call }
		})
		report := func() error {
			_, body, err := c.stream(t.Context(), "text/csv", call{operation: "report", method: http.MethodGet, path: "/settlements/v1/reports/payout"})
			if err == nil {
				err = body.Close()
			}
			return err
		}
		start := time.Now()
		for range 3 {
			if got := verdictOf(report()); got != "unavailable" {
				t.Errorf("got %s", got)
			}
		}
		if time.Since(start) != 2500*time.Millisecond {
			t.Errorf("three reports in %v", time.Since(start))
		}
		if got := verdictOf(report()); got != "unavailable" || len(klarna.requests()) != 3 || last.Attempt != 0 {
			t.Errorf("while the circuit is open: %s, observed %+v", got, last)
		}
		time.Sleep(10 * time.Second)
		if got := verdictOf(report()); got != "ok" || last.Attempt != 1 {
			t.Errorf("the probe: %s, observed %+v", got, last)
		}
	})
}

func TestNew_RefusesRatesThatAreNone(t *testing.T) {
	t.Parallel()
	_, err := New(Config{
		BaseURL: "https://api.klarna.com", APIKey: "k", CircuitDelay: -1,
		Rates: map[Category]Rate{"sessions": 5, Regional: Rate(math.NaN()), Onboarding: Rate(math.Inf(1)), Management: -1},
	})
	for _, want := range []string{`unknown category "sessions"`, "rates: regional:", "rates: onboarding:", "circuit delay"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "management") {
		t.Errorf("a negative rate means none: %v", err)
	}
}

func TestRate_TokenOfACallerThatLeftAsItCameIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(1)
		always := func(context.Context, time.Duration) bool { return true }
		_, _ = b.take(t.Context(), laneRead, always)
		_, _ = b.leave(laneRead, &waiter{granted: true}, context.Canceled)
		start := time.Now()
		if _, err := b.take(t.Context(), laneRead, always); err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
