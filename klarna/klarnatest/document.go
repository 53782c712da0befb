package klarnatest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"strconv"
)

// doc is a JSON object as it came or goes, numbers in their own text. A doc is never changed once it is stored.
type doc map[string]any

// parse reads exactly one JSON object, or returns nil.
func parse(body []byte) doc {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var d doc
	if decoder.Decode(&d) != nil {
		return nil
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil
	}
	return d
}

// encode is the JSON of documents, which are all made of maps, lists, texts and numbers.
func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic("klarnatest: encode document: " + err.Error())
	}
	return body
}

// has tells whether the field is there and not null.
func (d doc) has(field string) bool { return d[field] != nil }

// text is a string field; ok is false when it is absent or something else.
func (d doc) text(field string) (value string, ok bool) {
	value, ok = d[field].(string)
	return value, ok
}

// str is a string field, "" when it is absent or something else.
func (d doc) str(field string) string {
	value, _ := d.text(field)
	return value
}

// number is a whole number field; ok is false when it is absent, broken or something else.
func (d doc) number(field string) (value int64, ok bool) {
	n, isNumber := d[field].(json.Number)
	if !isNumber {
		return 0, false
	}
	value, err := strconv.ParseInt(n.String(), 10, 64)
	return value, err == nil
}

// object is an object field, nil when it is absent or something else.
func (d doc) object(field string) doc {
	switch value := d[field].(type) {
	case map[string]any:
		return value
	case doc:
		return value
	}
	return nil
}

// objects is an array of objects; ok is false when it is absent or holds something else.
func (d doc) objects(field string) (values []doc, ok bool) {
	list, isList := d[field].([]any)
	if !isList {
		return nil, false
	}
	for _, item := range list {
		object, isObject := item.(map[string]any)
		if !isObject {
			return nil, false
		}
		values = append(values, object)
	}
	return values, true
}

// with is d with the fields of others laid over it, the later winning.
func (d doc) with(others ...doc) doc {
	merged := maps.Clone(d)
	if merged == nil {
		merged = doc{}
	}
	for _, other := range others {
		maps.Copy(merged, other)
	}
	return merged
}

// pick is d with only these fields, as far as it has them.
func (d doc) pick(fields ...string) doc {
	picked := doc{}
	for _, field := range fields {
		if d.has(field) {
			picked[field] = d[field]
		}
	}
	return picked
}

// without is d without these fields.
func (d doc) without(fields ...string) doc {
	rest := d.with()
	for _, field := range fields {
		delete(rest, field)
	}
	return rest
}

// same tells whether two values mean the same: what is absent, null, zero, empty text, false or an empty list says
// nothing, so that a sender may leave it out.
func same(a, b any) bool { return reflect.DeepEqual(essence(a), essence(b)) }

// essence is a value without what says nothing.
func essence(v any) any {
	switch v := v.(type) {
	case doc:
		return essence(map[string]any(v))
	case map[string]any:
		kept := map[string]any{}
		for field, value := range v {
			if e := essence(value); e != nil {
				kept[field] = e
			}
		}
		if len(kept) == 0 {
			return nil
		}
		return kept
	case []any:
		kept := make([]any, len(v))
		for i, value := range v {
			kept[i] = essence(value)
		}
		if len(kept) == 0 {
			return nil
		}
		return kept
	case json.Number:
		if n, err := v.Float64(); err == nil && n == 0 {
			return nil
		}
		return v.String()
	case string:
		if v == "" {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}
