package server

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// wishFields are the fields by which a request asks for all personal data.
var wishFields = []protoreflect.Name{"include_debtor_data", "include_raw"}

// wish is which personal data a call asks for.
type wish int

// The wishes: what a request has no field for is asked for by calling, except bank accounts, which stand beside what is
// asked for in many responses; and a watch that does not ask gets nothing.
const (
	wishNothing wish = iota
	wishOwn
	wishAll
)

// has tells whether a kind of personal data is asked for.
func (w wish) has(kind gatewayv1.PersonalData) bool {
	return w == wishAll || w == wishOwn && kind != gatewayv1.PersonalData_PERSONAL_DATA_BANK_ACCOUNT
}

// withheldKey is the header of a response from which personal data was left out, so that empty fields are not taken for
// what is on record.
const withheldKey = "gateway-personal-data"

var withheld = metadata.Pairs(withheldKey, "withheld")

// hold is which fields of a message are not for everybody, and which messages in it have such fields.
type hold struct {
	personal []personalField
	secret   []protoreflect.FieldDescriptor
	inside   []protoreflect.FieldDescriptor
}

type personalField struct {
	protoreflect.FieldDescriptor
	kind gatewayv1.PersonalData
}

var held sync.Map // of *hold by full name

// holdOf finds out once per type of message what the options of its fields say.
func holdOf(d protoreflect.MessageDescriptor) *hold {
	if known, ok := held.Load(d.FullName()); ok {
		return known.(*hold)
	}
	h := &hold{}
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		switch kind := personalData(field); {
		case secret(field):
			h.secret = append(h.secret, field)
		case kind == gatewayv1.PersonalData_PERSONAL_DATA_NONE:
		case kind != gatewayv1.PersonalData_PERSONAL_DATA_UNSPECIFIED:
			h.personal = append(h.personal, personalField{field, kind})
		case field.Message() != nil && holdsAny(field.Message(), map[protoreflect.FullName]bool{}):
			h.inside = append(h.inside, field)
		}
	}
	held.Store(d.FullName(), h)
	return h
}

// holdsAny tells whether a message has such fields, at whatever depth.
func holdsAny(d protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[d.FullName()] {
		return false
	}
	seen[d.FullName()] = true
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		kind := personalData(field)
		if secret(field) || kind > gatewayv1.PersonalData_PERSONAL_DATA_NONE {
			return true
		}
		if field.Message() != nil && kind == gatewayv1.PersonalData_PERSONAL_DATA_UNSPECIFIED && holdsAny(field.Message(), seen) {
			return true
		}
	}
	return false
}

// personalData is the kind of personal data that a field holds by its option.
func personalData(field protoreflect.FieldDescriptor) gatewayv1.PersonalData {
	options, _ := field.Options().(*descriptorpb.FieldOptions)
	kind, _ := proto.GetExtension(options, gatewayv1.E_Personal).(gatewayv1.PersonalData)
	return kind
}

func secret(field protoreflect.FieldDescriptor) bool {
	options, _ := field.Options().(*descriptorpb.FieldOptions)
	return options.GetDebugRedact()
}

// eachHeld visits the fields of a message that are set and hold personal data, of some kind, or, if wanted, secrets.
func eachHeld(m protoreflect.Message, secrets bool, visit func(protoreflect.Message, protoreflect.FieldDescriptor, gatewayv1.PersonalData)) {
	h := holdOf(m.Descriptor())
	for _, field := range h.personal {
		if m.Has(field.FieldDescriptor) {
			visit(m, field.FieldDescriptor, field.kind)
		}
	}
	for _, field := range h.secret {
		if secrets && m.Has(field) {
			visit(m, field, gatewayv1.PersonalData_PERSONAL_DATA_UNSPECIFIED)
		}
	}
	for _, field := range h.inside {
		switch {
		case !m.Has(field) || field.IsMap(): // the API has no maps of its own
		case field.IsList():
			for list, i := m.Get(field).List(), 0; i < list.Len(); i++ {
				eachHeld(list.Get(i).Message(), secrets, visit)
			}
		default:
			eachHeld(m.Get(field).Message(), secrets, visit)
		}
	}
}

// withhold empties the fields of a message that hold other personal data than may be seen, and tells whether there were
// any.
func withhold(m proto.Message, seen wish) (any bool) {
	if seen == wishAll {
		return false
	}
	eachHeld(m.ProtoReflect(), false, func(in protoreflect.Message, field protoreflect.FieldDescriptor, kind gatewayv1.PersonalData) {
		if !seen.has(kind) {
			in.Clear(field)
			any = true
		}
	})
	return any
}

// asks notes whether the call asks for personal data.
func (d *decision) asks(req proto.Message, watch bool) {
	if d == nil {
		return
	}
	d.wish = wishOwn
	if watch {
		d.wish = wishNothing
	}
	m := req.ProtoReflect()
	for _, name := range wishFields {
		if field := m.Descriptor().Fields().ByName(name); field != nil && m.Get(field).Bool() {
			d.wish = wishAll
		}
	}
}

// sees is which personal data the call's answer may hold: what is asked for and permitted.
func (d *decision) sees() wish {
	if d == nil || d.ticket != nil {
		return wishNothing
	}
	if !d.scoped(access.PersonalData) {
		return wishNothing
	}
	return d.wish
}

// show leaves personal data out of a response that is not for the caller to see it in, and says so in a header.
func show(ctx context.Context, res any) {
	m, ok := res.(proto.Message)
	if !ok || !withhold(m, decisionOf(ctx).sees()) {
		return
	}
	_ = grpc.SetHeader(ctx, withheld) // copies it; a watch has sent its headers
}

// redacted is a message as it may stand in logs: what is personal or secret in it is left out or ***.
type redacted struct{ proto.Message }

// LogValue implements slog.LogValuer.
func (r redacted) LogValue() slog.Value {
	m := proto.Clone(r.Message)
	eachHeld(m.ProtoReflect(), true, func(in protoreflect.Message, field protoreflect.FieldDescriptor, _ gatewayv1.PersonalData) {
		if field.Kind() == protoreflect.StringKind && !field.IsList() {
			in.Set(field, protoreflect.ValueOfString("***"))
			return
		}
		in.Clear(field)
	})
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil { // strings that are not UTF-8
		return slog.StringValue(string(m.ProtoReflect().Descriptor().FullName()))
	}
	return slog.StringValue(string(text))
}

// Loggable is a message of the API as it may stand in logs: without what is personal or secret.
func Loggable(m proto.Message) slog.Value { return redacted{m}.LogValue() }

// HeldNames are the names that fields of the API with personal data or secrets have, as in the protos and as in JSON:
// what stands under such a name elsewhere is of the same kind.
func HeldNames() []string {
	names := map[string]bool{}
	protoregistry.GlobalFiles.RangeFilesByPackage("gateway.v1", func(file protoreflect.FileDescriptor) bool {
		heldNames(file.Messages(), names)
		return true
	})
	return slices.Sorted(maps.Keys(names))
}

func heldNames(all protoreflect.MessageDescriptors, names map[string]bool) {
	for i := range all.Len() {
		heldNames(all.Get(i).Messages(), names)
		fields := all.Get(i).Fields()
		for j := range fields.Len() {
			field := fields.Get(j)
			if secret(field) || personalData(field) > gatewayv1.PersonalData_PERSONAL_DATA_NONE {
				names[string(field.Name())], names[field.JSONName()] = true, true
			}
		}
	}
}
