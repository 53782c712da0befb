package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"time"

	"zombiezen.com/go/sqlite"

	"payments.internal/klarna-gateway/store"
)

// A LIMIT of a bare parameter would be looked at by SQLite's planner, which then plans the statement anew each time it is
// bound: queries say 0 + ?, which it takes as it comes.

// brief is the context of a read that is over before it could be interrupted. To watch a context costs a goroutine, which is
// more than a look-up by key takes. A context that has ended stays one.
func brief(ctx context.Context) context.Context {
	if ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// querier is what reads inside and outside of a transaction have in common: it lends a statement for as long as use runs.
type querier interface {
	lend(ctx context.Context, query string, use func(*sqlite.Stmt) error) error
}

// row reads the one row of a query. It fails with sql.ErrNoRows if there is none.
func row(ctx context.Context, q querier, query string, args []any, into ...any) error {
	return q.lend(ctx, query, func(st *sqlite.Stmt) error {
		if err := bind(st, args); err != nil {
			return err
		}
		found, err := st.Step()
		if err != nil {
			return err
		}
		if !found {
			return sql.ErrNoRows
		}
		return scanner{st}.Scan(into...)
	})
}

// rows reads all rows of a query.
func rows[T any](ctx context.Context, q querier, query string, args []any, scan func(scanner) (T, error)) (all []T, err error) {
	err = q.lend(ctx, query, func(st *sqlite.Stmt) error {
		if err := bind(st, args); err != nil {
			return err
		}
		for {
			found, err := st.Step()
			if err != nil || !found {
				return err
			}
			one, err := scan(scanner{st})
			if err != nil {
				return err
			}
			all = append(all, one)
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// exec runs a statement to its end, whatever rows it gives.
func exec(st *sqlite.Stmt, args []any) error {
	if err := bind(st, args); err != nil {
		return err
	}
	for {
		if more, err := st.Step(); err != nil || !more {
			return err
		}
	}
}

// bind gives a statement all of its arguments. Bytes that are nil are NULL.
func bind(st *sqlite.Stmt, args []any) error {
	if want := st.BindParamCount(); len(args) != want {
		return fmt.Errorf("%d arguments for %d parameters", len(args), want)
	}
	for i, arg := range args {
		switch n := i + 1; arg := arg.(type) {
		case nil:
			st.BindNull(n)
		case string:
			st.BindText(n, arg)
		case []byte:
			if arg == nil {
				st.BindNull(n)
			} else {
				st.BindBytes(n, arg)
			}
		case int64:
			st.BindInt64(n, arg)
		case int:
			st.BindInt64(n, int64(arg))
		case bool:
			st.BindBool(n, arg)
		case float64:
			st.BindFloat(n, arg)
		case store.Position:
			st.BindInt64(n, int64(arg))
		default:
			value := reflect.ValueOf(arg)
			if value.Kind() != reflect.String {
				return fmt.Errorf("argument %d is a %T", n, arg)
			}
			st.BindText(n, value.String())
		}
	}
	return nil
}

// scanner is the row that a statement stands at.
type scanner struct{ st *sqlite.Stmt }

// Scan reads the columns in their order. Bytes that are NULL are nil; no other column may be NULL.
func (s scanner) Scan(into ...any) error {
	for i, to := range into {
		kind := s.st.ColumnType(i)
		if bytes, ok := to.(*[]byte); ok {
			*bytes = nil
			if kind != sqlite.TypeNull {
				*bytes = make([]byte, s.st.ColumnLen(i))
				s.st.ColumnBytes(i, *bytes)
			}
			continue
		}
		if kind == sqlite.TypeNull {
			return fmt.Errorf("column %d is NULL", i)
		}
		if err := s.scan(i, to); err != nil {
			return err
		}
	}
	return nil
}

func (s scanner) scan(i int, to any) error {
	switch to := to.(type) {
	case *string:
		*to = s.st.ColumnText(i)
	case *int64:
		*to = s.st.ColumnInt64(i)
	case *int:
		*to = s.st.ColumnInt(i)
	case *bool:
		*to = s.st.ColumnBool(i)
	case *float64:
		*to = s.st.ColumnFloat(i)
	case *store.Position:
		*to = store.Position(s.st.ColumnInt64(i))
	case instant:
		*to.into = time.Time{}
		if us := s.st.ColumnInt64(i); us != 0 {
			*to.into = time.UnixMicro(us).UTC()
		}
	default:
		value := reflect.ValueOf(to)
		if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.String {
			return fmt.Errorf("column %d does not go into a %T", i, to)
		}
		value.Elem().SetString(s.st.ColumnText(i))
	}
	return nil
}
