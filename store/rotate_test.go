package store_test

import (
	"path/filepath"
	"testing"

	"payments.internal/klarna-gateway/store"
)

func TestSealingKeys_AreRotatedInTwoSteps(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	read := func() *store.Keyring {
		k, err := store.OpenKeyring(path)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	seal := func(k *store.Keyring) []byte {
		sealed, err := k.Seal([]byte("text"), "place")
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	opens := func(k *store.Keyring, sealed []byte) bool {
		plain, err := k.Open(sealed, "place")
		return err == nil && string(plain) == "text"
	}
	first := read()
	if err := store.PromoteSealingKey(path); err == nil {
		t.Error("there is nothing to promote, and no error")
	}
	if err := store.AddSealingKey(path); err != nil {
		t.Fatal(err)
	}
	added := read()
	if !opens(first, seal(added)) || !opens(added, seal(first)) {
		t.Error("a replica without the new key is shut out before the key is promoted")
	}
	if err := store.PromoteSealingKey(path); err != nil {
		t.Fatal(err)
	}
	promoted := read()
	if !opens(added, seal(promoted)) || !opens(promoted, seal(first)) || opens(first, seal(promoted)) {
		t.Error("after the promotion the new key seals, and both open")
	}
	if string(first.Fingerprint([]byte("x"))) != string(promoted.Fingerprint([]byte("x"))) || first.Derive("a", "b") != promoted.Derive("a", "b") {
		t.Error("fingerprints and derived secrets have changed")
	}
	if err := store.AddSealingKey(path); err != nil {
		t.Fatal(err)
	}
	waiting := read()
	if removed, err := store.RemoveSealingKeys(path, store.Resealing{}); err != nil || len(removed) != 1 {
		t.Errorf("removed %v, %v", removed, err)
	}
	left, seals := read().SealingKeys()
	if all, sealed := waiting.SealingKeys(); len(left) != 2 || left[0] != all[1] || left[1] != all[2] || seals != sealed {
		t.Errorf("%v are left, %v seals: a key that is to seal yet is not old", left, seals)
	}
	if _, err := store.RemoveSealingKeys(path, store.Resealing{}); err == nil {
		t.Error("there is nothing to remove, and no error")
	}
	if opens(read(), seal(first)) || !opens(read(), seal(promoted)) {
		t.Error("what was removed opens still")
	}
}
