package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"payments.internal/klarna-gateway/store"
)

// Expect implements store.Tx: there are no round trips here.
func (t *tx) Expect(string, store.Stream, string, []store.Key) {}

// EventByID implements store.Tx.
func (t *tx) EventByID(ctx context.Context, id string) (store.Event, error) {
	ev := store.Event{ID: id}
	err := t.row(ctx, `SELECT position, subject, fingerprint FROM event_ids WHERE id = ?`, []any{id},
		&ev.Position, &ev.Subject, &ev.Fingerprint)
	if err != nil {
		return store.Event{}, fmt.Errorf("read event %s: %w", id, err)
	}
	return ev, nil
}

// Append implements store.Tx. The transaction holds the database's only write lock, so that the next position is
// taken by nobody else until the commit.
func (t *tx) Append(ctx context.Context, ev store.Event) (store.Position, error) {
	keys, err := encodeKeys(ev.Keys)
	if err != nil {
		return 0, fmt.Errorf("append %s: %w", ev.ID, err)
	}
	if ev.Position, err = t.number(ctx, ev); err != nil {
		return 0, fmt.Errorf("append %s: %w", ev.ID, err)
	}
	previous, err := t.move(ctx, ev, keys)
	if err != nil {
		return 0, fmt.Errorf("append %s: subject %s: %w", ev.ID, ev.Subject, err)
	}
	t.see(ev.Subject, standing{stream: ev.Stream, account: ev.MerchantAccount, keys: keys, latest: ev.Position})
	if err := t.insert(ctx, ev, keys, previous); err != nil {
		return 0, fmt.Errorf("append %s: %w", ev.ID, err)
	}
	if len(ev.DataKey) > 0 {
		if err := t.PutDataKey(ctx, ev.Subject, ev.DataKey); err != nil {
			return 0, fmt.Errorf("append %s: %w", ev.ID, err)
		}
	}
	t.rings = true
	return ev.Position, nil
}

// number takes the event's id and the next position for it. The log's row gets the newest position with the COMMIT.
func (t *tx) number(ctx context.Context, ev store.Event) (next store.Position, err error) {
	if ev.ID == "" || ev.Subject == "" || ev.Stream == "" {
		return 0, errors.New("an event needs an id, a stream and a subject")
	}
	if err := t.note(t.w.place(context.WithoutCancel(ctx))); err != nil {
		return 0, err
	}
	next = t.w.log.head + 1
	taken, err := t.exec(ctx, `INSERT INTO event_ids (id, position, subject, fingerprint) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		ev.ID, next, ev.Subject, blob(ev.Fingerprint))
	switch {
	case err != nil:
		return 0, err
	case taken == 0:
		return 0, errors.New("its id is taken")
	}
	t.w.log.head = next
	return next, nil
}

// insert stores an event. A name leads to it by way of its subject: only keys that many subjects share get rows of their own.
func (t *tx) insert(ctx context.Context, ev store.Event, keys string, previous store.Position) error {
	_, err := t.exec(ctx, `INSERT INTO events (position, id, stream, merchant_account, subject, kind, cause, state,
		previous_state, superseded, occurred_at, recorded_at, keys, body, lasting, raw, fingerprint, trace_parent, previous)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		ev.Position, ev.ID, ev.Stream, ev.MerchantAccount, ev.Subject, ev.Kind, ev.Cause, ev.State,
		ev.PreviousState, ev.Superseded, micros(ev.OccurredAt), micros(ev.RecordedAt), keys, blob(ev.Body), blob(ev.Lasting), blob(ev.Raw),
		blob(ev.Fingerprint), ev.TraceParent, previous)
	if err != nil {
		return err
	}
	shared, _ := split(ev.Stream, ev.Keys)
	return t.insertKeys(ctx, `INSERT OR IGNORE INTO event_keys (stream, kind, value, merchant_account, position) VALUES `, ev, shared, ev.Position)
}

// standing is what an append has to know of its subject.
type standing struct {
	stream                    store.Stream
	account, mergedInto, keys string
	latest                    store.Position
}

// see remembers where a subject stands, for the unit's appends.
func (t *tx) see(subject string, s standing) {
	if t.seen == nil {
		t.seen = map[string]standing{}
	}
	t.seen[subject] = s
}

// standing tells where a subject stands, store.ErrNotFound if it is new.
func (t *tx) standing(ctx context.Context, subject string) (s standing, err error) {
	if s, seen := t.seen[subject]; seen {
		return s, nil
	}
	err = t.row(ctx, `SELECT stream, merchant_account, merged_into, keys, latest FROM subjects WHERE id = ?`, []any{subject},
		&s.stream, &s.account, &s.mergedInto, &s.keys, &s.latest)
	return s, err
}

