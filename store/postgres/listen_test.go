package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// listenTo returns the rings of an engine's listener, whether for its own commits, the first one, as it begins, being gone.
func listenTo(t *testing.T, e *Engine) <-chan bool {
	t.Helper()
	rings, ended := make(chan bool), make(chan struct{})
	ctx, end := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		_ = e.Listen(ctx, func(own bool) {
			select {
			case rings <- own:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { end(); <-ended })
	heard(t, rings)
	return rings
}

func heard(t *testing.T, rings <-chan bool) {
	t.Helper()
	select {
	case own := <-rings:
		if own {
			t.Error("another's commit is taken for an own one")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was heard")
	}
}

// A commit is told to other replicas at once, not when they look by themselves.
func TestListen_HearsOtherReplicas(t *testing.T) {
	t.Parallel()
	url, ctx := postgrestest.URL(t), t.Context()
	e, err := Open(ctx, url, quiet, WithPoll(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	other, err := Open(ctx, url, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	rings := listenTo(t, e)
	for _, unit := range []func(store.Tx) error{
		func(tx store.Tx) error {
			_, err := tx.Append(ctx, store.Event{ID: "e1", Stream: store.Payments, Subject: "p"})
			return err
		},
		func(tx store.Tx) error { return tx.AddJob(ctx, store.Job{Kind: "read", Key: "k"}) },
		func(tx store.Tx) error { return tx.FinishJob(ctx, 1) },
	} {
		if err := other.Commit(ctx, []func(store.Tx) error{unit})[0]; err != nil {
			t.Fatal(err)
		}
		heard(t, rings)
	}
	if err := e.Commit(ctx, []func(store.Tx) error{func(tx store.Tx) error { return tx.FinishJob(ctx, 2) }})[0]; err != nil {
		t.Fatal(err)
	}
	if !<-rings {
		t.Error("an own commit is taken for another's")
	}
	e.writers.Close()
	e.own.Range(func(pid, _ any) bool {
		t.Errorf("process %v, which is gone, is taken for an own one", pid)
		return true
	})
}

// What is not told is looked for, and a connection that the server has ended is noticed.
func TestListen_LooksByItself(t *testing.T) {
	t.Parallel()
	url, ctx := postgrestest.URL(t), t.Context()
	name := "listener-" + rand.Text() // the server is that of other tests too
	e, err := Open(ctx, url+"&application_name="+name, quiet, WithPoll(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	rings := listenTo(t, e)
	heard(t, rings)
	heard(t, rings)
	ended := make(chan error, 1)
	began := make(chan struct{}, 100)
	go func() { ended <- e.Listen(ctx, func(bool) { began <- struct{}{} }) }()
	<-began
	_, err = connect(t, url).Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, name)
	if err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case <-rings:
		case <-began:
		case err := <-ended:
			if err == nil {
				t.Error("a broken connection ended without an error")
			}
			return
		}
	}
}

// Parts are granted one after the other: while another replica's are not committed, nobody else's are made of what was
// before.
func TestShare_TakesTurns(t *testing.T) {
	t.Parallel()
	url, ctx := postgrestest.URL(t), t.Context()
	e, err := Open(ctx, url, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	other, watching := connect(t, url), connect(t, url)
	_, err = other.Exec(ctx, `BEGIN; INSERT INTO shares VALUES ('shop', 'other', 1, 0.7, now() + interval '1 hour')`)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan map[string]float64, 1)
	go func() {
		shares, err := e.Share(ctx, "mine", map[string]float64{"shop": 1}, time.Hour)
		if err != nil {
			t.Error(err)
		}
		got <- shares
	}()
	for waits := 0; waits == 0; {
		if len(got) > 0 {
			t.Fatal("a part was granted beside one that is not committed")
		}
		if err := watching.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'shares'::regclass`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Exec(ctx, `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if shares := <-got; shares["shop"] < 0.29 || shares["shop"] > 0.31 {
		t.Errorf("got %v of what another has 0.7 of", shares)
	}
}

// Events of different subjects share a statement; a subject's second one begins the next, and a merge stays where it is.
func TestGather_PutsEventsTogether(t *testing.T) {
	t.Parallel()
	ev := func(id, subject string) queued { return queued{event: &store.Event{ID: id, Subject: subject}} }
	sent := gather([]queued{
		ev("1", "a"), {text: "job"}, ev("2", "b"), ev("3", "a"), {text: "merge", alone: true}, ev("4", "c"), ev("5", "d"), {text: "job"},
	})
	var got []string
	for _, q := range sent {
		if q.text != appendEvents {
			got = append(got, q.text)
			continue
		}
		got = append(append(got, q.args[1].([]string)...), "·")
	}
	want := []string{"1", "2", "·", "job", "3", "·", "merge", "4", "5", "·", "job"}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

// A database that went away says so in words that callers act on, in reads and in commits, and comes back by itself.
func TestEngine_SaysThatItsDatabaseIsAway(t *testing.T) {
	t.Parallel()
	server, ctx := postgrestest.Private(t), t.Context()
	e, err := Open(ctx, server.Schema(t), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	server.Kill()
	_, _, readErr := e.Head(ctx)
	commitErr := e.Commit(ctx, []func(store.Tx) error{func(store.Tx) error { return nil }})[0]
	if !errors.Is(readErr, store.ErrUnavailable) || !errors.Is(commitErr, store.ErrUnavailable) {
		t.Errorf("read: %v; commit: %v", readErr, commitErr)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if err := e.Commit(ctx, []func(store.Tx) error{func(store.Tx) error { return nil }})[0]; err != nil {
		t.Errorf("after it came back: %v", err)
	}
}
