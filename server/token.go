package server

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// cursor is a place in the log as a watch or a list left it. It leaves the gateway as an opaque token: its JSON and a
// keyed digest over it, so that nobody can make one up. It is bound to the log (and its epoch, which a restore from
// backup moves), to what is watched or listed, and to the filter.
type cursor struct {
	Version int    `json:"v"`
	Log     string `json:"l"`
	Epoch   int64  `json:"e"`
	What    string `json:"w"` // RPC
	Filter  []byte `json:"f"` // digest of the filter
	place
}

// place is how far a watch or a list has come: behind After. Inside a snapshot After counts the newest positions of
// subjects, and UpTo is the position that the snapshot shows; 0 is the snapshot of an empty log.
type place struct {
	After    store.Position `json:"a"`
	Snapshot bool           `json:"s,omitempty"`
	UpTo     store.Position `json:"u,omitempty"`
	Offset   int64          `json:"o,omitempty"` // Klarna's own, in a list that Klarna keeps
	Cursor   string         `json:"c,omitempty"` // likewise, where Klarna counts by items
}

const (
	cursorVersion = 1
	digestSize    = 16
)

// cursors makes and reads the tokens of one watch or list.
type cursors struct {
	store         *store.Store
	base          cursor
	head, trimmed store.Position // of the log, when the watch or list began
}

// tokenText is how tokens are written: strictly, so that a place has one text.
var tokenText = base64.RawURLEncoding.Strict()

// cursors binds tokens to the log, the RPC and the filter: the request without what may change between two calls.
func (s *Server) cursors(ctx context.Context, rpc, merchantAccount string, filter proto.Message) (cursors, error) {
	id, epoch, err := s.store.Log(ctx)
	if err != nil {
		return cursors{}, fmt.Errorf("identify log: %w", err)
	}
	head, trimmed, err := s.store.Head(ctx)
	if err != nil {
		return cursors{}, err
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(filter)
	if err != nil {
		return cursors{}, fmt.Errorf("encode filter: %w", err)
	}
	digest := s.store.Fingerprint([]byte("filter"), []byte(merchantAccount), encoded)[:digestSize]
	base := cursor{Version: cursorVersion, Log: id, Epoch: epoch, What: rpc, Filter: digest}
	return cursors{store: s.store, base: base, head: head, trimmed: trimmed}, nil
}

// token renders a place as an opaque token.
func (c cursors) token(at place) string {
	cursor := c.base
	cursor.place = at
	encoded, err := json.Marshal(cursor)
	if err != nil { // a struct of plain fields always encodes
		panic(err)
	}
	return tokenText.EncodeToString(append(c.digest(encoded), encoded...))
}

func (c cursors) digest(encoded []byte) []byte {
	return c.store.Fingerprint([]byte("token"), encoded)[:digestSize]
}

// read takes a token apart. The errors name the reason that the given words stand for. A place ahead of the log was
// made by a log that this one was restored from, without the epoch having been moved: what happens now would be left out
// until the log has caught up, so it is refused.
func (c cursors) read(token, field string, invalid gatewayv1.ErrorReason) (place, error) {
	var read cursor
	raw, err := tokenText.DecodeString(token)
	if err != nil || len(raw) < digestSize || !hmac.Equal(raw[:digestSize], c.digest(raw[digestSize:])) ||
		json.Unmarshal(raw[digestSize:], &read) != nil || read.Version != cursorVersion {
		return place{}, badToken(invalid, field, "is not a token of this gateway's, or was altered")
	}
	foreign := gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_FOREIGN
	if invalid == gatewayv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID {
		foreign = invalid
	}
	switch {
	case read.Log != c.base.Log || read.Epoch != c.base.Epoch || max(read.After, read.UpTo) > c.head:
		return place{}, badToken(foreign, field, "belongs to another log: start again without it")
	case read.What != c.base.What:
		return place{}, badToken(foreign, field, "belongs to "+read.What)
	case !hmac.Equal(read.Filter, c.base.Filter):
		return place{}, badToken(foreign, field, "belongs to a request with another filter")
	}
	return read.place, nil
}

func badToken(r gatewayv1.ErrorReason, field, rule string) error {
	return reason(codes.InvalidArgument, r, field+" "+rule, violated(field, rule, "token"))
}
