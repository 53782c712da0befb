package sqlite

import (
	"context"
	"database/sql"
	"time"
)

// SQLite brings the write-ahead log into the file (a checkpoint) with the commit that makes it long: that commit waits for two
// syncs more, and a page that changes often is written again and again. So this is done beside the writer, on a connection of its
// own, a while after something was committed. The log is begun anew only once all of it is in the file, which under load never
// comes to pass that way; the writer brings in the rest when the log is as long as it may be.
const (
	tidyAfter  = time.Second
	longestWAL = 16384 // pages: 64 MiB
)

// tidier brings the write-ahead log into the file.
type tidier struct {
	db    *sql.DB
	dirty chan struct{} // holds one when something was committed
	stop  context.CancelFunc
	ended chan struct{}
}

func newTidier(ctx context.Context, db *sql.DB) *tidier {
	db.SetMaxOpenConns(1)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &tidier{db: db, dirty: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go t.run(ctx)
	return t
}

// wrote says that there is something to bring in.
func (t *tidier) wrote() {
	select {
	case t.dirty <- struct{}{}:
	default:
	}
}

func (t *tidier) run(ctx context.Context) {
	defer close(t.ended)
	pause := time.NewTimer(tidyAfter)
	defer pause.Stop()
	for {
		select {
		case <-t.dirty:
		case <-ctx.Done():
			return
		}
		pause.Reset(tidyAfter)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		// If it fails, the next one, or the writer, does it.
		_, _ = t.db.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
	}
}

func (t *tidier) close() error {
	t.stop()
	<-t.ended
	return t.db.Close()
}
