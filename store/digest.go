package store

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	hmacprfpb "github.com/tink-crypto/tink-go/v2/proto/hmac_prf_go_proto"
	"google.golang.org/protobuf/proto"
)

// newDigest makes the digest of a keyset: Tink's primary PRF over the parts, each behind its length. A request takes a dozen of
// them, and Tink sets up its key for each; here hashes that have taken the key wait for their next text. A keyset of which
// this makes other digests than Tink is left to Tink.
func newDigest(deriving *keyset.Handle) (func(parts ...[]byte) []byte, error) {
	set, err := prf.NewPRFSet(deriving)
	if err != nil {
		return nil, err
	}
	probe := []byte("probe")
	want, err := set.ComputePrimaryPRF(frame([][]byte{probe}), digestSize)
	if err != nil {
		return nil, err
	}
	if key, err := hmacKey(deriving); err == nil {
		if digest := keyedHashes(key); bytes.Equal(digest(probe), want) {
			return digest, nil
		}
	}
	return func(parts ...[]byte) []byte {
		sum, err := set.ComputePrimaryPRF(frame(parts), digestSize)
		if err != nil {
			panic(fmt.Sprintf("keyring: %v", err)) // tried above
		}
		return sum
	}, nil
}

// hmacKey is the primary key of a keyset of HMAC keys.
func hmacKey(h *keyset.Handle) ([]byte, error) {
	keys := insecurecleartextkeyset.KeysetMaterial(h)
	for _, k := range keys.GetKey() {
		if k.GetKeyId() == keys.GetPrimaryKeyId() {
			var key hmacprfpb.HmacPrfKey
			err := proto.Unmarshal(k.GetKeyData().GetValue(), &key)
			return key.GetKeyValue(), err
		}
	}
	return nil, errors.New("there is no primary key")
}

// keyedHashes is HMAC-SHA256 by a key over the parts, each behind its length as in frame.
func keyedHashes(key []byte) func(parts ...[]byte) []byte {
	ready := sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}
	return func(parts ...[]byte) []byte {
		h := ready.Get().(hash.Hash)
		defer ready.Put(h)
		h.Reset()
		var length [8]byte
		for _, p := range parts {
			binary.BigEndian.PutUint64(length[:], uint64(len(p)))
			h.Write(length[:])
			h.Write(p)
		}
		return h.Sum(make([]byte, 0, digestSize))
	}
}
