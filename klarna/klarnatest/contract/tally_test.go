package contract

import (
	"strings"
	"testing"
)

func TestSamePath_DisregardsNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"/v1/boats/{id}", "/v1/boats/{boat_id}", true},
		{"/v1/boats/{id}", "/v1/boats/lost", false},
		{"/v1/boats", "/v1/boats/{id}", false},
		{"/v1/boats", "/v1/ships", false},
	} {
		if SamePath(c.a, c.b) != c.same {
			t.Errorf("%s and %s: want %t", c.a, c.b, c.same)
		}
	}
}

func TestWriteTable_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	docs := &Documents{}
	for _, path := range []string{"/tally/a", "/tally/b", "/tally/c"} {
		docs.Operations = append(docs.Operations, &Operation{Document: "tally.md 1", Method: "GET", Path: path})
	}
	count(docs.Operations[0], true, true, "A")
	count(docs.Operations[1], true, false, "B")
	var table strings.Builder
	lacking, err := docs.WriteTable(&table, func(_, path string) []string {
		if path == "/tally/c" {
			return nil
		}
		return []string{"Tally.Look"}
	})
	if err != nil || lacking != 2 {
		t.Errorf("%d lacking, %v", lacking, err)
	}
	for _, row := range []string{
		"| GET /tally/a | none, only named (tally.md 1) | A | Tally.Look | not described | not described |",
		"| GET /tally/b | none, only named (tally.md 1) | B | Tally.Look | not described | MISSING |",
		"| GET /tally/c | none, only named (tally.md 1) | MISSING | MISSING | MISSING | MISSING |",
		"1 of 3 operations are reached",
	} {
		if !strings.Contains(table.String(), row) {
			t.Errorf("no row %s in\n%s", row, table.String())
		}
	}
}
