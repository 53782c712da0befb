package server

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// elementsNamed is up to how many elements a list is looked at one by one.
const elementsNamed = 16

// fieldsOf takes a message apart into what stands at each path, such as amount.amount_minor or order_lines[2]: a repeat
// with other content is told where it differs. Messages are followed, long lists and maps stand for themselves.
func fieldsOf(m protoreflect.Message) map[string][]byte {
	fields := map[string][]byte{}
	collectFields(fields, "", m)
	return fields
}

func collectFields(into map[string][]byte, prefix string, m protoreflect.Message) {
	var only protoreflect.Message
	for field, value := range m.Range {
		path := prefix + string(field.Name())
		switch {
		case field.IsList() && value.List().Len() <= elementsNamed:
			into[path] = fmt.Append(nil, value.List().Len())
			for i := range value.List().Len() {
				into[path+"["+strconv.Itoa(i)+"]"] = canonical(m, field, value.List().Get(i))
			}
		case field.Message() != nil && !field.IsList() && !field.IsMap():
			into[path] = nil // that it is there
			collectFields(into, path+".", value.Message())
		default:
			if only == nil {
				only = m.New()
			}
			only.Set(field, value)
			into[path] = encoded(only.Interface())
			only.Clear(field)
		}
	}
}

// canonical is one element of a list in a form that is the same whenever it says the same.
func canonical(m protoreflect.Message, field protoreflect.FieldDescriptor, element protoreflect.Value) []byte {
	only := m.New()
	only.Mutable(field).List().Append(element)
	return encoded(only.Interface())
}

func encoded(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil { // the whole of it was encoded before
		return nil
	}
	return b
}
