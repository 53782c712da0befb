// Package storetest holds engines to what store.Engine promises. An engine's own tests call Run and Reopen; tests of
// what only one engine has stay with that engine.
package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"payments.internal/klarna-gateway/store"
)

// Run runs the suite. open gives an engine over an empty database each time it is called and closes it in a cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Engine) {
	for _, suite := range [][]promise{logPromises, readPromises, subjectPromises, namePromises, jobPromises, recordPromises, retainPromises, checkpointPromises, reservationPromises, sharePromises, statsPromises, erasePromises, shelfPromises, blockPromises} {
		for _, p := range suite {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.hold(t, open(t))
			})
		}
	}
}

type promise struct {
	name string
	hold func(t *testing.T, e store.Engine)
}

// epoch is when the invented facts begin; at is some seconds later.
var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

const account = "A-NORDLICHT"

// event makes an event of a payment in the account.
func event(id, subject, state string, keys ...store.Key) store.Event {
	return store.Event{
		ID: id, Stream: store.Payments, MerchantAccount: account, Subject: subject, Kind: "payment", State: state,
		OccurredAt: epoch, RecordedAt: epoch, Keys: keys, Body: []byte("state " + id),
	}
}

func session(id string) store.Key { return store.Key{Kind: "session_id", Value: id} }
func order(id string) store.Key   { return store.Key{Kind: "order_id", Value: id} }

// commit commits one unit and demands that it succeeds.
func commit(t *testing.T, e store.Engine, unit func(store.Tx) error) {
	t.Helper()
	if err := commitOne(t, e, unit); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func commitOne(t *testing.T, e store.Engine, unit func(store.Tx) error) error {
	t.Helper()
	results := e.Commit(t.Context(), []func(store.Tx) error{unit})
	if len(results) != 1 {
		t.Fatalf("commit of one unit gave %d results", len(results))
	}
	return results[0]
}

// appendAll appends each event in a commit of its own.
func appendAll(t *testing.T, e store.Engine, events ...store.Event) {
	t.Helper()
	for _, ev := range events {
		commit(t, e, appending(t, ev))
	}
}

func appending(t *testing.T, ev store.Event) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.Append(t.Context(), ev)
		return err
	}
}

func events(t *testing.T, e store.Engine, q store.Query) []store.Event {
	t.Helper()
	q.Stream = orDefault(q.Stream, store.Payments)
	q.Limit = orDefault(q.Limit, 1000)
	found, err := e.Events(t.Context(), q)
	if err != nil {
		t.Fatalf("events: %v", err)
	}
	return found
}

func subjects(t *testing.T, e store.Engine, q store.Query) []store.Subject {
	t.Helper()
	q.Stream = orDefault(q.Stream, store.Payments)
	q.Limit = orDefault(q.Limit, 1000)
	found, err := e.Subjects(t.Context(), q)
	if err != nil {
		t.Fatalf("subjects: %v", err)
	}
	return found
}

func head(t *testing.T, e store.Engine) (head, trimmed store.Position) {
	t.Helper()
	head, trimmed, err := e.Head(t.Context())
	if err != nil {
		t.Fatalf("head: %v", err)
	}
	return head, trimmed
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// collect maps a list to what a test compares.
func collect[T, V any](list []T, of func(T) V) []V {
	values := []V{}
	for _, one := range list {
		values = append(values, of(one))
	}
	return values
}

func eventID(ev store.Event) string      { return ev.ID }
func subjectID(s store.Subject) string   { return s.ID }
func at64(ev store.Event) int64          { return int64(ev.Position) }
func jobKey(j store.Job) string          { return j.Key }
func numbered(name string, n int) string { return fmt.Sprintf("%s-%03d", name, n) }

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(store.Event{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func ids(list ...string) []string { return list }

func isNotFound(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: got %v, want ErrNotFound", what, err)
	}
}
