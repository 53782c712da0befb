package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"payments.internal/klarna-gateway/store"
)

// EventByID implements store.Tx.
func (t *tx) EventByID(_ context.Context, id string) (store.Event, error) {
	ev, err := one(t, mark("event", id), `SELECT position, subject, fingerprint FROM event_ids WHERE id = $1`, []any{id}, func(row scanner) (store.Event, error) {
		ev := store.Event{ID: id}
		return ev, row.Scan(&ev.Position, &ev.Subject, &ev.Fingerprint)
	})
	if err != nil {
		return store.Event{}, fmt.Errorf("read event %s: %w", id, err)
	}
	return ev, nil
}

// appendEvent stores an event and makes its state that of its subject. Most events carry the keys their subject has:
// then its key rows are left alone. An id that is taken violates the key of event_ids. A subject that was merged away or
// is of another stream or account is not moved: events.subject is then null, which its column refuses.
const appendEvent = `
WITH had AS (SELECT keys FROM subjects WHERE id = $5),
numbered AS (INSERT INTO event_ids (id, position, subject, fingerprint) VALUES ($2, $1, $5, $16)),
moved AS (
	INSERT INTO subjects AS s (id, stream, merchant_account, state, keys, body, first, latest, merged_into, created_at, updated_at)
	VALUES ($5, $3, $4, $8, $13, $14, $1, $1, '', $12, $12)
	ON CONFLICT (id) DO UPDATE SET state = $8, keys = $13, body = $14, latest = $1, updated_at = $12
	WHERE s.stream = $3 AND s.merchant_account = $4 AND s.merged_into = '' RETURNING s.id),
wanted AS (SELECT DISTINCT kind, value FROM unnest($18::text[], $19::text[]) AS k (kind, value)),
dropped AS (
	DELETE FROM subject_keys AS k USING had WHERE had.keys <> $13 AND k.subject = $5
	AND NOT EXISTS (SELECT 1 FROM wanted AS w WHERE w.kind = k.kind AND w.value = k.value)),
added AS (
	INSERT INTO subject_keys (stream, kind, value, merchant_account, subject) SELECT $3, kind, value, $4, $5 FROM wanted
	WHERE NOT EXISTS (SELECT 1 FROM had WHERE had.keys = $13) ON CONFLICT DO NOTHING),
keyed AS (
	INSERT INTO event_keys (stream, kind, value, merchant_account, position) SELECT $3, kind, value, $4, $1 FROM wanted)
INSERT INTO events (position, id, stream, merchant_account, subject, kind, cause, state, previous_state, superseded,
	occurred_at, recorded_at, keys, body, raw, fingerprint, trace_parent)
VALUES ($1, $2, $3, $4, (SELECT id FROM moved), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`

// Append implements store.Tx. The transaction holds the log's row, so the next position is nobody else's; the units before
// have taken theirs. What is wrong with the event shows when the unit ends.
func (t *tx) Append(_ context.Context, ev store.Event) (store.Position, error) {
	if ev.ID == "" || ev.Subject == "" || ev.Stream == "" {
		return 0, errors.New("append: an event needs an id, a stream and a subject")
	}
	keys, err := encodeKeys(ev.Keys)
	if err != nil {
		return 0, fmt.Errorf("append %s: %w", ev.ID, err)
	}
	if t.await(); t.failed != nil {
		return 0, t.failed
	}
	list := listKeys(ev.Keys)
	wrote := slices.Concat(mark("event", ev.ID), mark("subject", ev.Subject), keyMarks(ev.Stream, ev.MerchantAccount, ev.Keys))
	t.w.head++
	t.ring()
	err = t.exec(wrote, appendEvent, t.w.head, ev.ID, ev.Stream, ev.MerchantAccount, ev.Subject, ev.Kind, ev.Cause, ev.State,
		ev.PreviousState, ev.Superseded, micros(ev.OccurredAt), micros(ev.RecordedAt), keys, blob(ev.Body), blob(ev.Raw),
		blob(ev.Fingerprint), ev.TraceParent, list.kinds, list.values)
	if err != nil {
		return 0, fmt.Errorf("append %s: %w", ev.ID, err)
	}
	return t.w.head, nil
}
