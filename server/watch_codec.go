package server

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"payments.internal/klarna-gateway/store"
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

// newFrame puts a token in front of an event.
func newFrame(token string, shared []byte) *frame {
	own := make([]byte, 0, len(token)+4)
	own = protowire.AppendTag(own, fieldResumeToken, protowire.BytesType)
	return &frame{own: protowire.AppendString(own, token), shared: shared}
}

// The memos of an event.
const (
	memoEncoded         = iota // as a field of a response
	memoEncodedPersonal        // the same with personal data
	memoEncodedAlone           // the same with the status alone
	memoStatus                 // its payment status
)

// encodedEvent is the event as a field of a watch response.
func encodedEvent[E proto.Message](ev *store.Event, slot int, convert func(store.Event) (E, error)) ([]byte, error) {
	made := ev.Memo(slot, func() any {
		message, err := convert(*ev)
		if err != nil {
			return err
		}
		if slot != memoEncodedPersonal {
			withhold(message, wishNothing)
		}
		field := protowire.AppendTag(nil, fieldEvent, protowire.BytesType)
		field = protowire.AppendVarint(field, uint64(proto.Size(message)))
		if field, err = (proto.MarshalOptions{}).MarshalAppend(field, message); err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		return field
	})
	if err, failed := made.(error); failed {
		return nil, err
	}
	return made.([]byte), nil
}

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
