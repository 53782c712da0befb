package klarna

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Circuits keeps one circuit per host, for the clients that share it by Config.Circuits. Its zero value is ready. A
// host's circuit is as the first client of that host wants it.
type Circuits struct {
	mu    sync.Mutex
	hosts map[string]*breaker
}

// of returns the circuit of base's host.
func (c *Circuits) of(base string, after int, delay time.Duration) *breaker {
	if c == nil {
		return &breaker{after: after, delay: delay}
	}
	host := base // of a base url that is none; New refuses it
	if u, err := url.Parse(base); err == nil {
		host = strings.ToLower(u.Host)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hosts == nil {
		c.hosts = map[string]*breaker{}
	}
	if c.hosts[host] == nil {
		c.hosts[host] = &breaker{after: after, delay: delay}
	}
	return c.hosts[host]
}

// Open tells of each host that was called whether its circuit is open, until the probe after it has done well.
func (c *Circuits) Open() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	open := make(map[string]bool, len(c.hosts))
	for host, b := range c.hosts {
		b.mu.Lock()
		open[host] = b.open()
		b.mu.Unlock()
	}
	return open
}

// errCircuitOpen is why a call was not sent while Klarna is down.
var errCircuitOpen = errors.New("circuit open after repeated failures")

// outcome is what one attempt told about Klarna.
type outcome int

const (
	served outcome = iota // answered, be it by a refusal
	failed                // not answered, or with 5xx
	moot                  // nothing: not sent, or the caller gave up too soon to blame Klarna
)

// breaker keeps calls from a Klarna that is down. It opens after so many failures in a row, and after a delay lets one
// call try, whose outcome closes or opens it again. One serves one host: what is down is down for every credential.
//
// It is our own because little is left once it fits: it has to be asked before a call queues for its rate as well as
// after, and a caller's impatience must neither open it nor end a probe as a failure.
type breaker struct {
	after int           // failures that open it; negative: none do
	delay time.Duration // from opening to the probe

	mu       sync.Mutex
	failures int       // in a row
	retryAt  time.Time // when open: of the probe
	probing  bool
}

// shut reports whether allow would say no, without claiming the probe.
func (b *breaker) shut() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open() && (b.probing || time.Now().Before(b.retryAt))
}

// allow reports whether a call may be sent, and whether it is the probe. Who may has to report.
func (b *breaker) allow() (probe, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open():
		return false, true
	case b.probing || time.Now().Before(b.retryAt):
		return false, false
	}
	b.probing = true
	return true, true
}

// report tells how an allowed call went. What changed, if anything, is true for the caller to log.
func (b *breaker) report(probe bool, o outcome) (opened, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.open()
	if probe {
		b.probing = false
	}
	switch {
	case o == served: // a late answer to an old call is good news too
		b.failures = 0
	case o == failed && (probe || !was): // failures that were under way when it opened do not put off the probe
		b.failures++
		b.retryAt = time.Now().Add(b.delay)
	}
	return !was && b.open(), was && !b.open()
}

func (b *breaker) open() bool { return b.after >= 0 && b.failures >= b.after }
