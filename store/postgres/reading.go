package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// OpenReading connects to the database for those methods alone that read, without bringing its schema up to date.
func OpenReading(ctx context.Context, url string) (*Engine, error) {
	e := &Engine{patience: 10 * time.Second}
	if err := e.openReading(ctx, url); err != nil {
		_ = e.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return e, nil
}

func (e *Engine) openReading(ctx context.Context, url string) error {
	cfg, err := parse(url, e.patience)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var version int
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM schema_version`).Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if known := SchemaVersion(); version < known {
		return fmt.Errorf("its schema is version %d, and this program reads %d: start this version once", version, known)
	}
	e.readers, err = e.pool(ctx, cfg, 1, false)
	return err
}
