package main

import (
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fleet is gateways over the same data, each a process: several on one PostgreSQL, or one on SQLite. Klarna's posts go to
// those that live in turn.
type fleet struct {
	*stage
	members []atomic.Pointer[process]
	urls    []string // by which each reaches the database; none on SQLite
	turn    atomic.Int64
}

// newFleet prepares gateways over a database, or one on SQLite; ways are the addresses by which they reach the database
// instead of its own.
func newFleet(t *testing.T, size int, database string, ways map[int]string) *fleet {
	t.Helper()
	f := &fleet{stage: newStage(t, 10*time.Second), members: make([]atomic.Pointer[process], size)}
	f.pick = f.living
	if database == "" {
		return f
	}
	f.posts.DisableKeepAlives = true // each post to another one
	keys := filepath.Join(f.dir, "shared-keys.json")
	if err := makeKeyring(keys, &output{}); err != nil {
		t.Fatal(err)
	}
	f.env = append(f.env, "KLARNA_GATEWAY_KEY_FILE="+keys)
	for i := range size {
		at := database
		if way := ways[i]; way != "" {
			u := must[*url.URL](t)(url.Parse(database))
			query := u.Query()
			query.Del("host")
			u.Host, u.RawQuery = way, query.Encode()
			at = u.String()
		}
		f.urls = append(f.urls, at)
	}
	return f
}

// living is a member that lives, each time the next one; nil if there is none.
func (f *fleet) living() *process {
	for range len(f.members) {
		if p := f.members[f.turn.Add(1)%int64(len(f.members))].Load(); p != nil && !p.gone() {
			return p
		}
	}
	return nil
}

// man starts a member, or starts it again.
func (f *fleet) man(i int) *process {
	f.t.Helper()
	var env []string
	if f.urls != nil {
		env = append(env, "KLARNA_GATEWAY_DATABASE="+f.urls[i])
	}
	p := f.start(env...)
	f.members[i].Store(p)
	return p
}

// manAll starts all members at the same time.
func (f *fleet) manAll() {
	f.t.Helper()
	var starting sync.WaitGroup
	for i := range f.members {
		starting.Go(func() { f.man(i) })
	}
	starting.Wait()
}

// dismiss asks all members to end, and expects that they do in good order.
func (f *fleet) dismiss() {
	f.t.Helper()
	for i := range f.members {
		f.members[i].Load().terminate(f.t)
	}
}
