package server

import (
	"bytes"
	"sync/atomic"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"payments.internal/klarna-gateway/store"
)

// frame is the response of a watch that tells of an event, encoded already: what is the watch's own, the resume token,
// and in front of it nothing; then the event, which all watches share that show it. So an event is converted and encoded
// once, however many it goes to. A frame does not change, and gRPC does not change what it is given.
type frame struct {
	own, event mem.SliceBuffer
	data       [2]mem.Buffer // both
	at         place
	bound      []byte // of the token
}

// Both watch responses have these fields.
const (
	fieldResumeToken protowire.Number = 1
	fieldEvent       protowire.Number = 2
)

// frame is the frame that tells of an event, and where to go on behind it. Watches that show the same and were asked for the
// same have the same token: where many watch one thing, they share the frame that one of them made last.
func (c *cursors) frame(ev *store.Event, at place, event []byte) *frame {
	last := ev.Memo(memoFrame, func() any { return &atomic.Pointer[frame]{} }).(*atomic.Pointer[frame])
	if f := last.Load(); f != nil && f.at == at && bytes.Equal(f.bound, c.bound) && &f.event[0] == &event[0] {
		return f
	}
	f := c.newFrame(at, event)
	last.Store(f)
	return f
}

func (c *cursors) newFrame(at place, event []byte) *frame {
	m := c.signer.take()
	defer c.signer.pool.Put(m)
	raw := m.sign(c.bound, at)
	size := tokenText.EncodedLen(len(raw))
	own := make([]byte, 0, size+4)
	own = protowire.AppendTag(own, fieldResumeToken, protowire.BytesType)
	own = protowire.AppendVarint(own, uint64(size))
	f := &frame{own: tokenText.AppendEncode(own, raw), event: event, at: at, bound: c.bound}
	f.data = [2]mem.Buffer{&f.own, &f.event}
	return f
}

// The memos of an event.
const (
	memoEncoded         = iota // as a field of a response
	memoEncodedPersonal        // the same with personal data
	memoEncodedAlone           // the same with the status alone
	memoStatus                 // its payment status
	memoFrame                  // the frame made last
	memoPartner                // whose it is
)

// codec is gRPC's own for protobuf, which also sends frames.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(protocodec.Name)} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return f.data[:], nil
	}
	return c.CodecV2.Marshal(v)
}
