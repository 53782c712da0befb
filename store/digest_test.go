package store

import (
	"bytes"
	"testing"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

// Digests are compared with those on record, so they are Tink's for ever, whatever kind of key a keyring was given.
func TestDigest_IsTinks(t *testing.T) {
	t.Parallel()
	texts := [][][]byte{nil, {nil}, {{}, {}}, {[]byte("fingerprint"), []byte("a")}, {[]byte("fingerprinta")}, {bytes.Repeat([]byte("long"), 1000), {0}}}
	for name, template := range map[string]*tinkpb.KeyTemplate{
		"HMAC-SHA256": prf.HMACSHA256PRFKeyTemplate(), "HMAC-SHA512": prf.HMACSHA512PRFKeyTemplate(), "HKDF": prf.HKDFSHA256PRFKeyTemplate(),
	} {
		handle, err := keyset.NewHandle(template)
		if err != nil {
			t.Fatal(err)
		}
		set, err := prf.NewPRFSet(handle)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := newDigest(handle)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a hash that was used before too
			for _, parts := range texts {
				want, err := set.ComputePrimaryPRF(frame(parts), digestSize)
				if err != nil {
					t.Fatal(err)
				}
				if got := digest(parts...); !bytes.Equal(got, want) {
					t.Errorf("%s: %q has digest %x, by Tink %x", name, parts, got, want)
				}
			}
		}
	}
}
