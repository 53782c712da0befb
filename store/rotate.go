package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// AddSealingKey adds a sealing key to a key file. It opens and does not seal yet, so that every replica can be given the
// file before any of them uses the key.
func AddSealingKey(path string) error {
	return changeSealing(path, func(keys *keyset.Handle) (*keyset.Handle, error) {
		m := keyset.NewManagerFromHandle(keys)
		if _, err := m.Add(aead.AES256GCMKeyTemplate()); err != nil {
			return nil, err
		}
		return m.Handle()
	})
}

// PromoteSealingKey makes the newest sealing key of a key file the one that seals. The older ones open still.
func PromoteSealingKey(path string) error {
	return changeSealing(path, func(keys *keyset.Handle) (*keyset.Handle, error) {
		newest, err := keys.Entry(keys.Len() - 1)
		if err != nil {
			return nil, err
		}
		if newest.IsPrimary() {
			return nil, errors.New("its newest sealing key seals already: add one first")
		}
		m := keyset.NewManagerFromHandle(keys)
		if err := m.SetPrimary(newest.KeyID()); err != nil {
			return nil, err
		}
		return m.Handle()
	})
}

// RemoveSealingKeys takes the sealing keys that are older than the one that seals out of a key file, and returns them. It refuses while
// something is under one of them, as a walk over all that is sealed has found, or under a key that the file lacks.
func RemoveSealingKeys(path string, found Resealing) (removed []KeyID, err error) {
	err = changeSealing(path, func(keys *keyset.Handle) (*keyset.Handle, error) {
		removed = nil
		m := keyset.NewManagerFromHandle(keys)
		seals := KeyID(keys.KeysetInfo().GetPrimaryKeyId())
		if n := found.Under(seals); n > 0 {
			return nil, fmt.Errorf("%d values are not under the key that seals, %s: reseal them first", n, seals)
		}
		for _, key := range keys.KeysetInfo().GetKeyInfo() {
			if KeyID(key.GetKeyId()) == seals { // what comes behind is to seal yet
				break
			}
			if err := m.Delete(key.GetKeyId()); err != nil {
				return nil, err
			}
			removed = append(removed, KeyID(key.GetKeyId()))
		}
		if len(removed) == 0 {
			return nil, errors.New("it has no sealing key older than the one that seals")
		}
		return m.Handle()
	})
	if err != nil {
		return nil, err
	}
	return removed, nil
}

// changeSealing replaces the file by one with other sealing keys, at once and whole.
func changeSealing(path string, change func(*keyset.Handle) (*keyset.Handle, error)) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("change keyring: %w", err)
	}
	if _, err := parseKeyring(content); err != nil {
		return fmt.Errorf("change keyring %s: %w", path, err)
	}
	var file keyringFile
	if err := json.Unmarshal(content, &file); err != nil {
		return errors.New("not a keyring: malformed JSON") // the decoder's error may quote the content
	}
	keys, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file.Sealing)))
	if err != nil {
		return errors.New("not a keyring: malformed sealing keyset")
	}
	if keys, err = change(keys); err != nil {
		return fmt.Errorf("change keyring %s: %w", path, err)
	}
	var sealing bytes.Buffer
	if err := insecurecleartextkeyset.Write(keys, keyset.NewJSONWriter(&sealing)); err != nil {
		return fmt.Errorf("change keyring %s: %w", path, err)
	}
	file.Sealing = sealing.Bytes()
	if content, err = json.MarshalIndent(file, "", "  "); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".keyring-*") // O_EXCL, 0600
	if err != nil {
		return fmt.Errorf("change keyring: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("change keyring: %w", err)
	}
	return os.Rename(temp.Name(), path)
}
