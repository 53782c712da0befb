package server

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// checkGolden compares a value's JSON with a file of testdata.
func checkGolden(t *testing.T, name string, got any) {
	t.Helper()
	encoded, err := json.Marshal(got)
	if m, ok := got.(proto.Message); ok {
		encoded, err = protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	}
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer // protojson's spacing varies on purpose
	if err := json.Indent(&indented, encoded, "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, indented.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// fixture reads a JSON file of testdata into a message of ours or a type of Klarna's. Members that it does not have
// are mistakes in the file.
func fixture[T any](t *testing.T, name string, into T) T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := any(into).(proto.Message); ok {
		err = protojson.Unmarshal(data, m)
	} else {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return into
}

// complete makes sure that a message has every field set, so that a conversion that forgets one is seen.
func complete(t *testing.T, m proto.Message, except ...string) {
	t.Helper()
	left := map[string]bool{}
	for _, name := range except {
		left[name] = true
	}
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); !m.ProtoReflect().Has(f) && !left[string(f.Name())] {
			t.Errorf("%s is not set in %s", f.Name(), m.ProtoReflect().Descriptor().Name())
		}
	}
}

// hasField tells whether a path such as "order_lines[0].name" leads to a field.
func hasField(d protoreflect.MessageDescriptor, path string) bool {
	for name := range bytes.SplitSeq([]byte(path), []byte(".")) {
		if d == nil {
			return false
		}
		plain, _, indexed := bytes.Cut(name, []byte("["))
		field := d.Fields().ByName(protoreflect.Name(plain))
		if field == nil || field.IsList() != indexed {
			return false
		}
		d = field.Message()
	}
	return true
}
