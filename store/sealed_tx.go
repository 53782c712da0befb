package store

import (
	"context"
	"errors"
	"slices"
	"time"
)

// sealedTx stands between a unit and the engine: it seals on the way in, opens on the way out, sets what the Store
// sets, and remembers whom to wake.
type sealedTx struct {
	Tx
	keys  *Keyring
	now   func() time.Time
	wrote written
	held  map[string]*dataKey // of the subjects that the unit has seen; nil is one that has none
}

// Told is the subject of the newest event of a stream that a unit has appended; empty if there is none.
func Told(tx Tx, stream Stream) string {
	if t, is := tx.(*sealedTx); is {
		for _, ev := range slices.Backward(t.wrote.events) {
			if ev.Stream == stream {
				return ev.Subject
			}
		}
	}
	return ""
}

// written says what a unit did that others wait for.
type written struct {
	events []Event // in clear, as an engine gives them back
	jobs   bool    // some may be due now that were not, or were not there
	unsure bool    // the engine did not take it, or did not say so
}

func (t *sealedTx) Subject(ctx context.Context, id string) (Subject, error) {
	s, err := t.Tx.Subject(ctx, id)
	if err != nil {
		return Subject{}, err
	}
	err = t.openSubject(&s)
	return s, err
}

func (t *sealedTx) SubjectsByKeys(ctx context.Context, stream Stream, merchantAccount string, keys []Key) ([]Subject, error) {
	found, err := t.Tx.SubjectsByKeys(ctx, stream, merchantAccount, keys)
	if err != nil {
		return nil, err
	}
	return found, openAll(found, t.openSubject)
}

// openSubject opens a subject and remembers its key for what the unit appends.
func (t *sealedTx) openSubject(s *Subject) error {
	return t.keys.openSubjectWith(s, t.hold(s.ID, s.DataKey))
}

func (t *sealedTx) hold(subject string, key DataKey) *dataKey {
	if known := t.held[subject]; known != nil {
		return known // perhaps made in this unit
	}
	if t.held == nil {
		t.held = map[string]*dataKey{}
	}
	held := key.inHand()
	t.held[subject] = held
	return held
}

// kept is the key of a subject as it is on record, or as this unit has made it.
func (t *sealedTx) kept(ctx context.Context, subject string) (*dataKey, error) {
	if key := t.held[subject]; key != nil {
		return key, nil
	}
	kept, err := t.Tx.DataKey(ctx, subject)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return t.hold(subject, kept), nil
}

// keyOf is the key of a subject, made if it has none.
func (t *sealedTx) keyOf(ctx context.Context, subject string) (*dataKey, error) {
	key, err := t.kept(ctx, subject)
	switch {
	case err != nil || key.erased:
		return key, err
	case key.sealed != nil:
		return key, t.keys.openDataKey(key, subject)
	}
	made, err := t.keys.newDataKey(subject)
	if err != nil {
		return nil, err
	}
	if err := t.Tx.PutDataKey(ctx, subject, made.sealed); err != nil {
		return nil, err
	}
	*key = made
	return key, nil
}

// dataKey is the key that an event is sealed with, made if its subject has none and the event needs one.
func (t *sealedTx) dataKey(ctx context.Context, ev *Event) (*dataKey, error) {
	key := t.held[ev.Subject]
	needed := ev.Lasting != nil || len(ev.Raw) > 0
	if key == nil && ev.New {
		key = t.hold(ev.Subject, DataKey{})
	}
	if key == nil && needed {
		var err error
		if key, err = t.kept(ctx, ev.Subject); err != nil {
			return nil, err
		}
	}
	switch {
	case key == nil:
		return &dataKey{}, nil
	case key.erased || !needed:
		return key, nil
	case key.sealed != nil:
		return key, t.keys.openDataKey(key, ev.Subject)
	}
	made, err := t.keys.newDataKey(ev.Subject)
	if err != nil {
		return nil, err
	}
	*key, ev.DataKey = made, made.sealed
	return key, nil
}

func (t *sealedTx) Append(ctx context.Context, ev Event) (Position, error) {
	ev.RecordedAt = t.now()
	ev.Fingerprint = t.keys.Fingerprint(ev.Raw)
	if ev.TraceParent == "" {
		ev.TraceParent = traceParent(ctx)
	}
	key, err := t.dataKey(ctx, &ev)
	if err != nil {
		return 0, err
	}
	if key.erased { // nothing more is kept of who was erased
		if ev.Lasting != nil {
			ev.Body = ev.Lasting
		}
		ev.Lasting, ev.Raw, ev.Erased = nil, nil, true
	}
	clear := ev.asRead()
	if err := t.keys.sealEvent(&ev, key); err != nil {
		return 0, err
	}
	position, err := t.Tx.Append(ctx, ev)
	if err != nil {
		return 0, err
	}
	clear.Position = position
	t.wrote.events = append(t.wrote.events, clear)
	return position, nil
}

