package store

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// packer makes blocks of what was committed, behind the log and at leisure. Each replica does, beside the others: of two
// that make the same block one keeps it.
type packer struct {
	forms   map[Stream]Rendering
	readers chan struct{} // full while as many followers as may hold blocks do

	bell
	enough atomic.Int64 // from this position on there may be events for another block
}

func newPacker(forms map[Stream]Rendering) *packer {
	return &packer{forms: forms, readers: make(chan struct{}, blocksAtATime), bell: make(bell, 1)}
}

// told hears of the newest position.
func (p *packer) told(upTo Position) {
	if len(p.forms) > 0 && int64(upTo) >= p.enough.Load() {
		p.ring()
	}
}

// leisure is how much longer than packing the pauses between take: blocks are in no hurry, and commits are.
const leisure = 9

// packOn packs until ctx ends.
func (s *Store) packOn(ctx context.Context) {
	at := make(map[Stream]Position)
	for again := (backoff{}); ; {
		err := s.pack(ctx, at, leisure)
		if err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "packing old events failed, trying again", slog.Any("error", err))
			if !again.wait(ctx) {
				return
			}
			continue
		}
		again.succeeded()
		select {
		case <-ctx.Done():
			return
		case <-s.packer.bell:
		}
	}
}

// Pack makes blocks of all events that they can be made of, at once. A Store does so by itself, in time.
func (s *Store) Pack(ctx context.Context) error {
	return s.pack(ctx, make(map[Stream]Position), 0)
}

// pack makes blocks of all events that they can be made of. at is how far each stream is packed, as far as is known.
func (s *Store) pack(ctx context.Context, at map[Stream]Position, leisure time.Duration) error {
	missing := s.pageSize
	var head Position
	for stream, form := range s.packer.forms {
		if _, known := at[stream]; !known {
			if err := s.dropOtherForms(ctx, stream, form.Form, leisure); err != nil {
				return err
			}
			upTo, err := s.engine.Packed(ctx, stream, form.Form)
			if err != nil {
				return err
			}
			at[stream] = upTo
		}
		for more := true; more; {
			began := time.Now()
			found, seen, err := s.packPage(ctx, stream, form, at)
			if err != nil {
				return fmt.Errorf("pack: %w", err)
			}
			if more = found == s.pageSize; !more {
				missing, head = min(missing, s.pageSize-found), max(head, seen)
			}
			if !pause(ctx, leisure*time.Since(began)) {
				return context.Cause(ctx)
			}
		}
	}
	// Where one stream lacks little and the events are another's, it is looked at again after a part of a page.
	s.packer.enough.Store(int64(head) + int64(max(missing, s.pageSize/4)))
	return nil
}

// packPage makes blocks of the next page of a stream, if there is a whole one.
func (s *Store) packPage(ctx context.Context, stream Stream, form Rendering, at map[Stream]Position) (found int, head Position, err error) {
	head, trimmed, err := s.Head(ctx)
	if err != nil {
		return 0, 0, err
	}
	after := max(at[stream], trimmed)
	tail := s.recent.tail.Load()
	events, known := tail.page(stream, after, s.pageSize)
	if known {
		head = tail.upTo
	} else {
		events, err = s.lastingEvents(ctx, Query{Stream: stream, After: after, UpTo: max(head, 1), Limit: s.pageSize})
	}
	if err != nil || len(events) < s.pageSize {
		return len(events), head, err
	}
	blocks, err := s.blocksOf(events, form, after)
	if err != nil {
		return 0, 0, err
	}
	// A page that was read while the log was trimmed may have holes. It begins before the trimmed position then, and the
	// engine does not take it.
	if err := s.engine.PutBlocks(ctx, blocks); err != nil {
		return 0, 0, err
	}
	at[stream] = events[len(events)-1].Position
	return len(events), head, nil
}

// lastingEvents reads a page of events as they outlive an erasure. Of less than a whole page it tells how many there are, no more.
func (s *Store) lastingEvents(ctx context.Context, q Query) ([]Event, error) {
	events, err := s.engine.Events(ctx, q)
	if err != nil || len(events) < q.Limit {
		return events, err
	}
	return events, openAll(events, s.keys.openLasting)
}

// blocksOf makes the blocks of a page: one of each merchant account that has a good part of it. Those that have few of its
// events read them one by one, which is less than a block for each page. Where nobody has more, a block of no account says
// how far the log is packed.
func (s *Store) blocksOf(page []Event, form Rendering, after Position) ([]Block, error) {
	count := make(map[string]int)
	for i := range page {
		count[page[i].MerchantAccount]++
	}
	of := Block{Stream: page[0].Stream, Form: form.Form, After: after, UpTo: page[len(page)-1].Position}
	var blocks []Block
	for i := range page {
		ev := &page[i]
		if count[ev.MerchantAccount] < s.pageSize/8 {
			continue
		}
		sent, err := form.Render(ev)
		if err != nil {
			return nil, fmt.Errorf("render event %s: %w", ev.ID, err)
		}
		at := slices.IndexFunc(blocks, func(b Block) bool { return b.MerchantAccount == ev.MerchantAccount })
		if at < 0 {
			at, of.MerchantAccount = len(blocks), ev.MerchantAccount
			blocks = append(blocks, of)
		}
		blocks[at].Body = appendRecord(blocks[at].Body, ev, sent)
	}
	if len(blocks) == 0 {
		blocks = append(blocks, of)
	}
	for i := range blocks {
		if err := s.keys.sealBlock(&blocks[i], blocks[i].Body); err != nil {
			return nil, err
		}
	}
	return blocks, nil
}

// pause waits, and tells whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// dropOtherForms deletes the blocks that another version of the rendering made, some at a time.
func (s *Store) dropOtherForms(ctx context.Context, stream Stream, form string, leisure time.Duration) error {
	const some = 16
	for {
		began := time.Now()
		n, err := s.engine.DropBlocks(ctx, stream, form, some)
		if err != nil || n < some {
			return err
		}
		if !pause(ctx, leisure*time.Since(began)) {
			return context.Cause(ctx)
		}
	}
}
