package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
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
	Personal func(stream Stream, operation string, state RequestState) bool `json:"-"`
}

// Scrubbed is what a part of a look for remains has done.
type Scrubbed struct {
	Next string // where the look goes on; empty at its end
	Rows int64  // that held something
}

// scrubPage looks through a page of something, from a row on; nil is the beginning. next is nil where nothing follows.
type scrubPage func(ctx context.Context, r Remains, after []string) (count int64, next []string, err error)

// Scrub takes away what is left of people after an erasure: what older versions kept under the keyring of their subjects, and
// answers of requests and quarantined posts that name them. It looks from a place on ("" is the beginning) for about the given
// time, page by page, so that a look may be cut off anywhere and gone on with. It may be begun again at any time.
func (s *Store) Scrub(ctx context.Context, r Remains, from string, within time.Duration) (done Scrubbed, err error) {
	parts := []scrubPage{s.scrubEvents, s.scrubSubjects, s.scrubRequests, s.scrubQuarantine}
	at, err := decodePlace(from)
	if err != nil || at.Shelf >= len(parts) {
		return done, ErrPlace
	}
	for until := time.Now().Add(within); ; {
		n, next, err := parts[at.Shelf](ctx, r, at.After)
		if done.Rows += n; err != nil {
			return done, fmt.Errorf("look for remains: %w", err)
		}
		if at.After = next; next == nil {
			at.Shelf++
		}
		switch {
		case at.Shelf == len(parts):
			return done, nil
		case !time.Now().Before(until):
			done.Next = at.String()
			return done, nil
		}
	}
}

// scrubEvents looks at the subjects' own events.
func (s *Store) scrubEvents(ctx context.Context, r Remains, after []string) (count int64, next []string, err error) {
	on := shelf("events", r.Stream)
	from, err := numbered(after)
	if err != nil {
		return 0, nil, err
	}
	found, err := s.engine.Events(ctx, Query{Stream: r.Stream, MerchantAccount: r.MerchantAccount, Keys: r.Keys, Limit: resealChunk, After: Position(from)})
	if err != nil {
		return 0, nil, err
	}
	var rows []SealedRow
	for _, ev := range found {
		if slices.Contains(r.Subjects, ev.Subject) {
			rows = append(rows, SealedRow{Row: []string{fmt.Sprint(int64(ev.Position))}, About: []string{ev.MerchantAccount, ev.Subject, ev.ID}, Values: [][]byte{ev.Body, ev.Lasting, ev.Raw}})
		}
	}
	if len(found) == resealChunk {
		next = []string{fmt.Sprint(int64(found[len(found)-1].Position))}
	}
	count, err = s.scrubPersonal(ctx, on, rows)
	return count, next, err
}

// numbered is the number of a row that a page goes on behind.
func numbered(after []string) (int64, error) {
	if len(after) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseInt(after[0], 10, 64)
	if err != nil {
		return 0, ErrPlace
	}
	return n, nil
}

// scrubSubjects looks at the states of those that were merged away, too.
func (s *Store) scrubSubjects(ctx context.Context, r Remains, _ []string) (count int64, next []string, err error) {
	on := shelf("subjects", "")
	for _, id := range r.Subjects {
		after := []string{id[:len(id)-1]} // sorts before it
		for more := true; more; {
			found, err := s.engine.Sealed(ctx, on, after, resealChunk)
			if err != nil {
				return count, nil, err
			}
			i := slices.IndexFunc(found, func(row SealedRow) bool { return row.Row[0] >= id })
			if i >= 0 && found[i].Row[0] == id {
				n, err := s.scrubPersonal(ctx, on, found[i:i+1])
				if count += n; err != nil {
					return count, nil, err
				}
			}
			if more = i < 0 && len(found) == resealChunk; more {
				after = found[len(found)-1].Row
			}
		}
	}
	return count, nil, nil
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

// scrubRequests looks at requests whose answers are under the keyring.
func (s *Store) scrubRequests(ctx context.Context, r Remains, after []string) (count int64, next []string, err error) {
	on, names := shelf("requests", ""), r.names()
	on.Empty = "concerns"
	impersonal := func(operation string, states ...RequestState) bool {
		return r.Personal != nil && !slices.ContainsFunc(states, func(state RequestState) bool { return r.Personal(r.Stream, operation, state) })
	}
	if len(after) != len(on.Row) {
		after = []string{r.MerchantAccount, "", ""}
	}
	found, err := s.engine.Sealed(ctx, on, after, resealChunk)
	if err != nil {
		return 0, nil, err
	}
	mine := slices.Clone(found)
	mine = slices.DeleteFunc(mine, func(row SealedRow) bool {
		return row.Row[0] != r.MerchantAccount || impersonal(row.Row[1], RequestState(row.About[2]))
	})
	count, err = s.takeAway(ctx, on, mine, func(row SealedRow, plain []byte) bool {
		return mentions(plain, names) || mentions([]byte(row.About[1]), names) || mentions([]byte(row.About[1]), r.References)
	})
	if err != nil || len(found) < resealChunk || found[len(found)-1].Row[0] != r.MerchantAccount {
		return count, nil, err
	}
	next = slices.Clone(found[len(found)-1].Row)
	if impersonal(next[1], RequestOpen, RequestDone, RequestRefused, RequestUndone) {
		next[2] = "\U0010FFFF" // behind all that it has, unseen
	}
	return count, next, nil
}

// scrubQuarantine looks at what was quarantined.
func (s *Store) scrubQuarantine(ctx context.Context, r Remains, after []string) (count int64, next []string, err error) {
	from, err := numbered(after)
	if err != nil {
		return 0, nil, err
	}
	found, err := s.Quarantined(ctx, from, resealChunk)
	if err != nil {
		return 0, nil, err
	}
	if len(found) == resealChunk {
		next = []string{fmt.Sprint(found[len(found)-1].ID)}
	}
	found = slices.DeleteFunc(found, func(q Quarantined) bool {
		return q.Erased || q.MerchantAccount != r.MerchantAccount || !mentions(q.Raw, r.names()) || mentions(q.Raw, r.Others)
	})
	if len(found) == 0 {
		return 0, next, nil
	}
	err = s.Do(ctx, func(tx Tx) error {
		for _, q := range found {
			q.Erased = true
			if err := tx.PutQuarantined(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	return int64(len(found)), next, err
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
