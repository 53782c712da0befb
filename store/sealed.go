package store

import (
	"context"
)

// What seals a field names where it belongs. A body belongs to its subject, not to its event: the subject's row holds
// the newest one too.

func (k *Keyring) sealEvent(ev *Event, key *dataKey) (err error) {
	ev.Body, ev.Lasting, err = k.sealBody(ev.Body, ev.Lasting, key, string(ev.Stream), ev.MerchantAccount, ev.Subject)
	if err != nil {
		return err
	}
	ev.Raw, err = sealData(key, ev.Raw, "raw", ev.ID)
	return err
}

func (k *Keyring) openEvent(ev *Event) (err error) {
	key := dataKey{sealed: ev.DataKey, erased: ev.Erased}
	ev.Body, err = k.openBody(ev.Body, ev.Lasting, &key, ev.Subject, string(ev.Stream), ev.MerchantAccount, ev.Subject)
	if err != nil {
		return err
	}
	ev.Lasting, ev.DataKey = nil, nil
	switch {
	case ev.Erased:
		ev.Raw = nil
		return nil
	case !isDataSealed(ev.Raw):
		ev.Raw, err = k.Open(ev.Raw, "raw", ev.ID)
		return err
	case key.sealed == nil:
		return errNoDataKey
	}
	if err = k.openDataKey(&key, ev.Subject); err == nil {
		ev.Raw, err = openData(&key, ev.Raw, "raw", ev.ID)
	}
	return err
}

// openLasting opens of an event what outlives an erasure.
func (k *Keyring) openLasting(ev *Event) (err error) {
	about := []string{string(ev.Stream), ev.MerchantAccount, ev.Subject}
	if isDataSealed(ev.Body) {
		ev.Body, err = k.Open(ev.Lasting, append([]string{"lasting"}, about...)...)
	} else {
		ev.Body, err = k.Open(ev.Body, append([]string{"body"}, about...)...)
	}
	ev.Lasting, ev.DataKey, ev.Raw = nil, nil, nil
	return err
}

func (k *Keyring) openSubject(s *Subject) error { return k.openSubjectWith(s, s.DataKey.inHand()) }

func (k *Keyring) openSubjectWith(s *Subject, key *dataKey) (err error) {
	s.Body, err = k.openBody(s.Body, s.Lasting, key, s.ID, string(s.Stream), s.MerchantAccount, s.ID)
	s.Lasting, s.DataKey.Key = nil, nil
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

// sealRequest seals the answer with the key of whom it concerns, or with the keyring. Nothing is kept of who was erased.
func (t *sealedTx) sealRequest(ctx context.Context, r *Request) (err error) {
	about := []string{"answer", r.MerchantAccount, r.Operation, r.ID}
	switch {
	case len(r.Answer) == 0 && r.Erased:
		r.Answer = gone
		return nil
	case len(r.Answer) == 0 || r.Concerns == "":
		r.Answer, err = t.keys.Seal(r.Answer, about...)
		return err
	}
	key, err := t.keyOf(ctx, r.Concerns)
	switch {
	case err != nil:
		return err
	case key.erased:
		r.Answer = gone
		return nil
	}
	r.Answer, err = sealData(key, r.Answer, about...)
	return err
}

// openRequest opens the answer. One whose key is gone, as its subject was erased or forgotten, is erased.
func (k *Keyring) openRequest(r *Request) (err error) {
	about, key := []string{"answer", r.MerchantAccount, r.Operation, r.ID}, dataKey{sealed: r.DataKey.Key}
	r.DataKey, r.Erased = DataKey{}, isGone(r.Answer) || isDataSealed(r.Answer) && key.sealed == nil
	switch {
	case r.Erased:
		r.Answer = nil
		return nil
	case !isDataSealed(r.Answer):
		r.Answer, err = k.Open(r.Answer, about...)
		return err
	}
	if err = k.openDataKey(&key, r.Concerns); err == nil {
		r.Answer, err = openData(&key, r.Answer, about...)
	}
	return err
}

func (k *Keyring) sealQuarantined(q *Quarantined) (err error) {
	if q.Erased {
		q.Raw, q.Reason = gone, q.Why()
		return nil
	}
	q.Raw, err = k.Seal(q.Raw, "quarantined", q.MerchantAccount, q.EventID)
	return err
}

func (k *Keyring) openQuarantined(q *Quarantined) (err error) {
	if isGone(q.Raw) {
		q.Raw, q.Erased = nil, true
		return nil
	}
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
