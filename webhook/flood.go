package webhook

import (
	"net/netip"
	"sync"
	"time"
)

// flood turns away addresses that keep making deliveries that are rejected. A delivery costs its address one of its
// tokens until it has proven itself, so Klarna, whose deliveries do, is never held up.
type flood struct {
	rate, burst float64 // tokens a second, and at most
	now         func() time.Time
	// unproxied says that no proxies are configured: an address that is private may then be that of one, which must
	// not be turned away for what strangers do behind it.
	unproxied bool

	mu    sync.Mutex
	from  map[netip.Prefix]*bucket
	other bucket // of all who come when there is no room for them
	swept time.Time
}

type bucket struct {
	tokens float64
	at     time.Time
	told   bool // that it is empty
}

// floodAddresses bounds how many addresses are kept in mind, 100 bytes each.
const floodAddresses = 10_000

func newFlood(rate float64, unproxied bool, now func() time.Time) *flood {
	if rate == 0 {
		rate = 5
	}
	return &flood{rate: rate, burst: 10 * rate, now: now, unproxied: unproxied, from: map[netip.Prefix]*bucket{}}
}

// take tells whether an address has a token left, and takes it. first is true the first time it has none.
func (f *flood) take(a netip.Addr) (ok, first bool) {
	if !f.minds(a) {
		return true, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.bucket(a)
	if b.tokens < 1 {
		first, b.told = !b.told, true
		return false, first
	}
	b.tokens--
	b.told = false
	return true, false
}

// giveBack returns the token of a delivery that was not rejected.
func (f *flood) giveBack(a netip.Addr) {
	if !f.minds(a) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.bucket(a)
	b.tokens = min(b.tokens+1, f.burst)
}

func (f *flood) minds(a netip.Addr) bool {
	near := a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
	return f.rate > 0 && !(f.unproxied && near)
}

// bucket is the address's, filled up to now. Addresses of IPv6 count by their /64, which one host may have all of.
func (f *flood) bucket(a netip.Addr) *bucket {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	key, _ := a.Prefix(bits) // of an address that is not valid: the zero one
	now, b := f.now(), f.from[key]
	if b == nil {
		if len(f.from) >= floodAddresses && now.Sub(f.swept) >= time.Second { // looking at all of them has its price
			f.swept = now
			f.forget(now)
		}
		if b = &(bucket{tokens: f.burst, at: now}); len(f.from) < floodAddresses {
			f.from[key] = b
		} else {
			b = &f.other
		}
	}
	b.tokens = min(f.burst, b.tokens+f.rate*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	return b
}

// forget drops addresses that are as good as new.
func (f *flood) forget(now time.Time) {
	for key, b := range f.from {
		if b.tokens+f.rate*now.Sub(b.at).Seconds() >= f.burst {
			delete(f.from, key)
		}
	}
}
