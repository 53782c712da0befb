package server

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// errorDomain is the domain of every ErrorInfo.
const errorDomain = "klarna-gateway.internal"

// ownRefusal is an answer of ours, not of Klarna's: what was asked for is not possible as things stand. Its text is
// written for the caller, unlike that of any other error. The operation package refuses with it.
type ownRefusal interface {
	error
	Reason() string              // name in the ErrorReason enum, without its prefix
	Field() string               // field of the request that is at fault; may be empty
	RetryDelay() time.Duration   // when a repeat makes sense; 0 if it does not
	Metadata() map[string]string // what a program may want to know; may be nil
}

// toStatus is the one place where an error becomes a status. What was made into a status before stays as it is; what
// no case knows is INTERNAL and tells nothing of what it was. Nil stays nil.
func toStatus(err error) error {
	var (
		ready       interface{ GRPCStatus() *status.Status }
		ours        ownRefusal
		refused     *klarna.Error
		misdirected *klarna.MisdirectedError
		trimmed     *store.TrimmedError
	)
	errors.As(err, &refused) // the errors below may wrap it; its ids then go along, whatever the reason
	lost := unansweredCall(err, refused)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ready) && ready.GRPCStatus().Code() != codes.OK:
		return ready.GRPCStatus().Err()
	case errors.As(err, &ours):
		return ownStatus(ours, refused)
	case errors.As(err, &misdirected):
		return misdirectedStatus(misdirected)
	case errors.Is(err, klarna.ErrOutcomeUnknown): // before the deadline and the 5xx that it may wrap
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, lost)
	case errors.Is(err, klarna.ErrUnavailable):
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_KLARNA_UNAVAILABLE, lost)
	case refused != nil:
		return refusedStatus(refused)
	case lost != nil:
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_KLARNA_UNEXPECTED, lost)
	case errors.As(err, &trimmed):
		return trimmedStatus(trimmed)
	case errors.Is(err, errUnread):
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_WATCH_NOT_READ, nil)
	case errors.Is(err, store.ErrNotFound):
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND, nil)
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the call was cancelled")
	case errors.Is(err, store.ErrUnavailable):
		return status.Error(codes.Unavailable, "the gateway's database does not answer; repeat the call, a write with the same request_id")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the call's time ran out")
	default:
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_INTERNAL, nil)
	}
}

// reason makes the status of a reason that is known where it occurs.
func reason(c codes.Code, r gatewayv1.ErrorReason, msg string, details ...protoadapt.MessageV1) error {
	return withInfo(c, r, msg, nil, details...)
}

// invalid is INVALID_ARGUMENT with every violation; nil without one.
func invalid(violations ...*errdetails.BadRequest_FieldViolation) error {
	if len(violations) == 0 {
		return nil
	}
	v := verdicts[gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD]
	return reason(v.code, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, v.message, badRequest(violations))
}

// ownStatus is the status of a refusal of ours. A reason that the API does not have is a fault of ours.
func ownStatus(ours ownRefusal, refused *klarna.Error) error {
	r := gatewayv1.ErrorReason(gatewayv1.ErrorReason_value[reasonPrefix+ours.Reason()])
	v, known := verdicts[r]
	if !known {
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_INTERNAL, refused)
	}
	var details []protoadapt.MessageV1
	if field := ours.Field(); field != "" {
		details = append(details, badRequest([]*errdetails.BadRequest_FieldViolation{
			{Field: field, Description: ours.Error(), Reason: ours.Reason()},
		}))
	}
	delay := ours.RetryDelay()
	if delay == 0 {
		delay = v.retry
	}
	metadata := klarnaMetadata(refused)
	if more := ours.Metadata(); len(more) > 0 {
		if metadata == nil {
			metadata = map[string]string{}
		}
		maps.Copy(metadata, more)
	}
	return withInfo(v.code, r, ours.Error(), metadata, append(details, retryInfo(delay)...)...)
}

// reasonStatus is the status that belongs to a reason, with what Klarna told if Klarna is behind it.
func reasonStatus(r gatewayv1.ErrorReason, refused *klarna.Error, details ...protoadapt.MessageV1) error {
	v := verdicts[r]
	delay := v.retry
	if refused != nil && refused.RetryAfter > 0 {
		delay = refused.RetryAfter
	}
	return withInfo(v.code, r, v.message, klarnaMetadata(refused), append(details, retryInfo(delay)...)...)
}

// trimmedStatus says what a watch can still begin with.
func trimmedStatus(trimmed *store.TrimmedError) error {
	const r = gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_TOO_OLD
	v := verdicts[r]
	return withInfo(v.code, r, v.message, map[string]string{"oldest_position": strconv.FormatInt(int64(trimmed.UpTo)+1, 10)})
}

const reasonPrefix = "ERROR_REASON_"

func reasonName(r gatewayv1.ErrorReason) string { return strings.TrimPrefix(r.String(), reasonPrefix) }

// withInfo puts an ErrorInfo in front of the details.
func withInfo(c codes.Code, r gatewayv1.ErrorReason, msg string, metadata map[string]string, details ...protoadapt.MessageV1) error {
	st := status.New(c, msg)
	info := &errdetails.ErrorInfo{Reason: reasonName(r), Domain: errorDomain, Metadata: metadata}
	detailed, err := st.WithDetails(append([]protoadapt.MessageV1{info}, details...)...)
	if err != nil { // a detail that cannot be encoded costs the details, not the code
		return st.Err()
	}
	return detailed.Err()
}

// unansweredCall is the refusal, or what is known of a call that got no answer that makes sense: its name and ids.
func unansweredCall(err error, refused *klarna.Error) *klarna.Error {
	var call *klarna.CallError
	if refused != nil || !errors.As(err, &call) {
		return refused
	}
	return &klarna.Error{Operation: call.Operation, CorrelationID: call.CorrelationID}
}

// klarnaMetadata is what an operator or Klarna's support needs to find the call, and with what the caller may go on after
// a failed token charge. None of it is free text.
func klarnaMetadata(refused *klarna.Error) map[string]string {
	if refused == nil {
		return nil
	}
	metadata := map[string]string{
		"klarna_error_code":     refused.Code,
		"klarna_error_id":       refused.ID,
		"klarna_correlation_id": refused.CorrelationID,
		"klarna_http_status":    strconv.Itoa(refused.Status),
		"klarna_operation":      refused.Operation,
		"step_up_id":            refused.StepUpID,
	}
	for key, value := range metadata {
		if value == "" || key == "klarna_http_status" && refused.Status == 0 {
			delete(metadata, key)
		}
	}
	return metadata
}

func badRequest(violations []*errdetails.BadRequest_FieldViolation) *errdetails.BadRequest {
	return &errdetails.BadRequest{FieldViolations: violations}
}

func retryInfo(delay time.Duration) []protoadapt.MessageV1 {
	if delay <= 0 {
		return nil
	}
	return []protoadapt.MessageV1{&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}}
}
