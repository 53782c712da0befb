package server

import (
	"regexp"
	"sync"

	rule "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// fieldOf is the path of the field that a violation is about. A rule over several fields of a message is about the one that its
// expression names first.
func fieldOf(v *protovalidate.Violation) string {
	path := protovalidate.FieldPathString(v.Proto.GetField())
	if field, ok := ruleFields()[v.Proto.GetRuleId()]; ok {
		return within(path, field)
	}
	return path
}

var named = regexp.MustCompile(`\bthis\.(\w+)`)

// ruleFields has, by the id of each rule over a whole message of this API, the field that it names first.
var ruleFields = sync.OnceValue(func() map[string]string {
	fields := make(map[string]string)
	eachRule(func(_ protoreflect.MessageDescriptor, r *rule.Rule) {
		if found := named.FindStringSubmatch(r.GetExpression()); found != nil {
			fields[r.GetId()] = found[1]
		}
	})
	return fields
})

// eachRule visits every rule over a whole message of this API.
func eachRule(visit func(protoreflect.MessageDescriptor, *rule.Rule)) {
	var walk func(protoreflect.MessageDescriptors)
	walk = func(messages protoreflect.MessageDescriptors) {
		for i := range messages.Len() {
			m := messages.Get(i)
			rules, _ := proto.GetExtension(m.Options(), rule.E_Message).(*rule.MessageRules)
			for _, r := range rules.GetCel() {
				visit(m, r)
			}
			walk(m.Messages())
		}
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("gateway.v1", func(file protoreflect.FileDescriptor) bool {
		walk(file.Messages())
		return true
	})
}
