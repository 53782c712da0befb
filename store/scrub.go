package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Remains says whose personal data is to be looked for where the keys that an erasure destroys do not reach.
type Remains struct {
	Stream          Stream
	MerchantAccount string
	Subjects        []string // ids of those that were erased
	Keys            []Key    // by which their events are found
	// References are the caller's by which a request may say what it is about, though not what it holds.
	References []string
	// Others are words in a quarantined post that say that it is about somebody else.
	Others []string
	// Personal tells of which operations' requests, in which state, something personal of the stream may be on record; nil:
	// of all.
	Personal func(stream Stream, operation string, state RequestState) bool
}

// Scrub takes away what is left of people after an erasure, and returns how many rows held something: what older versions
// kept under the keyring of their subjects, and answers of requests and quarantined posts that name them. It may be run
// again at any time.
func (s *Store) Scrub(ctx context.Context, r Remains) (count int64, err error) {
	for _, part := range []func(context.Context, Remains) (int64, error){s.scrubEvents, s.scrubSubjects, s.scrubRequests, s.scrubQuarantine} {
		n, err := part(ctx, r)
		if err != nil {
			return count, fmt.Errorf("look for remains: %w", err)
		}
		count += n
	}
	return count, nil
}

// scrubEvents walks the subjects' own events.
func (s *Store) scrubEvents(ctx context.Context, r Remains) (count int64, err error) {
	on := shelf("events", r.Stream)
	q := Query{Stream: r.Stream, MerchantAccount: r.MerchantAccount, Keys: r.Keys, Limit: resealChunk}
	for {
		found, err := s.engine.Events(ctx, q)
		if err != nil {
			return count, err
		}
		var rows []SealedRow
		for _, ev := range found {
			if slices.Contains(r.Subjects, ev.Subject) {
				rows = append(rows, SealedRow{Row: []string{fmt.Sprint(int64(ev.Position))}, About: []string{ev.MerchantAccount, ev.Subject, ev.ID}, Values: [][]byte{ev.Body, ev.Lasting, ev.Raw}})
			}
		}
		n, err := s.scrubPersonal(ctx, on, rows)
		if count += n; err != nil || len(found) < resealChunk {
			return count, err
		}
		q.After = found[len(found)-1].Position
	}
}

// scrubSubjects looks at the states of those that were merged away, too.
func (s *Store) scrubSubjects(ctx context.Context, r Remains) (count int64, err error) {
	on := shelf("subjects", "")
	for _, id := range r.Subjects {
		after := []string{id[:len(id)-1]} // sorts before it
		for more := true; more; {
			found, err := s.engine.Sealed(ctx, on, after, resealChunk)
			if err != nil {
				return count, err
			}
			i := slices.IndexFunc(found, func(row SealedRow) bool { return row.Row[0] >= id })
			if i >= 0 && found[i].Row[0] == id {
				n, err := s.scrubPersonal(ctx, on, found[i:i+1])
				if count += n; err != nil {
					return count, err
				}
			}
			if more = i < 0 && len(found) == resealChunk; more {
				after = found[len(found)-1].Row
			}
		}
	}
	return count, nil
}

// scrubPersonal takes away what is personal in rows of a subject that is erased.
func (s *Store) scrubPersonal(ctx context.Context, on Shelf, rows []SealedRow) (int64, error) {
	rows = slices.Clone(rows)
	var failed error
	rows = slices.DeleteFunc(rows, func(row SealedRow) bool {
		lasting, raw, err := s.personal(on, row)
		if err != nil {
			failed = err
		}
		return lasting == nil && !raw
	})
	if failed != nil {
		return 0, failed
	}
	return s.resealChunk(ctx, on, rows)
}

// scrubRequests looks through the requests whose answers are under the keyring.
func (s *Store) scrubRequests(ctx context.Context, r Remains) (count int64, err error) {
	on, names := shelf("requests", ""), r.names()
	on.Empty = "concerns"
	impersonal := func(operation string, states ...RequestState) bool {
		return r.Personal != nil && !slices.ContainsFunc(states, func(state RequestState) bool { return r.Personal(r.Stream, operation, state) })
	}
	for after := []string{r.MerchantAccount, "", ""}; ; {
		found, err := s.engine.Sealed(ctx, on, after, resealChunk)
		if err != nil {
			return count, err
		}
		mine := slices.Clone(found)
		mine = slices.DeleteFunc(mine, func(row SealedRow) bool {
			return row.Row[0] != r.MerchantAccount || impersonal(row.Row[1], RequestState(row.About[2]))
		})
		n, err := s.takeAway(ctx, on, mine, func(row SealedRow, plain []byte) bool {
			return mentions(plain, names) || mentions([]byte(row.About[1]), names) || mentions([]byte(row.About[1]), r.References)
		})
		if count += n; err != nil || len(found) < resealChunk || found[len(found)-1].Row[0] != r.MerchantAccount {
			return count, err
		}
		after = slices.Clone(found[len(found)-1].Row)
		if impersonal(after[1], RequestOpen, RequestDone, RequestRefused, RequestUndone) {
			after[2] = "\U0010FFFF" // behind all that it has, unseen
		}
	}
}

