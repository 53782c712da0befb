package server

import (
	"bytes"
	"context"
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
	Version int            `json:"v"`
	Log     string         `json:"l"`
	Epoch   int64          `json:"e"`
	What    string         `json:"w"` // RPC
	Filter  []byte         `json:"f"` // digest of the filter
	After   store.Position `json:"a"`
	// UpTo is set inside a snapshot: the position that the snapshot shows. After counts subjects' newest positions then.
	UpTo store.Position `json:"u,omitempty"`
}

const (
	cursorVersion = 1
	digestSize    = 16
)

// cursors makes and reads the tokens of one watch or list.
type cursors struct {
	store *store.Store
	base  cursor
}

// cursors binds tokens to the log, the RPC and the filter: the request without what may change between two calls.
func (s *Server) cursors(ctx context.Context, rpc, merchantAccount string, filter proto.Message) (cursors, error) {
	id, epoch, err := s.store.Log(ctx)
	if err != nil {
		return cursors{}, fmt.Errorf("identify log: %w", err)
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(filter)
	if err != nil {
		return cursors{}, fmt.Errorf("encode filter: %w", err)
	}
	digest := s.store.Fingerprint([]byte("filter"), []byte(merchantAccount), encoded)[:digestSize]
	return cursors{store: s.store, base: cursor{Version: cursorVersion, Log: id, Epoch: epoch, What: rpc, Filter: digest}}, nil
}

// token renders a place as an opaque token.
func (c cursors) token(after, upTo store.Position) string {
	place := c.base
	place.After, place.UpTo = after, upTo
	encoded, err := json.Marshal(place)
	if err != nil { // a struct of plain fields always encodes
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(append(c.digest(encoded), encoded...))
}

func (c cursors) digest(encoded []byte) []byte {
	return c.store.Fingerprint([]byte("token"), encoded)[:digestSize]
}

// read takes a token apart. The errors name the reason that the given words stand for.
func (c cursors) read(token, field string, invalid gatewayv1.ErrorReason) (cursor, error) {
	var place cursor
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < digestSize || !bytes.Equal(raw[:digestSize], c.digest(raw[digestSize:])) ||
		json.Unmarshal(raw[digestSize:], &place) != nil || place.Version != cursorVersion {
		return place, badToken(invalid, field, "is not a token of this gateway's, or was altered")
	}
	foreign := gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_FOREIGN
	if invalid == gatewayv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID {
		foreign = invalid
	}
	switch {
	case place.Log != c.base.Log || place.Epoch != c.base.Epoch:
		return place, badToken(foreign, field, "belongs to another log: start again with a snapshot")
	case place.What != c.base.What:
		return place, badToken(foreign, field, "belongs to "+place.What)
	case !bytes.Equal(place.Filter, c.base.Filter):
		return place, badToken(foreign, field, "belongs to a request with another filter")
	}
	return place, nil
}

func badToken(r gatewayv1.ErrorReason, field, rule string) error {
	return reason(codes.InvalidArgument, r, field+" "+rule, violated(field, rule, "token"))
}
