package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"payments.internal/klarna-gateway/store"
)

// micros stores a time as microseconds since 1970, the zero time as 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant reads a time column.
type instant struct{ into *time.Time }

func (i instant) Scan(value any) error {
	us, ok := value.(int64)
	if !ok {
		return fmt.Errorf("time is %T instead of an integer", value)
	}
	*i.into = time.Time{}
	if us != 0 {
		*i.into = time.UnixMicro(us).UTC()
	}
	return nil
}

// blob stores bytes, none as NULL, which reads as nil.
func blob(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// keyList is keys as the queries take them: two arrays, for unnest.
type keyList struct{ kinds, values []string }

// listKeys leaves out keys with a zero byte: PostgreSQL takes no such text, so nothing on record has one.
func listKeys(keys []store.Key) keyList {
	l := keyList{[]string{}, []string{}}
	for _, k := range keys {
		if !strings.Contains(k.Kind+k.Value, "\x00") {
			l.kinds, l.values = append(l.kinds, k.Kind), append(l.values, k.Value)
		}
	}
	return l
}

// encodeKeys gives the keys column.
func encodeKeys(keys []store.Key) (string, error) {
	pairs := make([][2]string, len(keys))
	for i, k := range keys {
		pairs[i] = [2]string{k.Kind, k.Value}
	}
	b, err := json.Marshal(pairs)
	if err != nil {
		return "", fmt.Errorf("encode keys: %w", err)
	}
	return string(b), nil
}

func decodeKeys(column string) ([]store.Key, error) {
	var pairs [][2]string
	if err := json.Unmarshal([]byte(column), &pairs); err != nil {
		return nil, fmt.Errorf("decode keys: %w", err)
	}
	if len(pairs) == 0 {
		return nil, nil
	}
	keys := make([]store.Key, len(pairs))
	for i, p := range pairs {
		keys[i] = store.Key{Kind: p[0], Value: p[1]}
	}
	return keys, nil
}

// away marks the errors of a database that cannot be reached, has no room for us, or goes down.
func away(err error) error {
	var said *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &said):
		if !slices.Contains([]string{"08", "53", "57", "55", "25"}, said.Code[:min(2, len(said.Code))]) {
			return err
		}
	default:
		var network net.Error
		if !pgconn.SafeToRetry(err) && !pgconn.Timeout(err) && !errors.As(err, &network) && !errors.Is(err, io.ErrUnexpectedEOF) &&
			!errors.Is(err, io.EOF) && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
