package sqlite

import (
	"context"
	"errors"
	"sync"
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

// tidier brings the write-ahead log into the file, and empties it where something was erased.
type tidier struct {
	conn   *conn // guarded by turn
	writer *writer
	turn   sync.Mutex // held during a checkpoint: SQLite has one at a time, and does not wait for the other
	owed   bool       // what was erased may still stand in the write-ahead log; guarded by turn

	dirty chan struct{} // holds one when something was committed
	stop  context.CancelFunc
	ended chan struct{}
}

func newTidier(ctx context.Context, conn *conn, w *writer) *tidier {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &tidier{conn: conn, writer: w, dirty: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
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
		t.tidy(ctx)
	}
}

// tidy brings in what it can. If it fails, the next one, or the writer, does it.
func (t *tidier) tidy(ctx context.Context) {
	t.turn.Lock()
	defer t.turn.Unlock()
	if !t.owed {
		_ = t.conn.do(`PRAGMA wal_checkpoint(PASSIVE)`)
	} else if t.empty(ctx) != nil {
		t.wrote()
	}
}

// forget empties the write-ahead log, since pages with what was erased may stand there. What it cannot do now is done later.
func (t *tidier) forget(ctx context.Context) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.owed = true
	err := t.empty(ctx)
	if err != nil {
		t.wrote()
	}
	return err
}

// empty is for whoever has the turn. A reader may be in the way for a moment.
func (t *tidier) empty(ctx context.Context) error {
	const tries = 3 // of 5 s each
	for range tries {
		busy, err := t.writer.checkpoint(ctx)
		if err != nil {
			return err
		}
		if !busy {
			t.owed = false
			return nil
		}
	}
	return errors.New("readers are in the way")
}

func (t *tidier) close() error {
	t.stop()
	<-t.ended
	t.turn.Lock()
	defer t.turn.Unlock()
	if t.conn == nil {
		return nil
	}
	err := t.conn.Close()
	t.conn = nil
	return err
}
