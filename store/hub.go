package store

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// hub wakes those who wait for a commit. An event costs what the subscribers cost that it concerns; others do not hear
// of it.
type hub struct {
	mu          sync.Mutex
	subscribers map[address]*seat // first of a list

	beats beats
	jobs  bell
	// others rings when another replica may have committed.
	others bell

	// order is held from before an own commit until seen covers it, so whoever holds it knows that every own event
	// up to the head it read before is counted.
	order sync.Mutex
	seen  Position // every event up to here is in the tail, or older than it

	// rung follows seen once everybody was rung for. Whoever reads it and finds no ring behind knows that nothing up
	// to there concerns it.
	rung atomic.Int64
}

// bell holds one ring; a second one would say nothing new.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// address is what a follower waits for: one key or everything (the zero Key), of one account or of all ("").
type address struct {
	stream  Stream
	account string
	key     Key
}

// subscriber waits for events that a query selects, states aside, and for its beat.
type subscriber struct {
	wake  func()       // must not block
	first atomic.Int64 // position of the first event that it was rung for since it took that; 0 for none
	beat  atomic.Bool  // its interval has passed
	over  atomic.Bool  // its context or its query ended
	seats []seat

	interval       time.Duration
	due            time.Duration // of beats
	before, behind *subscriber   // of beats
}

// seat is a subscriber's place in the list of one address.
type seat struct {
	*subscriber
	prev, next *seat
}

func newHub(seen Position) *hub {
	h := &hub{
		subscribers: make(map[address]*seat), beats: beats{began: time.Now(), rounds: make(map[time.Duration]*round)},
		jobs: make(bell, 1), others: make(bell, 1), seen: seen,
	}
	h.rung.Store(int64(seen))
	return h
}

// subscribe has a subscriber hear of the events that q selects, until unsubscribe.
func (h *hub) subscribe(s *subscriber, q *Query) {
	keys := wanted(q)
	s.interval, s.seats = q.Heartbeat, make([]seat, len(keys))
	h.mu.Lock()
	for i, k := range keys {
		at, where := &s.seats[i], address{q.Stream, q.MerchantAccount, k}
		at.subscriber = s
		if at.next = h.subscribers[where]; at.next != nil {
			at.next.prev = at
		}
		h.subscribers[where] = at
	}
	h.mu.Unlock()
	h.beats.add(s)
}

// wanted is the keys that a query addresses; the zero Key for everything.
func wanted(q *Query) []Key {
	if len(q.Keys) == 0 {
		return []Key{{}}
	}
	return q.Keys
}

