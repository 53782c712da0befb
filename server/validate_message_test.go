package server

import (
	"slices"
	"testing"

	rule "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// Whatever a rule is over, its violation names a field that there is, and no two rules share an id.
func TestValidate_EveryRuleOverAMessageNamesAField(t *testing.T) {
	t.Parallel()
	var ids []string
	eachRule(func(m protoreflect.MessageDescriptor, r *rule.Rule) {
		field := ruleFields()[r.GetId()]
		if m.Fields().ByName(protoreflect.Name(field)) == nil {
			t.Errorf("%s of %s names the field %q", r.GetId(), m.Name(), field)
		}
		if slices.Contains(ids, r.GetId()) {
			t.Errorf("%s is the id of two rules", r.GetId())
		}
		ids = append(ids, r.GetId())
	})
	if len(ids) < 15 {
		t.Errorf("%d rules were found", len(ids))
	}
}

func TestValidate_RulesOverAMessageNameTheFieldToMend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		request     proto.Message
		field, rule string
	}{
		{&gatewayv1.ActOnAttentionRequest{Action: gatewayv1.AttentionAction_ATTENTION_ACTION_DISMISS}, "note", "act_on_attention.dismiss_needs_note"},
		{&gatewayv1.GetEventRequest{}, "event_id", "get_event.one_name"},
		{&gatewayv1.ListEventsRequest{FromPosition: 9, UntilPosition: 8}, "until_position", "list_events.begins_before_its_end"},
		{&gatewayv1.CreateStoreRequest{Store: &gatewayv1.Store{Type: gatewayv1.Store_TYPE_WEBSITE}}, "store.url", "store.website_needs_url"},
	} {
		found := takeApart(t, validate(rules(t), c.request)).violations
		if !slices.ContainsFunc(found, func(v *errdetails.BadRequest_FieldViolation) bool {
			return v.GetField() == c.field && v.GetReason() == c.rule
		}) {
			t.Errorf("%T: no violation of %s at %s: %v", c.request, c.rule, c.field, found)
		}
	}
}
