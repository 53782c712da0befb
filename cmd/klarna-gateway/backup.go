package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/sqlite"
)

// manifestFile says in a backup what it is a backup of.
const manifestFile = "backup.json"

// manifest is what a backup says about itself.
type manifest struct {
	Created  time.Time      `json:"created"`
	Version  string         `json:"version"` // of the program that made it
	SHA256   string         `json:"sha256"`  // of the database file, hex
	Size     int64          `json:"size"`    // in bytes
	Schema   int            `json:"schema"`
	Log      string         `json:"log"` // id of the log
	Epoch    int64          `json:"epoch"`
	Position store.Position `json:"position"`          // newest event
	Keyring  string         `json:"keyring,omitempty"` // digest of the key file that opens it, hex
}

// hostData is where the embedded database and its key file are: the configuration says it, or flags do where the secrets
// that the configuration names are not at hand, as in a cron job.
type hostData struct{ config, dir, keyFile string }

func hostFlags(c *cobra.Command) *hostData {
	h := &hostData{}
	c.Flags().StringVar(&h.config, "config", "", "YAML config `file`")
	c.Flags().StringVar(&h.dir, "data", "", "data `directory`, instead of a config file")
	c.Flags().StringVar(&h.keyFile, "key-file", "", "key `file`, where it is not in the data directory")
	c.MarkFlagsMutuallyExclusive("config", "data")
	c.MarkFlagsMutuallyExclusive("config", "key-file")
	_ = c.MarkFlagFilename("config", "yaml", "yml")
	_ = c.MarkFlagDirname("data")
	return h
}

// any is the configuration, whichever database it names.
func (h *hostData) any() (config, error) {
	if h.dir != "" {
		return config{DataDir: h.dir, KeyFile: h.keyFile}, nil
	}
	return loadConfig(h.config, os.Getenv)
}

// load is the configuration of an embedded database.
func (h *hostData) load() (config, error) {
	cfg, err := h.any()
	if err == nil && cfg.replicas() {
		err = errors.New("the database is PostgreSQL, which has tools of its own for this: docs/postgres.md, Backup and restore")
	}
	return cfg, err
}

func backupCommand() *cobra.Command {
	var out, keys string
	var together bool
	c := &cobra.Command{Use: "backup", Short: "copy the embedded database while the gateway works with it", Args: cobra.NoArgs,
		Long: `Copies the embedded database into a new folder while the gateway works with it: what is acknowledged before it begins is in
the copy. The copy is checked, and its checksum is put beside it. Run it on the gateway's machine, as the gateway's user.

The key file is not part of it, for who has both can read everything. -keys copies it too, to another place.`}
	host := hostFlags(c)
	c.Flags().StringVar(&out, "out", "", "`folder` to make; it is there once the backup is whole")
	c.Flags().StringVar(&keys, "keys", "", "`folder` to copy the key file to")
	c.Flags().BoolVar(&together, "keys-together", false, "copy the key file to where the database's copies are, too")
	_ = c.MarkFlagRequired("out")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := host.load()
		if err != nil {
			return err
		}
		if keys != "" && !together && near(keys, out) {
			return fmt.Errorf("-keys: %s is where the database's copies are; who gets at them could read everything (-keys-together says that this is meant)", keys)
		}
		m, err := backup(c.Context(), cfg, out)
		if err != nil {
			return err
		}
		if err := noted(cfg, m); err != nil { // the backup is good without that
			c.PrintErrf("The doctor will not know of this backup: %v.\n", err)
		}
		c.Printf("%s holds the log up to position %d, %d bytes, sha256 %s.\n", out, m.Position, m.Size, m.SHA256)
		if keys == "" {
			c.Printf("It is of no use without the key file, %s: keep a copy of that somewhere else.\n", cfg.keyPath())
			return nil
		}
		return copyKeys(cfg, m, keys, c.OutOrStdout())
	}
	return c
}

// near tells whether a folder is beside, in or around another one.
func near(folder, other string) bool {
	at := func(path string) string {
		path, _ = filepath.Abs(path)
		if whole, err := filepath.EvalSymlinks(path); err == nil {
			return whole
		}
		if whole, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			return filepath.Join(whole, filepath.Base(path))
		}
		return path
	}
	within := func(inner, outer string) bool {
		rel, err := filepath.Rel(outer, inner)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
	}
	return within(at(folder), filepath.Dir(at(other))) || within(at(other), at(folder))
}

