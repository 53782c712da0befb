package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"payments.internal/klarna-gateway/store"
)

// before makes a file as it was when so many migrations had been written, with more in it.
func before(t *testing.T, version int, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "gateway.db")
	db, err := sql.Open("sqlite", path+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	scripts := []string{fmt.Sprintf(`CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT; INSERT INTO schema_version VALUES (%d)`, version)}
	for _, name := range migrationNames()[:version] {
		script, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, string(script))
	}
	for _, script := range append(scripts, content) {
		if _, err := db.Exec(script); err != nil {
			t.Fatalf("%v\n%s", err, script)
		}
	}
	return path
}

// reopened opens a file of before.
func reopened(t *testing.T, path string) *Engine {
	t.Helper()
	e, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// TestMigrate_KeepsRequestsAndSecrets opens a file of before their rows were put in order.
func TestMigrate_KeepsRequestsAndSecrets(t *testing.T) {
	t.Parallel()
	e := reopened(t, before(t, 12, `INSERT INTO requests VALUES
			('shop', 'capture', 'r-1', 'billing', x'01', '', 'key-1', 'done', x'02', 1000000, 0, 2000000, x'03', 'no', 'corr', 'p-1'),
			('shop', 'refund', 'r-2', 'billing', NULL, 'read_order 7', 'key-2', 'open', NULL, 1000000, 3000000, 1000000, NULL, '', '', '');
		INSERT INTO secrets VALUES (x'aa', 'authorization', 'shop', 's-1', 9000000)`))
	done, err := e.Request(t.Context(), store.RequestID{MerchantAccount: "shop", Operation: "capture", ID: "r-1"})
	if err != nil || done.State != store.RequestDone || string(done.Answer) != "\x02" || string(done.Fields) != "\x03" || done.KlarnaKey != "key-1" ||
		done.Refused != "no" || done.CorrelationID != "corr" || !done.FirstSent.Equal(time.Unix(1, 0)) || !done.UpdatedAt.Equal(time.Unix(2, 0)) {
		t.Errorf("the answered request is %+v, %v", done, err)
	}
	left, err := e.Abandoned(t.Context(), time.Unix(4, 0), 10)
	if err != nil || len(left) != 1 || left[0].ID != "r-2" || left[0].Subject != "read_order 7" {
		t.Errorf("left behind are %+v, %v", left, err)
	}
	secret, err := e.Secret(t.Context(), []byte{0xaa})
	if err != nil || secret.Purpose != "authorization" || secret.Key != "s-1" || !secret.ExpiresAt.Equal(time.Unix(9, 0)) {
		t.Errorf("the secret is %+v, %v", secret, err)
	}
}

// of14 are the events 1 to 4 of two payments as version 14 wrote them: each of their keys leads to them, and the first payment has
// lost the name that it had at the beginning.
const of14 = `UPDATE log SET head = 4;
	INSERT INTO event_ids (id, position, subject) VALUES ('e1', 1, 'p1'), ('e2', 2, 'p2'), ('e3', 3, 'p1'), ('e4', 4, 'p2');
	INSERT INTO events (position, id, stream, merchant_account, subject, kind, cause, state, previous_state, superseded, occurred_at, recorded_at, keys, trace_parent)
		SELECT position, id, 'payment', 'shop', subject, 'k', 'c', 'ORDERED', '', 0, 1, 1, CASE id
			WHEN 'e1' THEN '[["session_id","s1"],["partner_account_id","A"]]' WHEN 'e3' THEN '[["order_id","o1"],["partner_account_id","A"]]'
			ELSE '[["order_id","o2"],["partner_account_id","A"]]' END, '' FROM event_ids ORDER BY position;
	INSERT INTO event_keys (stream, kind, value, merchant_account, position)
		SELECT e.stream, k.value ->> 0, k.value ->> 1, e.merchant_account, e.position FROM events AS e CROSS JOIN json_each(e.keys) AS k;
	INSERT INTO subjects (id, stream, merchant_account, state, keys, first, latest, merged_into, created_at, updated_at)
		SELECT e.subject, e.stream, e.merchant_account, e.state, e.keys, e.position - 2, e.position, '', 1, 1 FROM events AS e WHERE e.position > 2;
	INSERT INTO subject_keys (stream, kind, value, merchant_account, subject)
		SELECT s.stream, k.value ->> 0, k.value ->> 1, s.merchant_account, s.id FROM subjects AS s CROSS JOIN json_each(s.keys) AS k`

// TestMigrate_KeysOfBeforeFindEvents opens a file of before names led to events by way of subjects, and goes on with it.
func TestMigrate_KeysOfBeforeFindEvents(t *testing.T) {
	t.Parallel()
	e := reopened(t, before(t, 14, of14))
	first, order, other := store.Key{Kind: "session_id", Value: "s1"}, store.Key{Kind: "order_id", Value: "o1"}, store.Key{Kind: "order_id", Value: "o2"}
	shared := store.Key{Kind: "partner_account_id", Value: "A"}
	find := func(when string, want []string, keys ...store.Key) {
		t.Helper()
		events, err := e.Events(t.Context(), store.Query{Stream: store.Payments, Keys: keys, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, ev := range events {
			found = append(found, ev.ID)
		}
		if !slices.Equal(found, want) {
			t.Errorf("%s, %v finds %v, want %v", when, keys, found, want)
		}
	}
	find("at first", []string{"e1"}, first)
	find("at first", []string{"e3"}, order)
	find("at first", []string{"e1", "e2", "e3", "e4"}, shared)
	appendTo(t, e, "e5", "p1", order, shared)
	appendTo(t, e, "e6", "p1", first)
	appendTo(t, e, "e7", "p2", other, shared)
	find("later", []string{"e1", "e6"}, first)
	find("later", []string{"e3", "e5"}, order)
	find("later", []string{"e2", "e4", "e7"}, other)
	find("later", []string{"e1", "e2", "e3", "e4", "e5", "e7"}, shared)
	find("later", []string{"e1", "e2", "e3", "e4", "e5", "e6", "e7"}, first, order, shared)
	if _, err := e.Trim(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	find("trimmed", []string{"e6"}, first)
	find("trimmed", []string{"e5"}, order)
	find("trimmed", []string{"e5", "e7"}, shared)
}

// TestForget_LeavesNoName looks for what a subject was called, once it is forgotten.
func TestForget_LeavesNoName(t *testing.T) {
	t.Parallel()
	e := reopened(t, before(t, 14, of14))
	appendTo(t, e, "e5", "p1", store.Key{Kind: "order_id", Value: "o3"}, store.Key{Kind: "partner_account_id", Value: "B"})
	appendTo(t, e, "e6", "p2")
	if _, err := e.Trim(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Forget(t.Context(), store.Payments, []string{"ORDERED"}, 6, 10); n != 2 || err != nil {
		t.Fatalf("%d were forgotten, %v", n, err)
	}
	for _, table := range []string{"event_keys", "subject_keys", "former_names", "subjects", "events"} {
		var left int
		if err := row(t.Context(), e.reader, `SELECT count(*) FROM `+table, nil, &left); err != nil || left != 0 {
			t.Errorf("%d rows are left in %s, %v", left, table, err)
		}
	}
}

func appendTo(t *testing.T, e *Engine, id, subject string, keys ...store.Key) {
	t.Helper()
	errs := e.Commit(t.Context(), []func(store.Tx) error{func(tx store.Tx) error {
		_, err := tx.Append(t.Context(), store.Event{ID: id, Stream: store.Payments, MerchantAccount: "shop", Subject: subject, State: "ORDERED", Keys: keys})
		return err
	}})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
}
