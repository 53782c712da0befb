package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
)

// TestDocument_MessagesHaveGoldenJSON pins the JSON of every request and response of the API, with every field set: what a caller
// writes is what the gateway reads, and the other way round. A new message or field has no golden file until it is made
// with -update.
func TestDocument_MessagesHaveGoldenJSON(t *testing.T) {
	t.Parallel()
	kept := map[string]bool{}
	for _, m := range methods() {
		for _, d := range []protoreflect.MessageDescriptor{m.Input(), m.Output()} {
			name := filepath.Join("messages", string(d.Name())+".json")
			if kept[name] {
				continue
			}
			kept[name] = true
			for i, message := range whole(t, d) {
				file := name
				if i > 0 {
					file = strings.TrimSuffix(name, ".json") + fmt.Sprintf("_%d.json", i)
					kept[file] = true
				}
				checkGolden(t, file, message)
				data, err := os.ReadFile(filepath.Join("testdata", file))
				must(t, err)
				read := message.ProtoReflect().New().Interface()
				if err := protojson.Unmarshal(data, read); err != nil {
					t.Errorf("%s: %v", file, err)
				}
				if diff := cmp.Diff(message, read, protocmp.Transform()); diff != "" {
					t.Errorf("%s reads otherwise: %s", file, diff)
				}
			}
		}
	}
	files, err := filepath.Glob("testdata/messages/*.json")
	must(t, err)
	for _, file := range files {
		if name, _ := filepath.Rel("testdata", file); !kept[name] {
			t.Errorf("%s is of no message of the API", file)
		}
	}
}

// whole are messages of a type that have every field set between them: as many as its oneofs have choices.
func whole(t *testing.T, d protoreflect.MessageDescriptor) (all []proto.Message) {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	must(t, err)
	choices := 1
	for i := range d.Oneofs().Len() {
		if o := d.Oneofs().Get(i); !o.IsSynthetic() {
			choices = max(choices, o.Fields().Len())
		}
	}
	for choice := range choices {
		m := kind.New()
		fill(m, choice, 0)
		all = append(all, m.Interface())
	}
	return all
}

// fill sets every field; of a oneof the choice that is asked for. What holds itself ends after a few levels.
func fill(m protoreflect.Message, choice, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() && o.Fields().Get(choice%o.Fields().Len()) != f {
			continue
		}
		if f.Message() != nil && depth > 6 {
			continue
		}
		switch {
		case f.IsMap():
			value := m.Mutable(f).Map()
			element := value.NewValue()
			if f.MapValue().Message() != nil {
				fill(element.Message(), choice, depth+1)
			} else {
				element = sampleOf(f.MapValue())
			}
			value.Set(sampleOf(f.MapKey()).MapKey(), element)
		case f.IsList():
			list := m.Mutable(f).List()
			if f.Message() != nil {
				fillMessage(list.AppendMutable().Message(), choice, depth+1)
			} else {
				list.Append(sampleOf(f))
			}
		case f.Message() != nil:
			fillMessage(m.Mutable(f).Message(), choice, depth+1)
		default:
			m.Set(f, sampleOf(f))
		}
	}
}

// fillMessage knows the types whose JSON is not that of their fields.
func fillMessage(m protoreflect.Message, choice, depth int) {
	fields := m.Descriptor().Fields()
	switch m.Descriptor().FullName() {
	case "google.protobuf.Timestamp", "google.protobuf.Duration":
		m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(1770000000))
	case "google.protobuf.Struct":
		text := m.Mutable(fields.ByName("fields")).Map().NewValue()
		text.Message().Set(text.Message().Descriptor().Fields().ByName("string_value"), protoreflect.ValueOfString("value"))
		m.Mutable(fields.ByName("fields")).Map().Set(protoreflect.ValueOfString("field").MapKey(), text)
	case "google.protobuf.Value":
		m.Set(fields.ByName("string_value"), protoreflect.ValueOfString("value"))
	case "google.protobuf.Any":
	default:
		fill(m, choice, depth)
	}
}

// sampleOf is a value that is not the default.
func sampleOf(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(f.Enum().Values().Get(1).Number())
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(f.Number()))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(f.Number()))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(f.Number()))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(f.Number()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(0.5)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(f.Name()))
	default:
		return protoreflect.ValueOfString(string(f.Name()))
	}
}
