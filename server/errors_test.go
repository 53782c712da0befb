package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// answered is a status taken apart.
type answered struct {
	code       codes.Code
	message    string
	info       *errdetails.ErrorInfo
	violations []*errdetails.BadRequest_FieldViolation
	retry      time.Duration
}

func takeApart(t *testing.T, err error) (a answered) {
	t.Helper()
	st, ok := status.FromError(err)
	if !ok {
		t.Fatalf("no status: %v", err)
	}
	a.code, a.message, a.info = st.Code(), st.Message(), &errdetails.ErrorInfo{}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			a.info = d
		case *errdetails.BadRequest:
			a.violations = d.GetFieldViolations()
		case *errdetails.RetryInfo:
			a.retry = d.GetRetryDelay().AsDuration()
		default:
			t.Errorf("unexpected detail %T", d)
		}
	}
	return a
}

// wantStatus checks code and reason of what an error becomes.
func wantStatus(t *testing.T, err error, code codes.Code, reason string) answered {
	t.Helper()
	a := takeApart(t, toStatus(err))
	if a.code != code || a.info.GetReason() != reason {
		t.Errorf("%v is %s %s, want %s %s", err, a.code, a.info.GetReason(), code, reason)
	}
	if reason != "" && a.info.GetDomain() != "klarna-gateway.internal" {
		t.Errorf("domain %q", a.info.GetDomain())
	}
	return a
}

func TestToStatus_LeavesSuccessAndStatusesAlone(t *testing.T) {
	t.Parallel()
	if err := toStatus(nil); err != nil {
		t.Errorf("nil became %v", err)
	}
	ready := reason(codes.NotFound, gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND, "gone", badRequest(nil))
	for _, err := range []error{ready, fmt.Errorf("handler: %w", ready)} {
		if diff := cmp.Diff(status.Convert(ready).Proto(), status.Convert(toStatus(err)).Proto(), protocmp.Transform()); diff != "" {
			t.Errorf("%v: %s", err, diff)
		}
	}
}

func TestToStatus_MapsWhatOtherPackagesReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		code   codes.Code
		reason string
		retry  time.Duration
	}{
		{klarna.ErrOutcomeUnknown, codes.Unavailable, "OUTCOME_UNKNOWN", time.Second},
		{fmt.Errorf("%w: %w", klarna.ErrOutcomeUnknown, context.DeadlineExceeded), codes.Unavailable, "OUTCOME_UNKNOWN", time.Second},
		{fmt.Errorf("%w: %w", klarna.ErrOutcomeUnknown, store.ErrNotFound), codes.Unavailable, "OUTCOME_UNKNOWN", time.Second},
		{klarna.ErrUnavailable, codes.Unavailable, "KLARNA_UNAVAILABLE", 5 * time.Second},
		{&store.TrimmedError{}, codes.OutOfRange, "RESUME_TOKEN_TOO_OLD", 0},
		{store.ErrNotFound, codes.NotFound, "NOT_FOUND", 0},
		{context.Canceled, codes.Canceled, "", 0},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "", 0},
	} {
		for _, err := range []error{c.err, fmt.Errorf("read: %w", c.err)} {
			if a := wantStatus(t, err, c.code, c.reason); a.retry != c.retry {
				t.Errorf("%v: retry after %s, want %s", err, a.retry, c.retry)
			}
		}
	}
}

func TestToStatus_TellsNothingOfAFaultOfOurs(t *testing.T) {
	t.Parallel()
	a := wantStatus(t, errors.New(`SELECT * FROM events: dial tcp db-1.internal: refused`), codes.Internal, "INTERNAL")
	if a.message != "internal error" || len(a.info.GetMetadata()) != 0 || a.violations != nil {
		t.Errorf("%+v", a)
	}
}

// ownError refuses like the operation package.
type ownError struct {
	reason, message, field string
	retry                  time.Duration
	metadata               map[string]string
}

