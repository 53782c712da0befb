package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Listen implements store.Engine, over a connection of its own. A notification says nothing but that there was a commit;
// those that pile up are one. Where nothing is heard for a while it rings all the same
// and asks the server whether it is still there: a connection that a firewall has forgotten would be silent for ever.
func (e *Engine) Listen(ctx context.Context, ring func()) error {
	conn, err := pgx.ConnectConfig(ctx, e.listener)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.patience)
		defer cancel()
		_ = conn.Close(ending)
	}()
	if _, err := conn.Exec(ctx, `LISTEN `+pgx.Identifier{e.channel}.Sanitize()); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	for {
		ring()
		if err := e.hear(ctx, conn); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("listen: %w", err)
		}
	}
}

// hear returns when there is something to ring for.
func (e *Engine) hear(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, e.poll)
	defer cancel()
	_, err := conn.WaitForNotification(waiting)
	if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || conn.IsClosed() {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	return conn.Ping(asking)
}
