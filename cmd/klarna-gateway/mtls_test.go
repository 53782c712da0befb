package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

const mtlsKey = "klarna_test_api_of-this-test"

// secureKlarna is a simulated Klarna behind TLS that asks for a client certificate, as the real one does.
func secureKlarna(t *testing.T, a *authority) (sim *klarnatest.Server, url string) {
	t.Helper()
	sim = klarnatest.New(klarnatest.Config{APIKey: mtlsKey})
	t.Cleanup(sim.Close)
	files, _ := a.issue("klarna", "")
	cert := must[tls.Certificate](t)(tls.LoadX509KeyPair(files.CertFile, files.KeyFile))
	web := httptest.NewUnstartedServer(sim)
	web.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	web.StartTLS()
	t.Cleanup(web.Close)
	return sim, web.URL
}

// newPrivateKey writes a key and returns a request to certify it.
func newPrivateKey(t *testing.T, path string) (csr string) {
	t.Helper()
	private := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(private))
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	request := must[[]byte](t)(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "AQ4ZT9WN"}}, private))
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
}

// TestMTLS_FromTheFirstCertificateToItsEnforcement goes the way of an operator: certify a key through the gateway, put
// both into the configuration, see that Klarna takes them, enforce.
func TestMTLS_FromTheFirstCertificateToItsEnforcement(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	sim, url := secureKlarna(t, a)
	s := newStage(t, 10*time.Second)
	s.env = append(s.env, "SSL_CERT_FILE="+a.file, "API_KEY="+mtlsKey)
	fmt.Fprintf(&s.config, "  - name: acquirer\n    api: network\n    default: true\n    base_url: '%s'\n    api_key: env:API_KEY\n", url)
	bare := s.config.String()
	p := s.start()
	partners := gatewayv1.NewPartnerServiceClient(p.dial(t))
	enforce := &gatewayv1.EnforceMtlsRequest{RequestId: newRequestID()}
	if _, err := partners.EnforceMtls(t.Context(), enforce); refusedWith(err, "OPERATION_NOT_ALLOWED") != nil {
		t.Fatalf("without a certificate: %v", err)
	}
	keyFile, certFile := filepath.Join(s.dir, "klarna.key"), filepath.Join(s.dir, "klarna.pem")
	made, err := partners.CreateClientCertificate(t.Context(), &gatewayv1.CreateClientCertificateRequest{
		RequestId: newRequestID(), Usage: gatewayv1.ClientCertificate_USAGE_MTLS, CertificateSigningRequest: newPrivateKey(t, keyFile),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.write("klarna.pem", []byte(made.GetClientCertificate().GetCertificate()))
	p.terminate(t)

	fmt.Fprintf(&s.config, "    client_certificate: {cert_file: %s, key_file: %s}\n", certFile, keyFile)
	p = s.start()
	partners = gatewayv1.NewPartnerServiceClient(p.dial(t))
	read, err := partners.GetMtlsEnforcement(t.Context(), &gatewayv1.GetMtlsEnforcementRequest{})
	if err != nil || read.GetEnforcement().GetVerificationStatus() != "VALID" || read.GetEnforcement().GetMode() != "REPORTING" {
		t.Fatalf("with the certificate: %v, %v", read, err)
	}
	if err := sim.Fail(klarnatest.Fault{Operation: "enforceMTLS", LoseAnswer: true, Times: -1}); err != nil {
		t.Fatal(err)
	}
	if _, err := partners.EnforceMtls(t.Context(), enforce); refusedWith(err, "OUTCOME_UNKNOWN") != nil {
		t.Fatalf("with a lost answer: %v", err)
	}
	sim.Heal()
	if _, err := partners.EnforceMtls(t.Context(), enforce); err != nil {
		t.Fatal(err)
	}
	if read, err = partners.GetMtlsEnforcement(t.Context(), &gatewayv1.GetMtlsEnforcementRequest{}); err != nil || read.GetEnforcement().GetMode() != "ENFORCED" {
		t.Fatalf("enforced: %v, %v", read, err)
	}
	p.terminate(t)

	s.config.Reset()
	s.config.WriteString(bare)
	p = s.start()
	_, err = gatewayv1.NewPartnerServiceClient(p.dial(t)).ListWebhooks(t.Context(), &gatewayv1.ListWebhooksRequest{})
	if refusedWith(err, "KLARNA_FORBIDDEN") != nil {
		t.Errorf("a gateway without the certificate: %v", err)
	}
	p.terminate(t)
}

func TestMTLS_AnotherCertificateIsShownWithoutARestart(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	_, url := secureKlarna(t, a)
	dir := t.TempDir()
	account := accountConfig{Name: "acquirer", ClientCertificate: certificateConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}}
	other, _ := a.issue("other", "") // not Klarna's
	for from, to := range map[string]string{other.CertFile: account.ClientCertificate.CertFile, other.KeyFile: account.ClientCertificate.KeyFile} {
		if err := os.WriteFile(to, must[[]byte](t)(os.ReadFile(from)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	web := must[*http.Client](t)(account.http(slog.New(slog.DiscardHandler)))
	web.Transport.(*http.Transport).TLSClientConfig.RootCAs = a.client(tlsFiles{}).RootCAs
	t.Cleanup(web.CloseIdleConnections)
	client := must[*klarna.Client](t)(klarna.New(klarna.Config{BaseURL: url, APIKey: mtlsKey, HTTPClient: web}))
	status := func() string {
		web.CloseIdleConnections()
		return must[klarna.MTLSEnforcement](t)(client.MTLSEnforcement(t.Context())).Verification
	}
	made := must[klarna.ClientCertificate](t)(client.CreateClientCertificate(t.Context(), "3b0f5c1e-8a77-5c5e-9d3a-0c8f2b6d1e01", klarna.CertificateRequest{
		Config: klarna.CertificateConfig{Usage: klarna.UsageMTLS, CertificateSigningRequest: newPrivateKey(t, account.ClientCertificate.KeyFile)},
	}))
	if got := status(); got != "INVALID" {
		t.Errorf("with another's certificate, and half of the new one: %q", got)
	}
	if err := os.WriteFile(account.ClientCertificate.CertFile, []byte(made.Certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "Klarna to see the new certificate", func() bool { return status() == "VALID" })
}

func TestLoadConfig_NamesWhatIsWrongWithAClientCertificate(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]string{
		"{cert_file: cert.pem}":                             "client_certificate: cert_file and key_file belong together",
		"{cert_file: /nowhere/cert.pem, key_file: key.pem}": "client_certificate: open /nowhere/cert.pem",
	} {
		_, err := loadConfig(configFile(t, "merchant_accounts:\n  - {name: a, api: network, api_key: klarna_test_api_x, client_certificate: "+what+"}\n"), noEnvironment)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
