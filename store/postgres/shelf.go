package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"payments.internal/klarna-gateway/store"
)

// Sealed implements store.Engine.
func (e *Engine) Sealed(ctx context.Context, on store.Shelf, after []string, limit int) ([]store.SealedRow, error) {
	text, args := sealedQuery(on, after, limit)
	found, err := rows(ctx, e, text, args, func(row scanner) (store.SealedRow, error) {
		found := store.SealedRow{Values: make([][]byte, len(on.Sealed))}
		into := []any{&found.Row, &found.About}
		for i := range found.Values {
			into = append(into, &found.Values[i])
		}
		return found, row.Scan(into...)
	})
	if err != nil {
		return nil, fmt.Errorf("read what is sealed in %s: %w", on.Table, err)
	}
	return found, nil
}

func sealedQuery(on store.Shelf, after []string, limit int) (text string, args []any) {
	var numbers []string
	number := func(arg any, kind string) string {
		args = append(args, arg)
		return fmt.Sprintf("$%d::text%s", len(args), kind)
	}
	text = `SELECT ARRAY[` + strings.Join(on.Row, "::text, ") + `::text], ARRAY[` + strings.Join(on.About, ", ") + `]::text[], ` +
		strings.Join(on.Sealed, ", ") + ` FROM ` + on.Table + ` WHERE `
	if on.Stream != "" {
		text += `stream = ` + number(string(on.Stream), "") + ` AND `
	}
	if on.Empty != "" {
		text += on.Empty + ` = '' AND `
	}
	for i := range on.Row {
		switch {
		case after != nil && on.Number:
			numbers = append(numbers, number(after[i], "::bigint"))
		case after != nil:
			numbers = append(numbers, number(after[i], ""))
		case on.Number:
			numbers = append(numbers, number("0", "::bigint"))
		default:
			numbers = append(numbers, number("", ""))
		}
	}
	args = append(args, max(limit, 0))
	return text + `(` + strings.Join(on.Row, ", ") + `) > (` + strings.Join(numbers, ", ") + `) ORDER BY ` + strings.Join(on.Row, ", ") +
		fmt.Sprintf(` LIMIT $%d`, len(args)), args
}

// shelfMarks are those of what else reads the row.
func shelfMarks(on store.Shelf, row store.SealedRow) []string {
	switch on.Table {
	case "events":
		return mark("subject", row.About[1])
	case "subjects", "data_keys":
		return mark("subject", row.Row[0])
	case "requests":
		return mark("request", row.Row...)
	case "signing_keys":
		return mark("signing key", row.Row...)
	case "probes":
		return mark("probe", row.Row...)
	}
	return nil // units read nothing else
}

// Reseal implements store.Tx. What the server keeps of the old row is for its VACUUM and its write-ahead log to forget.
func (t *tx) Reseal(_ context.Context, on store.Shelf, row store.SealedRow, values [][]byte) error {
	if t.await(); t.failed != nil {
		return t.failed
	}
	var args []any
	condition := func(columns []string, with, kind string, arg func(i int) any) []string {
		list := slices.Clone(columns)
		for i := range list {
			args = append(args, arg(i))
			list[i] = fmt.Sprintf("%s %s $%d%s", list[i], with, len(args), kind)
		}
		return list
	}
	kind := ""
	if on.Number {
		kind = "::text::bigint"
	}
	set := condition(on.Sealed, "=", "::bytea", func(i int) any { return blob(values[i]) })
	where := slices.Concat(condition(on.Row, "=", kind, func(i int) any { return row.Row[i] }),
		condition(on.Sealed, "IS NOT DISTINCT FROM", "::bytea", func(i int) any { return blob(row.Values[i]) }))
	if on.Stream != "" {
		where = append(where, condition([]string{"stream"}, "=", "", func(int) any { return string(on.Stream) })...)
	}
	t.wrote.add(shelfMarks(on, row)...)
	t.enqueue(queued{text: `UPDATE ` + on.Table + ` SET ` + strings.Join(set, ", ") + ` WHERE ` + strings.Join(where, " AND "), args: args, alone: true})
	return nil
}
