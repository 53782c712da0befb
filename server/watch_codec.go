package server

import (
	"sync"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// frame is the response of a watch that tells of an event, encoded already: what is the watch's own, the resume token,
// and in front of it nothing; then the event, which all watches share that show it. So an event is converted and encoded
// once, however many it goes to.
type frame struct{ own, shared []byte }

// Both watch responses have these fields.
const (
	fieldResumeToken protowire.Number = 1
	fieldEvent       protowire.Number = 2
)

// frames are used again once they are sent: gRPC keeps what it encoded of them, and not them.
var frames = sync.Pool{New: func() any { return &frame{} }}

func (f *frame) free() {
	*f = frame{}
	frames.Put(f)
}

// frame makes a frame of the token that goes on behind a place, and an event.
func (c *cursors) frame(at place, shared []byte) *frame {
	m := c.signer.take()
	defer c.signer.pool.Put(m)
	raw := m.sign(c.bound, at)
	size := tokenText.EncodedLen(len(raw))
	own := make([]byte, 0, size+4)
	own = protowire.AppendTag(own, fieldResumeToken, protowire.BytesType)
	own = protowire.AppendVarint(own, uint64(size))
	f := frames.Get().(*frame)
	f.own, f.shared = tokenText.AppendEncode(own, raw), shared
	return f
}

// The memos of an event.
const (
	memoEncoded         = iota // as a field of a response
	memoEncodedPersonal        // the same with personal data
	memoEncodedAlone           // the same with the status alone
	memoStatus                 // its payment status
)

// codec is gRPC's own for protobuf, which also sends frames.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(protocodec.Name)} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f.own), mem.SliceBuffer(f.shared)}, nil
	}
	return c.CodecV2.Marshal(v)
}
