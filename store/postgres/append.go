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
	found, err := queryTogether(t, &eventsByID, mark("event", id), `SELECT position, subject, fingerprint FROM event_ids WHERE id = $1`, []any{id},
		func(row scanner) (store.Event, error) {
			ev := store.Event{ID: id}
			return ev, row.Scan(&ev.Position, &ev.Subject, &ev.Fingerprint)
		}, t.along(id)...)
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Event{}, fmt.Errorf("read event %s: %w", id, err)
	}
	return found[0], nil
}

// eventsByID asks for the events of many ids.
var eventsByID = bundle{columns: 3, query: func(asked [][]any) queued {
	var numbers []int32
	var ids []any
	for n, args := range asked {
		numbers, ids = append(numbers, int32(n)), append(ids, args[0])
	}
	return queued{text: `SELECT w.asker, e.position, e.subject, e.fingerprint FROM unnest($1::integer[], $2::text[]) AS w (asker, id)
		CROSS JOIN LATERAL (SELECT * FROM event_ids WHERE id = w.id OFFSET 0) AS e`, args: []any{numbers, ids}}
}}

// appendEvents stores events, of a subject each, and makes their states those of their subjects. Most events carry the keys
// their subject has: then its key rows are left alone. An id that is taken violates the key of event_ids. A subject that was
// merged away or is of another stream or account is not moved, and one on record is not new: events.subject is then null, which its
// column refuses.
const appendEvents = `
WITH ev AS MATERIALIZED (
	SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::text[], $10::boolean[], $11::bigint[], $12::bigint[], $13::text[], $14::bytea[], $15::bytea[], $16::bytea[], $17::text[], $21::bytea[], $22::bytea[], $23::boolean[])
	AS ev (position, id, stream, merchant_account, subject, kind, cause, state, previous_state, superseded, occurred_at, recorded_at,
		keys, body, raw, fingerprint, trace_parent, lasting, data_key, new)),
had AS MATERIALIZED (SELECT s.id, s.keys <> ev.keys AS moves FROM ev JOIN subjects AS s ON s.id = ev.subject),
numbered AS (INSERT INTO event_ids (id, position, subject, fingerprint) SELECT id, position, subject, fingerprint FROM ev),
sealing AS (INSERT INTO data_keys (subject, key, erased_at) SELECT subject, data_key, 0 FROM ev WHERE data_key IS NOT NULL),
moved AS (
	INSERT INTO subjects AS s (id, stream, merchant_account, state, keys, body, lasting, first, latest, merged_into, created_at, updated_at)
	SELECT subject, stream, merchant_account, state, keys, body, lasting, position, position, '', recorded_at, recorded_at FROM ev
	ON CONFLICT (id) DO UPDATE SET state = excluded.state, keys = excluded.keys, body = excluded.body, lasting = excluded.lasting, latest = excluded.latest,
		updated_at = excluded.updated_at
	WHERE s.stream = excluded.stream AND s.merchant_account = excluded.merchant_account AND s.merged_into = '' RETURNING s.id),
wanted AS MATERIALIZED (
	SELECT DISTINCT ev.position, ev.stream, ev.merchant_account, ev.subject, k.kind, k.value
	FROM unnest($18::bigint[], $19::text[], $20::text[]) AS k (position, kind, value) JOIN ev USING (position)),
dropped AS (
	DELETE FROM subject_keys AS k USING had WHERE had.moves AND k.subject = had.id
	AND NOT EXISTS (SELECT 1 FROM wanted AS w WHERE w.subject = k.subject AND w.kind = k.kind AND w.value = k.value)),
added AS (
	INSERT INTO subject_keys (stream, kind, value, merchant_account, subject)
	SELECT w.stream, w.kind, w.value, w.merchant_account, w.subject FROM wanted AS w
	LEFT JOIN had ON had.id = w.subject WHERE had.moves IS NOT FALSE ON CONFLICT DO NOTHING),
keyed AS (
	INSERT INTO event_keys (stream, kind, value, merchant_account, position)
	SELECT stream, kind, value, merchant_account, position FROM wanted)
INSERT INTO events (position, id, stream, merchant_account, subject, kind, cause, state, previous_state, superseded,
	occurred_at, recorded_at, keys, body, lasting, raw, fingerprint, trace_parent)
SELECT position, ev.id, stream, merchant_account, CASE WHEN NOT ev.new OR had.id IS NULL THEN moved.id END, kind, cause, state, previous_state, superseded, occurred_at, recorded_at,
	keys, body, lasting, raw, fingerprint, trace_parent
FROM ev LEFT JOIN moved ON moved.id = ev.subject LEFT JOIN had ON had.id = ev.subject`

// appends are events that one statement stores, in columns.
type appends struct {
	subjects                                       map[string]bool
	positions, occurred, recorded                  []int64
	ids, streams, accounts, subject, kinds, causes []string
	states, previous, keys, traces                 []string
	superseded, fresh                              []bool
	bodies, raws, fingerprints, lasting, dataKeys  [][]byte
	keyPositions                                   []int64
	keyKinds, keyValues                            []string
}

func newAppends() gathered { return &appends{subjects: map[string]bool{}} }

func (a *appends) fits(q queued) bool { return !a.subjects[q.event.Subject] }

func (a *appends) add(q queued) {
	ev := q.event
	a.subjects[ev.Subject] = true
	a.positions = append(a.positions, int64(ev.Position))
	a.ids, a.streams, a.accounts = append(a.ids, ev.ID), append(a.streams, string(ev.Stream)), append(a.accounts, ev.MerchantAccount)
	a.subject, a.kinds, a.causes = append(a.subject, ev.Subject), append(a.kinds, ev.Kind), append(a.causes, ev.Cause)
	a.states, a.previous = append(a.states, ev.State), append(a.previous, ev.PreviousState)
	a.superseded, a.fresh = append(a.superseded, ev.Superseded), append(a.fresh, ev.New)
	a.occurred, a.recorded = append(a.occurred, micros(ev.OccurredAt)), append(a.recorded, micros(ev.RecordedAt))
	a.keys, a.traces = append(a.keys, q.keys), append(a.traces, ev.TraceParent)
	a.bodies, a.raws, a.fingerprints = append(a.bodies, blob(ev.Body)), append(a.raws, blob(ev.Raw)), append(a.fingerprints, blob(ev.Fingerprint))
	a.lasting, a.dataKeys = append(a.lasting, blob(ev.Lasting)), append(a.dataKeys, blob(ev.DataKey))
	for _, k := range ev.Keys {
		a.keyPositions = append(a.keyPositions, int64(ev.Position))
		a.keyKinds, a.keyValues = append(a.keyKinds, k.Kind), append(a.keyValues, k.Value)
	}
}

func (a *appends) statement() queued {
	return queued{text: appendEvents, args: []any{
		a.positions, a.ids, a.streams, a.accounts, a.subject, a.kinds, a.causes, a.states, a.previous, a.superseded, a.occurred, a.recorded,
		a.keys, a.bodies, a.raws, a.fingerprints, a.traces, a.keyPositions, a.keyKinds, a.keyValues, a.lasting, a.dataKeys, a.fresh,
	}}
}

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
	t.w.head++
	ev.Position = t.w.head
	t.ring()
	t.wrote.add(slices.Concat(mark("event", ev.ID), mark("subject", ev.Subject), keyMarks(ev.Stream, ev.MerchantAccount, ev.Keys))...)
	t.enqueue(queued{event: &ev, keys: keys})
	return t.w.head, nil
}
