package server

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"payments.internal/klarna-gateway/operation"
)

// elementsNamed is up to how many elements a list is looked at one by one.
const elementsNamed = 16

// fieldsOf takes an encoded message apart into what stands at each path, such as amount.amount_minor or order_lines[2]: a
// repeat with other content is told where it differs. Messages are followed, long lists and maps stand for themselves. The
// encoding is deterministic, or the same content would not be.
func fieldsOf(d protoreflect.MessageDescriptor, encoded []byte) []operation.Field {
	return collectFields(make([]operation.Field, 0, 32), "", d, encoded)
}

func collectFields(into []operation.Field, prefix string, d protoreflect.MessageDescriptor, encoded []byte) []operation.Field {
	for len(encoded) > 0 {
		number, count, size := firstField(encoded)
		whole := encoded[:size]
		encoded = encoded[size:]
		field := d.Fields().ByNumber(number)
		if field == nil { // a newer caller's: the fingerprint alone knows it
			continue
		}
		path := prefix + string(field.Name())
		switch {
		case field.IsList() && !field.IsPacked() && count <= elementsNamed:
			into = append(into, operation.Field{Path: path, Value: strconv.AppendInt(nil, int64(count), 10)})
			for i := range count {
				_, _, n := protowire.ConsumeField(whole)
				into = append(into, operation.Field{Path: path + "[" + strconv.Itoa(i) + "]", Value: whole[:n]})
				whole = whole[n:]
			}
		case field.Message() != nil && !field.IsList() && !field.IsMap():
			_, _, tag := protowire.ConsumeTag(whole)
			inner, _ := protowire.ConsumeBytes(whole[tag:])
			into = append(into, operation.Field{Path: path}) // that it is there
			into = collectFields(into, path+".", field.Message(), inner)
		default:
			into = append(into, operation.Field{Path: path, Value: whole})
		}
	}
	return into
}

// firstField is the field that an encoding begins with, how often it stands there, one behind the other, and in how many bytes.
func firstField(encoded []byte) (number protowire.Number, count, size int) {
	for size < len(encoded) {
		next, _, n := protowire.ConsumeField(encoded[size:])
		switch {
		case n < 0: // it was encoded here: there is no such thing
			return number, count, len(encoded)
		case count > 0 && next != number:
			return number, count, size
		}
		number, count, size = next, count+1, size+n
	}
	return number, count, size
}
