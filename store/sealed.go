package store

import (
	"context"
	"time"
)

// What seals a field names where it belongs. A body belongs to its subject, not to its event: the subject's row holds
// the newest one too.

func (k *Keyring) sealEvent(ev *Event) (err error) {
	if ev.Body, err = k.Seal(ev.Body, "body", string(ev.Stream), ev.MerchantAccount, ev.Subject); err != nil {
		return err
	}
	ev.Raw, err = k.Seal(ev.Raw, "raw", ev.ID)
	return err
}

func (k *Keyring) openEvent(ev *Event) (err error) {
	if ev.Body, err = k.Open(ev.Body, "body", string(ev.Stream), ev.MerchantAccount, ev.Subject); err != nil {
		return err
	}
	ev.Raw, err = k.Open(ev.Raw, "raw", ev.ID)
	return err
}

func (k *Keyring) openSubject(s *Subject) (err error) {
	s.Body, err = k.Open(s.Body, "body", string(s.Stream), s.MerchantAccount, s.ID)
	return err
}

func (k *Keyring) sealJob(j *Job) (err error) {
	j.Payload, err = k.Seal(j.Payload, "job", j.Kind, j.MerchantAccount, j.Key)
	return err
}

func (k *Keyring) openJob(j *Job) (err error) {
	j.Payload, err = k.Open(j.Payload, "job", j.Kind, j.MerchantAccount, j.Key)
	return err
}

func (k *Keyring) sealRequest(r *Request) (err error) {
	r.Answer, err = k.Seal(r.Answer, "answer", r.MerchantAccount, r.Operation, r.ID)
	return err
}

func (k *Keyring) openRequest(r *Request) (err error) {
	r.Answer, err = k.Open(r.Answer, "answer", r.MerchantAccount, r.Operation, r.ID)
	return err
}

func (k *Keyring) sealQuarantined(q *Quarantined) (err error) {
	q.Raw, err = k.Seal(q.Raw, "quarantined", q.MerchantAccount, q.EventID)
	return err
}

func (k *Keyring) openQuarantined(q *Quarantined) (err error) {
	q.Raw, err = k.Open(q.Raw, "quarantined", q.MerchantAccount, q.EventID)
	return err
}

func (k *Keyring) sealSigningKey(s *SigningKey) (err error) {
	s.Key, err = k.Seal(s.Key, "signing_key", string(s.Scheme), s.MerchantAccount, s.ID)
	return err
}

func (k *Keyring) openSigningKey(s *SigningKey) (err error) {
	s.Key, err = k.Open(s.Key, "signing_key", string(s.Scheme), s.MerchantAccount, s.ID)
	return err
}

func (k *Keyring) sealProbe(p *Probe) (err error) {
	p.Raw, err = k.Seal(p.Raw, "probe", p.MerchantAccount, p.Webhook, p.EventType)
	return err
}

func (k *Keyring) openProbe(p *Probe) (err error) {
	p.Raw, err = k.Open(p.Raw, "probe", p.MerchantAccount, p.Webhook, p.EventType)
	return err
}

// openAll opens each of a list in place.
func openAll[T any](list []T, open func(*T) error) error {
	for i := range list {
		if err := open(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// sealedTx stands between a unit and the engine: it seals on the way in, opens on the way out, sets what the Store
// sets, and remembers whom to wake.
type sealedTx struct {
	Tx
	keys  *Keyring
	now   func() time.Time
	wrote written
}

// written says what a unit did that others wait for.
type written struct {
	events []Event // in clear, as an engine gives them back
	jobs   bool
}

func (t *sealedTx) Subject(ctx context.Context, id string) (Subject, error) {
	s, err := t.Tx.Subject(ctx, id)
	if err != nil {
		return Subject{}, err
	}
	err = t.keys.openSubject(&s)
	return s, err
}

func (t *sealedTx) SubjectsByKeys(ctx context.Context, stream Stream, merchantAccount string, keys []Key) ([]Subject, error) {
	found, err := t.Tx.SubjectsByKeys(ctx, stream, merchantAccount, keys)
	if err != nil {
		return nil, err
	}
	return found, openAll(found, t.keys.openSubject)
}

func (t *sealedTx) Append(ctx context.Context, ev Event) (Position, error) {
	ev.RecordedAt = t.now()
	if ev.TraceParent == "" {
		ev.TraceParent = traceParent(ctx)
	}
	ev.Fingerprint = t.keys.Fingerprint(ev.Raw)
	clear := ev.asRead()
	if err := t.keys.sealEvent(&ev); err != nil {
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
	t.wrote.jobs = true
	return t.Tx.AddJob(ctx, job)
}

func (t *sealedTx) FinishJob(ctx context.Context, id int64) error {
	t.wrote.jobs = true // another job may have waited for this one
	return t.Tx.FinishJob(ctx, id)
}

func (t *sealedTx) RetryJob(ctx context.Context, id int64, runAt time.Time, lastError string) error {
	t.wrote.jobs = true
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
	if err := t.keys.sealRequest(&r); err != nil {
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
