package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	klarnaapi "payments.internal/klarna-gateway/klarna"
)

// serveDoor is a receiver of webhooks by hand: the same HTTP and HMAC, the event id out of the JSON, then the event is
// made durable as the argument says: file PATH, sqlite PATH or postgres URL.
func serveDoor(argument string) (string, error) {
	keep, err := openKeep(argument)
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	keys := map[string][]byte{"1": []byte(statusKey)}
	door := http.NewServeMux()
	door.HandleFunc("POST /klarna/payment-status/{account}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if _, err := klarnaapi.VerifyPaymentStatus(keys, r.Header.Get(klarnaapi.HeaderPayloadSignature), body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var event struct {
			ID string `json:"event_id"`
		}
		if err := json.Unmarshal(body, &event); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if err := keep(r.Context(), event.ID, body); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Handler: door, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), nil
}

type keeping func(ctx context.Context, id string, body []byte) error

func openKeep(argument string) (keeping, error) {
	kind, where, _ := strings.Cut(argument, " ")
	switch kind {
	case "file":
		commit, err := openFile(where)
		if err != nil {
			return nil, err
		}
		lines := newGroup(commit)
		return func(_ context.Context, _ string, body []byte) error { return lines.add(body) }, nil
	case "sqlite":
		db, err := openSQLite(where, `CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, body BLOB NOT NULL)`)
		if err != nil {
			return nil, err
		}
		insert, err := db.Prepare(`INSERT INTO events (id, body) VALUES (?, ?)`)
		return keepRow(insert), err
	case "postgres":
		return openPostgres(where)
	}
	return nil, fmt.Errorf("no way to keep events is named %q", kind)
}

// keepRow is one transaction for each event.
func keepRow(insert *sql.Stmt) keeping {
	return func(ctx context.Context, id string, body []byte) error {
		_, err := insert.ExecContext(ctx, id, body)
		return err
	}
}

// openPostgres is one INSERT and commit for each event, over as many connections as there are posts at a time.
func openPostgres(url string) (keeping, error) {
	ctx := context.Background()
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = callers
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS events_by_hand (id TEXT PRIMARY KEY, position BIGINT GENERATED ALWAYS AS IDENTITY, body BYTEA NOT NULL)`); err != nil {
		return nil, err
	}
	return func(ctx context.Context, id string, body []byte) error {
		var tag pgconn.CommandTag
		tag, err := pool.Exec(ctx, `INSERT INTO events_by_hand (id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, body)
		if err == nil && tag.RowsAffected() == 0 {
			return nil // known
		}
		return err
	}, nil
}