func (h *hub) unsubscribe(s *subscriber, q *Query) {
	h.beats.remove(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, k := range wanted(q) {
		at, where := &s.seats[i], address{q.Stream, q.MerchantAccount, k}
		if at.next != nil {
			at.next.prev = at.prev
		}
		switch {
		case at.prev != nil:
			at.prev.next = at.next
		case at.next != nil:
			h.subscribers[where] = at.next
		default:
			delete(h.subscribers, where)
		}
	}
}

// wake rings for the subscribers of these events, in the order of their positions.
func (h *hub) wake(events []Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range events {
		ev := &events[i]
		for _, k := range slices.Concat(ev.Keys, []Key{{}}) {
			for _, account := range []string{ev.MerchantAccount, ""} {
				for at := h.subscribers[address{ev.Stream, account, k}]; at != nil; at = at.next {
					at.concerns(ev.Position)
				}
			}
		}
	}
}

// wakeAll rings for everybody: anything from this position on may concern them.
func (h *hub) wakeAll(from Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.subscribers {
		for ; at != nil; at = at.next {
			at.concerns(from)
		}
	}
}

// concerns wakes a subscriber for an event at this position.
func (s *subscriber) concerns(at Position) {
	s.first.CompareAndSwap(0, int64(at))
	s.wake()
}

// take tells whether the beat has come, and what became of the log while the subscriber waited: nothing up to quiet
// concerns it, and if news is true something behind may.
func (h *hub) take(s *subscriber) (quiet Position, news, beat bool) {
	beat = s.beat.Swap(false)
	rung := Position(h.rung.Load()) // before first is looked at, or a ring falls between
	if first := Position(s.first.Swap(0)); first != 0 {
		return first - 1, true, beat
	}
	return rung, false, beat
}

// ring runs an own commit, puts its events into the tail, and wakes those it concerns. Where another replica's events
// lie before them, readOn does that instead: it reads them all.
func (s *Store) ring(commit func() written) {
	h := s.hub
	h.order.Lock()
	defer h.order.Unlock()
	wrote := commit()
	if wrote.jobs || wrote.unsure {
		h.jobs.ring()
	}
	if wrote.unsure { // it may be on record all the same
		h.others.ring()
	}
	if len(wrote.events) == 0 {
		return
	}
	if first := wrote.events[0].Position; first != h.seen+1 {
		h.others.ring()
		return
	}
	s.tell(wrote.events, wrote.events[len(wrote.events)-1].Position)
}

// tell makes events known that lie behind all that was told; order is held.
func (s *Store) tell(events []Event, upTo Position) {
	if slices.ContainsFunc(events, func(ev Event) bool { return ev.Erased }) {
		s.recent.restart(upTo) // events before may be of the same person, in clear
	} else {
		s.recent.extend(events, upTo)
	}
	s.hub.seen = upTo
	s.hub.wake(events)
	s.hub.rung.Store(int64(upTo))
	s.packer.told(upTo)
}

// Reached is the newest position that followers were told of. Unlike Head it costs nothing and may lag behind what
// another replica has just committed.
func (s *Store) Reached() Position { return Position(s.hub.rung.Load()) }

// listen hears of other replicas' commits until ctx ends. Own ones have been told by ring.
func (s *Store) listen(ctx context.Context) {
	var again backoff
	for {
		err := s.engine.Listen(ctx, func(own bool) {
			again.succeeded()
			if own {
				return
			}
			s.hub.others.ring()
			s.hub.jobs.ring() // jobs leave no position, so these may be another replica's
		})
		if ctx.Err() != nil {
			return
		}
		s.logger.WarnContext(ctx, "listening to the log broke, trying again", slog.Any("error", err))
		if !again.wait(ctx) {
			return
		}
	}
}

// readOn reads what other replicas committed, once for all followers, until ctx ends.
func (s *Store) readOn(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.hub.others:
		}
		for again := (backoff{}); ; {
			err := s.readOthers(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return
			}
			s.logger.WarnContext(ctx, "reading what others committed failed, trying again", slog.Any("error", err))
			if !again.wait(ctx) {
				return
			}
		}
	}
}

func (s *Store) readOthers(ctx context.Context) error {
	head, _, err := s.engine.Head(ctx)
	if err != nil {
		return err
	}
	s.hub.order.Lock() // after reading the head: see order
	seen := s.hub.seen
	s.hub.order.Unlock()
	if head <= seen { // an own commit
		return nil
	}
	events, whole, err := s.between(ctx, seen, head)
	if err != nil {
		return err
	}
	s.hub.order.Lock()
	defer s.hub.order.Unlock()
	if s.hub.seen != seen {
		s.hub.others.ring() // an own commit came in between after all: read again
		return nil
	}
	if !whole {
		s.recent.restart(head)
		s.hub.seen = head
		s.hub.wakeAll(seen + 1)
		s.hub.rung.Store(int64(head))
		s.packer.told(head)
		return nil
	}
	s.tell(events, head)
	return nil
}

// between reads everything behind after up to a position. What would not fit into the tail is not whole: followers read
// it by themselves.
func (s *Store) between(ctx context.Context, after, upTo Position) (events []Event, whole bool, err error) {
	for _, stream := range streams {
		q := Query{Stream: stream, After: after, UpTo: upTo, Limit: s.recent.limit.count + 1}
		part, err := s.events(ctx, q, false)
		if err != nil {
			return nil, false, err
		}
		if len(part) == q.Limit {
			return nil, false, nil
		}
		events = append(events, part...)
	}
	slices.SortFunc(events, func(a, b Event) int { return int(a.Position - b.Position) })
	return events, true, nil
}
