package server

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// A token is a place in the log as a watch or a list left it. It is opaque: a keyed digest, so that nobody can make one
// up, and what it covers:
//
//	version (1 byte) · digest of the log and its epoch, which a restore from backup moves (8) · length and name of the
//	RPC · digest of the filter (16) · place
//
// A watch makes one per response, so it is cheap to make.
const (
	tokenVersion = 2
	digestSize   = 16
	logDigest    = 8
)

// place is how far a watch or a list has come: behind After. Inside a snapshot After counts the newest positions of
// subjects, and UpTo is the position that the snapshot shows; 0 is the snapshot of an empty log.
type place struct {
	After    store.Position
	Snapshot bool
	UpTo     store.Position
	Offset   int64  // Klarna's own, in a list that Klarna keeps
	Cursor   string // likewise, where Klarna counts by items
}

// cursors makes and reads the tokens of one watch or list.
type cursors struct {
	signer        *signer
	bound         []byte // what comes before the place
	head, trimmed store.Position
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
	return cursors{signer: s.tokens, head: head, trimmed: trimmed, bound: bind(
		s.digestOfLog(id, epoch), rpc,
		s.store.Fingerprint([]byte("filter"), []byte(merchantAccount), encoded)[:digestSize],
	)}, nil
}

// digestOfLog remembers the newest one: the log is the same until it is restored.
func (s *Server) digestOfLog(id string, epoch int64) []byte {
	if known := s.logDigest.Load(); known != nil && known.id == id && known.epoch == epoch {
		return known.digest
	}
	made := &digestedLog{id, epoch, s.store.Fingerprint([]byte("log"), []byte(id), binary.BigEndian.AppendUint64(nil, uint64(epoch)))[:logDigest]}
	s.logDigest.Store(made)
	return made.digest
}

type digestedLog struct {
	id     string
	epoch  int64
	digest []byte
}

func bind(log []byte, rpc string, filter []byte) []byte {
	bound := make([]byte, 0, 1+len(log)+1+len(rpc)+len(filter))
	bound = append(append(bound, tokenVersion), log...)
	bound = append(append(bound, byte(len(rpc))), rpc...)
	return append(bound, filter...)
}

// token renders a place as an opaque token.
func (c cursors) token(at place) string {
	m := c.signer.take()
	defer c.signer.pool.Put(m)
	return tokenText.EncodeToString(m.sign(c.bound, at))
}

// append writes a place behind what it is bound to.
func (at place) append(b []byte) []byte {
	snapshot := byte(0)
	if at.Snapshot {
		snapshot = 1
	}
	b = append(b, snapshot)
	for _, number := range []int64{int64(at.After), int64(at.UpTo), at.Offset} {
		b = binary.AppendVarint(b, number)
	}
	return append(b, at.Cursor...)
}

// placeFrom reads what append wrote.
func placeFrom(b []byte) (at place, ok bool) {
	if len(b) == 0 || b[0] > 1 {
		return at, false
	}
	at.Snapshot, b = b[0] == 1, b[1:]
	for _, number := range []*int64{(*int64)(&at.After), (*int64)(&at.UpTo), &at.Offset} {
		var n int
		if *number, n = binary.Varint(b); n <= 0 {
			return at, false
		}
		b = b[n:]
	}
	at.Cursor = string(b)
	return at, true
}

// read takes a token apart. The errors name the reason that the given words stand for. A place ahead of the log was
// made by a log that this one was restored from, without the epoch having been moved: what happens now would be left out
// until the log has caught up, so it is refused.
func (c cursors) read(token, field string, invalid gatewayv1.ErrorReason) (place, error) {
	raw, err := tokenText.DecodeString(token)
	if err != nil || !c.signer.signed(raw) {
		return place{}, badToken(invalid, field, "is not a token of this gateway's, or was altered")
	}
	log, rpc, filter, at, ok := apart(raw[digestSize:])
	if !ok {
		return place{}, badToken(invalid, field, "is of a version that this gateway does not know")
	}
	foreign := gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_FOREIGN
	if invalid == gatewayv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID {
		foreign = invalid
	}
	ownLog, ownRPC, ownFilter, _, _ := apart(c.bound)
	switch {
	case !bytes.Equal(log, ownLog) || max(at.After, at.UpTo) > c.head:
		return place{}, badToken(foreign, field, "belongs to another log: start again without it")
	case rpc != ownRPC:
		return place{}, badToken(foreign, field, "belongs to "+rpc)
	case !bytes.Equal(filter, ownFilter):
		return place{}, badToken(foreign, field, "belongs to a request with another filter")
	}
	return at, nil
}

// apart takes apart what the digest covers. ok is false where no place is behind what it is bound to.
func apart(b []byte) (log []byte, rpc string, filter []byte, at place, ok bool) {
	if len(b) < 1+logDigest+1 || b[0] != tokenVersion {
		return nil, "", nil, at, false
	}
	log, b = b[1:1+logDigest], b[1+logDigest:]
	name := int(b[0])
	if b = b[1:]; len(b) < name+digestSize {
		return nil, "", nil, at, false
	}
	rpc, filter = string(b[:name]), b[name:name+digestSize]
	at, ok = placeFrom(b[name+digestSize:])
	return log, rpc, filter, at, ok
}

func badToken(r gatewayv1.ErrorReason, field, rule string) error {
	return reason(codes.InvalidArgument, r, field+" "+rule, violated(field, rule, "token"))
}

// signer makes and checks the digests of tokens: HMAC-SHA256, cut to 16 bytes. Gateways of one key file share the key.
type signer struct{ pool sync.Pool }

// maker makes one token at a time, in room that it keeps: a watch makes a token for each response.
type maker struct {
	mac    hash.Hash
	digest [sha256.Size]byte
	raw    []byte
}

func newSigner(key string) *signer {
	return &signer{sync.Pool{New: func() any {
		return &maker{mac: hmac.New(sha256.New, []byte(key)), raw: make([]byte, digestSize, 128)}
	}}}
}

func (s *signer) take() *maker { return s.pool.Get().(*maker) }

// sign is a token before it is text, until the next one.
func (m *maker) sign(bound []byte, at place) []byte {
	m.raw = at.append(append(m.raw[:digestSize], bound...))
	copy(m.raw, m.sum(m.raw[digestSize:]))
	return m.raw
}

// sum is the digest of what, until the next one.
func (m *maker) sum(what []byte) []byte {
	m.mac.Reset()
	m.mac.Write(what)
	return m.mac.Sum(m.digest[:0])[:digestSize]
}

// signed tells whether a digest and what it covers belong together.
func (s *signer) signed(raw []byte) bool {
	if len(raw) <= digestSize {
		return false
	}
	m := s.take()
	defer s.pool.Put(m)
	return hmac.Equal(m.sum(raw[digestSize:]), raw[:digestSize])
}
