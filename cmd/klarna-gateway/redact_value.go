package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"

	"google.golang.org/protobuf/proto"

	"payments.internal/klarna-gateway/server"
)

// deepest is how far values are followed into one another.
const deepest = 12

// attrs are attributes without what must not be told.
func (r *redaction) attrs(all []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(all))
	for i, a := range all {
		clean[i] = r.attr(a)
	}
	return clean
}

func (r *redaction) attr(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	if holds(a.Key) && tells(a.Value.Any()) {
		return slog.String(a.Key, masked)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(r.text(a.Value.String()))
	case slog.KindGroup:
		a.Value = slog.GroupValue(r.attrs(a.Value.Group())...)
	case slog.KindAny:
		a.Value = slog.AnyValue(r.value(a.Value.Any()))
	}
	return a
}

// tells is whether there is something in a value that could tell of somebody.
func tells(v any) bool {
	if _, is := v.(bool); is || v == nil {
		return false
	}
	return !reflect.ValueOf(v).IsZero()
}

// value is a value as plain texts, numbers, lists and maps, without what must not be told: every handler writes such ones
// down alike, while what they make of others differs.
func (r *redaction) value(v any) (clean any) {
	defer func() {
		if cause := recover(); cause != nil { // a method of the value's, such as Error of a nil pointer
			clean = fmt.Sprintf("!PANIC in %T", v)
		}
	}()
	return r.reflected(reflect.ValueOf(v), deepest)
}

func (r *redaction) reflected(v reflect.Value, deep int) any {
	if !v.IsValid() {
		return nil
	}
	if deep == 0 {
		return "…"
	}
	if v.CanInterface() {
		if plain, is := r.telling(v.Interface(), deep); is {
			return plain
		}
	}
	switch v.Kind() {
	case reflect.String:
		return r.text(v.String())
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return v.Uint()
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return fmt.Sprint(v.Float())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return r.reflected(v.Elem(), deep-1)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 { // bytes in a log are encoded, which no pattern sees through
			return fmt.Sprintf("%d bytes", v.Len())
		}
		all := make([]any, v.Len())
		for i := range all {
			all[i] = r.reflected(v.Index(i), deep-1)
		}
		return all
	case reflect.Map:
		return r.entries(v, deep)
	case reflect.Struct:
		return r.fields(v, deep)
	}
	return v.Type().String() // functions, channels
}

// telling is what a value says of itself, by whichever way it has.
func (r *redaction) telling(v any, deep int) (plain any, is bool) {
	switch v := v.(type) {
	case proto.Message:
		return r.text(server.Loggable(v).String()), true
	case slog.LogValuer:
		return r.resolved(slog.AnyValue(v).Resolve(), deep), true
	case error:
		return r.text(v.Error()), true
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		return r.text(string(text)), err == nil
	case json.Marshaler:
		var read any
		text, err := v.MarshalJSON()
		if err != nil || json.Unmarshal(text, &read) != nil {
			return nil, false
		}
		return r.reflected(reflect.ValueOf(read), deep-1), true
	case fmt.Stringer:
		return r.text(v.String()), true
	}
	return nil, false
}

// resolved is what a value resolves to, inside another one.
func (r *redaction) resolved(v slog.Value, deep int) any {
	if v.Kind() != slog.KindGroup {
		return r.reflected(reflect.ValueOf(v.Any()), deep-1)
	}
	all := map[string]any{}
	for _, a := range v.Group() {
		a = r.attr(a)
		all[a.Key] = r.resolved(a.Value, deep-1)
	}
	return all
}

func (r *redaction) entries(v reflect.Value, deep int) any {
	all := make(map[string]any, v.Len())
	for entry := v.MapRange(); entry.Next(); {
		key := fmt.Sprint(entry.Key().Interface())
		all[r.text(key)] = r.named(key, entry.Value(), deep)
	}
	return all
}

// fields are a struct's under the names that JSON has for them.
func (r *redaction) fields(v reflect.Value, deep int) any {
	all := map[string]any{}
	for field, value := range v.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		all[name] = r.named(name, value, deep)
	}
	return all
}

func (r *redaction) named(name string, v reflect.Value, deep int) any {
	if holds(name) && !v.IsZero() && v.Kind() != reflect.Bool {
		return masked
	}
	return r.reflected(v, deep-1)
}
