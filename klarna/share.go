package klarna

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Budgets are the rate budgets of the clients that have them by Config.Budgets, to be shared out among processes that use
// the same credentials. Its zero value is ready. As long as nobody calls Share, each client has its quotas for itself.
type Budgets struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

// idleDemand is what a budget asks for that nobody uses, as a part of its quota: the first call is not to wait until a
// part is granted.
const idleDemand = 0.1

// leastShare is the part of a quota that is used though none is granted, or a call would never be tried.
const leastShare = 0.01

// of puts a client's bucket under a name, or returns the one that another client of the same account has there.
func (b *Budgets) of(name string, made *bucket) *bucket {
	if b == nil {
		return made
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buckets == nil {
		b.buckets = map[string]*bucket{}
	}
	if b.buckets[name] == nil {
		b.buckets[name] = made
	}
	return b.buckets[name]
}

// Demands returns, for each budget that has a quota, the calls a second that were wanted since they were asked for last,
// at least a little for those who come next.
func (b *Budgets) Demands() map[string]float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	demands := map[string]float64{}
	for name, bucket := range b.buckets {
		if demand := bucket.demand(); demand > 0 {
			demands[name] = demand
		}
	}
	return demands
}

// Budget is a rate budget at one moment, in calls.
type Budget struct {
	Owner    string // Config.BudgetsOf
	Category Category
	Quota    float64 // a second, that Klarna grants all who share the account
	Left     float64 // that could be sent at once
	Most     float64 // that Left can be, this process's part
	Waiting  int     // for their turn
}

// Levels tells of each budget that has a quota how much of it is left. Budgets of several hosts of one owner are told
// one by one, in the order of their hosts.
func (b *Budgets) Levels() (levels []Budget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(b.buckets)) {
		if level, has := b.buckets[name].level(); has {
			levels = append(levels, level)
		}
	}
	return levels
}

func (b *bucket) level() (level Budget, has bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wait(0) // brings tokens up to date
	level = Budget{Owner: b.owner, Category: b.category, Quota: float64(b.quota), Left: max(b.tokens, 0), Most: b.most, Waiting: b.ahead(lanes - 1)}
	if time.Now().Before(b.at) { // Klarna halts us
		level.Left = 0
	}
	return level, b.quota > 0
}

// Share sets which part of its quota, from 0 to 1, each budget has for itself. Those that are not named keep theirs.
func (b *Budgets) Share(shares map[string]float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, share := range shares {
		if bucket := b.buckets[name]; bucket != nil {
			bucket.grant(share)
		}
	}
}

// demand is the calls a second that came since it was asked for last, and those that wait; 0 without a quota.
func (b *bucket) demand() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quota == 0 {
		return 0
	}
	now := time.Now()
	waiting := b.ahead(lanes - 1)
	seconds := max(now.Sub(b.asked).Seconds(), 0.1)
	came := float64(b.came+waiting) / seconds
	b.came, b.asked = 0, now
	return max(came, float64(b.quota)*idleDemand)
}

// grant makes a part of the quota the bucket's own.
func (b *bucket) grant(share float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wait(0) // brings tokens up to date
	b.part = max(share, leastShare)
	b.size()
	b.tokens = min(b.tokens, b.most)
	b.share()
}
