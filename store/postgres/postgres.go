// Package postgres keeps the log, the jobs and the answered requests in a PostgreSQL database, for any number of replicas.
//
// Whoever writes locks the log's one row until the commit, so there is one write transaction at a time over all replicas
// and positions become visible in the order of commits. What makes up for that is that transactions are short and carry
// many units: see Commit. Readers wait for nobody.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"payments.internal/klarna-gateway/store"
)

// Engine implements store.Engine over one database.
type Engine struct {
	writers  *pgxpool.Pool
	readers  *pgxpool.Pool
	listener *pgx.ConnConfig
	channel  string // what commits are told on
	patience time.Duration
	poll     time.Duration
	own      sync.Map // of the server's processes, by PID, those that commit for this Engine
	crew     crew     // of units that run ahead
	closed   sync.Once
}

var _ store.Engine = (*Engine)(nil)

// Option changes how an engine is opened.
type Option func(*options)

type options struct {
	readers  int32
	patience time.Duration
	poll     time.Duration
	logger   *slog.Logger
}

// WithReaders sets how many reads run at the same time. The default is 8. Three more connections write and listen.
func WithReaders(n int) Option {
	return func(o *options) { o.readers = int32(max(n, 1)) }
}

// WithPatience sets how long the database may take over a read or a commit before that fails. The default is 10 s. A
// replica that was cut off from the database lets the others write after half of it.
func WithPatience(d time.Duration) Option {
	return func(o *options) { o.patience = d }
}

// WithPoll sets how often a listener looks at the log though nothing was heard. The default is 5 s.
func WithPoll(d time.Duration) Option {
	return func(o *options) { o.poll = d }
}

// WithLogger sets where settings of the server are complained about. The default is slog.Default().
func WithLogger(l *slog.Logger) Option {
	return func(o *options) { o.logger = l }
}

// Open connects to the database that a URL (postgres://…) names and brings its schema up to date; replicas that start
// together take turns. It fails with ErrNewer on a database that a newer version of this program has changed in a way
// that this one cannot live with.
func Open(ctx context.Context, url string, opts ...Option) (*Engine, error) {
	o := options{readers: 8, patience: 10 * time.Second, poll: 5 * time.Second, logger: slog.Default()}
	for _, opt := range opts {
		opt(&o)
	}
	e := &Engine{patience: o.patience, poll: o.poll, crew: make(crew)}
	if err := e.open(ctx, url, o); err != nil {
		_ = e.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context, url string, o options) error {
	cfg, err := parse(url, o.patience)
	if err != nil {
		return err
	}
	e.listener = cfg.ConnConfig.Copy()
	conn, err := pgx.ConnectConfig(ctx, e.listener)
	if err != nil {
		return err // names host, user and database, never the password
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := inspect(ctx, conn, o.logger); err != nil {
		return err
	}
	if err := migrate(ctx, conn, migrations); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := conn.QueryRow(ctx, `SELECT 'klarna_gateway.' || current_schema()`).Scan(&e.channel); err != nil {
		return fmt.Errorf("name the channel: %w", err)
	}
	if e.writers, err = e.pool(ctx, cfg, 2, true); err != nil {
		return err
	}
	e.readers, err = e.pool(ctx, cfg, o.readers, false)
	return err
}

// parse reads the URL. Its error does not quote it: a password stands in it.
func parse(url string, patience time.Duration) (*pgxpool.Config, error) {
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return nil, errors.New("a database URL begins with postgres://")
	}
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the database URL cannot be parsed")
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = patience / 2
	}
	for name, value := range map[string]string{
		"application_name":                    "klarna-gateway",
		"tcp_keepalives_idle":                 "10", // s: the server notices that a replica is gone
		"tcp_keepalives_interval":             "5",
		"tcp_keepalives_count":                "3",
		"idle_in_transaction_session_timeout": milliseconds(patience / 2),
		"jit":                                 "off", // compiling takes longer than any statement here
	} {
		if cfg.ConnConfig.RuntimeParams[name] == "" {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	return cfg, nil
}

// inspect refuses a server that cannot take writes, and complains about one that would lose them with its power.
func inspect(ctx context.Context, conn *pgx.Conn, log *slog.Logger) error {
	var standby bool
	var readOnly, fsync, pages, version string
	err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only'),
		current_setting('fsync'), current_setting('full_page_writes'), current_setting('server_version_num')`).
		Scan(&standby, &readOnly, &fsync, &pages, &version)
	switch {
	case err != nil:
		return fmt.Errorf("read settings: %w", err)
	case standby || readOnly == "on":
		return errors.New("the server takes no writes: is it a standby?")
	case len(version) < 6 || version < "130000":
		return fmt.Errorf("PostgreSQL 13 or newer is needed, this is %s", version)
	case fsync != "on" || pages != "on":
		log.WarnContext(ctx, "the database server is set to lose data in a crash", slog.String("fsync", fsync), slog.String("full_page_writes", pages))
	}
	return nil
}

// pool opens connections. Those that write wait for the disk whatever the server, the database or the role is set to;
// stronger settings are left alone.
func (e *Engine) pool(ctx context.Context, cfg *pgxpool.Config, size int32, writes bool) (*pgxpool.Pool, error) {
	cfg = cfg.Copy()
	cfg.MaxConns, cfg.MinConns = size, min(cfg.MinConns, size)
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = milliseconds(e.patience)
	if writes { // planning takes longer than running, and a plan made while the tables were small is kept
		cfg.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
		cfg.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	}
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if !writes {
			return nil
		}
		e.own.Store(conn.PgConn().PID(), nil)
		_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false)
			WHERE current_setting('synchronous_commit') IN ('off', 'local')`)
		return err
	}
	cfg.BeforeClose = func(conn *pgx.Conn) { e.own.Delete(conn.PgConn().PID()) } // what it has left undone may be told yet
	return pgxpool.NewWithConfig(ctx, cfg)
}

func milliseconds(d time.Duration) string { return fmt.Sprint(max(d.Milliseconds(), 1)) }

// Close ends all work with the database. Listen calls end with their context, not here.
func (e *Engine) Close() error {
	for _, p := range []*pgxpool.Pool{e.readers, e.writers} {
		if p != nil {
			p.Close()
		}
	}
	if e.crew != nil {
		e.closed.Do(func() { close(e.crew) }) // no commit is under way: the pool has waited for them, and lets none begin
	}
	return nil
}

// rows reads all rows of a query outside of a transaction.
func rows[T any](ctx context.Context, e *Engine, text string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	bounded, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	found, err := e.readers.Query(bounded, text, args...)
	var all []T
	if err == nil {
		all, err = collect(found, scan)
	}
	if ctx.Err() != nil { // it was the caller who ended it
		return all, err
	}
	return all, away(err)
}

// row is rows for the one row that is expected, store.ErrNotFound if there is none.
func row[T any](ctx context.Context, e *Engine, text string, args []any, scan func(scanner) (T, error)) (one T, err error) {
	found, err := rows(ctx, e, text, args, scan)
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return one, err
	}
	return found[0], nil
}
