package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// A Block is a run of events of a stream and a merchant account as their watchers are sent them: rendered, one behind the
// other, sealed in one piece. The way through a long log costs a fraction of what reading its events one by one does. A
// block is made of events and can be made again; it holds nothing personal, so that an erasure has nothing to do with it.
type Block struct {
	Stream          Stream
	MerchantAccount string
	Form            string   // of the rendering
	After, UpTo     Position // every event of the account with a position in between is in it, UpTo included
	Body            []byte   // sealed
}

// Rendering makes what watchers of a stream are sent of an event.
type Rendering struct {
	// Form names what Render makes. Blocks of another form are made anew.
	Form string
	// Render makes what may be sent to those who may see nothing personal. It gets what outlives an erasure.
	Render func(*Event) ([]byte, error)
}

// Sent is the event as its stream's rendering has it, where it was kept like that; nil otherwise. Of such an event only
// Position, ID, Stream, MerchantAccount, State, RecordedAt and TraceParent are known besides.
func (e *Event) Sent() []byte { return e.sent }

// blocksAtATime bounds how many followers hold a block: others read events one by one, of which they hold few.
const blocksAtATime = 64

// block yields the events of the block that the follower has come to, up to upTo, if there is one and the follower was
// brisk so far. If there is one further on, upTo is lowered to where it begins. A block is whole, though the log be
// trimmed meanwhile.
func (f *Follower) block(ctx context.Context, upTo *Position, size *int) (read, more bool, err error) {
	s, q := f.store, &f.query
	form, packed := s.packer.forms[q.Stream]
	if !q.Sent || !packed || q.MerchantAccount == "" || len(q.Keys) > 0 || *size < s.pageSize {
		return false, true, nil
	}
	select {
	case s.packer.readers <- struct{}{}:
		defer func() { <-s.packer.readers }()
	default:
		return false, true, nil
	}
	began := time.Now()
	b, err := s.engine.Block(ctx, q.Stream, q.MerchantAccount, form.Form, q.After)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, true, nil
	case ctx.Err() != nil:
		return false, true, context.Cause(ctx)
	case err != nil: // the rows are the log, and say what is wrong if they cannot be read either
		s.logger.WarnContext(ctx, "a block of old events cannot be read", slog.Any("error", err))
		return false, true, nil
	case b.After > q.After:
		*upTo = min(*upTo, b.After)
		return false, true, nil
	}
	text, err := s.keys.openBlock(&b)
	b.Body = nil
	if err != nil {
		return f.unreadable(ctx, &b, upTo, err)
	}
	for r := (records{block: &b, text: string(text), bytes: text}); r.more(); {
		ev, err := r.next()
		if err != nil {
			return f.unreadable(ctx, &b, upTo, err)
		}
		if err := f.ended(ctx); err != nil {
			return true, true, err
		}
		switch {
		case ev.Position <= q.After:
			continue
		case ev.Position > *upTo:
			q.After = *upTo
			return true, true, nil
		}
		q.After = ev.Position
		if len(q.States) > 0 && !slices.Contains(q.States, ev.State) {
			continue
		}
		if !f.yield(ev, nil) {
			return true, false, nil
		}
		if time.Since(began) > briskly { // who is slow holds no block
			*size = firstPage
			return true, true, nil
		}
	}
	q.After = max(q.After, min(b.UpTo, *upTo))
	return true, true, nil
}

// unreadable leaves what a block should have held to the rows.
func (f *Follower) unreadable(ctx context.Context, b *Block, upTo *Position, err error) (read, more bool, _ error) {
	f.store.logger.ErrorContext(ctx, "a block of old events cannot be read", slog.Int64("after", int64(b.After)), slog.Any("error", err))
	*upTo = min(*upTo, b.UpTo)
	return false, true, nil
}

// appendRecord writes an event behind others of its block.
func appendRecord(b []byte, ev *Event, sent []byte) []byte {
	b = binary.AppendUvarint(b, uint64(ev.Position))
	b = binary.AppendVarint(b, ev.RecordedAt.UnixMicro())
	for _, part := range []string{ev.ID, ev.State, ev.TraceParent} {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	return append(binary.AppendUvarint(b, uint64(len(sent))), sent...)
}

// records reads what appendRecord wrote. It has the text twice: strings are parts of the one, what is sent of the other,
// so that an event costs little.
type records struct {
	block *Block
	text  string
	bytes []byte
	at    int
	bad   bool
}

func (r *records) more() bool { return r.at < len(r.bytes) }

var errBlock = errors.New("a block is malformed, or not where it was put")

func (r *records) next() (*Event, error) {
	ev := &Event{Stream: r.block.Stream, MerchantAccount: r.block.MerchantAccount}
	position, n := binary.Uvarint(r.bytes[r.at:])
	r.past(n)
	recorded, n := binary.Varint(r.bytes[r.at:])
	r.past(n)
	ev.Position, ev.RecordedAt = Position(position), time.UnixMicro(recorded).UTC()
	for _, into := range []*string{&ev.ID, &ev.State, &ev.TraceParent} {
		from, to := r.part()
		*into = r.text[from:to]
	}
	from, to := r.part()
	ev.sent = r.bytes[from:to:to]
	if r.bad {
		return nil, errBlock
	}
	return ev, nil
}

// part is where the next part stands, behind its length.
func (r *records) part() (from, to int) {
	size, n := binary.Uvarint(r.bytes[r.at:])
	r.past(n)
	if from = r.at; r.bad || size > uint64(len(r.bytes)-from) {
		r.bad = true
		return 0, 0
	}
	r.at += int(size)
	return from, r.at
}

// past goes past a number of n bytes; none is not one.
func (r *records) past(n int) {
	if n <= 0 {
		r.bad = true
		return
	}
	r.at += n
}

// sealBlock seals the records of a block behind where it begins and ends.
func (k *Keyring) sealBlock(b *Block, records []byte) (err error) {
	b.Body, err = k.Seal(append(b.place(), records...), b.about()...)
	return err
}

// openBlock returns the records of a block.
func (k *Keyring) openBlock(b *Block) ([]byte, error) {
	text, err := k.Open(b.Body, b.about()...)
	if err != nil {
		return nil, err
	}
	records, here := bytes.CutPrefix(text, b.place())
	if !here {
		return nil, errBlock
	}
	return records, nil
}

func (b *Block) about() []string {
	return []string{"block", string(b.Stream), b.MerchantAccount, b.Form}
}

func (b *Block) place() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(b.After)), uint64(b.UpTo))
}
