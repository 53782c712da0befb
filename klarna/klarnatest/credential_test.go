package klarnatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
)

const (
	credentialsPath = "/v2/account/integration/credentials/"
	enforcement     = "/v2/account/integration/client-certificates/enforcement"
	allowedIPs      = "/v2/account/integration/ip-restrictions/allowed-ips"
)

// csr is a request for a certificate and its key.
func csr(t *testing.T, curve elliptic.Curve) (text string, private *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "AQ4ZT9WN"}}, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), private
}

func TestAPIKey_OpensTheNetworkUntilItIsDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.want(201, "POST", credentialsPath+"api-key", doc{"description": "till 7"}, key, key1).json
	secret, id := made.object("secret").str("secret"), made.str("credential_id")
	if !strings.HasPrefix(secret, "klarna_test_api_") {
		t.Fatalf("%v", made)
	}
	auth := "Basic " + secret
	list := w.want(200, "GET", credentialsPath+"api-key", nil, "Authorization", auth)
	if keys, _ := list.json.objects("credentials"); len(keys) != 2 || strings.Contains(string(list.body), secret) {
		t.Errorf("%s", list.body)
	}
	w.want(200, "PATCH", credentialsPath+"api-key/"+id, doc{"description": "till 8"})
	if read := w.want(200, "GET", credentialsPath+"api-key/"+id, nil).json; read.str("description") != "till 8" || read.has("secret") {
		t.Errorf("%v", read)
	}
	w.refused(400, "VALIDATION_ERROR", "POST", credentialsPath+"api-key", doc{"description": "<b>"})
	w.want(204, "DELETE", credentialsPath+"api-key/"+id, nil)
	w.refused(401, "UNAUTHORIZED", "GET", credentialsPath+"api-key", nil, "Authorization", auth)
	w.refused(404, "RESOURCE_NOT_FOUND", "DELETE", credentialsPath+"api-key/"+id, nil)
}

func TestMTLS_IsReportedAndThenEnforced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secure := httptest.NewUnstartedServer(w.klarna)
	secure.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	w.api = secure
	const status = "Klarna-Mtls-Verification-Status"
	if res := w.want(200, "GET", enforcement, nil); res.header.Get(status) != "" || res.json.str("enforcement_mode") != "NOT_ENABLED" {
		t.Errorf("without a certificate: %v %s", res.header[status], res.body)
	}
	text, private := csr(t, elliptic.P256())
	request := doc{"description": "mtls", "config": doc{"usage": "MTLS", "certificate_signing_request": text}}
	made := w.want(201, "POST", credentialsPath+"client-certificate", request, key, key1).json
	if res := w.want(200, "GET", enforcement, nil); res.header.Get(status) != "NOT_PRESENT" || res.json.str("enforcement_mode") != "REPORTING" {
		t.Errorf("not shown: %v %s", res.header[status], res.body)
	}
	block, _ := pem.Decode([]byte(made.str("certificate")))
	shown := tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: private}
	show := func(certificates ...tls.Certificate) {
		transport := secure.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = certificates
		secure.Client().CloseIdleConnections()
		secure.Client().Transport = transport
	}
	show(shown)
	if res := w.want(200, "GET", enforcement, nil); res.header.Get(status) != "VALID" {
		t.Errorf("shown: %v", res.header[status])
	}
	w.refused(400, "VALIDATION_ERROR", "PUT", enforcement, doc{"enforced_from": start.Add(-time.Hour).Format(time.RFC3339)})
	w.refused(400, "VALIDATION_ERROR", "PUT", enforcement, doc{"enforced_from": start.AddDate(0, 4, 0).Format(time.RFC3339)})
	w.want(204, "PUT", enforcement, doc{"enforced_from": start.Add(time.Hour).Format(time.RFC3339)})
	show()
	w.want(200, "GET", enforcement, nil) // not yet
	w.klarna.Advance(time.Hour)
	if res := w.refused(403, "OPERATION_FORBIDDEN", "GET", enforcement, nil); res.header.Get(status) != "NOT_PRESENT" {
		t.Errorf("enforced: %v", res.header[status])
	}
	show(shown)
	w.want(200, "POST", credentialsPath+"client-certificate/"+made.str("credential_id")+"/revoke", doc{"revoked_from": start.Add(2 * time.Hour).Format(time.RFC3339)})
	w.klarna.Advance(time.Hour)
	if res := w.refused(403, "OPERATION_FORBIDDEN", "DELETE", enforcement, nil); res.header.Get(status) != "INVALID" {
		t.Errorf("revoked: %v", res.header[status])
	}
}

