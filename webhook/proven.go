package webhook

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ProvenSource is an address that posts came from which proved to be Klarna's. It is Klarna's address, or that of a proxy
// which is not named as one: nobody else can prove a post.
type ProvenSource struct {
	Address netip.Addr `json:"address"`
	Door    Door       `json:"door"`
	Posts   int64      `json:"posts"`
	Last    time.Time  `json:"last"`
	// Listed says that the list of the door has it; Unlisted that there is a list, which does not: enforced, it would have
	// been refused. Neither is set for a door without a list.
	Listed   bool `json:"listed"`
	Unlisted bool `json:"unlisted"`
}

// mostProven bounds what is kept: Klarna posts from a few addresses.
const mostProven = 256

// proven keeps where Klarna's posts have come from since the start, whatever the mode of the source list: what it is to be
// enforced on can be tried first.
type proven struct {
	mu   sync.Mutex
	seen map[provenKey]*ProvenSource
}

type provenKey struct {
	address netip.Addr
	door    Door
}

func (p *proven) note(door Door, from netip.Addr, listed, hasList bool, now time.Time) {
	if !from.IsValid() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := provenKey{from, door}
	s := p.seen[key]
	if s == nil {
		if p.seen == nil {
			p.seen = map[provenKey]*ProvenSource{}
		}
		if len(p.seen) >= mostProven {
			p.dropOldest()
		}
		s = &ProvenSource{Address: from, Door: door}
		p.seen[key] = s
	}
	s.Posts++
	s.Last, s.Listed, s.Unlisted = now, listed, hasList && !listed
}

func (p *proven) dropOldest() {
	var oldest provenKey
	for key, s := range p.seen {
		if first := p.seen[oldest]; first == nil || s.Last.Before(first.Last) {
			oldest = key
		}
	}
	delete(p.seen, oldest)
}

// ProvenSources are the addresses that Klarna's posts came from since the start, at most 256, by address and door.
func (r *Receiver) ProvenSources() []ProvenSource {
	r.proven.mu.Lock()
	defer r.proven.mu.Unlock()
	all := make([]ProvenSource, 0, len(r.proven.seen))
	for _, s := range r.proven.seen {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b ProvenSource) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Door, b.Door))
	})
	return all
}
