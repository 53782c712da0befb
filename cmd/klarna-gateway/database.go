package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/sqlite"
	"payments.internal/klarna-gateway/worker"
)

// replicas tells whether other processes may work on the same database.
func (c *config) replicas() bool { return c.Database.Reveal() != "" }

// keyPath is where the key file lies.
func (c *config) keyPath() string { return orDefault(c.KeyFile, filepath.Join(c.DataDir, keyFile)) }

func (c *config) checkDatabase() (flaws []error) {
	if url := c.Database.Reveal(); url != "" && !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		flaws = append(flaws, errors.New("database: it does not begin with postgres://"))
	}
	if c.DatabaseConnections < 0 {
		flaws = append(flaws, fmt.Errorf("database_connections: %d is negative", c.DatabaseConnections))
	}
	if c.DatabaseConnections > 0 && !c.replicas() {
		flaws = append(flaws, errors.New("database_connections: the embedded database takes no connections"))
	}
	return flaws
}

// database is an open database with the keys to what is in it.
type database struct {
	engine store.Engine
	keys   *store.Keyring
	held   *os.File // the data directory, which the embedded database keeps for this process
}

// openDatabase opens the database that is configured. On an error nothing stays open.
func openDatabase(ctx context.Context, cfg config, log *slog.Logger) (d database, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if !cfg.replicas() {
		if d.held, err = holdData(cfg.DataDir); err != nil {
			return d, err
		}
		if left := filepath.Join(cfg.DataDir, restoringFile); there(left) {
			return d, fmt.Errorf("a restore was cut off: run it again, or remove %s if %s is what shall be used", left, databaseFile)
		}
	}
	if d.keys, err = openKeys(cfg); err != nil {
		return d, err
	}
	if cfg.replicas() {
		opts := []postgres.Option{postgres.WithLogger(log)}
		if cfg.DatabaseConnections > 0 {
			opts = append(opts, postgres.WithReaders(cfg.DatabaseConnections))
		}
		d.engine, err = opened(postgres.Open(ctx, cfg.Database.Reveal(), opts...))
	} else {
		d.engine, err = opened(sqlite.Open(ctx, filepath.Join(cfg.DataDir, databaseFile)))
	}
	return d, err
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// opened keeps an engine that did not open from looking like one.
func opened[E store.Engine](engine E, err error) (store.Engine, error) {
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return engine, nil
}

func (d database) close() (err error) {
	if d.engine != nil {
		err = d.engine.Close()
	}
	if d.held != nil {
		err = errors.Join(err, d.held.Close())
	}
	return err
}

// openKeys reads the key file. Beside an embedded database it is made at the first start. Replicas share one, which no
// start may make: each would make its own.
func openKeys(cfg config) (*store.Keyring, error) {
	path := cfg.keyPath()
	_, missing := os.Stat(path)
	switch {
	case !errors.Is(missing, fs.ErrNotExist): // there, or store.OpenKeyring says why not
	case cfg.replicas():
		return nil, fmt.Errorf("key file: %s is missing: make it once with `klarna-gateway keyring -out FILE` and give the same to every replica", path)
	default:
		if _, noData := os.Stat(filepath.Join(cfg.DataDir, databaseFile)); noData == nil {
			return nil, fmt.Errorf("key file: %s has a %s but there is no %s: bring the key file back from the backup", cfg.DataDir, databaseFile, path)
		}
	}
	keys, err := store.OpenKeyring(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return keys, nil
}

// restored says that the database was brought back from a backup, or moved to a standby that may lack the last commits.
// Watchers that saw more than it has are told to begin anew.
func restored(ctx context.Context, cfg config, out io.Writer, log *slog.Logger) (err error) {
	d, err := openDatabase(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	epoch, err := d.engine.NewEpoch(ctx, time.Now().UnixMilli())
	if err != nil {
		return err
	}
	head, _, err := d.engine.Head(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The log stands at position %d in epoch %d. Resume and page tokens of earlier epochs are refused from now on.\n", head, epoch)
	return err
}

// share takes this replica's part of the rate budgets.
func (g *gatewayProcess) share(ctx context.Context) error {
	if !g.cfg.replicas() {
		return nil
	}
	g.sharer = &worker.Sharer{Store: g.store, Budgets: &g.budgets, Replica: uuid.NewString(), Logger: g.log}
	if err := g.sharer.Ask(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// keepSharing keeps the parts right until stop.
func (g *gatewayProcess) keepSharing(ctx context.Context) (stop func()) {
	if g.sharer == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	shared := make(chan struct{})
	go func() { defer close(shared); g.sharer.Run(ctx) }()
	return func() { cancel(); <-shared }
}
