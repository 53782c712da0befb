package sqlite

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

const subjectColumns = `s.id, s.stream, s.merchant_account, s.state, s.body, s.lasting, s.latest, s.merged_into, s.created_at, s.updated_at,
	(SELECT d.key FROM data_keys AS d WHERE d.subject = s.id), coalesce((SELECT d.erased_at FROM data_keys AS d WHERE d.subject = s.id), 0)`

func scanSubject(row scanner) (store.Subject, error) {
	var s store.Subject
	err := row.Scan(&s.ID, &s.Stream, &s.MerchantAccount, &s.State, &s.Body, &s.Lasting, &s.Latest, &s.MergedInto,
		instant{&s.CreatedAt}, instant{&s.UpdatedAt}, &s.DataKey.Key, instant{&s.DataKey.ErasedAt})
	return s, err
}

// addressed selects the ids of the live subjects that keys address; more conditions on k may follow.
func (w wanted) addressed() string {
	return `CASE owner.merged_into WHEN '' THEN owner.id ELSE owner.merged_into END AS id
	FROM ` + w.from + `subject_keys AS k CROSS JOIN subjects AS owner WHERE ` + w.where + ` AND owner.id = k.subject`
}

// Subjects implements store.Engine.
func (e *Engine) Subjects(ctx context.Context, q store.Query) ([]store.Subject, error) {
	s, err := newSelection(q)
	if err != nil {
		return nil, fmt.Errorf("read subjects: %w", err)
	}
	s.from(`SELECT ` + subjectColumns + ` FROM `)
	if len(q.Keys) > 0 { // CROSS JOIN: the keys lead to the subjects, not the other way round
		s.from(`(SELECT DISTINCT `+s.wanted.addressed(), s.wanted.args...)
		s.account("k.merchant_account")
		s.from(`) AS keyed CROSS JOIN subjects AS s WHERE s.id = keyed.id AND s.merged_into = ''`)
	} else {
		s.from(`subjects AS s INDEXED BY `+s.index("subjects")+` WHERE s.stream = ? AND s.merged_into = ''`, q.Stream)
		s.account("s.merchant_account")
	}
	s.bounds("s.latest")
	s.states("s.state")
	s.order("s.latest")
	found, err := rows(ctx, e.reader, s.text.String(), s.args, scanSubject)
	if err != nil {
		return nil, fmt.Errorf("read subjects: %w", err)
	}
	return found, nil
}

// Subject implements store.Engine.
func (e *Engine) Subject(ctx context.Context, id string) (store.Subject, error) {
	return subject(ctx, e.reader, id)
}

// subject follows a merge in one step: merged_into always names a live subject.
func subject(ctx context.Context, q querier, id string) (store.Subject, error) {
	const query = `SELECT ` + subjectColumns + ` FROM subjects AS asked CROSS JOIN subjects AS s
		WHERE asked.id = ? AND s.id = CASE asked.merged_into WHEN '' THEN asked.id ELSE asked.merged_into END`
	found, err := rows(ctx, q, query, []any{id}, scanSubject)
	if err != nil {
		return store.Subject{}, fmt.Errorf("read subject: %w", err)
	}
	if len(found) == 0 {
		return store.Subject{}, fmt.Errorf("read subject: %w", store.ErrNotFound)
	}
	return found[0], nil
}

// Subject implements store.Tx.
func (t *tx) Subject(ctx context.Context, id string) (store.Subject, error) {
	found, err := subject(context.WithoutCancel(ctx), t.w, id)
	return found, t.note(err)
}

// SubjectsByKeys implements store.Tx.
func (t *tx) SubjectsByKeys(ctx context.Context, stream store.Stream, merchantAccount string, keys []store.Key) ([]store.Subject, error) {
	w, err := want(stream, keys)
	if err != nil {
		return nil, err
	}
	query := `SELECT ` + subjectColumns + ` FROM subjects AS s
		WHERE s.id IN (SELECT ` + w.addressed() + ` AND k.merchant_account = ?) ORDER BY s.first`
	found, err := rows(context.WithoutCancel(ctx), t.w, query, append(w.args, merchantAccount), scanSubject)
	if err != nil {
		return nil, t.note(fmt.Errorf("read subjects: %w", err))
	}
	return found, nil
}

// Merge implements store.Tx.
func (t *tx) Merge(ctx context.Context, from, into string) error {
	taken, err := t.Subject(ctx, from)
	if err != nil {
		return fmt.Errorf("merge %s: %w", from, err)
	}
	taker, err := t.Subject(ctx, into)
	if err != nil {
		return fmt.Errorf("merge %s into %s: %w", from, into, err)
	}
	if taken.Stream != taker.Stream || taken.MerchantAccount != taker.MerchantAccount {
		return fmt.Errorf("merge %s into %s: they belong to different merchant accounts or streams", from, into)
	}
	if taken.ID == taker.ID {
		return nil
	}
	_, err = t.exec(ctx, `UPDATE subjects SET merged_into = ? WHERE id = ? OR merged_into = ?`, taker.ID, taken.ID, taken.ID)
	if err != nil {
		return fmt.Errorf("merge %s into %s: %w", from, into, err)
	}
	return nil
}