// scrubQuarantine looks through what was quarantined.
func (s *Store) scrubQuarantine(ctx context.Context, r Remains) (count int64, err error) {
	for after, more := int64(0), true; more; {
		found, err := s.Quarantined(ctx, after, resealChunk)
		if err != nil || len(found) == 0 {
			return count, err
		}
		after, more = found[len(found)-1].ID, len(found) == resealChunk
		found = slices.DeleteFunc(found, func(q Quarantined) bool {
			return q.Erased || q.MerchantAccount != r.MerchantAccount || !mentions(q.Raw, r.names()) || mentions(q.Raw, r.Others)
		})
		err = s.Do(ctx, func(tx Tx) error {
			for _, q := range found {
				q.Erased = true
				if err := tx.PutQuarantined(ctx, q); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return count, err
		}
		count += int64(len(found))
	}
	return count, nil
}

// takeAway takes the answers of those requests away that are about somebody. Each is looked at once more in the unit: it may
// have been put on record anew since it was read.
func (s *Store) takeAway(ctx context.Context, on Shelf, rows []SealedRow, about func(row SealedRow, plain []byte) bool) (count int64, err error) {
	is := func(row SealedRow) (bool, error) {
		if _, under := sealedWith(row.Values[0]); !under {
			return false, nil
		}
		plain, err := s.keys.Open(row.Values[0], on.about(row, on.Sealed[0])...)
		return err == nil && about(row, plain), err
	}
	var named []SealedRow
	for _, row := range rows {
		of, err := is(row)
		if err != nil {
			return 0, err
		}
		if of {
			named = append(named, row)
		}
	}
	if len(named) == 0 {
		return 0, nil
	}
	err = s.do(ctx, func(t *sealedTx) error {
		count = 0
		for _, row := range named {
			r, err := t.Tx.Request(ctx, RequestID{MerchantAccount: row.Row[0], Operation: row.Row[1], ID: row.Row[2]})
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			row.About, row.Values = []string{r.Concerns, r.Subject, string(r.State)}, [][]byte{r.Answer}
			of, err := is(row)
			if err != nil {
				return err
			}
			if !of {
				continue
			}
			if err := t.Tx.Reseal(ctx, on, row, [][]byte{gone}); err != nil {
				return err
			}
			count++
		}
		return nil
	})
	return count, err
}

// names are the values by which others name whom the keys address.
func (r Remains) names() (names []string) {
	for _, k := range r.Keys {
		names = append(names, k.Value)
	}
	return names
}

// mentions tells whether a text has one of the names in it, not as a part of a longer word.
func mentions(text []byte, names []string) bool {
	word := func(at int) bool { return at >= 0 && at < len(text) && nameByte(text[at]) }
	return slices.ContainsFunc(names, func(name string) bool {
		for from := 0; name != ""; {
			i := bytes.Index(text[from:], []byte(name))
			if i < 0 {
				break
			}
			if i += from; !word(i-1) && !word(i+len(name)) {
				return true
			}
			from = i + 1
		}
		return false
	})
}

// Names are the words of a text that may be ids of Klarna's or ours: with the colons in them, and without.
func Names(text []byte) (names []string) {
	met := map[string]bool{}
	for _, colons := range []bool{true, false} {
		for _, word := range bytes.FieldsFunc(text, func(r rune) bool { return (r != ':' || !colons) && (r > 127 || !nameByte(byte(r))) }) {
			if word = bytes.Trim(word, ":"); len(word) >= 8 && len(word) <= 255 && !met[string(word)] {
				met[string(word)] = true
				names = append(names, string(word))
			}
		}
	}
	return names
}

// nameByte tells whether a byte may be a part of an id.
func nameByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || strings.IndexByte("-_", b) >= 0
}
