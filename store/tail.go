package store

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// tail is the recent past of the log in memory, in clear, one for all followers. What is older is the engine's. It is
// replaced, never changed, so followers read it without a lock; and it is bounded, so a slow one keeps nothing in it
// alive for long.
type tail struct {
	began   Position // where the log stood when the tail was empty
	upTo    Position // the tail knows of everything up to here
	streams map[Stream]stretch
}

// stretch is a stream's part of the tail, in order: everything behind after.
type stretch struct {
	after  Position
	events []*Event
	size   int
}

// starts is the position behind which all of a stream is in the tail.
func (t *tail) starts(stream Stream) Position { return max(t.began, t.streams[stream].after) }

// behind is what the tail has of a stream behind a position, in order.
func (t *tail) behind(stream Stream, after Position) []*Event {
	events := t.streams[stream].events
	i, _ := slices.BinarySearchFunc(events, after+1, func(ev *Event, at Position) int { return cmp.Compare(ev.Position, at) })
	return events[i:]
}

// page is the first events of a stream behind a position as they outlive an erasure, at most limit; known is false where the
// tail does not have them all, or not like that.
func (t *tail) page(stream Stream, after Position, limit int) (page []Event, known bool) {
	if after < t.starts(stream) {
		return nil, false
	}
	events := t.behind(stream, after)
	for _, ev := range events[:min(limit, len(events))] {
		if ev.lasting == nil {
			return nil, false
		}
		lasting := *ev
		if !bytes.Equal(ev.lasting, ev.Body) {
			lasting.Body, lasting.memo = ev.lasting, nil
		}
		page = append(page, lasting)
	}
	return page, true
}

// tailLimit bounds a stream's part of the tail.
type tailLimit struct{ count, bytes int }

// extended is the tail with these events behind it, which are everything up to upTo. If that makes a stream's part too
// large, its oldest quarter goes, so that making room costs little per event.
func (t *tail) extended(events []Event, upTo Position, limit tailLimit) *tail {
	next := &tail{began: t.began, upTo: upTo, streams: make(map[Stream]stretch, len(t.streams)+1)}
	maps.Copy(next.streams, t.streams)
	for i := range events {
		ev := &events[i]
		ev.Raw, ev.memo = nil, &memo{}
		part := next.streams[ev.Stream]
		// Behind what others read; no two tails are made of one.
		part.events, part.size = append(part.events, ev), part.size+ev.size()
		next.streams[ev.Stream] = part
	}
	for name, part := range next.streams {
		gone := 0
		for most := limit; part.size > most.bytes || len(part.events)-gone > most.count; gone++ {
			most = tailLimit{limit.count - limit.count/4, limit.bytes - limit.bytes/4}
			part.size -= part.events[gone].size()
		}
		if gone > 0 {
			part.after = part.events[gone-1].Position
			part.events = slices.Clone(part.events[gone:]) // lets the old ones go
			next.streams[name] = part
		}
	}
	return next
}

// next is the first event of a query's stream behind a position that it selects; nil if there is none.
func (t *tail) next(q *Query, after Position) *Event {
	for _, ev := range t.behind(q.Stream, after) {
		if q.selects(ev) {
			return ev
		}
	}
	return nil
}

// selects tells whether an event of the query's stream matches it, its bounds aside.
func (q *Query) selects(ev *Event) bool {
	if q.MerchantAccount != "" && ev.MerchantAccount != q.MerchantAccount {
		return false
	}
	if len(q.States) > 0 && !slices.Contains(q.States, ev.State) {
		return false
	}
	return len(q.Keys) == 0 || slices.ContainsFunc(ev.Keys, func(k Key) bool { return slices.Contains(q.Keys, k) })
}

// size is about what an event takes in memory, with what readers make of it.
func (e *Event) size() int {
	const fields = 512
	size := fields + 2*len(e.Body) + len(e.lasting) + len(e.ID)
	for _, k := range e.Keys {
		size += len(k.Kind) + len(k.Value) + 32
	}
	return size
}

// asRead is an own event as an engine would give it back.
func (e Event) asRead() Event {
	e.OccurredAt = instant(e.OccurredAt)
	e.RecordedAt = instant(e.RecordedAt)
	if len(e.Body) == 0 {
		e.Body = nil
	}
	if e.lasting = e.Lasting; e.lasting == nil {
		e.lasting = e.Body
	}
	e.Lasting, e.DataKey, e.New = nil, nil, false
	if len(e.Keys) == 0 {
		e.Keys = nil
	}
	return e
}

// instant is a time as engines keep it.
func instant(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// memo keeps what the readers of one event have made of it.
type memo struct {
	slots [memoSlots]struct {
		once  sync.Once
		value any
	}
}

const memoSlots = 6

// Memo returns what make makes of an event, and lets those who follow share it: one makes it, the others get the same.
// slot (0 to 5) says what it is; the result must not be changed. An event that came from the engine is its reader's
// alone, and make runs each time.
func (e *Event) Memo(slot int, make func() any) any {
	if e.memo == nil {
		return make()
	}
	s := &e.memo.slots[slot]
	s.once.Do(func() { s.value = make() })
	return s.value
}

// recent is where the tail is found.
type recent struct {
	limit tailLimit
	tail  atomic.Pointer[tail]
}

func newRecent(head Position, limit tailLimit) *recent {
	r := &recent{limit: limit}
	r.restart(head)
	return r
}

// restart empties the tail.
func (r *recent) restart(head Position) { r.tail.Store(&tail{began: head, upTo: head}) }

func (r *recent) extend(events []Event, upTo Position) {
	r.tail.Store(r.tail.Load().extended(events, upTo, r.limit))
}
