package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// newAPIKey makes a credential of the acquirer.
func (s *stack) newAPIKey() *gatewayv1.CreateApiKeyResponse {
	s.t.Helper()
	made, err := s.partners.CreateApiKey(s.t.Context(), &gatewayv1.CreateApiKeyRequest{RequestId: uuid.NewString(), Description: "till 7"})
	must(s.t, err)
	return made
}

// csr is a request for a certificate.
func csr(t *testing.T, curve elliptic.Curve, name string) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, private)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func certificateRequest(t *testing.T) *gatewayv1.CreateClientCertificateRequest {
	return &gatewayv1.CreateClientCertificateRequest{
		RequestId: uuid.NewString(), Description: "mtls", Usage: gatewayv1.ClientCertificate_USAGE_MTLS, CertificateSigningRequest: csr(t, elliptic.P256(), "AQ4ZT9WN"),
	}
}

// newCertificate has Klarna certify a key.
func (s *stack) newCertificate() *gatewayv1.ClientCertificate {
	s.t.Helper()
	made, err := s.partners.CreateClientCertificate(s.t.Context(), certificateRequest(s.t))
	must(s.t, err)
	return made.GetClientCertificate()
}

func TestApiKeys_TheSecretComesWithTheAnswerToItsCreationAlone(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	made := s.newAPIKey()
	if !strings.HasPrefix(made.GetSecret(), "klarna_test_api_") {
		t.Fatalf("answered %v", made)
	}
	id := made.GetApiKey().GetCredentialId()
	list, err := s.partners.ListApiKeys(t.Context(), &gatewayv1.ListApiKeysRequest{})
	must(t, err)
	read, err := s.partners.GetApiKey(t.Context(), &gatewayv1.GetApiKeyRequest{CredentialId: id})
	must(t, err)
	for _, shown := range []proto.Message{list, read} {
		if strings.Contains(shown.(interface{ String() string }).String(), made.GetSecret()) {
			t.Errorf("shown again: %v", shown)
		}
	}
	if len(list.GetApiKeys()) != 2 || read.GetApiKey().GetDescription() != "till 7" || read.GetApiKey().GetDetails().GetFields()["created_at"] == nil {
		t.Errorf("listed %v, read %v", list, read)
	}
	_, err = s.partners.UpdateApiKey(t.Context(), &gatewayv1.UpdateApiKeyRequest{RequestId: uuid.NewString(), CredentialId: id, Description: "till 8"})
	must(t, err)
	_, err = s.partners.DisableApiKey(t.Context(), &gatewayv1.DisableApiKeyRequest{RequestId: uuid.NewString(), CredentialId: id})
	must(t, err)
	for _, req := range []proto.Message{
		&gatewayv1.GetApiKeyRequest{CredentialId: id}, &gatewayv1.DisableApiKeyRequest{RequestId: uuid.NewString(), CredentialId: id},
		&gatewayv1.UpdateApiKeyRequest{RequestId: uuid.NewString(), CredentialId: id}, &gatewayv1.GetClientCertificateRequest{CredentialId: id},
		&gatewayv1.RevokeClientCertificateRequest{RequestId: uuid.NewString(), CredentialId: id},
	} {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND, nil)
	}
	if strings.Contains(s.logs.String(), made.GetSecret()) {
		t.Error("the secret was logged")
	}
}

func TestApiKeys_AreNotMadeTwiceWhereKlarnaMayHaveForgotten(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, c := range []struct {
		fault string
		req   proto.Message
	}{
		{"createAPIKey", &gatewayv1.CreateApiKeyRequest{RequestId: uuid.NewString()}}, {"createCertificate", certificateRequest(t)},
	} {
		must(t, s.klarna.Fail(klarnatest.Fault{Operation: c.fault, LoseAnswer: true, Times: 1 + klarna.DefaultRetries}))
		if _, st := s.overGRPC(c.req); st.Code() != codes.Unavailable {
			t.Fatalf("with a lost answer: %v", st)
		}
		s.klarna.Advance(25 * time.Hour)
		s.refused(c.req, codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, nil)
		if n := len(s.effectsOf(c.fault)); n != 1 {
			t.Errorf("%s had %d effects", c.fault, n)
		}
	}
}

func TestClientCertificates_AreIssuedReadAndRevoked(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	made := s.newCertificate()
	block, _ := pem.Decode([]byte(made.GetCertificate()))
	if block == nil || made.GetUsage() != gatewayv1.ClientCertificate_USAGE_MTLS {
		t.Fatalf("answered %v", made)
	}
	_, err := s.partners.UpdateClientCertificate(t.Context(), &gatewayv1.UpdateClientCertificateRequest{RequestId: uuid.NewString(), CredentialId: made.GetCredentialId(), Description: "mtls 2026"})
	must(t, err)
	_, err = s.partners.RevokeClientCertificate(t.Context(), &gatewayv1.RevokeClientCertificateRequest{RequestId: uuid.NewString(), CredentialId: made.GetCredentialId()})
	must(t, err)
	read, err := s.partners.GetClientCertificate(t.Context(), &gatewayv1.GetClientCertificateRequest{CredentialId: made.GetCredentialId()})
	must(t, err)
	list, err := s.partners.ListClientCertificates(t.Context(), &gatewayv1.ListClientCertificatesRequest{})
	must(t, err)
	if c := read.GetClientCertificate(); c.GetDescription() != "mtls 2026" || c.GetCertificate() != made.GetCertificate() || c.GetDetails().GetFields()["revoked_from"] == nil || len(list.GetClientCertificates()) != 1 {
		t.Errorf("read %v, listed %v", read, list)
	}
}

