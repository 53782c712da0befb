package store

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Keyring holds the two keysets that protect what is at rest: one seals (AES-256-GCM), one derives (HMAC-SHA256).
// Ciphertext names the key that made it (Tink's prefix), so a new primary key may be added to the first while the old
// ones still open. The second must keep its key: fingerprints are compared and secrets derived again for as long as
// the data lives.
type Keyring struct {
	aead   tink.AEAD
	digest func(parts ...[]byte) []byte // by the second
	opens  []KeyID                      // the sealing keys
	seals  KeyID                        // the one of them that seals
}

// keyringFile is the file's form: two keysets in Tink's own JSON.
type keyringFile struct {
	Sealing  json.RawMessage `json:"sealing"`
	Deriving json.RawMessage `json:"deriving"`
}

// digestSize is the length of fingerprints and derived secrets in bytes.
const digestSize = 32

// OpenKeyring reads the keyring from a local JSON file, and makes both at first start. The file appears at once and
// whole, readable by its owner alone; of two processes that start together one makes it and both use it. Without the
// file everything sealed is lost: it belongs into the backup, apart from the database.
func OpenKeyring(path string) (*Keyring, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKeyring(path); err != nil {
			return nil, fmt.Errorf("create keyring: %w", err)
		}
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read keyring: %w", err)
	}
	k, err := parseKeyring(content)
	if err != nil {
		return nil, fmt.Errorf("read keyring %s: %w", path, err)
	}
	return k, nil
}

func parseKeyring(content []byte) (*Keyring, error) {
	var file keyringFile
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, errors.New("not a keyring: malformed JSON") // the decoder's error may quote the content
	}
	sealing, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file.Sealing)))
	if err != nil {
		return nil, errors.New("not a keyring: malformed sealing keyset")
	}
	deriving, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file.Deriving)))
	if err != nil {
		return nil, errors.New("not a keyring: malformed deriving keyset")
	}
	k := &Keyring{}
	for _, key := range sealing.KeysetInfo().GetKeyInfo() {
		k.opens = append(k.opens, KeyID(key.GetKeyId()))
	}
	k.seals = KeyID(sealing.KeysetInfo().GetPrimaryKeyId())
	if k.aead, err = aead.New(sealing); err != nil {
		return nil, fmt.Errorf("sealing keyset: %w", err)
	}
	if k.digest, err = newDigest(deriving); err != nil {
		return nil, fmt.Errorf("deriving keyset: %w", err)
	}
	return k, nil
}

// createKeyring writes a fresh keyring beside path and links it into place, which unlike a rename never replaces one
// that another process made meanwhile.
func createKeyring(path string) error {
	var file keyringFile
	var err error
	if file.Sealing, err = newKeyset(aead.AES256GCMKeyTemplate()); err != nil {
		return err
	}
	if file.Deriving, err = newKeyset(prf.HMACSHA256PRFKeyTemplate()); err != nil {
		return err
	}
	content, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".keyring-*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	parent, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}

func newKeyset(template *tinkpb.KeyTemplate) (json.RawMessage, error) {
	handle, err := keyset.NewHandle(template)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Seal encrypts plain and binds it to what it is about: only who names the same opens it, so sealed bytes cannot be
// moved to another place. Nothing (nil or empty) stays nil.
func (k *Keyring) Seal(plain []byte, about ...string) ([]byte, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	sealed, err := k.aead.Encrypt(plain, frameStrings(about))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made of the same about. It fails if a byte was changed or the key is not in the keyring.
func (k *Keyring) Open(sealed []byte, about ...string) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	plain, err := k.aead.Decrypt(sealed, frameStrings(about))
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return plain, nil
}

// Fingerprint is a keyed digest of 32 bytes over the parts and where each ends. It tells whether two contents are the
// same, to those alone who have the key: a plain hash of guessable content would give it away.
func (k *Keyring) Fingerprint(parts ...[]byte) []byte {
	return k.digest(append([][]byte{[]byte("fingerprint")}, parts...)...)
}

// DigestFor is what a log remembers of the keyring that it began with, by the log's id.
func (k *Keyring) DigestFor(log string) []byte { return k.Fingerprint([]byte("keyring"), []byte(log)) }

// Derive makes a secret from a name: the same one every time, another one for every purpose and name. It is 32 bytes in
// base64url without padding, fit for a URL.
func (k *Keyring) Derive(purpose, name string) string {
	return base64.RawURLEncoding.EncodeToString(k.digest([]byte("derive"), []byte(purpose), []byte(name)))
}

// String keeps keys out of logs.
func (k *Keyring) String() string { return "***" }

// GoString keeps keys out of logs.
func (k *Keyring) GoString() string { return "***" }

// frame writes each part behind its length, so that no two lists of parts give the same bytes.
func frame(parts [][]byte) []byte {
	return framed(parts)
}

func frameStrings(parts []string) []byte { return framed(parts) }

func framed[T []byte | string](parts []T) []byte {
	size := 0
	for _, p := range parts {
		size += 8 + len(p)
	}
	b := make([]byte, 0, size)
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}
