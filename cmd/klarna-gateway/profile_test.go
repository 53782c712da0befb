package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payments.internal/klarna-gateway/klarna"
)

// clientCertificate makes a certificate that signs itself, and its files.
func clientCertificate(t *testing.T, name string) certificateConfig {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	pkcs8 := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	files := certificateConfig{CertFile: filepath.Join(t.TempDir(), "client.crt"), KeyFile: filepath.Join(t.TempDir(), "client.key")}
	for path, block := range map[string]*pem.Block{files.CertFile: {Type: "CERTIFICATE", Bytes: der}, files.KeyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestProfiles_EachShowsItsCertificate(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.TLS.PeerCertificates[0].Subject.CommonName+" "+r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, `{"order_id":"o"}`)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	before, after := clientCertificate(t, "before"), clientCertificate(t, "after")
	a := accountConfig{
		Name: "shop", API: "regional", Environment: "playground", BaseURL: server.URL, APIKey: secret{"klarna_test_api_a"}, ClientCertificate: before,
		Changes: []changeConfig{{From: time.Unix(1, 0), APIKey: secret{"klarna_test_api_b"}}, {From: time.Unix(2, 0), ClientCertificate: after}},
	}
	if flaws := a.checkProfiles(); flaws != nil {
		t.Fatal(flaws)
	}
	made, err := a.account(func(profile accountConfig) (*klarna.Client, error) {
		with := profile.klarna()
		with.HTTPClient = must[*http.Client](t)(profile.http(slog.New(slog.DiscardHandler)))
		transport := with.HTTPClient.Transport.(*http.Transport)
		transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		t.Cleanup(transport.CloseIdleConnections)
		return klarna.New(with)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []*klarna.Client{made.Klarna, made.Changes[0].Klarna, made.Changes[1].Klarna} {
		if _, err := client.Order(t.Context(), "o"); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"before Basic klarna_test_api_a", "before Basic klarna_test_api_b", "after Basic klarna_test_api_b"}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(seen, want) {
		t.Errorf("Klarna saw %q, want %q", seen, want)
	}
}

func TestProfiles_TakeOverWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	a := accountConfig{
		Name: "shop", API: "regional", Environment: "live", Region: "eu", Username: "K1", Password: secret{"p"},
		Rates: map[klarna.Category]klarna.Rate{klarna.Regional: 400}, Withdrawn: []string{"/hpp"},
		Changes: []changeConfig{
			{Username: "K2", Password: secret{"q"}},
			{Region: "na"},
			{API: "kustom", APIKey: secret{"klarna_live_api_x"}},
			{Withdrawn: []string{"/settlements"}},
		},
	}
	a.place()
	var got []string
	for _, p := range a.profiles() {
		cfg := p.klarna()
		got = append(got, cfg.BaseURL, string(cfg.Region), cfg.Username+":"+cfg.Password.Reveal()+cfg.APIKey.Reveal())
		got = append(got, cfg.Withdrawn...)
		if len(cfg.Rates) > 0 {
			got = append(got, "rates")
		}
		if len(cfg.Offers) > 0 {
			got = append(got, "offers")
		}
	}
	want := []string{
		"https://api.klarna.com", "eu", "K1:p", "/hpp", "rates",
		"https://api.klarna.com", "eu", "K2:q", "/hpp", "rates",
		"https://api-na.klarna.com", "na", "K2:q",
		"https://api.kustom.co", "", ":klarna_live_api_x", "offers",
		"https://api.kustom.co", "", ":klarna_live_api_x", "/settlements", "offers",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("profiles (-want +got):\n%s", diff)
	}
}
