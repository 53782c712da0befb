package server

import (
	"cmp"
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	"golang.org/x/text/currency"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// validate checks a request against the rules beside its fields and against ISO 4217. The error is INVALID_ARGUMENT
// with all violations at once, or a fault of the rules themselves.
func validate(v protovalidate.Validator, msg proto.Message) error {
	var (
		violations []*errdetails.BadRequest_FieldViolation
		broken     *protovalidate.ValidationError
	)
	if err := v.Validate(msg); errors.As(err, &broken) {
		for _, b := range broken.Violations {
			violations = append(violations, &errdetails.BadRequest_FieldViolation{
				Field:       fieldOf(b),
				Description: cmp.Or(b.Proto.GetMessage(), "breaks the rule "+b.Proto.GetRuleId()),
				Reason:      b.Proto.GetRuleId(),
			})
		}
	} else if err != nil {
		return fmt.Errorf("validate %s: %w", msg.ProtoReflect().Descriptor().FullName(), err)
	}
	return invalid(append(violations, unknownCurrencies(msg)...)...)
}

// unknownCurrencies finds every Money in a message whose currency is of the right form but not one of ISO 4217's.
func unknownCurrencies(msg proto.Message) []*errdetails.BadRequest_FieldViolation {
	var found []*errdetails.BadRequest_FieldViolation
	eachMessage("", msg.ProtoReflect(), func(path string, m protoreflect.Message) {
		if money, ok := m.Interface().(*gatewayv1.Money); ok {
			found = append(found, currencyFlaws(path, money)...)
		}
	})
	return found
}

// currencyFlaws checks the currency of one Money; nil has no flaw. Codes of the wrong form are left to the field's own
// rule, so that none is told of twice. XXX is "no currency".
func currencyFlaws(fieldPath string, m *gatewayv1.Money) []*errdetails.BadRequest_FieldViolation {
	code := m.GetCurrencyCode()
	if m == nil || !currencyForm(code) {
		return nil
	}
	if unit, err := currency.ParseISO(code); err == nil && unit != currency.XXX {
		return nil
	}
	return []*errdetails.BadRequest_FieldViolation{{
		Field: within(fieldPath, "currency_code"), Description: "is not a currency of ISO 4217", Reason: "currency.iso_4217",
	}}
}

func currencyForm(code string) bool {
	if len(code) != 3 {
		return false
	}
	for _, c := range code {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// eachMessage visits a message and every message inside it in the order of their fields, with the path to it. Maps are
// left out: this API has none of its own.
func eachMessage(path string, m protoreflect.Message, visit func(path string, m protoreflect.Message)) {
	visit(path, m)
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Message() == nil || field.IsMap() || !m.Has(field) {
			continue
		}
		inner := within(path, string(field.Name()))
		if !field.IsList() {
			eachMessage(inner, m.Get(field).Message(), visit)
			continue
		}
		for j, list := 0, m.Get(field).List(); j < list.Len(); j++ {
			eachMessage(fmt.Sprintf("%s[%d]", inner, j), list.Get(j).Message(), visit)
		}
	}
}

func within(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
