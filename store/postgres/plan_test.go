package postgres

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// fill makes a log that is worth an index: 20,000 events of 5,000 payments, nearly all of one account.
const fill = `
INSERT INTO events (position, id, stream, merchant_account, subject, kind, cause, state, previous_state, superseded, occurred_at,
	recorded_at, keys, trace_parent)
SELECT n, 'e' || n, CASE WHEN n % 1000 = 0 THEN 'account' ELSE 'payment' END, CASE WHEN n % 500 = 7 THEN 'rare' ELSE 'shop' END,
	'p' || n % 5000, 'payment', '', CASE WHEN n % 4 = 0 THEN 'AUTHORIZED' ELSE 'CAPTURED' END, '', false, n, n, '[]', ''
FROM generate_series(1, 20000) AS n;
INSERT INTO event_keys (stream, kind, value, merchant_account, position) SELECT stream, 'order_id', substr(subject, 2), merchant_account, position FROM events;
INSERT INTO event_ids (id, position, subject) SELECT id, position, subject FROM events;
INSERT INTO subjects (id, stream, merchant_account, state, keys, first, latest, merged_into, created_at, updated_at)
SELECT DISTINCT ON (subject) subject, stream, merchant_account, state, keys, position, position, '', 1, 1 FROM events ORDER BY subject, position DESC;
INSERT INTO subject_keys (stream, kind, value, merchant_account, subject) SELECT stream, 'order_id', substr(id, 2), merchant_account, id FROM subjects;
INSERT INTO data_keys (subject, key, erased_at) SELECT id, 'k', 0 FROM subjects;
INSERT INTO jobs (kind, merchant_account, key, run_at, deadline, attempt, leased_until, last_error, created_at, trace_parent)
SELECT 'read', 'shop', 'k' || n, n, 0, 0, 0, '', 1, '' FROM generate_series(1, 20000) AS n;
INSERT INTO requests (merchant_account, operation, id, caller, subject, klarna_key, state, first_sent, leased_until, updated_at)
SELECT 'shop', 'capture', 'r' || n, '', '', '', 'done', 0, 0, 0 FROM generate_series(1, 5000) AS n;
INSERT INTO quarantine (merchant_account, event_id, reason, received_at) SELECT 'shop', 'e' || n, 'r', 0 FROM generate_series(1, 5000) AS n;
INSERT INTO signing_keys (scheme, merchant_account, id, origin, created_at, last_used, retire_at, revoked_at)
SELECT 's', 'shop', 'k' || n, '', 0, 0, 0, 0 FROM generate_series(1, 5000) AS n;
INSERT INTO probes (merchant_account, webhook, event_type, asked_at, until, received_at, event_id, signing_key, flaw)
SELECT 'shop', 'w' || n, 'e', 0, 0, 0, '', '', '' FROM generate_series(1, 5000) AS n;
INSERT INTO blocks (stream, form, merchant_account, after, up_to) SELECT 'payment', 'f', 'shop', n, n + 1 FROM generate_series(1, 20000) AS n;
ANALYZE`

// TestQueries_WalkIndexes asks PostgreSQL how it would run every read, whatever the filters: none may scan a table, and
// what an account is asked about must not be looked for in the whole stream. Statements are planned for what is asked
// and, once they were used a few times, for anything.
func TestQueries_WalkIndexes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e, err := Open(ctx, postgrestest.URL(t), WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	conn, err := pgx.ConnectConfig(ctx, e.listener)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, fill); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		if _, err := conn.Exec(ctx, `SET plan_cache_mode = `+mode); err != nil {
			t.Fatal(err)
		}
		for shape := range 16 {
			q := store.Query{Stream: store.Payments, Limit: 10, After: 100, Descending: shape&1 != 0}
			if shape&2 != 0 {
				q.MerchantAccount = "rare"
			}
			if shape&4 != 0 {
				q.States = []string{"AUTHORIZED"}
			}
			if shape&8 != 0 {
				q.Keys = []store.Key{{Kind: "order_id", Value: "7"}, {Kind: "order_id", Value: "8"}}
			}
			for _, build := range []func(store.Query) (string, []any, error){eventsQuery, subjectsQuery} {
				text, args, err := build(q)
				if err != nil {
					t.Fatal(err)
				}
				explain(t, conn, fmt.Sprintf("%s %+v", mode, q), text, args, len(q.Keys) == 0)
			}
		}
		explain(t, conn, mode+" lease", leaseJobs, []any{int64(100), 8, int64(1000)}, false)
		explain(t, conn, mode+" subject", subjectQuery, []any{"p7"}, false)
		for _, on := range store.Shelves() {
			after := make([]string, len(on.Row))
			if on.Number {
				after[0] = "100"
			}
			text, args := sealedQuery(on, after, 100)
			explain(t, conn, mode+" "+on.Table, text, args, true)
		}
		explain(t, conn, mode+" block", blockQuery, []any{store.Payments, "f", "shop", 100}, false)
		events := eventsByID.query([][]any{{"e7"}, {"e8"}})
		explain(t, conn, mode+" events", events.text, events.args, false)
		kind, payment := []string{"order_id"}, []string{string(store.Payments)}
		subjects := subjectsByKeys.query([][]any{{[]int32{0}, payment, []string{"shop"}, kind, []string{"7"}}, {[]int32{0}, payment, []string{"rare"}, kind, []string{"8"}}})
		explain(t, conn, mode+" subjects", subjects.text, subjects.args, false)
		explain(t, conn, mode+" request", requestQuery, []any{"shop", "capture", "r7"}, false)
	}
}

// explain demands that a query walks indexes, and sorts nothing unless what it sorts was addressed by keys.
func explain(t *testing.T, conn *pgx.Conn, what, text string, args []any, ordered bool) {
	t.Helper()
	steps, err := conn.Query(t.Context(), `EXPLAIN (COSTS OFF) `+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := collect(steps, func(row scanner) (step string, err error) { return step, row.Scan(&step) })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	whole := strings.Join(plan, "\n")
	if strings.Contains(whole, "Seq Scan") || ordered && strings.Contains(whole, "Sort") {
		t.Errorf("%s:\n%s", what, whole)
	}
	if strings.Contains(text, "merchant_account = $") && ordered && !strings.Contains(whole, "_by_account") {
		t.Errorf("%s looks through the whole stream:\n%s", what, whole)
	}
}