// backup makes a folder with a copy of the database and what it is. The folder has its name once all of it is on disk.
func backup(ctx context.Context, cfg config, out string) (m manifest, err error) {
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("-out: %s is there already", out)
	}
	keyring, err := readKeys(cfg.keyPath())
	if err != nil {
		return m, err
	}
	unfinished := out + ".unfinished"
	if err := errors.Join(os.RemoveAll(unfinished), os.MkdirAll(filepath.Dir(unfinished), 0o700), os.Mkdir(unfinished, 0o700)); err != nil {
		return m, fmt.Errorf("-out: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(unfinished))
		}
	}()
	file := filepath.Join(unfinished, databaseFile)
	m = manifest{Created: time.Now().UTC().Truncate(time.Second), Version: version()}
	if err := sqlite.Backup(ctx, filepath.Join(cfg.DataDir, databaseFile), file); err != nil {
		return m, err
	}
	info, err := sqlite.Inspect(ctx, file, true)
	if err != nil {
		return m, err
	}
	if err := opens(keyring, info); err != nil {
		return m, fmt.Errorf("key file: %s: %w", cfg.keyPath(), err)
	}
	m.Schema, m.Log, m.Epoch, m.Position, m.Keyring = info.Schema, info.Log, info.Epoch, info.Head, hex.EncodeToString(info.Keyring)
	if m.SHA256, m.Size, err = digestOf(file); err != nil {
		return m, err
	}
	var text bytes.Buffer
	if err := errors.Join(indented(&text, m), writeWhole(filepath.Join(unfinished, manifestFile), text.Bytes())); err != nil {
		return m, err
	}
	if err := os.Rename(unfinished, out); err != nil {
		return m, err
	}
	return m, syncFolder(filepath.Dir(out))
}

// noted puts down for the doctor, whoever runs it, what the last backup was.
func noted(cfg config, m manifest) error {
	var text bytes.Buffer
	return errors.Join(indented(&text, m), writeWholeFor(filepath.Join(cfg.DataDir, lastBackupFile), text.Bytes(), 0o644))
}

// readKeys reads a key file that has to be there.
func readKeys(path string) (*store.Keyring, error) {
	if _, err := os.Stat(path); err != nil { // store.OpenKeyring would make it
		return nil, fmt.Errorf("key file: %w", err)
	}
	keys, err := store.OpenKeyring(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return keys, nil
}

// opens tells whether a keyring is the one that a database is sealed with.
func opens(keys *store.Keyring, info sqlite.Info) error {
	if info.Keyring != nil && !hmac.Equal(info.Keyring, keys.DigestFor(info.Log)) {
		return store.ErrKeyring
	}
	return nil
}

// copyKeys copies the key file to a folder, over an older copy of the same one.
func copyKeys(cfg config, m manifest, folder string, out io.Writer) error {
	to := filepath.Join(folder, keyFile)
	if there, err := readKeys(to); err == nil {
		if m.Keyring != "" && hex.EncodeToString(there.DigestFor(m.Log)) != m.Keyring {
			return fmt.Errorf("-keys: %s is another key file already, and belongs to another database", to)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("-keys: %w", err)
	}
	content, err := os.ReadFile(cfg.keyPath())
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if err := errors.Join(os.MkdirAll(folder, 0o700), writeWhole(to, content)); err != nil {
		return fmt.Errorf("-keys: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s is a copy of the key file.\n", to)
	return err
}

// writeWhole writes a file for its owner alone, which appears whole, in the place of the one before, and is on disk then.
func writeWhole(path string, content []byte) error { return writeWholeFor(path, content, 0o600) }

// writeWholeFor is writeWhole for those whom a mode names.
func writeWholeFor(path string, content []byte, mode fs.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// digestOf is a file's SHA-256 in hex, and its size.
func digestOf(path string) (sum string, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	hash := sha256.New()
	if size, err = io.Copy(hash, file); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(hash.Sum(nil)), size, nil
}

// readManifest reads what a backup says about itself, and checks that its database is the one that was written.
func readManifest(folder string) (m manifest, err error) {
	text, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if err != nil {
		return m, fmt.Errorf("%s is no backup: %w", folder, err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s is no backup: %s: %w", folder, manifestFile, err)
	}
	sum, size, err := digestOf(filepath.Join(folder, databaseFile))
	if err != nil {
		return m, err
	}
	if sum != m.SHA256 || size != m.Size {
		return m, fmt.Errorf("%s is damaged: the database has %d bytes and sha256 %s, and had %d and %s", folder, size, sum, m.Size, m.SHA256)
	}
	return m, nil
}
