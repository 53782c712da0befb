package store

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// relisten is how long the hub waits before it listens to the engine again after that broke.
const relisten = time.Second

// hub wakes those who wait for a commit. A bell holds one ring; a second one would say nothing new.
type hub struct {
	mu        sync.Mutex
	followers map[address]map[bell]struct{}

	jobs bell

	// order is held from before an own commit until seen covers it, so whoever holds it knows that every own event
	// up to the head it read before is counted.
	order sync.Mutex
	seen  Position // every event up to here has been rung for
}

type bell chan struct{}

// address is what a follower waits for: one key or everything (the zero Key), of one account or of all ("").
type address struct {
	stream  Stream
	account string
	key     Key
}

func newHub(seen Position) *hub {
	return &hub{followers: make(map[address]map[bell]struct{}), jobs: make(bell, 1), seen: seen}
}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// subscribe returns a bell for the events that q selects, states aside. The caller gives it back to unsubscribe.
func (h *hub) subscribe(q Query) bell {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := make(bell, 1)
	for _, at := range addresses(q) {
		if h.followers[at] == nil {
			h.followers[at] = make(map[bell]struct{})
		}
		h.followers[at][b] = struct{}{}
	}
	return b
}

func (h *hub) unsubscribe(q Query, b bell) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range addresses(q) {
		delete(h.followers[at], b)
		if len(h.followers[at]) == 0 {
			delete(h.followers, at)
		}
	}
}

func addresses(q Query) []address {
	keys := q.Keys
	if len(keys) == 0 {
		keys = []Key{{}}
	}
	list := make([]address, len(keys))
	for i, k := range keys {
		list[i] = address{q.Stream, q.MerchantAccount, k}
	}
	return list
}

// wake rings for the followers of these events.
func (h *hub) wake(events []Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ev := range events {
		for _, k := range slices.Concat(ev.Keys, []Key{{}}) {
			for _, account := range []string{ev.MerchantAccount, ""} {
				for b := range h.followers[address{ev.Stream, account, k}] {
					b.ring()
				}
			}
		}
	}
}

func (h *hub) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, bells := range h.followers {
		for b := range bells {
			b.ring()
		}
	}
}

// ring runs an own commit and wakes those it concerns.
func (s *Store) ring(commit func() written) {
	s.hub.order.Lock()
	defer s.hub.order.Unlock()
	wrote := commit()
	if wrote.jobs {
		s.hub.jobs.ring()
	}
	if len(wrote.events) == 0 {
		return
	}
	first, last := wrote.events[0].Position, wrote.events[len(wrote.events)-1].Position
	if first > s.hub.seen+1 { // another replica's events lie before ours
		s.hub.wakeAll()
	} else {
		s.hub.wake(wrote.events)
	}
	s.hub.seen = last
}

// listen hears of other replicas' commits until ctx ends. The engine does not say whose commit it rings for; heard
// finds out, so that an own commit wakes only those it concerns.
func (s *Store) listen(ctx context.Context) {
	for {
		err := s.engine.Listen(ctx, func() { s.heard(ctx) })
		if ctx.Err() != nil {
			return
		}
		s.logger.WarnContext(ctx, "listening to the log broke, trying again", slog.Any("error", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(relisten):
		}
	}
}

func (s *Store) heard(ctx context.Context) {
	head, _, err := s.engine.Head(ctx)
	s.hub.order.Lock() // after reading the head: see order
	foreign := err != nil || head > s.hub.seen
	s.hub.seen = max(s.hub.seen, head)
	s.hub.order.Unlock()
	if foreign {
		s.hub.wakeAll()
	}
	s.hub.jobs.ring() // jobs leave no position, so these may be another replica's
}
