package server

import (
	"context"
	"crypto/x509"
	"net"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// peerCertificateKey carries the certificates of a REST client, verified by the REST listener, over the in-memory
// connection. Nobody else's is believed: see inner.
const peerCertificateKey = "gateway-peer-certificate-bin"

// identify finds out who calls. Health needs nobody.
func (s *Server) identify(ctx context.Context, method string) (access.Caller, error) {
	if strings.HasPrefix(method, "/"+healthv1.Health_ServiceDesc.ServiceName+"/") {
		return access.Caller{}, nil
	}
	if !s.callers.Required() {
		return access.Caller{DebtorData: s.debtorData}, nil
	}
	who, err := s.callers.Identify(bearersOf(ctx), chainOf(ctx)...)
	if err != nil {
		s.log.DebugContext(ctx, "caller not authenticated", "method", method, "error", err)
		return access.Caller{}, reason(codes.Unauthenticated, gatewayv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, s.wanted())
	}
	return who, nil
}

// wanted says what a caller has to present.
func (s *Server) wanted() string {
	switch tokens := len(s.callers.Tokens)+len(s.callers.TokenFiles)+len(s.callers.Issuers) > 0; {
	case tokens && len(s.callers.Certificates) > 0:
		return "a valid bearer token or a client certificate is required"
	case tokens:
		return "a valid bearer token is required"
	}
	return "a client certificate is required"
}

func bearersOf(ctx context.Context) (all []string) {
	for _, value := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		if scheme, token, _ := strings.Cut(value, " "); strings.EqualFold(scheme, "Bearer") {
			all = append(all, token)
		}
	}
	return all
}

// chainOf is the verified certificate of a gRPC client, or of a REST client whose call came in on the in-memory connection,
// with those that it was verified by; nil without one.
func chainOf(ctx context.Context) (chain []*x509.Certificate) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	if inner(from.Addr) {
		for _, carried := range metadata.ValueFromIncomingContext(ctx, peerCertificateKey) {
			cert, err := x509.ParseCertificate([]byte(carried))
			if err != nil {
				return nil
			}
			chain = append(chain, cert)
		}
		return chain
	}
	over, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok || len(over.State.VerifiedChains) == 0 {
		return nil
	}
	return over.State.VerifiedChains[0]
}

// inner tells the in-memory connection between REST and gRPC, on which only the gateway itself can write.
func inner(a net.Addr) bool { return a != nil && a.Network() == "bufconn" }

// callerOf is who makes a call; nobody where nobody has to authenticate.
func callerOf(ctx context.Context) access.Caller {
	if d := decisionOf(ctx); d != nil {
		return d.caller
	}
	return access.Caller{}
}

// mayShowDebtors refuses a wish to see debtors' data that the caller may not have.
func mayShowDebtors(ctx context.Context, wanted bool) error {
	d := decisionOf(ctx)
	switch {
	case d == nil:
	case !wanted:
		d.grant = d.grant.Without(access.PersonalData) // the call does not lean on it
		return nil
	case d.scoped(access.PersonalData):
		return nil
	}
	return withInfo(codes.PermissionDenied, gatewayv1.ErrorReason_ERROR_REASON_DEBTOR_DATA_NOT_PERMITTED,
		"the caller may not see debtors' names and account numbers; leave include_debtor_data out", map[string]string{"scope": access.PersonalData})
}
