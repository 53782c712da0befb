package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Resealing is what a part of a walk over all that is sealed has found and done.
type Resealing struct {
	Next     string          // where the walk goes on; empty at its end
	Rows     int64           // looked at
	Resealed int64           // rows that are sealed anew
	Keyring  map[KeyID]int64 // values by the sealing key that they are under now
	Subjects int64           // values under subjects' own keys
}

// Add counts another part of the same walk in.
func (r *Resealing) Add(part Resealing) {
	if r.Keyring == nil {
		r.Keyring = map[KeyID]int64{}
	}
	for id, n := range part.Keyring {
		r.Keyring[id] += n
	}
	r.Next, r.Rows, r.Resealed, r.Subjects = part.Next, r.Rows+part.Rows, r.Resealed+part.Resealed, r.Subjects+part.Subjects
}

// ErrPlace says that a walk cannot go on from what was given as its place.
var ErrPlace = errors.New("not a place of this walk")

// place is where a walk stands.
type place struct {
	Shelf int      `json:"s"`
	After []string `json:"a,omitempty"`
}

func (p place) String() string {
	text, _ := json.Marshal(p) // always encodes
	return base64.RawURLEncoding.EncodeToString(text)
}

// decodePlace is what String made.
func decodePlace(text string) (p place, err error) {
	if text == "" {
		return p, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(decoded, &p) != nil || p.Shelf < 0 {
		return p, ErrPlace
	}
	return p, nil
}

func parsePlace(text string) (p place, err error) {
	if p, err = decodePlace(text); err != nil || p.Shelf >= len(shelves) {
		return p, ErrPlace
	}
	if n := len(p.After); n != 0 && n != len(shelves[p.Shelf].Row) {
		return p, ErrPlace
	}
	return p, nil
}

// Reseal walks what is sealed, from a place on ("" is the beginning) for about the given time, and seals anew what is not
// under the key that seals now. What older versions kept of people under the keyring comes under the keys of its subjects
// on the way. Each chunk is a unit of its own, and takes the place of what it read only if that has not changed, so a walk
// may be cut off anywhere, run beside others, and be begun anew: what is done is passed over.
func (s *Store) Reseal(ctx context.Context, from string, within time.Duration) (Resealing, error) {
	return s.walk(ctx, from, within, s.resealChunk)
}

// CountSealed walks like Reseal, and changes nothing.
func (s *Store) CountSealed(ctx context.Context, from string, within time.Duration) (Resealing, error) {
	return CountSealed(ctx, s.engine, from, within)
}

// CountSealed is Store.CountSealed for an engine that is open for reading alone.
func CountSealed(ctx context.Context, e Engine, from string, within time.Duration) (Resealing, error) {
	s := &Store{engine: e}
	return s.walk(ctx, from, within, func(context.Context, Shelf, []SealedRow) (int64, error) { return 0, nil })
}

// walk reads chunk by chunk and lets change see each one. It counts what stands there afterwards: change puts that into
// the rows.
func (s *Store) walk(ctx context.Context, from string, within time.Duration, change func(context.Context, Shelf, []SealedRow) (int64, error)) (done Resealing, err error) {
	at, err := parsePlace(from)
	if err != nil {
		return done, err
	}
	done.Keyring = map[KeyID]int64{}
	for until := time.Now().Add(within); at.Shelf < len(shelves); {
		on := shelves[at.Shelf]
		rows, err := s.engine.Sealed(ctx, on, at.After, on.chunk())
		if err != nil {
			return done, fmt.Errorf("walk %s: %w", on.Table, err)
		}
		resealed, err := change(ctx, on, rows)
		if err != nil {
			return done, fmt.Errorf("reseal %s: %w", on.Table, err)
		}
		done.Rows, done.Resealed = done.Rows+int64(len(rows)), done.Resealed+resealed
		done.count(rows)
		if len(rows) < on.chunk() {
			at = place{Shelf: at.Shelf + 1}
		} else {
			at.After = rows[len(rows)-1].Row
		}
		if !time.Now().Before(until) && at.Shelf < len(shelves) {
			done.Next = at.String()
			return done, nil
		}
	}
	return done, nil
}

func (r *Resealing) count(rows []SealedRow) {
	for _, row := range rows {
		for _, value := range row.Values {
			if id, is := sealedWith(value); is {
				r.Keyring[id]++
			} else if isDataSealed(value) {
				r.Subjects++
			}
		}
	}
}

// needsReseal tells whether something in a row is not sealed as it would be now.
func (s *Store) needsReseal(on Shelf, row SealedRow) (bool, error) {
	for _, value := range row.Values {
		if id, is := sealedWith(value); is && id != s.keys.seals {
			return true, nil
		}
	}
	lasting, personal, err := s.personal(on, row)
	return lasting != nil || personal, err
}

// personal tells what of a row an older version kept under the keyring that is its subject's: its body, if something
// lasts of it, and Klarna's bytes.
func (s *Store) personal(on Shelf, row SealedRow) (lasting []byte, raw bool, err error) {
	stream, subject := on.owner(row)
	if subject == "" {
		return nil, false, nil
	}
	if i := slices.Index(on.Sealed, "raw"); i >= 0 {
		_, raw = sealedWith(row.Values[i])
	}
	if _, plain := sealedWith(row.Values[0]); !plain || s.lasting == nil {
		return nil, raw, nil
	}
	body, err := s.keys.Open(row.Values[0], on.about(row, "body")...)
	if err != nil {
		return nil, raw, err
	}
	lasting, err = s.lasting(stream, body)
	return lasting, raw, err
}

// reseal is what shall stand in a row.
func (s *Store) reseal(ctx context.Context, t *sealedTx, on Shelf, row SealedRow) (fresh [][]byte, err error) {
	fresh = slices.Clone(row.Values)
	lasting, raw, err := s.personal(on, row)
	if err != nil {
		return nil, err
	}
	if lasting != nil || raw {
		if fresh, err = s.hand(ctx, t, on, row, lasting, raw); err != nil {
			return nil, err
		}
	}
	for i, value := range fresh {
		id, is := sealedWith(value)
		if !is || id == s.keys.seals {
			continue
		}
		plain, err := s.keys.Open(value, on.about(row, on.Sealed[i])...)
		if err != nil {
			return nil, err
		}
		if fresh[i], err = s.keys.Seal(plain, on.about(row, on.Sealed[i])...); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// hand hands what is personal in a row to its subject's key or, if that was destroyed, takes it away.
func (s *Store) hand(ctx context.Context, t *sealedTx, on Shelf, row SealedRow, lasting []byte, raw bool) (fresh [][]byte, err error) {
	_, subject := on.owner(row)
	key, err := t.keyOf(ctx, subject)
	if err != nil {
		return nil, err
	}
	fresh = slices.Clone(row.Values)
	personal := func(column string) ([]byte, error) {
		i, about := slices.Index(on.Sealed, column), on.about(row, column)
		plain, err := s.keys.Open(row.Values[i], about...)
		if err != nil {
			return nil, err
		}
		return sealData(key, plain, about...)
	}
	if raw {
		if i := slices.Index(on.Sealed, "raw"); key.erased {
			fresh[i] = nil
		} else if fresh[i], err = personal("raw"); err != nil {
			return nil, err
		}
	}
	switch {
	case lasting == nil:
		return fresh, nil
	case key.erased:
		fresh[0], err = s.keys.Seal(lasting, on.about(row, "body")...)
		return fresh, err
	}
	if fresh[0], err = personal("body"); err != nil {
		return nil, err
	}
	fresh[1], err = s.keys.Seal(lasting, on.about(row, "lasting")...)
	return fresh, err
}

// SealingKeys are the keys of the keyring that open what it seals, oldest first, and the one that seals.
func (k *Keyring) SealingKeys() (all []KeyID, seals KeyID) { return slices.Clone(k.opens), k.seals }

// SealingKeys is Keyring.SealingKeys of the store's.
func (s *Store) SealingKeys() (all []KeyID, seals KeyID) { return s.keys.SealingKeys() }

// Under tells how many values are under keys other than one.
func (r *Resealing) Under(other KeyID) (n int64) {
	for id := range maps.Keys(r.Keyring) {
		if id != other {
			n += r.Keyring[id]
		}
	}
	return n
}

// gone stands where something sealed was taken away that is missed.
var gone = []byte{3}

func isGone(sealed []byte) bool { return bytes.Equal(sealed, gone) }