// Merge erases both if one of them is erased: they were one person's all along.
func (t *sealedTx) Merge(ctx context.Context, from, into string) error {
	if err := t.Tx.Merge(ctx, from, into); err != nil {
		return err
	}
	for _, id := range []string{from, into} {
		key, err := t.kept(ctx, id)
		if err != nil {
			return err
		}
		if key.erased {
			_, err := t.Erase(ctx, into, t.now())
			return err
		}
	}
	return nil
}

func (t *sealedTx) Erase(ctx context.Context, subject string, at time.Time) ([]string, error) {
	erased, err := t.Tx.Erase(ctx, subject, at)
	if err != nil {
		return nil, err
	}
	if t.held == nil {
		t.held = map[string]*dataKey{}
	}
	for _, id := range erased {
		t.held[id] = &dataKey{erased: true}
	}
	return erased, nil
}

func (t *sealedTx) AddJob(ctx context.Context, job Job) error {
	if job.CreatedAt.IsZero() {
		job.CreatedAt = t.now()
	}
	if job.TraceParent == "" {
		job.TraceParent = traceParent(ctx)
	}
	if err := t.keys.sealJob(&job); err != nil {
		return err
	}
	t.wrote.jobs = t.wrote.jobs || !job.RunAt.After(t.now())
	return t.Tx.AddJob(ctx, job)
}

func (t *sealedTx) FinishJob(ctx context.Context, id int64) error {
	t.wrote.jobs = true // another job may have waited for this one
	return t.Tx.FinishJob(ctx, id)
}

func (t *sealedTx) RetryJob(ctx context.Context, id int64, runAt time.Time, lastError string) error {
	t.wrote.jobs = true // as here
	return t.Tx.RetryJob(ctx, id, runAt, lastError)
}

func (t *sealedTx) Request(ctx context.Context, id RequestID) (Request, error) {
	r, err := t.Tx.Request(ctx, id)
	if err != nil {
		return Request{}, err
	}
	err = t.keys.openRequest(&r)
	return r, err
}

func (t *sealedTx) PutRequest(ctx context.Context, r Request) error {
	r.UpdatedAt = t.now()
	if err := t.sealRequest(ctx, &r); err != nil {
		return err
	}
	return t.Tx.PutRequest(ctx, r)
}

func (t *sealedTx) Reserve(ctx context.Context, r Reservation) error {
	if r.CreatedAt.IsZero() {
		r.CreatedAt = t.now()
	}
	return t.Tx.Reserve(ctx, r)
}

func (t *sealedTx) SigningKey(ctx context.Context, id SigningKeyID) (SigningKey, error) {
	k, err := t.Tx.SigningKey(ctx, id)
	if err != nil {
		return SigningKey{}, err
	}
	err = t.keys.openSigningKey(&k)
	return k, err
}

func (t *sealedTx) PutSigningKey(ctx context.Context, k SigningKey) error {
	if err := t.keys.sealSigningKey(&k); err != nil {
		return err
	}
	return t.Tx.PutSigningKey(ctx, k)
}

func (t *sealedTx) Probe(ctx context.Context, merchantAccount, webhook, eventType string) (Probe, error) {
	p, err := t.Tx.Probe(ctx, merchantAccount, webhook, eventType)
	if err != nil {
		return Probe{}, err
	}
	err = t.keys.openProbe(&p)
	return p, err
}

func (t *sealedTx) PutProbe(ctx context.Context, p Probe) error {
	if err := t.keys.sealProbe(&p); err != nil {
		return err
	}
	return t.Tx.PutProbe(ctx, p)
}

func (t *sealedTx) Quarantine(ctx context.Context, q Quarantined) (int64, error) {
	if q.ReceivedAt.IsZero() {
		q.ReceivedAt = t.now()
	}
	if err := t.keys.sealQuarantined(&q); err != nil {
		return 0, err
	}
	return t.Tx.Quarantine(ctx, q)
}

func (t *sealedTx) PutQuarantined(ctx context.Context, q Quarantined) error {
	if err := t.keys.sealQuarantined(&q); err != nil {
		return err
	}
	return t.Tx.PutQuarantined(ctx, q)
}
