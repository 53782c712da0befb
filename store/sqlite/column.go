package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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

// blob stores bytes, none as NULL, which reads as nil.
func blob(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// encodeKeys gives the keys column and the lists that queries take.
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

// known turns the absence of a row into the store's word for it.
func known(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}