func TestClientCertificates_RequestsThatKlarnaWouldRefuseAreNotSent(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	good := csr(t, elliptic.P256(), "x")
	for rule, text := range map[string]string{
		"PEM block": "MIH", "prime256v1": csr(t, elliptic.P384(), "x"), "64 characters": csr(t, elliptic.P256(), strings.Repeat("x", 65)),
		"PKCS #10": "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n",
	} {
		req := certificateRequest(t)
		req.CertificateSigningRequest = text
		s.refused(req, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"certificate_signing_request": rule})
	}
	block, _ := pem.Decode([]byte(good))
	block.Bytes[len(block.Bytes)-1] ^= 1
	req := certificateRequest(t)
	req.CertificateSigningRequest = string(pem.EncodeToMemory(block))
	s.refused(req, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"certificate_signing_request": "signature"})
	if n := s.klarna.CallCount("createCertificate"); n != 0 {
		t.Errorf("Klarna was asked %d times", n)
	}
}

func TestEnforceMtls_DoesNotLockTheGatewayOut(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	enforce := &gatewayv1.EnforceMtlsRequest{RequestId: uuid.NewString()}
	s.refused(enforce, codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, nil)
	s.newCertificate() // which the gateway does not show
	s.refused(enforce, codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, nil)
	read, err := s.partners.GetMtlsEnforcement(t.Context(), &gatewayv1.GetMtlsEnforcementRequest{})
	must(t, err)
	if e := read.GetEnforcement(); e.GetMode() != "REPORTING" || e.GetVerificationStatus() != "NOT_PRESENT" || e.GetEnforceTime() != nil {
		t.Errorf("read %v", e)
	}
	if n := s.klarna.CallCount("enforceMTLS"); n != 0 {
		t.Errorf("Klarna was asked to enforce %d times", n)
	}
	s.klarna.AssumeCertificate()
	from := s.klarna.Now().Add(24 * time.Hour).Truncate(time.Second)
	_, err = s.partners.EnforceMtls(t.Context(), &gatewayv1.EnforceMtlsRequest{RequestId: uuid.NewString(), EnforceTime: timestamppb.New(from)})
	must(t, err)
	read, err = s.partners.GetMtlsEnforcement(t.Context(), &gatewayv1.GetMtlsEnforcementRequest{})
	must(t, err)
	if e := read.GetEnforcement(); !e.GetEnforceTime().AsTime().Equal(from) || e.GetVerificationStatus() != "VALID" {
		t.Errorf("planned %v", e)
	}
	_, err = s.partners.RemoveMtlsEnforcement(t.Context(), &gatewayv1.RemoveMtlsEnforcementRequest{RequestId: uuid.NewString()})
	must(t, err)
}

func TestAllowedIps_AreRead(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.klarna.AllowIPs(klarnatest.IPReporting, "192.0.2.0/24")
	read, err := s.partners.GetAllowedIps(t.Context(), &gatewayv1.GetAllowedIpsRequest{})
	must(t, err)
	if len(read.GetRanges()) != 1 || read.GetRanges()[0] != "192.0.2.0/24" || read.GetValidationStatus() != "DENIED" || read.GetDetails() == nil {
		t.Errorf("read %v", read)
	}
}

func TestCredentials_OverREST(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	key, certificate := s.newAPIKey().GetApiKey().GetCredentialId(), s.newCertificate().GetCredentialId()
	for _, req := range []proto.Message{
		&gatewayv1.CreateApiKeyRequest{RequestId: uuid.NewString()}, &gatewayv1.ListApiKeysRequest{}, &gatewayv1.GetApiKeyRequest{CredentialId: key},
		&gatewayv1.UpdateApiKeyRequest{RequestId: uuid.NewString(), CredentialId: key}, &gatewayv1.DisableApiKeyRequest{RequestId: uuid.NewString(), CredentialId: key},
		certificateRequest(t), &gatewayv1.ListClientCertificatesRequest{}, &gatewayv1.GetClientCertificateRequest{CredentialId: certificate},
		&gatewayv1.UpdateClientCertificateRequest{RequestId: uuid.NewString(), CredentialId: certificate},
		&gatewayv1.RevokeClientCertificateRequest{RequestId: uuid.NewString(), CredentialId: certificate, RevokeTime: timestamppb.Now()},
		&gatewayv1.GetMtlsEnforcementRequest{}, &gatewayv1.RemoveMtlsEnforcementRequest{RequestId: uuid.NewString()}, &gatewayv1.GetAllowedIpsRequest{},
	} {
		if status, body, _ := s.overREST(req, nil); status != http.StatusOK {
			t.Errorf("%T: status %d: %s", req, status, body)
		}
	}
}
