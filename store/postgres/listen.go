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
func (e *Engine) Listen(ctx context.Context, ring func(own bool)) error {
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
	for own := false; ; {
		ring(own)
		if own, err = e.hear(ctx, conn); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("listen: %w", err)
		}
	}
}

// hear returns when there is something to ring for. own says that it is a commit over a connection that this Engine has.
func (e *Engine) hear(ctx context.Context, conn *pgx.Conn) (own bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, e.poll)
	defer cancel()
	heard, err := conn.WaitForNotification(waiting)
	if err == nil {
		_, own = e.own.Load(heard.PID)
		return own, nil
	}
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || conn.IsClosed() {
		return false, err
	}
	asking, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	return false, conn.Ping(asking)
}