// move makes the event's state that of its subject, and returns the position of the event that it follows. Most events carry the
// keys their subject has, so the subject's key rows are compared instead of rewritten. The state itself stands in the event
// alone, which lives as long as it is its subject's newest; rows of earlier versions have it twice.
func (t *tx) move(ctx context.Context, ev store.Event, keys string) (previous store.Position, err error) {
	if ev.New {
		return 0, t.create(ctx, ev, keys)
	}
	before, err := t.standing(ctx, ev.Subject)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, t.create(ctx, ev, keys)
	case err != nil:
		return 0, err
	case before.stream != ev.Stream || before.account != ev.MerchantAccount:
		return 0, t.note(errors.New("it belongs to another merchant account or stream"))
	case before.mergedInto != "":
		return 0, t.note(fmt.Errorf("it was merged into %s", before.mergedInto))
	}
	_, err = t.exec(ctx, `UPDATE subjects SET state = ?, keys = ?, body = NULL, lasting = NULL, latest = ?, updated_at = ? WHERE id = ?`,
		ev.State, keys, ev.Position, micros(ev.RecordedAt), ev.Subject)
	if err != nil {
		return 0, err
	}
	if before.latest <= t.w.log.swept {
		if _, err := t.exec(ctx, `INSERT INTO leftovers (position) VALUES (?)`, before.latest); err != nil {
			return 0, err
		}
	}
	if before.keys == keys {
		return before.latest, nil
	}
	had, err := decodeKeys(before.keys)
	if err != nil {
		return 0, t.note(err)
	}
	return before.latest, t.rekey(ctx, ev, had)
}

func (t *tx) create(ctx context.Context, ev store.Event, keys string) error {
	recorded := micros(ev.RecordedAt)
	_, err := t.exec(ctx, `INSERT INTO subjects (id, stream, merchant_account, state, keys, first, latest, merged_into, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, ?)`,
		ev.Subject, ev.Stream, ev.MerchantAccount, ev.State, keys, ev.Position, ev.Position, recorded, recorded)
	if err != nil {
		return err
	}
	return t.rekey(ctx, ev, nil)
}

// rekey replaces the keys a subject had by those of its event. Names that it has no longer still lead to its events.
func (t *tx) rekey(ctx context.Context, ev store.Event, had []store.Key) error {
	var gone []store.Key
	for _, k := range had {
		if slices.Contains(ev.Keys, k) {
			continue
		}
		gone = append(gone, k)
		_, err := t.exec(ctx, `DELETE FROM subject_keys
			WHERE stream = ? AND kind = ? AND value = ? AND merchant_account = ? AND subject = ?`,
			ev.Stream, k.Kind, k.Value, ev.MerchantAccount, ev.Subject)
		if err != nil {
			return err
		}
	}
	_, former := split(ev.Stream, gone)
	if err := t.insertKeys(ctx, `INSERT OR IGNORE INTO former_names (stream, kind, value, merchant_account, subject) VALUES `, ev, former, ev.Subject); err != nil {
		return err
	}
	var fresh []store.Key
	for _, k := range ev.Keys {
		if !slices.Contains(had, k) {
			fresh = append(fresh, k)
		}
	}
	return t.insertKeys(ctx, `INSERT OR IGNORE INTO subject_keys (stream, kind, value, merchant_account, subject) VALUES `, ev, fresh, ev.Subject)
}

// split tells keys that many subjects of a stream share from names.
func split(stream store.Stream, keys []store.Key) (shared, names []store.Key) {
	for _, k := range keys {
		if stream.Shares(k.Kind) {
			shared = append(shared, k)
		} else {
			names = append(names, k)
		}
	}
	return shared, names
}

// keysTogether is how many rows one statement inserts: events have few keys more, and each number has a text of its own.
const keysTogether = 8

// insertKeys inserts a row for each of an event's keys, each with what it leads to. OR IGNORE instead of ON CONFLICT: otherwise
// SQLite copies the pages it changes, to undo one row for another.
func (t *tx) insertKeys(ctx context.Context, into string, ev store.Event, keys []store.Key, leadsTo any) error {
	for some := range slices.Chunk(keys, keysTogether) {
		args := make([]any, 0, 5*len(some))
		for _, k := range some {
			args = append(args, ev.Stream, k.Kind, k.Value, ev.MerchantAccount, leadsTo)
		}
		values := strings.Repeat(`(?, ?, ?, ?, ?), `, len(some)-1) + `(?, ?, ?, ?, ?)`
		if _, err := t.exec(ctx, into+values, args...); err != nil {
			return err
		}
	}
	return nil
}
