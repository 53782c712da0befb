package klarnatest

import (
	"net/http"
	"strconv"
)

// used is what a category of calls has taken of its quota in one second of the simulated clock.
type used struct {
	second int64
	calls  int
}

// category and quota of a call. Klarna: sessions, customer tokens and hosted pages may be opened 40 times a second each
// in production and 5 times in the playground, all else together 200 and 50 times; figures of the Network are unknown.
func (s *Server) quota(c *call) (category string, limit int) {
	switch {
	case c.route.family == network:
		return "network", 40
	case c.route.op == "createSession", c.route.op == "createCustomerToken", c.route.op == "createHostedPage":
		category, limit = c.route.op, 5
	default:
		category, limit = "others", 50
	}
	if s.cfg.Live {
		limit = map[int]int{5: 40, 50: 200}[limit]
	}
	return category, limit
}

// spend takes a call off its quota; false means that it is used up. Only Config.EnforceRates counts. Callers hold mu.
func (s *Server) spend(c *call) bool {
	if !s.cfg.EnforceRates {
		return true
	}
	category, limit := s.quota(c)
	u, second := s.rates[category], s.now().Unix()
	if u.second != second {
		u = used{second: second}
	}
	u.calls++
	s.rates[category] = u
	c.left = max(limit-u.calls, 0)
	return u.calls <= limit
}

// exhausted is the refusal of a call above its quota.
func (c *call) exhausted() answer {
	return c.refuse(http.StatusTooManyRequests, codeFor(c.route.family, http.StatusTooManyRequests), "Too many requests")
}

// rateHeaders tells the quota. Klarna: X-Ratelimit-Limit, -Remaining and -Reset on every answer. Without EnforceRates
// nothing is counted, and the quota is used up exactly when a Fault answers 429.
func (s *Server) rateHeaders(h http.Header, c *call, a answer) {
	_, limit := s.quota(c)
	left := limit - 1
	if s.cfg.EnforceRates {
		left = c.left
	}
	if a.status == http.StatusTooManyRequests {
		left = 0
	}
	quota := strconv.Itoa(limit)
	h.Set("X-Ratelimit-Limit", quota+", "+quota+";w=1")
	h.Set("X-Ratelimit-Remaining", strconv.Itoa(left))
	h.Set("X-Ratelimit-Reset", "1")
}
