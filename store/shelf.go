package store

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Shelf is a table with sealed columns. Engines name tables and columns alike, so a walk over all that is sealed needs no
// more than these names.
type Shelf struct {
	Table  string
	Stream Stream   // of events, which are walked by stream; empty for other tables
	Number bool     // Row is one column, a number
	Row    []string // the columns that name a row, in the order of its index
	About  []string // further columns that say what a row is about
	Sealed []string // the sealed columns
	Empty  string   // a column that is empty in all rows that are wanted; none: all are
}

// SealedRow is what stands on a shelf, sealed. Each list follows the columns of the shelf.
type SealedRow struct {
	Row    []string
	About  []string
	Values [][]byte // nil for none
}

// shelves are all places where something sealed stands.
var shelves = func() (all []Shelf) {
	for _, stream := range streams {
		all = append(all, Shelf{Table: "events", Stream: stream, Number: true, Row: []string{"position"},
			About: []string{"merchant_account", "subject", "id"}, Sealed: []string{"body", "lasting", "raw"}})
	}
	return append(all,
		Shelf{Table: "subjects", Row: []string{"id"}, About: []string{"stream", "merchant_account"}, Sealed: []string{"body", "lasting"}},
		Shelf{Table: "data_keys", Row: []string{"subject"}, Sealed: []string{"key"}},
		Shelf{Table: "jobs", Number: true, Row: []string{"id"}, About: []string{"kind", "merchant_account", "key"}, Sealed: []string{"payload"}},
		Shelf{Table: "requests", Row: []string{"merchant_account", "operation", "id"}, About: []string{"concerns", "subject", "state"}, Sealed: []string{"answer"}},
		Shelf{Table: "quarantine", Number: true, Row: []string{"id"}, About: []string{"merchant_account", "event_id"}, Sealed: []string{"raw"}},
		Shelf{Table: "signing_keys", Row: []string{"scheme", "merchant_account", "id"}, Sealed: []string{"key"}},
		Shelf{Table: "blocks", Number: true, Row: []string{"id"}, About: []string{"stream", "merchant_account", "form"}, Sealed: []string{"body"}},
		Shelf{Table: "probes", Row: []string{"merchant_account", "webhook", "event_type"}, Sealed: []string{"raw"}},
	)
}()

// Shelves lists them, in the order in which they are walked.
func Shelves() []Shelf { return slices.Clone(shelves) }

// shelf is the one of a table and, for events, a stream.
func shelf(table string, stream Stream) Shelf {
	i := slices.IndexFunc(shelves, func(s Shelf) bool { return s.Table == table && s.Stream == stream })
	return shelves[i]
}

// about is what a value was sealed as.
func (s Shelf) about(row SealedRow, column string) []string {
	switch s.Table {
	case "events":
		if column == "raw" {
			return []string{"raw", row.About[2]}
		}
		return []string{column, string(s.Stream), row.About[0], row.About[1]}
	case "subjects":
		return []string{column, row.About[0], row.About[1], row.Row[0]}
	case "data_keys":
		return []string{"data_key", row.Row[0]}
	case "jobs":
		return append([]string{"job"}, row.About...)
	case "requests":
		return append([]string{"answer"}, row.Row...)
	case "quarantine":
		return append([]string{"quarantined"}, row.About...)
	case "blocks":
		return append([]string{"block"}, row.About...)
	case "signing_keys":
		return append([]string{"signing_key"}, row.Row...)
	default:
		return append([]string{"probe"}, row.Row...)
	}
}

// owner is the stream and the subject whose data key is to seal what is personal in the row; empty if it has none.
func (s Shelf) owner(row SealedRow) (stream Stream, subject string) {
	switch s.Table {
	case "events":
		return s.Stream, row.About[1]
	case "subjects":
		return Stream(row.About[0]), row.Row[0]
	}
	return "", ""
}

// KeyID names a sealing key of a keyring.
type KeyID uint32

// String gives the id as eight hexadecimal digits.
func (id KeyID) String() string { return fmt.Sprintf("%08x", uint32(id)) }

// sealedWith is the key of the keyring that sealed a value; none if a subject's key did, or if nothing is there.
func sealedWith(sealed []byte) (id KeyID, is bool) {
	if len(sealed) < 5 || sealed[0] != 1 { // Tink's prefix: 1, and the key's id
		return 0, false
	}
	return KeyID(binary.BigEndian.Uint32(sealed[1:])), true
}
