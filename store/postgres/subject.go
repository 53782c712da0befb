package postgres

import (
	"context"
	"fmt"
	"slices"

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

// keyMarks are for who looks by a key and for who puts a subject there. Who takes one away marks the subject, which those
// who found it by the key have marked too.
func keyMarks(stream store.Stream, account string, keys []store.Key) []string {
	var names []string
	for _, k := range keys {
		names = append(names, mark("key", string(stream), account, k.Kind, k.Value)...)
	}
	return names
}

// subjectQuery follows a merge in one step: merged_into always names a live subject.
const subjectQuery = `SELECT ` + subjectColumns + ` FROM subjects AS asked
	JOIN subjects AS s ON s.id = CASE asked.merged_into WHEN '' THEN asked.id ELSE asked.merged_into END WHERE asked.id = $1`

// Subject implements store.Engine.
func (e *Engine) Subject(ctx context.Context, id string) (store.Subject, error) {
	s, err := row(ctx, e, subjectQuery, []any{id}, scanSubject)
	if err != nil {
		return store.Subject{}, fmt.Errorf("read subject: %w", err)
	}
	return s, nil
}

// Subject implements store.Tx.
func (t *tx) Subject(_ context.Context, id string) (store.Subject, error) {
	s, err := one(t, mark("subject", id), subjectQuery, []any{id}, scanSubject)
	if err != nil {
		return store.Subject{}, fmt.Errorf("read subject: %w", err)
	}
	t.read.add(mark("subject", s.ID)...)
	return s, nil
}

// SubjectsByKeys implements store.Tx.
func (t *tx) SubjectsByKeys(_ context.Context, stream store.Stream, merchantAccount string, keys []store.Key) ([]store.Subject, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	found, known := t.answered(stream, merchantAccount, keys)
	if !known {
		var err error
		asked := readSubjects(stream, merchantAccount, keys, nil)
		if found, err = queryTogether(t, asked.bundle, keyMarks(stream, merchantAccount, keys), asked.text, asked.args, scanSubject); err != nil {
			return nil, fmt.Errorf("read subjects: %w", err)
		}
	}
	for _, one := range found {
		t.read.add(mark("subject", one.ID)...)
	}
	return found, nil
}

// readSubjects reads the subjects that keys address.
func readSubjects(stream store.Stream, merchantAccount string, keys []store.Key, found *[]store.Subject) *reading {
	list := listKeys(keys)
	asked := read(`SELECT `+subjectColumns+` FROM `+addressedIn+` ORDER BY s.first`,
		[]any{make([]int32, len(list.kinds)), times(list.kinds, string(stream)), times(list.kinds, merchantAccount), list.kinds, list.values}, scanSubject, found)
	asked.bundle = &subjectsByKeys
	return asked
}

// addressedIn are the live subjects that keys of merchant accounts address, as s, each with the number of who asks.
const addressedIn = `(SELECT DISTINCT w.asker, CASE owner.merged_into WHEN '' THEN owner.id ELSE owner.merged_into END AS id
	FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[]) AS w (asker, stream, merchant_account, kind, value)
	CROSS JOIN LATERAL (SELECT k.subject FROM subject_keys AS k WHERE k.stream = w.stream AND k.kind = w.kind AND k.value = w.value
		AND k.merchant_account = w.merchant_account OFFSET 0) AS k
	CROSS JOIN LATERAL (SELECT id, merged_into FROM subjects WHERE id = k.subject OFFSET 0) AS owner) AS hit
	CROSS JOIN LATERAL (SELECT * FROM subjects WHERE id = hit.id OFFSET 0) AS s`

// subjectsByKeys asks for the subjects of many lists of keys.
var subjectsByKeys = bundle{columns: 12, query: func(asked [][]any) queued {
	var numbers []int32
	var texts [4][]string // stream, merchant account, kind, value
	for n, args := range asked {
		for range args[0].([]int32) {
			numbers = append(numbers, int32(n))
		}
		for i := range texts {
			texts[i] = append(texts[i], args[1+i].([]string)...)
		}
	}
	return queued{
		text: `SELECT hit.asker, ` + subjectColumns + ` FROM ` + addressedIn + ` ORDER BY s.first`,
		args: []any{numbers, texts[0], texts[1], texts[2], texts[3]},
	}
}}

// times is a list as long as another one, of one text.
func times(as []string, text string) []string {
	return slices.Repeat([]string{text}, len(as))
}

// Merge implements store.Tx.
func (t *tx) Merge(ctx context.Context, from, into string) error {
	if t.await(); t.failed != nil {
		return t.failed
	}
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
	t.wrote.add(slices.Concat(mark("subject", taken.ID), mark("subject", taker.ID))...)
	t.enqueue(queued{text: `UPDATE subjects SET merged_into = $1 WHERE id = $2 OR merged_into = $2`, args: []any{taker.ID, taken.ID}, alone: true})
	return nil
}
