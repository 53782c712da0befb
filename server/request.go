package server

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/operation"
)

// mutation is what all requests that change something share.
type mutation interface {
	proto.Message
	GetRequestId() string
}

// once makes the record of a mutation: who asks for what. The content leaves out the request_id, and the merchant
// account is the resolved one, so that naming the default is no different from leaving it out. A UUID is the same in
// upper and lower case.
func once(ctx context.Context, merchantAccount string, req mutation) (operation.Request, error) {
	asked := req.ProtoReflect()
	m := asked.New() // shares what it holds with the request: it is read and no more
	for field, value := range asked.Range {
		if name := field.Name(); name != "request_id" && name != "merchant_account" {
			m.Set(field, value)
		}
	}
	m.SetUnknown(asked.GetUnknown())
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.Interface())
	if err != nil {
		return operation.Request{}, fmt.Errorf("encode request: %w", err)
	}
	return operation.Request{
		MerchantAccount: merchantAccount, ID: strings.ToLower(req.GetRequestId()), Caller: callerOf(ctx).Name, Content: encoded,
		Fields: fieldsOf(m.Descriptor(), encoded), Payment: new(journal.PaymentRecord),
	}, nil
}

func protoName(name string) protoreflect.Name { return protoreflect.Name(name) }

// violated is the detail that names one field and the rule it breaks.
func violated(field, rule, id string) *errdetails.BadRequest {
	return badRequest([]*errdetails.BadRequest_FieldViolation{violation(field, rule, id)})
}

func violation(field, rule, id string) *errdetails.BadRequest_FieldViolation {
	return &errdetails.BadRequest_FieldViolation{Field: field, Description: rule, Reason: id}
}

func unknownAccount(message string) error {
	return reason(codes.NotFound, gatewayv1.ErrorReason_ERROR_REASON_MERCHANT_ACCOUNT_UNKNOWN, message,
		violated("merchant_account", message, "merchant_account.known"))
}

func unsuitableAccount(message string) error {
	return reason(codes.FailedPrecondition, gatewayv1.ErrorReason_ERROR_REASON_MERCHANT_ACCOUNT_UNSUITABLE, message,
		violated("merchant_account", message, "merchant_account.suitable"))
}
