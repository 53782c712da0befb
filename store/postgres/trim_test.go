package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// A unit that seals an event anew while a trim deletes it waits for the trim at most, and the trim not for it: neither is
// undone.
func TestTrim_DoesNotLockItselfOutWithWhatIsSealedAnew(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	name := "trim-" + rand.Text() // of its connections: other tests share the server
	e := open(t, url+"&application_name="+name)
	for i := range 3 {
		ev := store.Event{
			ID: fmt.Sprint("e", i), Stream: store.Payments, MerchantAccount: "m", Subject: "p", New: i == 0, Kind: "k", Cause: "c",
			State: "s", OccurredAt: time.Unix(1, 0), RecordedAt: time.Unix(1, 0), Body: []byte("body"), Fingerprint: []byte("f"),
		}
		if err := errors.Join(e.Commit(t.Context(), []func(store.Tx) error{func(tx store.Tx) error {
			_, err := tx.Append(context.Background(), ev)
			return err
		}})...); err != nil {
			t.Fatal(err)
		}
	}
	on := store.Shelves()[0]
	rows, err := e.Sealed(t.Context(), on, nil, 10)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%+v, %v", rows, err)
	}

	look, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close(context.Background())
	const trimming = `hashtextextended('klarna_gateway.' || current_schema() || '.trim', 0)`
	run := func(text string) {
		t.Helper()
		if _, err := look.Exec(t.Context(), text); err != nil {
			t.Error(err)
		}
	}
	waits := func(what, lock string) { // until a statement of the engine waits for a lock
		t.Helper()
		for until := time.Now().Add(time.Minute); time.Now().Before(until); {
			var n int
			err := look.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = $3 AND wait_event_type = 'Lock'
				AND wait_event = $1 AND query LIKE $2`, lock, what, name).Scan(&n)
			switch {
			case err != nil:
				t.Error(err)
				return
			case n > 0:
				return
			}
		}
		t.Errorf("nobody waits: %s", what)
	}

	run(`SELECT pg_advisory_lock(` + trimming + `)`)
	trimmed := make(chan error, 1)
	go func() {
		_, err := e.Trim(context.Background(), 3)
		trimmed <- err
	}()
	waits("%pg_advisory_xact_lock%", "advisory") // it has moved the trimmed position
	ran := 0
	err = errors.Join(e.Commit(t.Context(), []func(store.Tx) error{func(tx store.Tx) error {
		if _, err := tx.EventByID(context.Background(), "e0"); err != nil { // from now on it holds the log's row
			return err
		}
		if ran++; ran == 1 {
			run(`SELECT pg_advisory_unlock(` + trimming + `)`)
			waits("%log FOR UPDATE%", "transactionid")
		}
		return tx.Reseal(context.Background(), on, rows[0], [][]byte{[]byte("anew"), nil, nil})
	}})...)
	if late := <-trimmed; err != nil || late != nil || ran != 1 {
		t.Errorf("the unit ran %d times: %v; the trim: %v", ran, err, late)
	}
	if left, err := e.Sealed(t.Context(), on, nil, 10); err != nil || len(left) != 1 || left[0].Row[0] != "3" {
		t.Errorf("left: %+v, %v", left, err)
	}
}
