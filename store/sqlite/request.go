package sqlite

import (
	"context"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

const requestColumns = `SELECT merchant_account, operation, id, caller, fingerprint, fields, refused, subject, klarna_key,
	state, answer, correlation_id, first_sent, leased_until, updated_at, concerns,
	(SELECT d.key FROM data_keys AS d WHERE d.subject = requests.concerns) FROM requests `

const requestQuery = requestColumns + `WHERE merchant_account = ? AND operation = ? AND id = ?`

func requestFields(r *store.Request) []any {
	return []any{
		&r.MerchantAccount, &r.Operation, &r.ID, &r.Caller, &r.Fingerprint, &r.Fields, &r.Refused, &r.Subject, &r.KlarnaKey,
		&r.State, &r.Answer, &r.CorrelationID,
		instant{&r.FirstSent}, instant{&r.LeasedUntil}, instant{&r.UpdatedAt}, &r.Concerns, &r.DataKey.Key,
	}
}

func request(ctx context.Context, q querier, id store.RequestID) (store.Request, error) {
	var r store.Request
	err := row(ctx, q, requestQuery, []any{id.MerchantAccount, id.Operation, id.ID}, requestFields(&r)...)
	if err != nil {
		return store.Request{}, fmt.Errorf("read request: %w", known(err))
	}
	return r, nil
}

// Request implements store.Engine.
func (e *Engine) Request(ctx context.Context, id store.RequestID) (store.Request, error) {
	return request(brief(ctx), e.reader, id)
}

// Abandoned implements store.Engine.
func (e *Engine) Abandoned(ctx context.Context, before time.Time, limit int) ([]store.Request, error) {
	query := requestColumns + `WHERE leased_until <> 0 AND leased_until < ? AND state = ? ORDER BY leased_until LIMIT 0 + ?`
	found, err := rows(ctx, e.reader, query, []any{micros(before), store.RequestOpen, limit}, func(row scanner) (r store.Request, err error) {
		return r, row.Scan(requestFields(&r)...)
	})
	if err != nil {
		return nil, fmt.Errorf("read abandoned requests: %w", err)
	}
	return found, nil
}

// TrimRequests implements store.Engine.
func (e *Engine) TrimRequests(ctx context.Context, before time.Time, limit int) (trimmed int, err error) {
	t := &tx{w: e.writer}
	err = e.writer.transaction(ctx, func(ctx context.Context) error {
		n, err := t.exec(ctx, `DELETE FROM requests WHERE (merchant_account, operation, id) IN (SELECT merchant_account, operation, id
			FROM requests WHERE state <> 'open' AND updated_at < ? ORDER BY updated_at LIMIT 0 + ?)`, micros(before), max(limit, 0))
		trimmed = int(n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("trim requests: %w", err)
	}
	return trimmed, nil
}

// Request implements store.Tx.
func (t *tx) Request(ctx context.Context, id store.RequestID) (store.Request, error) {
	r, err := request(context.WithoutCancel(ctx), t.w, id)
	return r, t.note(err)
}

// PutRequest implements store.Tx.
func (t *tx) PutRequest(ctx context.Context, r store.Request) error {
	_, err := t.exec(ctx, `INSERT INTO requests (merchant_account, operation, id, caller, fingerprint, fields, refused, subject,
		klarna_key, state, answer, correlation_id, first_sent, leased_until, updated_at, concerns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (merchant_account, operation, id) DO UPDATE SET caller = excluded.caller,
		fingerprint = excluded.fingerprint, fields = excluded.fields, refused = excluded.refused,
		subject = excluded.subject, klarna_key = excluded.klarna_key,
		state = excluded.state, answer = excluded.answer, correlation_id = excluded.correlation_id, first_sent = excluded.first_sent,
		leased_until = excluded.leased_until, updated_at = excluded.updated_at, concerns = excluded.concerns`,
		r.MerchantAccount, r.Operation, r.ID, r.Caller, blob(r.Fingerprint), blob(r.Fields), r.Refused, r.Subject, r.KlarnaKey,
		r.State, blob(r.Answer), r.CorrelationID, micros(r.FirstSent), micros(r.LeasedUntil), micros(r.UpdatedAt), r.Concerns)
	if err != nil {
		return fmt.Errorf("put request: %w", err)
	}
	return nil
}

func secret(ctx context.Context, q querier, hash []byte) (store.Secret, error) {
	var s store.Secret
	err := row(ctx, q, `SELECT hash, purpose, merchant_account, key, expires_at FROM secrets WHERE hash = ?`, []any{hash},
		&s.Hash, &s.Purpose, &s.MerchantAccount, &s.Key, instant{&s.ExpiresAt})
	if err != nil {
		return store.Secret{}, fmt.Errorf("read secret: %w", known(err))
	}
	return s, nil
}

// Secret implements store.Engine.
func (e *Engine) Secret(ctx context.Context, hash []byte) (store.Secret, error) {
	return secret(brief(ctx), e.reader, hash)
}

// Secret implements store.Tx.
func (t *tx) Secret(ctx context.Context, hash []byte) (store.Secret, error) {
	s, err := secret(context.WithoutCancel(ctx), t.w, hash)
	return s, t.note(err)
}

// PutSecret implements store.Tx.
func (t *tx) PutSecret(ctx context.Context, s store.Secret) error {
	_, err := t.exec(ctx, `INSERT INTO secrets (hash, purpose, merchant_account, key, expires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET purpose = excluded.purpose, merchant_account = excluded.merchant_account,
		key = excluded.key, expires_at = excluded.expires_at`,
		s.Hash, s.Purpose, s.MerchantAccount, s.Key, micros(s.ExpiresAt))
	if err != nil {
		return fmt.Errorf("put secret: %w", err)
	}
	return nil
}

// Quarantine implements store.Tx.
func (t *tx) Quarantine(ctx context.Context, q store.Quarantined) (int64, error) {
	const query = `INSERT INTO quarantine (merchant_account, event_id, reason, raw, received_at) VALUES (?, ?, ?, ?, ?) RETURNING id`
	made, err := rows(context.WithoutCancel(ctx), t.w, query, []any{q.MerchantAccount, q.EventID, q.Reason, blob(q.Raw), micros(q.ReceivedAt)},
		func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return 0, t.note(fmt.Errorf("quarantine: %w", err))
	}
	return made[0], nil
}

// PutQuarantined implements store.Tx.
func (t *tx) PutQuarantined(ctx context.Context, q store.Quarantined) error {
	if _, err := t.exec(ctx, `UPDATE quarantine SET reason = ?, raw = ? WHERE id = ?`, q.Reason, blob(q.Raw), q.ID); err != nil {
		return fmt.Errorf("put quarantined: %w", err)
	}
	t.erases = t.erases || len(q.Raw) <= 1
	return nil
}

// Quarantined implements store.Engine.
func (e *Engine) Quarantined(ctx context.Context, after int64, limit int) ([]store.Quarantined, error) {
	scan := func(row scanner) (q store.Quarantined, err error) {
		err = row.Scan(&q.ID, &q.MerchantAccount, &q.EventID, &q.Reason, &q.Raw, instant{&q.ReceivedAt})
		return q, err
	}
	found, err := rows(ctx, e.reader, `SELECT id, merchant_account, event_id, reason, raw, received_at FROM quarantine
		WHERE id > ? ORDER BY id LIMIT 0 + ?`, []any{after, max(limit, 0)}, scan)
	if err != nil {
		return nil, fmt.Errorf("read quarantine: %w", err)
	}
	return found, nil
}
