package postgres

import (
	"context"
	"fmt"
	"math"
	"strings"

	"payments.internal/klarna-gateway/store"
)

const eventColumns = `e.position, e.id, e.stream, e.merchant_account, e.subject, e.kind, e.cause, e.state, e.previous_state,
	e.superseded, e.occurred_at, e.recorded_at, e.keys, e.body, e.lasting, e.raw, e.fingerprint, e.trace_parent,
	(SELECT d.key FROM data_keys AS d WHERE d.subject = e.subject), EXISTS (SELECT 1 FROM data_keys AS d WHERE d.subject = e.subject AND d.erased_at <> 0)`

func scanEvent(row scanner) (store.Event, error) {
	var ev store.Event
	var keys string
	err := row.Scan(&ev.Position, &ev.ID, &ev.Stream, &ev.MerchantAccount, &ev.Subject, &ev.Kind, &ev.Cause, &ev.State,
		&ev.PreviousState, &ev.Superseded, instant{&ev.OccurredAt}, instant{&ev.RecordedAt}, &keys, &ev.Body, &ev.Lasting,
		&ev.Raw, &ev.Fingerprint, &ev.TraceParent, &ev.DataKey, &ev.Erased)
	if err != nil {
		return store.Event{}, err
	}
	ev.Keys, err = decodeKeys(keys)
	return ev, err
}

// Events implements store.Engine.
func (e *Engine) Events(ctx context.Context, q store.Query) ([]store.Event, error) {
	text, args, err := eventsQuery(q)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	found, err := rows(ctx, e, text, args, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return found, nil
}

// Subjects implements store.Engine.
func (e *Engine) Subjects(ctx context.Context, q store.Query) ([]store.Subject, error) {
	text, args, err := subjectsQuery(q)
	if err != nil {
		return nil, fmt.Errorf("read subjects: %w", err)
	}
	found, err := rows(ctx, e, text, args, scanSubject)
	if err != nil {
		return nil, fmt.Errorf("read subjects: %w", err)
	}
	return found, nil
}

// eventsQuery goes from keys to positions to events, never the other way round: OFFSET 0 keeps the planner from turning a
// look-up for each row into a scan of the log.
func eventsQuery(q store.Query) (text string, args []any, err error) {
	s, err := newSelection(q)
	if err != nil {
		return "", nil, err
	}
	s.from(`SELECT ` + eventColumns + ` FROM `)
	if len(q.Keys) > 0 {
		s.from(`(SELECT DISTINCT k.position FROM `)
		s.keyed("event_keys", "k.position", q.Stream, q.MerchantAccount, q.Keys)
		s.from(` WHERE true`)
		s.bounds("k.position")
		s.from(`) AS hit CROSS JOIN LATERAL (SELECT * FROM events WHERE stream = ?`, q.Stream)
		s.from(` AND position = hit.position OFFSET 0) AS e WHERE true`)
		s.states("e.state")
		s.order("hit.position")
		return s.text.String(), s.args, nil
	}
	s.from(`events AS e WHERE e.stream = ?`, q.Stream)
	s.ordered("e.merchant_account", "e.position", "e.state")
	return s.text.String(), s.args, nil
}

func subjectsQuery(q store.Query) (text string, args []any, err error) {
	s, err := newSelection(q)
	if err != nil {
		return "", nil, err
	}
	s.from(`SELECT ` + subjectColumns + ` FROM `)
	if len(q.Keys) > 0 {
		s.addressed(q.Stream, q.MerchantAccount, q.Keys)
		s.bounds("s.latest")
		s.states("s.state")
		s.order("s.latest")
		return s.text.String(), s.args, nil
	}
	s.from(`subjects AS s WHERE s.stream = ? AND s.merged_into = ''`, q.Stream)
	s.ordered("s.merchant_account", "s.latest", "s.state")
	return s.text.String(), s.args, nil
}

// selection builds the text and the arguments of a query.
type selection struct {
	store.Query
	text strings.Builder
	args []any
}

func newSelection(q store.Query) (*selection, error) {
	if q.Limit < 1 {
		return nil, fmt.Errorf("limit %d is below 1", q.Limit)
	}
	if q.UpTo == 0 {
		q.UpTo = math.MaxInt64
	}
	return &selection{Query: q}, nil
}

// from adds text, in which each ? stands for the next argument.
func (s *selection) from(text string, args ...any) {
	for _, arg := range args {
		before, after, _ := strings.Cut(text, "?")
		s.args = append(s.args, arg)
		fmt.Fprintf(&s.text, "%s$%d", before, len(s.args))
		text = after
	}
	s.text.WriteString(text)
}

// keyed selects a column of the rows of a table of keys that one of the keys leads to, as k.
func (s *selection) keyed(table, column string, stream store.Stream, account string, keys []store.Key) {
	list := listKeys(keys)
	s.from(`unnest(?::text[], ?::text[]) AS wanted (kind, value) CROSS JOIN LATERAL (SELECT `+column+` FROM `+table+` AS k
		WHERE k.stream = ? AND k.kind = wanted.kind AND k.value = wanted.value`, list.kinds, list.values, stream)
	if account != "" {
		s.from(` AND k.merchant_account = ?`, account)
	}
	s.from(` OFFSET 0) AS k`)
}

// addressed selects the live subjects that keys address, as s.
func (s *selection) addressed(stream store.Stream, account string, keys []store.Key) {
	s.from(`(SELECT DISTINCT CASE owner.merged_into WHEN '' THEN owner.id ELSE owner.merged_into END AS id FROM `)
	s.keyed("subject_keys", "k.subject", stream, account, keys)
	s.from(` CROSS JOIN LATERAL (SELECT id, merged_into FROM subjects WHERE id = k.subject OFFSET 0) AS owner) AS hit
		CROSS JOIN LATERAL (SELECT * FROM subjects WHERE id = hit.id OFFSET 0) AS s WHERE s.merged_into = ''`)
}

// ordered restricts and orders what is not addressed by keys, such that one index only can serve it: see the migration.
func (s *selection) ordered(account, position, state string) {
	if s.MerchantAccount != "" {
		s.from(` AND `+account+` = ?`, s.MerchantAccount)
		position = `(` + position + ` + 0)`
	}
	s.bounds(position)
	s.states(state)
	s.order(position)
}

func (s *selection) bounds(column string) {
	s.from(` AND `+column+` > ? AND `+column+` <= ?`, s.After, s.UpTo)
}

func (s *selection) states(column string) {
	if len(s.States) > 0 {
		s.from(` AND `+column+` = ANY(?)`, s.States)
	}
}

func (s *selection) order(column string) {
	direction := ``
	if s.Descending {
		direction = ` DESC`
	}
	s.from(` ORDER BY `+column+direction+` LIMIT ?`, s.Limit)
}
