package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// detailsFromKlarna is a JSON object as Klarna sent it, without these members; nil if it is none.
func detailsFromKlarna(raw json.RawMessage, without ...string) *structpb.Struct {
	details := &structpb.Struct{}
	if protojson.Unmarshal(raw, details) != nil {
		return nil
	}
	for _, name := range without {
		delete(details.Fields, name)
	}
	return details
}

// apiKeyFromKlarna never shows a secret, whatever Klarna sends.
func apiKeyFromKlarna(k klarna.APIKey) *gatewayv1.ApiKey {
	return &gatewayv1.ApiKey{
		CredentialId: k.CredentialID, Description: k.Description, Details: detailsFromKlarna(k.Raw, "secret", "credential_id", "description"),
	}
}

func certificateFromKlarna(c klarna.ClientCertificate) *gatewayv1.ClientCertificate {
	return &gatewayv1.ClientCertificate{
		CredentialId: c.CredentialID, Description: c.Description, Certificate: c.Certificate,
		Usage:   enumOf[gatewayv1.ClientCertificate_Usage](gatewayv1.ClientCertificate_Usage_value, "USAGE_", string(c.Usage)),
		Details: detailsFromKlarna(c.Raw, "credential_id", "description"),
	}
}

func certificateRequestToKlarna(req *gatewayv1.CreateClientCertificateRequest) klarna.CertificateRequest {
	return klarna.CertificateRequest{Description: req.GetDescription(), Config: klarna.CertificateConfig{
		Usage: klarna.CertificateUsage(wordOf(req.GetUsage(), "USAGE_")), CertificateSigningRequest: req.GetCertificateSigningRequest(),
	}}
}

// signingRequest names what Klarna would refuse in a request for a certificate. Klarna: an EC key on prime256v1, a common
// name of at most 64 characters.
func signingRequest(text string) []*errdetails.BadRequest_FieldViolation {
	flaw := func(rule, id string) []*errdetails.BadRequest_FieldViolation {
		return []*errdetails.BadRequest_FieldViolation{violation("certificate_signing_request", rule, "certificate_signing_request."+id)}
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return flaw("a PEM block CERTIFICATE REQUEST is required", "pem")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return flaw("it cannot be read as a PKCS #10 request", "pkcs10")
	}
	if request.CheckSignature() != nil {
		return flaw("its signature does not fit its key", "signature")
	}
	if key, ok := request.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return flaw("its key has to be an EC key on the curve prime256v1", "key")
	}
	if len(request.Subject.CommonName) > 64 {
		return flaw("its common name is longer than 64 characters", "common_name")
	}
	return nil
}

func enforcementFromKlarna(e klarna.MTLSEnforcement) *gatewayv1.MtlsEnforcement {
	enforcement := &gatewayv1.MtlsEnforcement{Mode: e.Mode, VerificationStatus: e.Verification}
	if at, err := time.Parse(time.RFC3339Nano, e.EnforcedFrom); err == nil {
		enforcement.EnforceTime = timestampOf(at)
	}
	return enforcement
}

func allowedIPsFromKlarna(a klarna.AllowedIPs) *gatewayv1.GetAllowedIpsResponse {
	res := &gatewayv1.GetAllowedIpsResponse{Ranges: a.Ranges, ValidationStatus: a.Validation}
	details := &structpb.Value{}
	if protojson.Unmarshal(a.Raw, details) == nil {
		res.Details = details
	}
	return res
}
