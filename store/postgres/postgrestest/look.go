package postgrestest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// look is Tests.Look.
var look func(where string, content []byte)

// lookThrough shows all rows of all tables of a schema, each as text, and what is bytes in it as such too.
func lookThrough(t testing.TB, server, schema string) {
	t.Helper()
	connected(t, server, func(ctx context.Context, conn *pgx.Conn) {
		tables, err := names(ctx, conn, `SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1`, schema)
		if err != nil {
			t.Errorf("list tables: %v", err)
		}
		for _, table := range tables {
			if err := lookThroughTable(ctx, conn, pgx.Identifier{schema, table}); err != nil {
				t.Errorf("look through table %s: %v", table, err)
			}
		}
	})
}

func names(ctx context.Context, conn *pgx.Conn, query, schema string) ([]string, error) {
	rows, err := conn.Query(ctx, query, schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func lookThroughTable(ctx context.Context, conn *pgx.Conn, table pgx.Identifier) error {
	rows, err := conn.Query(ctx, `SELECT t::text, t.* FROM `+table.Sanitize()+` t`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		for i, v := range values {
			where := fmt.Sprintf("column %s of table %s", rows.FieldDescriptions()[i].Name, table[1])
			switch v := v.(type) {
			case []byte:
				look(where, v)
			case string:
				look(where, []byte(v))
			}
		}
	}
	return rows.Err()
}
