package store_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"payments.internal/klarna-gateway/store"
)

func keyring(t *testing.T, path string) *store.Keyring {
	t.Helper()
	k, err := store.OpenKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyring_OutlivesItsProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyring.json")
	first := keyring(t, path)
	sealed, err := first.Seal([]byte("Kari Nordmann"), "body", "pay-1")
	if err != nil {
		t.Fatal(err)
	}
	again := keyring(t, path)
	plain, err := again.Open(sealed, "body", "pay-1")
	if err != nil || string(plain) != "Kari Nordmann" {
		t.Errorf("opened %q, error %v", plain, err)
	}
	if first.Derive("push", "s1") != again.Derive("push", "s1") || !bytes.Equal(first.Fingerprint([]byte("x")), again.Fingerprint([]byte("x"))) {
		t.Error("derived differently by the same keys")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("permissions %v, error %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files beside the keyring", len(files)-1)
	}
}

func TestKeyring_OpensOnlyWhatWasSealedThere(t *testing.T) {
	t.Parallel()
	k := keyring(t, filepath.Join(t.TempDir(), "keyring.json"))
	sealed, err := k.Seal([]byte("Kari Nordmann"), "body", "pay-1")
	if err != nil || bytes.Contains(sealed, []byte("Kari")) {
		t.Fatalf("sealed %q, error %v", sealed, err)
	}
	for _, about := range [][]string{nil, {"body"}, {"body", "pay-2"}, {"bodypay-1"}, {"bod", "ypay-1"}, {"body", "pay-1", ""}} {
		if _, err := k.Open(sealed, about...); err == nil {
			t.Errorf("opened as %q", about)
		}
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := k.Open(changed, "body", "pay-1"); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	other := keyring(t, filepath.Join(t.TempDir(), "keyring.json"))
	if _, err := other.Open(sealed, "body", "pay-1"); err == nil {
		t.Error("opened by another keyring")
	}
	if twice, _ := k.Seal([]byte("Kari Nordmann"), "body", "pay-1"); bytes.Equal(twice, sealed) {
		t.Error("sealing twice gave the same bytes")
	}
}

func TestKeyring_KeepsNothingAsNothing(t *testing.T) {
	t.Parallel()
	k := keyring(t, filepath.Join(t.TempDir(), "keyring.json"))
	for _, plain := range [][]byte{nil, {}} {
		sealed, err := k.Seal(plain, "raw")
		if sealed != nil || err != nil {
			t.Errorf("sealed %v, error %v", sealed, err)
		}
		opened, err := k.Open(plain, "raw")
		if opened != nil || err != nil {
			t.Errorf("opened %v, error %v", opened, err)
		}
	}
}

func TestKeyring_TellsPartsApart(t *testing.T) {
	t.Parallel()
	k := keyring(t, filepath.Join(t.TempDir(), "keyring.json"))
	parts := func(list ...string) string {
		var bs [][]byte
		for _, p := range list {
			bs = append(bs, []byte(p))
		}
		return string(k.Fingerprint(bs...))
	}
	seen := map[string]bool{}
	for _, print := range []string{
		parts(), parts(""), parts("", ""), parts("ab"), parts("a", "b"), parts("", "ab"), parts("ab", ""),
		k.Derive("", ""), k.Derive("ab", ""), k.Derive("a", "b"), k.Derive("", "ab"),
		keyring(t, filepath.Join(t.TempDir(), "keyring.json")).Derive("a", "b"),
	} {
		if seen[print] {
			t.Errorf("%q came twice", print)
		}
		seen[print] = true
	}
	if n := len(parts("ab")); n != 32 {
		t.Errorf("fingerprint of %d bytes", n)
	}
	if b, err := base64.RawURLEncoding.DecodeString(k.Derive("push", "s1")); err != nil || len(b) != 32 {
		t.Errorf("derived %d bytes, error %v", len(b), err)
	}
}

func TestOpenKeyring_IsMadeOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyring.json")
	derived := make([]string, 8)
	var opening sync.WaitGroup
	for i := range derived {
		opening.Go(func() {
			k, err := store.OpenKeyring(path)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			derived[i] = k.Derive("push", "s1")
		})
	}
	opening.Wait()
	for _, d := range derived {
		if d != derived[0] {
			t.Fatal("processes that start together use different keys")
		}
	}
}

func TestOpenKeyring_RefusesADamagedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.json")
	keyring(t, whole)
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	secret := string(content[bytes.Index(content, []byte(`"value"`)):][:40])
	for name, damaged := range map[string][]byte{"empty": nil, "cut off": content[:len(content)/2], "none": []byte("{}"), "other": []byte(`{"sealing":{"key":[]},"deriving":` + secret + `}`)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := store.OpenKeyring(path)
		if err == nil {
			t.Errorf("opened a file that is %s", name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error quotes the file: %v", err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, damaged) {
			t.Errorf("a file that is %s was overwritten", name)
		}
	}
}

func TestKeyring_PrintsNothing(t *testing.T) {
	t.Parallel()
	k := keyring(t, filepath.Join(t.TempDir(), "keyring.json"))
	if got := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); got != "*** *** *** ***" {
		t.Errorf("printed %s", got)
	}
}