func (e ownError) Error() string               { return e.message }
func (e ownError) Reason() string              { return e.reason }
func (e ownError) Field() string               { return e.field }
func (e ownError) RetryDelay() time.Duration   { return e.retry }
func (e ownError) Metadata() map[string]string { return e.metadata }

func TestToStatus_AnswersRefusalsOfOurs(t *testing.T) {
	t.Parallel()
	a := wantStatus(t, fmt.Errorf("create order: %w", ownError{reason: "NOT_AUTHORIZED", message: "not yet"}), codes.FailedPrecondition, "NOT_AUTHORIZED")
	if a.message != "not yet" || a.violations != nil || a.retry != 0 {
		t.Errorf("%+v", a)
	}
	refused := &klarna.Error{Family: klarna.OrderManagement, Operation: "captureOrder", Status: 403, Code: "CAPTURE_NOT_ALLOWED"}
	left := ownError{reason: "CAPTURE_NOT_ALLOWED", message: "70 EUR are left", metadata: map[string]string{"remaining_amount_minor": "70"}}
	a = wantStatus(t, fmt.Errorf("%w: %w", left, refused), codes.FailedPrecondition, "CAPTURE_NOT_ALLOWED")
	if m := a.info.GetMetadata(); m["remaining_amount_minor"] != "70" || m["klarna_error_code"] != "CAPTURE_NOT_ALLOWED" {
		t.Errorf("metadata %v", m)
	}
	a = wantStatus(t, ownError{reason: "INVALID_FIELD", message: "must be EUR", field: "amount.currency_code"}, codes.InvalidArgument, "INVALID_FIELD")
	if len(a.violations) != 1 || a.violations[0].GetField() != "amount.currency_code" || a.violations[0].GetDescription() != "must be EUR" {
		t.Errorf("%v", a.violations)
	}
	a = wantStatus(t, ownError{reason: "REQUEST_IN_PROGRESS", message: "wait", retry: 3 * time.Second}, codes.Aborted, "REQUEST_IN_PROGRESS")
	if a.retry != 3*time.Second {
		t.Errorf("retry after %s", a.retry)
	}
	for _, unknown := range []string{"", "UNSPECIFIED", "NO_SUCH_REASON"} {
		if a := wantStatus(t, ownError{reason: unknown, message: "secret"}, codes.Internal, "INTERNAL"); a.message != "internal error" {
			t.Errorf("%q: %s", unknown, a.message)
		}
	}
}

func TestToStatus_KnowsTheOperationsRefusals(t *testing.T) {
	t.Parallel()
	none := operation.New(operation.Config{Journal: journal.New(journal.Config{})})
	_, err := none.CreateOrder(t.Context(), operation.Request{MerchantAccount: "shop"}, operation.NewOrder{})
	wantStatus(t, err, codes.NotFound, "MERCHANT_ACCOUNT_UNKNOWN")
}

// TestVerdicts_AreWhatTheContractPromises reads the codes out of the comments of error_reason.proto.
func TestVerdicts_AreWhatTheContractPromises(t *testing.T) {
	t.Parallel()
	contract, err := os.ReadFile("../proto/gateway/v1/error_reason.proto")
	if err != nil {
		t.Fatal(err)
	}
	promised := map[string]codes.Code{}
	promise := regexp.MustCompile(`// ([A-Z_]+): [^\n]*\n(?:  //[^\n]*\n)*  (ERROR_REASON_[A-Z_]+) =`)
	for _, m := range promise.FindAllSubmatch(contract, -1) {
		var code codes.Code
		if err := code.UnmarshalJSON([]byte(`"` + string(m[1]) + `"`)); err != nil {
			t.Fatalf("%s: %v", m[2], err)
		}
		promised[string(m[2])] = code
	}
	for number, name := range gatewayv1.ErrorReason_name {
		if number == 0 {
			continue
		}
		code, found := promised[name]
		v, known := verdicts[gatewayv1.ErrorReason(number)]
		if !found || !known || v.code != code || v.message == "" {
			t.Errorf("%s: promised %s (%t), the verdict is %s %q (%t)", name, code, found, v.code, v.message, known)
		}
	}
}
