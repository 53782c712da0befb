package postgres

import (
	"context"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/store"
)

const requestColumns = `SELECT merchant_account, operation, id, caller, fingerprint, fields, refused, subject, klarna_key,
	state, answer, correlation_id, first_sent, leased_until, updated_at, concerns,
	(SELECT d.key FROM data_keys AS d WHERE d.subject = requests.concerns) FROM requests `

// requestMark marks what belongs to a request.
func requestMark(what string, id store.RequestID) []string {
	return mark(what, id.MerchantAccount, id.Operation, id.ID)
}

const requestQuery = requestColumns + `WHERE merchant_account = $1 AND operation = $2 AND id = $3`

func scanRequest(row scanner) (r store.Request, err error) {
	return r, row.Scan(&r.MerchantAccount, &r.Operation, &r.ID, &r.Caller, &r.Fingerprint, &r.Fields, &r.Refused, &r.Subject,
		&r.KlarnaKey, &r.State, &r.Answer, &r.CorrelationID, instant{&r.FirstSent}, instant{&r.LeasedUntil}, instant{&r.UpdatedAt},
		&r.Concerns, &r.DataKey.Key)
}

// Request implements store.Engine.
func (e *Engine) Request(ctx context.Context, id store.RequestID) (store.Request, error) {
	r, err := row(ctx, e, requestQuery, []any{id.MerchantAccount, id.Operation, id.ID}, scanRequest)
	if err != nil {
		return store.Request{}, fmt.Errorf("read request: %w", err)
	}
	return r, nil
}

// Request implements store.Tx.
func (t *tx) Request(_ context.Context, id store.RequestID) (store.Request, error) {
	r, err := one(t, requestMark("request", id), requestQuery, []any{id.MerchantAccount, id.Operation, id.ID}, scanRequest)
	if err != nil {
		return store.Request{}, fmt.Errorf("read request: %w", err)
	}
	if r.Concerns != "" {
		t.read.add(mark("subject", r.Concerns)...)
	}
	return r, nil
}

// Abandoned implements store.Engine.
func (e *Engine) Abandoned(ctx context.Context, before time.Time, limit int) ([]store.Request, error) {
	found, err := rows(ctx, e, requestColumns+`WHERE leased_until <> 0 AND leased_until < $1 AND state = $2
		ORDER BY leased_until LIMIT $3`, []any{micros(before), store.RequestOpen, limit}, scanRequest)
	if err != nil {
		return nil, fmt.Errorf("read abandoned requests: %w", err)
	}
	return found, nil
}

// TrimRequests implements store.Engine.
func (e *Engine) TrimRequests(ctx context.Context, before time.Time, limit int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	tag, err := e.writers.Exec(ctx, `DELETE FROM requests WHERE (merchant_account, operation, id) IN (SELECT merchant_account,
		operation, id FROM requests WHERE state <> 'open' AND updated_at < $1 ORDER BY updated_at LIMIT $2) AND state <> 'open'`,
		micros(before), max(limit, 0))
	if err != nil {
		return 0, fmt.Errorf("trim requests: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// PutRequest implements store.Tx.
func (t *tx) PutRequest(_ context.Context, r store.Request) error {
	err := t.exec(requestMark("request", r.RequestID), `INSERT INTO requests (merchant_account, operation, id, caller, fingerprint, fields, refused, subject,
		klarna_key, state, answer, correlation_id, first_sent, leased_until, updated_at, concerns)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
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

const secretQuery = `SELECT hash, purpose, merchant_account, key, expires_at FROM secrets WHERE hash = $1`

func scanSecret(row scanner) (s store.Secret, err error) {
	return s, row.Scan(&s.Hash, &s.Purpose, &s.MerchantAccount, &s.Key, instant{&s.ExpiresAt})
}

// Secret implements store.Engine.
func (e *Engine) Secret(ctx context.Context, hash []byte) (store.Secret, error) {
	s, err := row(ctx, e, secretQuery, []any{hash}, scanSecret)
	if err != nil {
		return store.Secret{}, fmt.Errorf("read secret: %w", err)
	}
	return s, nil
}

// Secret implements store.Tx.
func (t *tx) Secret(_ context.Context, hash []byte) (store.Secret, error) {
	s, err := one(t, mark("secret", string(hash)), secretQuery, []any{hash}, scanSecret)
	if err != nil {
		return store.Secret{}, fmt.Errorf("read secret: %w", err)
	}
	return s, nil
}

// PutSecret implements store.Tx.
func (t *tx) PutSecret(_ context.Context, s store.Secret) error {
	err := t.exec(mark("secret", string(s.Hash)), `INSERT INTO secrets (hash, purpose, merchant_account, key, expires_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (hash) DO UPDATE SET purpose = excluded.purpose, merchant_account = excluded.merchant_account,
		key = excluded.key, expires_at = excluded.expires_at`, s.Hash, s.Purpose, s.MerchantAccount, s.Key, micros(s.ExpiresAt))
	if err != nil {
		return fmt.Errorf("put secret: %w", err)
	}
	return nil
}

// Quarantine implements store.Tx.
func (t *tx) Quarantine(_ context.Context, q store.Quarantined) (int64, error) {
	id, err := one(t, nil, `SELECT nextval(pg_get_serial_sequence('quarantine', 'id'))`, nil, func(row scanner) (id int64, err error) {
		return id, row.Scan(&id)
	})
	if err == nil {
		err = t.exec(nil, `INSERT INTO quarantine (id, merchant_account, event_id, reason, raw, received_at)
			OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6)`,
			id, q.MerchantAccount, q.EventID, q.Reason, blob(q.Raw), micros(q.ReceivedAt))
	}
	if err != nil {
		return 0, fmt.Errorf("quarantine: %w", err)
	}
	return id, nil
}

// PutQuarantined implements store.Tx. Units read nothing of it, so there is nothing to mark.
func (t *tx) PutQuarantined(_ context.Context, q store.Quarantined) error {
	return t.exec(nil, `UPDATE quarantine SET reason = $1, raw = $2 WHERE id = $3`, q.Reason, blob(q.Raw), q.ID)
}

// Quarantined implements store.Engine.
func (e *Engine) Quarantined(ctx context.Context, after int64, limit int) ([]store.Quarantined, error) {
	found, err := rows(ctx, e, `SELECT id, merchant_account, event_id, reason, raw, received_at FROM quarantine
		WHERE id > $1 ORDER BY id LIMIT $2`, []any{after, max(limit, 0)}, func(row scanner) (q store.Quarantined, err error) {
		return q, row.Scan(&q.ID, &q.MerchantAccount, &q.EventID, &q.Reason, &q.Raw, instant{&q.ReceivedAt})
	})
	if err != nil {
		return nil, fmt.Errorf("read quarantine: %w", err)
	}
	return found, nil
}
