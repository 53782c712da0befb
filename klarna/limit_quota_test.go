package klarna

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRate_KlarnasWordTightensTheBucket(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]time.Duration{ // until the second of two calls
		"200 X-Ratelimit-Remaining=7 X-Ratelimit-Reset=1":    0,
		"200 X-Ratelimit-Remaining=0 X-Ratelimit-Reset=3":    3 * time.Second,
		"200 X-Ratelimit-Remaining=0":                        time.Second,
		"200 X-Ratelimit-Remaining=0 X-Ratelimit-Reset=7200": time.Minute,
		"404 X-Ratelimit-Remaining=0 X-Ratelimit-Reset=2":    2 * time.Second,
		"429 X-Ratelimit-Reset=4":                            4 * time.Second,
		"429 Retry-After=2":                                  2 * time.Second,
		"429":                                                time.Second,
		"200 X-Ratelimit-Remaining=many":                     0,
	} {
		for _, rate := range []Rate{-1, 200} {
			synctest.Test(t, func(t *testing.T) {
				klarna := scripting(answer, "200")
				c := klarna.client(t, noRetries, quota(Regional, rate), func(cfg *Config) { cfg.Timeout = time.Hour })
				_ = read(t.Context(), c)
				start := time.Now()
				if err := ways["read"](t.Context(), c); err != nil || time.Since(start) != want {
					t.Errorf("%s, rate %v: %v after %v, want %v", answer, rate, err, time.Since(start), want)
				}
			})
		}
	}
}

func TestRate_WhatIsLeftElsewhereIsNotSpentHere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // other replicas have used 39 of 40
		klarna := scripting("200 X-Ratelimit-Remaining=1 X-Ratelimit-Reset=1")
		c := klarna.client(t, quota(Regional, 40))
		start := time.Now()
		for range 3 {
			_ = read(t.Context(), c)
		}
		if took := time.Since(start); took < time.Second/32 {
			t.Errorf("three calls in %v", took)
		}
	})
}

func TestRate_Klarnas429IsWaitedForOnlyWithinTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("429 X-Ratelimit-Reset=2", "201")
		start := time.Now()
		if got := verdictOf(ways["keyed"](t.Context(), klarna.client(t))); got != "ok" || time.Since(start) != 2*time.Second {
			t.Errorf("%s after %v", got, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		klarna := scripting("429 TOO_MANY_REQUESTS X-Ratelimit-Reset=20", "201")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		err := ways["keyed"](ctx, klarna.client(t))
		var refused *Error
		if !errors.As(err, &refused) || refused.Code != "TOO_MANY_REQUESTS" || refused.RetryAfter != 20*time.Second {
			t.Errorf("got %v", err)
		}
		if time.Since(start) > backoffFirst || len(klarna.requests()) != 1 {
			t.Errorf("%d attempts in %v", len(klarna.requests()), time.Since(start))
		}
	})
}

func TestRate_KlarnasStatedQuotaIsKeptUnlessAnotherWasAgreed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limit  string
		agreed Rate
		want   time.Duration // until the fifth call has been sent, after the one that told
	}{
		"stated":             {"2, 2;w=1", 0, 2500 * time.Millisecond}, // one saved up, three at 1.6 a second, and the one on hand
		"a longer window":    {`120, 120;w=60;name="management"`, 0, 2500 * time.Millisecond},
		"the tightest":       {"40, 40;w=1, 60;w=30", 0, 2500 * time.Millisecond},
		"another was agreed": {"2, 2;w=1", -1, 0},
		"without a window":   {"2", 0, 0},
		"not a quota":        {"lots, 2;w=0, -3;w=1, ;w=1", 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(Config{
				BaseURL: "https://simulator.example", APIKey: "k", Rates: map[Category]Rate{Regional: test.agreed},
				HTTPClient: &http.Client{Transport: transport(func(*http.Request) *http.Response {
					return &http.Response{StatusCode: 200, Header: http.Header{"X-Ratelimit-Limit": {test.limit}}, Body: io.NopCloser(strings.NewReader(`{"order_id":"o"}`))}
				})},
			})
			if err != nil {
				t.Fatal(err)
			}
			_ = read(t.Context(), c)
			start := time.Now()
			for range 5 {
				if got := read(t.Context(), c); got != "ok" {
					t.Errorf("%s: %s", name, got)
				}
			}
			if took := time.Since(start); took != test.want {
				t.Errorf("%s: five calls took %v, want %v", name, took, test.want)
			}
		})
	}
}

type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
