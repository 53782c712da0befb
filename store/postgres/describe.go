package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"payments.internal/klarna-gateway/store"
)

// Info is what a database says about itself.
type Info struct {
	Schema   int    // version of its schema; 0 of an empty database
	Log      string // id of the log
	Head     store.Position
	Keyring  []byte    // digest of the keyring that it began with; nil if it never began
	Standby  bool      // it takes no writes
	Now      time.Time // by the server's clock
	Unsynced string    // setting by which the server may lose commits in a crash; empty if there is none
}

// Describe reads what a database says about itself, and changes nothing.
func Describe(ctx context.Context, url string) (info Info, err error) {
	cfg, err := parse(url, 10*time.Second)
	if err != nil {
		return info, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return info, err // names host, user and database, never the password
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), CASE WHEN current_setting('fsync') = 'off' THEN 'fsync'
		WHEN current_setting('full_page_writes') = 'off' THEN 'full_page_writes' ELSE '' END, clock_timestamp()`).Scan(&info.Standby, &info.Unsynced, &info.Now); err != nil {
		return info, fmt.Errorf("ask the server: %w", err)
	}
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('schema_version') IS NOT NULL`).Scan(&there); err != nil || !there {
		return info, err
	}
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM schema_version`).Scan(&info.Schema); err != nil {
		return info, fmt.Errorf("read schema version: %w", err)
	}
	if err := conn.QueryRow(ctx, `SELECT id, head, keyring FROM log`).Scan(&info.Log, &info.Head, &info.Keyring); err != nil {
		return info, fmt.Errorf("read log: %w", err)
	}
	return info, nil
}
