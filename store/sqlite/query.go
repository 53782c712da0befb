package sqlite

import (
	"context"
	"encoding/json"
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
	s, err := newSelection(q)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	s.from(`SELECT ` + eventColumns + ` FROM events AS e `)
	if len(q.Keys) > 0 {
		if err := s.carrying(); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
	} else {
		s.from(`INDEXED BY `+s.index("events")+` WHERE e.stream = ?`, q.Stream)
		s.account("e.merchant_account")
		s.bounds("e.position")
	}
	s.states("e.state")
	s.order("e.position")
	found, err := rows(ctx, e.reader, s.text.String(), s.args, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return found, nil
}

// carrying selects events that carry one of the query's keys. Those with a key that many subjects share are on record by it, and
// those from before names led to subjects by each of their keys. The others are found by a name from the subjects that have or had
// it, each back from its newest event; not all of them need carry it.
func (s *selection) carrying() error {
	all, err := want(s.Stream, s.Keys)
	if err != nil {
		return err
	}
	_, names := split(s.Stream, s.Keys)
	s.from(`WHERE e.position IN (`)
	if len(names) > 0 {
		if err := s.named(names); err != nil {
			return err
		}
		s.from(` UNION `)
	}
	s.from(`SELECT k.position FROM `+all.from+`event_keys AS k WHERE `+all.where, all.args...)
	s.account("k.merchant_account")
	s.bounds("k.position")
	s.from(`)`)
	if len(names) > 0 {
		list, err := encodeKeys(s.Keys)
		if err != nil {
			return err
		}
		s.from(` AND EXISTS (SELECT 1 FROM json_each(?) AS wanted CROSS JOIN json_each(e.keys) AS own
			WHERE own.value ->> 0 = wanted.value ->> 0 AND own.value ->> 1 = wanted.value ->> 1)`, list)
	}
	return nil
}

// named selects the positions of the events of those subjects that have or had one of some names.
func (s *selection) named(names []store.Key) error {
	w, err := want(s.Stream, names)
	if err != nil {
		return err
	}
	s.from(`WITH RECURSIVE back (position, previous) AS (SELECT newest.position, newest.previous FROM (`)
	for i, table := range []string{"subject_keys", "former_names"} {
		if i > 0 {
			s.from(` UNION `)
		}
		s.from(`SELECT k.subject FROM `+w.from+table+` AS k WHERE `+w.where, w.args...)
		s.account("k.merchant_account")
	}
	s.from(`) AS keyed CROSS JOIN subjects AS s ON s.id = keyed.subject CROSS JOIN events AS newest ON newest.position = s.latest
		WHERE s.latest > ?
		UNION ALL SELECT before.position, before.previous FROM back CROSS JOIN events AS before ON before.position = back.previous
		WHERE back.previous > ?) SELECT position FROM back WHERE position <= ?`, s.After, s.After, s.UpTo)
	return nil
}

// selection builds the text and the arguments of a query.
type selection struct {
	store.Query
	text strings.Builder
	args []any
}

// wanted is how a query asks for what keys address, in rows k with the stream, the kind and the value of one.
type wanted struct {
	from, where string
	args        []any
}

const byOne = `k.stream = ? AND k.kind = ? AND k.value = ?`

// want asks for one key as it is, as most queries do, and for several as one list, so that there are few texts.
func want(stream store.Stream, keys []store.Key) (wanted, error) {
	if len(keys) == 1 {
		return wanted{where: byOne, args: []any{stream, keys[0].Kind, keys[0].Value}}, nil
	}
	list, err := encodeKeys(keys)
	return wanted{
		from:  `json_each(?) AS wanted CROSS JOIN `,
		where: `k.stream = ? AND k.kind = wanted.value ->> 0 AND k.value = wanted.value ->> 1`,
		args:  []any{list, stream},
	}, err
}

func newSelection(q store.Query) (*selection, error) {
	if q.Limit < 1 {
		return nil, fmt.Errorf("limit %d is below 1", q.Limit)
	}
	if q.UpTo == 0 {
		q.UpTo = math.MaxInt64
	}
	s := &selection{Query: q, args: make([]any, 0, 16)}
	s.text.Grow(2048)
	return s, nil
}

func (s *selection) from(text string, args ...any) {
	s.text.WriteString(text)
	s.args = append(s.args, args...)
}

// index names the index that leads to what is asked for. Left to itself the planner takes the one over the whole stream,
// because it cannot know that an account has few rows.
func (s *selection) index(table string) string {
	if s.MerchantAccount != "" {
		return table + "_by_account"
	}
	return table + "_by_stream"
}

func (s *selection) account(column string) {
	if s.MerchantAccount != "" {
		s.from(` AND `+column+` = ?`, s.MerchantAccount)
	}
}

func (s *selection) bounds(column string) {
	s.from(` AND `+column+` > ? AND `+column+` <= ?`, s.After, s.UpTo)
}

func (s *selection) states(column string) {
	if len(s.States) > 0 {
		list, _ := json.Marshal(s.States) // strings always encode
		s.from(` AND `+column+` IN (SELECT value FROM json_each(?))`, string(list))
	}
}

func (s *selection) order(column string) {
	direction := ``
	if s.Descending {
		direction = ` DESC`
	}
	s.from(` ORDER BY `+column+direction+` LIMIT 0 + ?`, s.Limit)
}