func TestCertificate_RefusesRequestsThatKlarnaWould(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := csr(t, elliptic.P384())
	good, _ := csr(t, elliptic.P256())
	for name, config := range map[string]doc{
		"nothing": {}, "another curve": {"usage": "MTLS", "certificate_signing_request": other},
		"no pem": {"usage": "MTLS", "certificate_signing_request": "MIH"}, "no usage": {"certificate_signing_request": good},
		"changed": {"usage": "MTLS", "certificate_signing_request": strings.Replace(good, "A", "B", 1)},
	} {
		if res := w.do("POST", credentialsPath+"client-certificate", doc{"config": config}); res.status != 400 {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
	}
}

func TestIPs_AreReportedAndThenEnforced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const status = "Klarna-Ip-Validation-Status"
	w.want(200, "POST", "/admin/allowed-ips", doc{"mode": IPReporting, "ranges": []string{"192.0.2.0/24"}})
	if res := w.want(200, "GET", allowedIPs, nil); res.header.Get(status) != "DENIED" || !strings.Contains(string(res.body), "192.0.2.0/24") {
		t.Errorf("%v %s", res.header[status], res.body)
	}
	w.klarna.AllowIPs(IPEnforced, "192.0.2.0/24")
	w.refused(403, "OPERATION_FORBIDDEN", "GET", allowedIPs, nil)
	w.klarna.AllowIPs(IPEnforced, "127.0.0.0/8", "::1/128")
	if res := w.want(200, "GET", allowedIPs, nil); res.header.Get(status) != "" {
		t.Errorf("%v", res.header[status])
	}
}

func TestContract_Credentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w)
	client, err := klarna.New(klarna.Config{BaseURL: w.api.URL, HTTPClient: w.api.Client(), Retries: -1, APIKey: apiKey})
	w.must(err)
	ctx := t.Context()
	made, err := client.CreateAPIKey(ctx, key1, "till 7")
	w.must(err)
	_, err = client.APIKeys(ctx)
	w.must(err)
	_, err = client.UpdateAPIKey(ctx, key2, made.CredentialID, "till 8")
	w.must(err)
	read, err := client.APIKey(ctx, made.CredentialID)
	w.must(err)
	w.must(client.DisableAPIKey(ctx, made.CredentialID))
	text, _ := csr(t, elliptic.P256())
	request := klarna.CertificateRequest{Description: "mtls", Config: klarna.CertificateConfig{Usage: klarna.UsageMTLS, CertificateSigningRequest: text}}
	cert, err := client.CreateClientCertificate(ctx, "5e1c7f20-3b64-5a9d-8c17-9d0e1f2a3b4c", request)
	w.must(err)
	_, err = client.ClientCertificates(ctx)
	w.must(err)
	_, err = client.ClientCertificate(ctx, cert.CredentialID)
	w.must(err)
	_, err = client.UpdateClientCertificate(ctx, "7a3b1c9e-4d52-5f10-8e6b-0c1d2e3f4a5b", cert.CredentialID, "mtls 2026")
	w.must(err)
	w.must(client.RevokeClientCertificate(ctx, "2d0f6a51-7c1e-5b0a-9a44-8f0e1d2c3b4a", cert.CredentialID, start.Add(time.Hour)))
	w.must(client.EnforceMTLS(ctx, start.Add(time.Hour).Format(time.RFC3339)))
	enforced, err := client.MTLSEnforcement(ctx)
	w.must(err)
	w.must(client.RemoveMTLSEnforcement(ctx))
	if read.Description != "till 8" || cert.Certificate == "" || cert.Usage != klarna.UsageMTLS || enforced.Mode != "REPORTING" || enforced.EnforcedFrom == "" {
		t.Errorf("read %v, %+v, %+v", read, cert, enforced)
	}
	for _, path := range []string{"api-key", "client-certificate"} {
		w.want(404, "GET", credentialsPath+path+"/krn:none", nil)
		w.want(404, "PATCH", credentialsPath+path+"/krn:none", doc{"description": "x"})
	}
	w.want(400, "POST", credentialsPath+"client-certificate", doc{})
	c.saw("createApiKey 201", "listApiKeys 200", "readApiKey 200", "readApiKey 404", "updateApiKey 200", "updateApiKey 404", "disableApiKey 204",
		"createClientCertificate 201", "createClientCertificate 400", "listClientCertificates 200", "readClientCertificate 200",
		"readClientCertificate 404", "updateClientCertificate 200", "revokeClientCertificate 200", "readMtlsEnforcement 200", "enforceMtls 204",
		"removeMtlsEnforcement 204")
}
