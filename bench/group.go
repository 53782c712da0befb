package main

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver that the gateway uses too
)

// group makes things durable together: those that wait at the same time share one sync. It is what a team would write
// that knows of group commit.
type group[T any] struct {
	waiting chan entry[T]
	commit  func([]T) error
}

type entry[T any] struct {
	what T
	done chan error
}

func newGroup[T any](commit func([]T) error) *group[T] {
	g := &group[T]{waiting: make(chan entry[T], 1024), commit: commit}
	go g.run()
	return g
}

// add returns once it is durable.
func (g *group[T]) add(what T) error {
	done := make(chan error, 1)
	g.waiting <- entry[T]{what, done}
	return <-done
}

func (g *group[T]) run() {
	for first := range g.waiting {
		batch := []entry[T]{first}
		for more := true; more && len(batch) < 256; {
			select {
			case next := <-g.waiting:
				batch = append(batch, next)
			default:
				more = false
			}
		}
		all := make([]T, len(batch))
		for i, e := range batch {
			all[i] = e.what
		}
		err := g.commit(all)
		for _, e := range batch {
			e.done <- err
		}
	}
}

// openFile makes lines durable in a plain file.
func openFile(path string) (func([][]byte) error, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return func(lines [][]byte) error {
		var all []byte
		for _, line := range lines {
			all = append(append(all, line...), '\n')
		}
		if _, err := file.Write(all); err != nil {
			return err
		}
		return file.Sync()
	}, nil
}

// openSQLite opens a database with the gateway's own settings of syncing.
func openSQLite(path, schema string) (*sql.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	settings := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+settings.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema); err != nil {
		return nil, fmt.Errorf("make the schema: %w", err)
	}
	return db, nil
}
