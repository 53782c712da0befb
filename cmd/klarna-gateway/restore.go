package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"payments.internal/klarna-gateway/store/sqlite"
)

func restoreCommand() *cobra.Command {
	var from, keys string
	var replace bool
	c := &cobra.Command{Use: "restore", Short: "bring the embedded database back from a backup", Args: cobra.NoArgs,
		Long: `Puts the database of a backup into the data directory, once checksum, pages, schema and key file are found right, and raises
the log's epoch: resume tokens from before are refused, so that watchers begin anew instead of missing what the backup
lacks. The gateway has to be stopped. Until the last step the data directory is as it was.`}
	host := hostFlags(c)
	c.Flags().StringVar(&from, "from", "", "`folder` of the backup")
	c.Flags().StringVar(&keys, "keys", "", "key `file` to put in place, where there is none")
	c.Flags().BoolVar(&replace, "replace", false, "put a database that is there aside")
	_ = c.MarkFlagRequired("from")
	_ = c.MarkFlagDirname("from")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := host.load()
		if err != nil {
			return err
		}
		return restore(c.Context(), cfg, from, keys, replace, c.OutOrStdout())
	}
	return c
}

func restore(ctx context.Context, cfg config, from, keys string, replace bool, out io.Writer) (err error) {
	m, err := readManifest(from)
	if err != nil {
		return err
	}
	held, err := holdData(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	target := filepath.Join(cfg.DataDir, databaseFile)
	if _, err := os.Stat(target); err == nil && !replace {
		return fmt.Errorf("%s is there already: -replace puts it aside", target)
	}
	if err := keysFor(cfg, m, keys); err != nil {
		return err
	}
	// All that takes time or can fail is done beside the place where the gateway looks.
	ready := filepath.Join(cfg.DataDir, restoringFile)
	if err := removeDatabase(ready); err != nil {
		return err
	}
	epoch, err := prepare(ctx, filepath.Join(from, databaseFile), ready)
	if err != nil {
		return errors.Join(err, removeDatabase(ready))
	}
	aside, err := putAside(target, time.Now().UTC())
	if err != nil {
		return err
	}
	if err := errors.Join(os.Rename(ready, target), syncFolder(cfg.DataDir)); err != nil {
		return err
	}
	if aside != "" {
		fmt.Fprintf(out, "What was there is %s now.\n", aside)
	}
	_, err = fmt.Fprintf(out, "%s is as it was at %s: the log stands at position %d, in epoch %d. Resume and page tokens of earlier epochs are refused from now on.\n",
		target, m.Created.Format(time.RFC3339), m.Position, epoch)
	return err
}

// keysFor makes sure that the key file in place is the one of the backup, and puts it there if it is missing.
func keysFor(cfg config, m manifest, from string) error {
	path, info := cfg.keyPath(), sqlite.Info{Log: m.Log}
	if m.Keyring != "" {
		var err error
		if info.Keyring, err = hex.DecodeString(m.Keyring); err != nil {
			return fmt.Errorf("%s: keyring: %w", manifestFile, err)
		}
	}
	_, missing := os.Stat(path)
	source := path
	if errors.Is(missing, fs.ErrNotExist) {
		if source = from; source == "" {
			return fmt.Errorf("key file: %s is missing: -keys names the copy of it, without which the backup cannot be read", path)
		}
	}
	found, err := readKeys(source)
	if err != nil {
		return err
	}
	if err := opens(found, info); err != nil {
		return fmt.Errorf("key file: %s: %w", source, err)
	}
	if source == path {
		return nil
	}
	content, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	return writeWhole(path, content)
}

// prepare copies a database, brings it up to date and into a new epoch, and leaves it as one file that is on disk.
func prepare(ctx context.Context, from, to string) (epoch int64, err error) {
	if err := copyFile(from, to); err != nil {
		return 0, err
	}
	if _, err := sqlite.Inspect(ctx, to, true); err != nil {
		return 0, err
	}
	engine, err := sqlite.Open(ctx, to)
	if err != nil {
		return 0, err
	}
	epoch, err = engine.NewEpoch(ctx, time.Now().UnixMilli())
	if err := errors.Join(err, engine.Close()); err != nil { // the last one to close takes the write-ahead log in
		return 0, err
	}
	if _, err := os.Stat(to + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s-wal is still there: another process has the file open", to)
	}
	return epoch, nil
}

func copyFile(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	copied, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(copied, source)
	return errors.Join(err, copied.Sync(), copied.Close())
}

// databaseParts are what a database file has beside it; the write-ahead log belongs to it.
var databaseParts = []string{"-wal", "-shm", ""}

func removeDatabase(path string) error {
	for _, part := range databaseParts {
		if err := os.Remove(path + part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// putAside renames a database with what belongs to it; "" if there is none.
func putAside(path string, now time.Time) (aside string, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	aside = path + ".before-" + now.Format("20060102T150405Z")
	if _, err := os.Stat(aside); err == nil {
		return "", fmt.Errorf("%s is there already", aside)
	}
	for _, part := range databaseParts {
		if err := os.Rename(path+part, aside+part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, nil
}
