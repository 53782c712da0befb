package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// Token is a caller's bearer token, known by its digest alone.
type Token struct {
	Name       string   // of the caller, as it appears in logs and beside its requests
	SHA256     [32]byte // of the token
	DebtorData bool     // may see debtors' names and account numbers
}

// caller is who makes a call.
type caller struct {
	name       string
	debtorData bool
}

type callers struct {
	tokens []Token
	nobody caller // what callers are where nobody has to authenticate
}

func newCallers(tokens []Token, debtorData bool) callers {
	return callers{tokens: tokens, nobody: caller{debtorData: debtorData}}
}

// identify finds out who calls. Every token is compared, in constant time.
func (c callers) identify(ctx context.Context, method string) (caller, error) {
	if len(c.tokens) == 0 {
		return c.nobody, nil
	}
	if strings.HasPrefix(method, "/"+healthv1.Health_ServiceDesc.ServiceName+"/") {
		return caller{}, nil
	}
	var found *Token
	for _, value := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		scheme, token, _ := strings.Cut(value, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		sum := sha256.Sum256([]byte(token))
		for i := range c.tokens {
			if subtle.ConstantTimeCompare(sum[:], c.tokens[i].SHA256[:]) == 1 {
				found = &c.tokens[i]
			}
		}
	}
	if found == nil {
		return caller{}, reason(codes.Unauthenticated, gatewayv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, "a valid bearer token is required")
	}
	return caller{name: found.Name, debtorData: found.DebtorData}, nil
}

// admit returns the call's context with its caller, or without one if the error is not nil.
func (c callers) admit(ctx context.Context, method string) (context.Context, error) {
	who, err := c.identify(ctx, method)
	if err != nil {
		return ctx, err
	}
	return withCaller(ctx, who), nil
}

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// mayShowDebtors refuses a wish to see debtors' data that the caller may not have.
func mayShowDebtors(ctx context.Context, wanted bool) error {
	if wanted && !callerOf(ctx).debtorData {
		return reason(codes.PermissionDenied, gatewayv1.ErrorReason_ERROR_REASON_DEBTOR_DATA_NOT_PERMITTED,
			"the caller may not see debtors' names and account numbers; leave include_debtor_data out")
	}
	return nil
}
