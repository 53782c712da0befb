package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// erasurePath is the list of erasures; empty if there is none.
func (c *config) erasurePath() string {
	if c.ErasureList == "" && !c.replicas() {
		return filepath.Join(c.DataDir, "erasures.jsonl")
	}
	return c.ErasureList
}

// erasureList is a file with a line of JSON for each erasure. It names subjects and Klarna's ids, and nobody.
type erasureList string

// add returns once the line is on disk.
func (l erasureList) add(e store.Erasure) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(string(l), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Sync(), file.Close())
}

// each reads the list.
func (l erasureList) each(do func(store.Erasure) error) error {
	file, err := os.Open(string(l))
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		var e store.Erasure
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("line %d is no erasure", n)
		}
		if err := do(e); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

func erasuresCommand() *cobra.Command {
	c := &cobra.Command{Use: "erasures", Args: cobra.NoArgs,
		Short: "erase again, after a restore, what the backup still holds of people who were erased",
		Long: `Goes through the list of erasures and does each of them in the database, which a backup has brought back to a time
before some of them. What is erased already is passed over, so it may be run at any time, and again. Stop the gateway
on an embedded database before.`}
	load := configFlag(c)
	list := c.Flags().String("list", "", "`file` of erasures (default: as configured)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		path := orDefault(*list, cfg.erasurePath())
		if path == "" {
			return errors.New("there is no list of erasures: name it with -list")
		}
		return replayErasures(c.Context(), cfg, erasureList(path), c.OutOrStdout(), cfg.logger(c.ErrOrStderr()))
	}
	return c
}

// replayErasures erases once more what is on the list.
func replayErasures(ctx context.Context, cfg config, list erasureList, out io.Writer, log *slog.Logger) (err error) {
	d, err := openDatabase(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	s, err := store.New(ctx, store.Config{Engine: d.engine, Keys: d.keys, Logger: log, Lasting: journal.Lasting})
	if err != nil {
		return err
	}
	defer s.Close()
	book := journal.New(journal.Config{Store: s, Logger: log, Personal: operation.Personal})
	var erased, before, unknown int
	err = list.each(func(e store.Erasure) error {
		done, err := book.ReplayErasure(ctx, e)
		switch {
		case errors.Is(err, store.ErrNotFound):
			unknown++
		case err != nil:
			return err
		case done.Repeated:
			before++
		default:
			erased++
		}
		return nil
	})
	_, said := fmt.Fprintf(out, "%d erased, %d were erased already, %d are not on record.\n", erased, before, unknown)
	return errors.Join(err, said)
}
