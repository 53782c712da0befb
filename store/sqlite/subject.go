package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"payments.internal/klarna-gateway/store"
)

// subjectColumns of subjects AS s, beside the joined newest event and data key.
const subjectColumns = `s.id, s.stream, s.merchant_account, s.state, coalesce(s.body, n.body), CASE WHEN s.body IS NULL THEN n.lasting ELSE s.lasting END,
	s.latest, s.merged_into, s.created_at, s.updated_at, d.key, coalesce(d.erased_at, 0), s.keys, s.first`

// joined are the rows that belong to a subject.
const joined = ` LEFT JOIN events AS n ON n.position = s.latest LEFT JOIN data_keys AS d ON d.subject = s.id `

type subjectRow struct {
	store.Subject
	keys  string
	first store.Position
}

func scanSubjectRow(row scanner) (s subjectRow, err error) {
	err = row.Scan(&s.ID, &s.Stream, &s.MerchantAccount, &s.State, &s.Body, &s.Lasting, &s.Latest, &s.MergedInto,
		instant{&s.CreatedAt}, instant{&s.UpdatedAt}, &s.DataKey.Key, instant{&s.DataKey.ErasedAt}, &s.keys, &s.first)
	return s, err
}

func scanSubject(row scanner) (store.Subject, error) {
	s, err := scanSubjectRow(row)
	return s.Subject, err
}

// standing is what appends have to know of it.
func (s *subjectRow) standing() standing {
	return standing{stream: s.Stream, account: s.MerchantAccount, mergedInto: s.MergedInto, keys: s.keys, latest: s.Latest}
}

// addressed selects the ids of the live subjects that keys address; more conditions on k may follow.
func (w wanted) addressed() string {
	return `CASE owner.merged_into WHEN '' THEN owner.id ELSE owner.merged_into END AS id
	FROM ` + w.from + `subject_keys AS k CROSS JOIN subjects AS owner WHERE ` + w.where + ` AND owner.id = k.subject`
}

// addressed selects the ids of the live subjects that the keys of the query address, each once. A few keys are asked for one by
// one, which takes SQLite less than to unpack a list of them.
func (s *selection) addressed() error {
	if len(s.Keys) > fewKeys {
		all, err := want(s.Stream, s.Keys)
		s.from(`SELECT DISTINCT `+all.addressed(), all.args...)
		s.account("k.merchant_account")
		return err
	}
	once := `SELECT DISTINCT `
	if len(s.Keys) > 1 {
		once = `SELECT ` // the union sees to it
	}
	for i, k := range s.Keys {
		if i > 0 {
			s.from(` UNION `)
		}
		s.from(once+addressedByOne, s.Stream, k.Kind, k.Value)
		s.account("k.merchant_account")
	}
	return nil
}

var addressedByOne = wanted{where: byOne}.addressed()

// fewKeys are those that have texts of their own: an order and its reference.
const fewKeys = 2

// Subjects implements store.Engine.
func (e *Engine) Subjects(ctx context.Context, q store.Query) ([]store.Subject, error) {
	s, err := newSelection(q)
	if err != nil {
		return nil, fmt.Errorf("read subjects: %w", err)
	}
	s.from(`SELECT ` + subjectColumns + ` FROM `)
	if len(q.Keys) > 0 { // CROSS JOIN: the keys lead to the subjects, not the other way round
		s.from(`(`)
		if err := s.addressed(); err != nil {
			return nil, fmt.Errorf("read subjects: %w", err)
		}
		s.from(`) AS keyed CROSS JOIN subjects AS s` + joined + `WHERE s.id = keyed.id AND s.merged_into = ''`)
	} else {
		s.from(`subjects AS s INDEXED BY `+s.index("subjects")+joined+`WHERE s.stream = ? AND s.merged_into = ''`, q.Stream)
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
	found, err := subject(brief(ctx), e.reader, id)
	return found.Subject, err
}

// subject follows a merge in one step: merged_into always names a live subject.
func subject(ctx context.Context, q querier, id string) (subjectRow, error) {
	const query = `SELECT ` + subjectColumns + ` FROM subjects AS asked CROSS JOIN subjects AS s` + joined + `
		WHERE asked.id = ? AND s.id = CASE asked.merged_into WHEN '' THEN asked.id ELSE asked.merged_into END`
	found, err := rows(ctx, q, query, []any{id}, scanSubjectRow)
	if err != nil {
		return subjectRow{}, fmt.Errorf("read subject: %w", err)
	}
	if len(found) == 0 {
		return subjectRow{}, fmt.Errorf("read subject: %w", store.ErrNotFound)
	}
	return found[0], nil
}

// Subject implements store.Tx.
func (t *tx) Subject(ctx context.Context, id string) (store.Subject, error) {
	found, err := subject(context.WithoutCancel(ctx), t.w, id)
	if err == nil {
		t.see(found.ID, found.standing())
	}
	return found.Subject, t.note(err)
}

// SubjectsByKeys implements store.Tx.
func (t *tx) SubjectsByKeys(ctx context.Context, stream store.Stream, merchantAccount string, keys []store.Key) ([]store.Subject, error) {
	w, err := want(stream, keys)
	if err != nil {
		return nil, err
	}
	query := `SELECT ` + subjectColumns + ` FROM ` + w.from + `subject_keys AS k CROSS JOIN subjects AS owner CROSS JOIN subjects AS s` + joined + `
		WHERE ` + w.where + ` AND k.merchant_account = ? AND owner.id = k.subject
		AND s.id = CASE owner.merged_into WHEN '' THEN owner.id ELSE owner.merged_into END`
	found, err := rows(context.WithoutCancel(ctx), t.w, query, append(w.args, merchantAccount), scanSubjectRow)
	if err != nil {
		return nil, t.note(fmt.Errorf("read subjects: %w", err))
	}
	if len(found) > 1 { // ordered here: for one, SQLite's sorter costs more than all the rest
		slices.SortFunc(found, func(a, b subjectRow) int { return cmp.Compare(a.first, b.first) })
		found = slices.CompactFunc(found, func(a, b subjectRow) bool { return a.first == b.first }) // several keys may lead to one
	}
	subjects := make([]store.Subject, len(found))
	for i, s := range found {
		t.see(s.ID, s.standing())
		subjects[i] = s.Subject
	}
	return subjects, nil
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
	clear(t.seen)
	_, err = t.exec(ctx, `UPDATE subjects SET merged_into = ? WHERE id = ? OR merged_into = ?`, taker.ID, taken.ID, taken.ID)
	if err != nil {
		return fmt.Errorf("merge %s into %s: %w", from, into, err)
	}
	return nil
}
