package sqlite

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
	found, err := rows(ctx, e.reader, text, args, func(row scanner) (store.SealedRow, error) {
		found := store.SealedRow{Row: make([]string, len(on.Row)), About: make([]string, len(on.About)), Values: make([][]byte, len(on.Sealed))}
		var into []any
		for i := range found.Row {
			into = append(into, &found.Row[i])
		}
		for i := range found.About {
			into = append(into, &found.About[i])
		}
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
	row := strings.Join(on.Row, ", ")
	text = `SELECT ` + strings.Join(slices.Concat(on.Row, on.About, on.Sealed), ", ") + ` FROM ` + on.Table + ` WHERE `
	if on.Stream != "" {
		text, args = text+`stream = ? AND `, append(args, on.Stream)
	}
	if on.Empty != "" {
		text += on.Empty + ` = '' AND `
	}
	if after == nil {
		after = make([]string, len(on.Row))
		if on.Number {
			after[0] = "0"
		}
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(on.Row)), ", ")
	if on.Number {
		marks = "CAST(? AS INTEGER)"
	}
	for _, column := range after {
		args = append(args, column)
	}
	if len(on.Row) > 1 {
		row, marks = "("+row+")", "("+marks+")"
	}
	text += row + ` > ` + marks + ` ORDER BY ` + strings.Join(on.Row, ", ") + ` LIMIT 0 + ?`
	return text, append(args, max(limit, 0))
}

// Reseal implements store.Tx. secure_delete has SQLite overwrite what was there; see tidier.forget for the write-ahead log.
func (t *tx) Reseal(ctx context.Context, on store.Shelf, row store.SealedRow, values [][]byte) error {
	var args []any
	for i, value := range values {
		args = append(args, blob(value))
		t.erases = t.erases || len(row.Values[i]) > 0 && len(value) <= 1
	}
	for _, column := range row.Row {
		args = append(args, column)
	}
	for _, value := range row.Values {
		args = append(args, blob(value))
	}
	where := strings.Join(on.Row, " = ? AND ") + ` = ?`
	if _, err := t.exec(ctx, `UPDATE `+on.Table+` SET `+strings.Join(on.Sealed, " = ?, ")+` = ? WHERE `+where+
		` AND `+strings.Join(on.Sealed, " IS ? AND ")+` IS ?`, args...); err != nil {
		return fmt.Errorf("reseal %s: %w", on.Table, err)
	}
	return nil
}
