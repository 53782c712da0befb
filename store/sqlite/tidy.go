package sqlite

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
)

// SQLite brings the write-ahead log into the file (a checkpoint) with the commit that makes it long: that commit waits for all of
// it, and a page that changes often is written again and again. So this is done beside the writer, on a connection of its own, a
// while after something was committed, or as soon as the log is long. The log is begun anew only once all of it is in the file,
// which under load never comes to pass that way: then the writer is held up for what it wrote meanwhile. If all else fails, it
// brings in the log itself when that is as long as it may be.
const (
	tidyAfter  = time.Second
	lookAfter  = 50 * time.Millisecond
	longWAL    = 16384 // pages: 64 MiB
	longestWAL = 32768
	pageSize   = 4096 // SQLite's own choice
)

// tidier brings the write-ahead log into the file, and empties it where something was erased.
type tidier struct {
	conn   *conn    // guarded by turn
	file   *os.File // the database's, for syncing it; the engine closes it
	writer *writer
	turn   sync.Mutex // held during a checkpoint: SQLite has one at a time, and does not wait for the other
	owed   bool       // what was erased may still stand in the write-ahead log; guarded by turn

	dirty chan struct{} // holds one when something was committed
	stop  context.CancelFunc
	ended chan struct{}
}

func newTidier(ctx context.Context, conn *conn, file *os.File, w *writer) *tidier {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &tidier{conn: conn, file: file, writer: w, dirty: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
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
	for {
		select {
		case <-t.dirty:
		case <-ctx.Done():
			return
		}
		if !t.wait(ctx) {
			return
		}
		t.tidy(ctx)
	}
}

// wait waits until it is time to tidy; false once the engine is closed.
func (t *tidier) wait(ctx context.Context) bool {
	look := time.NewTicker(lookAfter)
	defer look.Stop()
	for range tidyAfter / lookAfter {
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
		if t.long() {
			break
		}
	}
	return true
}

// long tells whether much of the log is still to be brought in.
func (t *tidier) long() bool {
	t.turn.Lock()
	defer t.turn.Unlock()
	is, err := t.conn.checkpoint("NOOP")
	return err == nil && is.pages-is.moved >= longWAL
}

// tidy brings in what it can. If it fails, the next one, or the writer, does it.
func (t *tidier) tidy(ctx context.Context) {
	t.turn.Lock()
	defer t.turn.Unlock()
	if t.owed {
		if t.empty(ctx) != nil {
			t.wrote()
		}
		return
	}
	is, err := t.conn.checkpoint("PASSIVE")
	if err != nil || is.pages < longWAL {
		return
	}
	// SQLite syncs the file with the log's last page only, when the writer is held up: let there be little left to sync.
	_ = t.file.Sync()
	_, _ = t.conn.checkpoint("PASSIVE")
	_ = t.writer.hold(ctx, func() error {
		_, err := t.conn.checkpoint("PASSIVE")
		return err
	})
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

// empty is for whoever has the turn. A reader may be in the way for a moment, and is waited for up to the busy timeout.
func (t *tidier) empty(ctx context.Context) error {
	const tries = 3 // of 5 s each
	for range tries {
		var is checkpointed
		err := t.writer.hold(ctx, func() (err error) {
			is, err = t.writer.conn.checkpoint("TRUNCATE")
			return err
		})
		if err != nil {
			return err
		}
		if !is.busy {
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

// checkpointed is how a checkpoint left the write-ahead log.
type checkpointed struct {
	busy         bool // somebody was in the way
	pages, moved int  // in the log; of them, in the file, too
}

func (c *conn) checkpoint(mode string) (is checkpointed, err error) {
	if c == nil {
		return is, errClosed
	}
	err = c.lend(`PRAGMA wal_checkpoint(`+mode+`)`, func(st *sqlite.Stmt) error {
		if _, err := st.Step(); err != nil {
			return err
		}
		return scanner{st}.Scan(&is.busy, &is.pages, &is.moved)
	})
	return is, err
}
