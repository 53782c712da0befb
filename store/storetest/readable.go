package storetest

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"payments.internal/klarna-gateway/store"
)

// Readable is all that whoever has a database and its key file can read of what is sealed there: with the keyring, and with
// every data key that is left, whoever it belongs to.
func Readable(t *testing.T, e store.Engine, keys *store.Keyring) string {
	t.Helper()
	var dataKeys [][]byte
	for _, on := range store.Shelves() {
		if on.Table != "data_keys" {
			continue
		}
		for _, row := range walk(t, e, on, 100) {
			if key, err := keys.Open(row.Values[0], "data_key", row.Row[0]); err == nil && key != nil {
				dataKeys = append(dataKeys, key)
			}
		}
	}
	var text strings.Builder
	for _, on := range store.Shelves() {
		for _, row := range walk(t, e, on, 100) {
			for i, value := range row.Values {
				if on.Table != "data_keys" {
					text.WriteString(read(on, row, on.Sealed[i], value, keys, dataKeys))
				}
			}
		}
	}
	return text.String()
}

// read is a value in clear with a line's end, or nothing.
func read(on store.Shelf, row store.SealedRow, column string, value []byte, keys *store.Keyring, dataKeys [][]byte) string {
	about := sealedAs(on, row, column)
	if plain, err := keys.Open(value, about...); err == nil && plain != nil {
		return string(plain) + "\n"
	}
	for _, key := range dataKeys {
		if len(value) == 0 || value[0] != 2 {
			break
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			continue
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			continue
		}
		if plain, err := aead.Open(nil, nil, value[1:], framed(about)); err == nil {
			return string(plain) + "\n"
		}
	}
	return ""
}

// sealedAs is what a value is bound to.
func sealedAs(on store.Shelf, row store.SealedRow, column string) []string {
	switch on.Table {
	case "events":
		if column == "raw" {
			return []string{"raw", row.About[2]}
		}
		return []string{column, string(on.Stream), row.About[0], row.About[1]}
	case "subjects":
		return []string{column, row.About[0], row.About[1], row.Row[0]}
	case "requests":
		return slices.Concat([]string{"answer"}, row.Row)
	}
	names := map[string]string{"blocks": "block", "jobs": "job", "quarantine": "quarantined", "signing_keys": "signing_key", "probes": "probe"}
	if on.Number {
		return slices.Concat([]string{names[on.Table]}, row.About)
	}
	return slices.Concat([]string{names[on.Table]}, row.Row)
}

func framed(parts []string) (b []byte) {
	for _, part := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}
